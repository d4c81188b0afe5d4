package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

func urlQuery(text string) string { return url.QueryEscape(text) }

var clientAddresses atomic.Uint32

// uniqueAddress is a client that no other request of the tests comes from; see trustedPeer.
func uniqueAddress() string {
	n := clientAddresses.Add(1)
	return fmt.Sprintf("198.18.%d.%d", n>>8&0xff, n&0xff)
}

// resend asks for the link again, from an address of its own.
func resend(s *system, body map[string]any) response {
	return s.call(http.MethodPost, "/verify-email/resend", "", body, "X-Forwarded-For", uniqueAddress())
}

// endMinute and endHour let the windows of the limits end.
func endMinute(s *system) {
	s.exec("UPDATE rate_counters SET window_ends_at = now() - interval '1 second' WHERE purpose = 'mail_minute'")
}

func endHour(s *system) {
	s.exec("UPDATE rate_counters SET window_ends_at = now() - interval '1 second'")
}

func TestResendVerificationReplacesTheLink(t *testing.T) {
	t.Parallel()
	s := newSystem(t, trustedPeer)
	profile, first := unverified(s)
	if got := resend(s, map[string]any{"email": strings.ToUpper(profile.Email)}); got.status != http.StatusAccepted {
		t.Fatalf("got %d: %s", got.status, got.body)
	}
	s.eventually("the second mail", func() bool { return len(s.inbox.Mails(profile.Email)) == 2 })
	second := mailedToken(s, profile.Email, "confirm")
	for _, got := range []response{verifyByToken(s, first), verifyByLink(s, profile.ID, first)} {
		if got.problem(t, api.ProblemCodeTokenUsed); got.status != http.StatusGone {
			t.Errorf("the older link got %d, want 410", got.status)
		}
	}
	if got := verifyByToken(s, second); got.status != http.StatusOK {
		t.Errorf("got %d: %s", got.status, got.body)
	}
	verifyByToken(s, first).problem(t, api.ProblemCodeTokenUsed) // and the success of the second is not that of the first
	if got := s.count("SELECT count(*) FROM audit WHERE action = 'verification_sent' AND subject_id = $1", profile.ID); got != 1 {
		t.Errorf("got %d audit rows, want 1", got)
	}
}

func TestResendVerificationAnswersAlikeWhoeverAsks(t *testing.T) {
	t.Parallel()
	s := newSystem(t, trustedPeer)
	waiting, token := unverified(s)
	verified, usedToken := unverified(s)
	verifyByToken(s, usedToken)
	locked := s.account(server.NewAccount{LockReason: "spam"})
	deleted := s.account(server.NewAccount{})
	s.exec("UPDATE users SET deleted_at = now() WHERE id = $1", deleted.id)
	unknown := uniqueEmail()
	s.idle()
	before := len(s.inbox.Mails(""))
	var want string
	for name, body := range map[string]map[string]any{
		"waiting": {"email": waiting.Email}, "verified": {"email": verified.Email}, "locked": {"email": locked.email}, "deleted": {"email": deleted.email},
		"unknown": {"email": unknown}, "token": {"token": token}, "used token": {"token": usedToken}, "no token": {"token": "nonsense"},
		"changed token": {"token": strings.Repeat("A", len(token))}, "again": {"email": waiting.Email}, "empty token": {"token": ""},
	} {
		got := resend(s, body)
		if want == "" {
			want = outerShape(got)
		}
		if got.status != http.StatusAccepted || outerShape(got) != want {
			t.Errorf("%s: got %d: %s, want %s", name, got.status, got.body, want)
		}
	}
	s.idle()
	for email, wantMails := range map[string]int{waiting.Email: 2, verified.Email: 1, locked.email: 1, deleted.email: 0, unknown: 0} {
		if got := len(s.inbox.Mails(email)); got != wantMails {
			t.Errorf("got %d mails to %s, want %d", got, email, wantMails)
		}
	}
	if got := len(s.inbox.Mails("")); got != before+2 {
		t.Errorf("got %d mails more, want 2", got-before)
	}
}

func TestResendVerificationIsLimitedPerAddress(t *testing.T) {
	t.Parallel()
	s := newSystem(t, trustedPeer)
	account := s.account(server.NewAccount{})
	sent := func() int {
		s.idle()
		return len(s.inbox.Mails(account.email))
	}
	for i, want := range []int{1, 2, 3, 3, 3} { // a minute apart
		for range 3 {
			if got := resend(s, map[string]any{"email": account.email}); got.status != http.StatusAccepted {
				t.Fatalf("got %d: %s", got.status, got.body)
			}
		}
		if got := sent(); got != want {
			t.Errorf("minute %d: got %d mails, want %d", i+1, got, want)
		}
		endMinute(s)
	}
	endHour(s)
	if resend(s, map[string]any{"email": account.email}); sent() != 4 {
		t.Errorf("got %d mails after the hour, want 4", sent())
	}
	endHour(s)
	answersAtOnce(20, func(int) response { return resend(s, map[string]any{"email": account.email}) })
	if got := sent(); got != 5 {
		t.Errorf("got %d mails after twenty requests at once, want one more", got)
	}
}

func TestResendVerificationIsLimitedPerSource(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	var accounts []account
	for range 22 {
		accounts = append(accounts, s.account(server.NewAccount{}))
	}
	var shapes []string
	for _, account := range accounts {
		shapes = append(shapes, outerShape(s.call(http.MethodPost, "/verify-email/resend", "", map[string]any{"email": account.email})))
	}
	s.idle()
	for i, account := range accounts {
		want := 1
		if i >= 20 {
			want = 0
		}
		if got := len(s.inbox.Mails(account.email)); got != want {
			t.Errorf("address %d: got %d mails, want %d", i+1, got, want)
		}
		if shapes[i] != shapes[0] {
			t.Errorf("address %d: got %s, want %s", i+1, shapes[i], shapes[0])
		}
	}
}

func TestResendVerificationTakesAnExpiredToken(t *testing.T) {
	t.Parallel()
	s := newSystem(t, trustedPeer)
	admin := s.signedIn(query.UserRoleADMIN)
	profile, expired := unverified(s)
	s.exec("UPDATE one_time_tokens SET expires_at = now() - interval '1 day'")
	resend(s, map[string]any{"token": expired})
	s.eventually("the second mail", func() bool { return len(s.inbox.Mails(profile.Email)) == 2 })
	if got := verifyByToken(s, mailedToken(s, profile.Email, "confirm")); got.status != http.StatusOK {
		t.Errorf("got %d: %s", got.status, got.body)
	}

	invited := uniqueEmail()
	s.call(http.MethodPost, "/users", admin.token, map[string]any{"email": invited})
	expired = mailedToken(s, invited, "invited")
	s.exec("UPDATE one_time_tokens SET expires_at = now() - interval '1 day' WHERE used_at IS NULL")
	resend(s, map[string]any{"token": expired})
	s.eventually("the second invitation", func() bool { return len(s.inbox.Mails(invited)) == 2 })
	if got := acceptInvitation(s, mailedToken(s, invited, "invited"), goodPassword); got.status != http.StatusOK {
		t.Errorf("got %d: %s", got.status, got.body)
	}
}

func TestResendVerificationMailsAnInvitedAccountItsInvitation(t *testing.T) {
	t.Parallel()
	s := newSystem(t, trustedPeer)
	admin, email := s.signedIn(query.UserRoleADMIN), uniqueEmail()
	s.call(http.MethodPost, "/users", admin.token, map[string]any{"email": email, "role": "MANAGER"})
	first := mailedToken(s, email, "invited")
	resend(s, map[string]any{"email": email})
	s.eventually("the second invitation", func() bool { return len(s.inbox.Mails(email)) == 2 })
	acceptInvitation(s, first, goodPassword).problem(t, api.ProblemCodeTokenUsed)
	if got := acceptInvitation(s, mailedToken(s, email, "invited"), goodPassword); !strings.Contains(string(got.body), `"role":"MANAGER"`) {
		t.Errorf("got %d: %s, want a manager", got.status, got.body)
	}
	if got := s.count("SELECT count(*) FROM mails WHERE kind = 'verify_email'"); got != 0 {
		t.Errorf("got %d verification mails to an account without a password, want none", got)
	}
}

func TestResendVerificationTakesEitherAnAddressOrAToken(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(o *server.Options) { o.Links = map[string]server.LinkTemplates{"": {}, "web": {}} })
	for _, c := range []struct {
		body    string
		pointer string
		want    api.FieldCode
	}{
		{`{"email":"ada@example.com","token":"x"}`, "/email", api.FieldCodeMutuallyExclusive},
		{`{"client":"web"}`, "/email", api.FieldCodeRequired},
		{`{}`, "", api.FieldCodeTooFewFields},
		{`{"email":"ada@example.com","client":"other"}`, "/client", api.FieldCodeUnknownClient},
		{`{"email":null}`, "/email", api.FieldCodeNullNotAllowed},
		{`{"token":17}`, "/token", api.FieldCodeWrongType},
	} {
		problem := s.call(http.MethodPost, "/verify-email/resend", "", c.body).problem(t, api.ProblemCodeValidationFailed)
		if codes := fieldCodes(problem); len(codes) != 1 || len(codes[c.pointer]) != 1 || codes[c.pointer][0] != c.want {
			t.Errorf("%s: got %v, want %s at %q", c.body, codes, c.want, c.pointer)
		}
	}
}

package server_test

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"usermanager/gen/api"
	"usermanager/server"
)

func concealing(o *server.Options) { o.RegistrationConceal = true }

// outerShape is what somebody who registers can see of an answer: its status, the names of its headers, its body without request id.
func outerShape(r response) string {
	body := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`).ReplaceAllString(string(r.body), "<id>")
	return http.StatusText(r.status) + "\n" + strings.Join(slices.Sorted(maps.Keys(r.header)), "\n") + "\n" + body
}

func TestRegisterConcealedAnswersAlikeWhetherTheAddressIsKnown(t *testing.T) {
	t.Parallel()
	s := newSystem(t, concealing)
	want := outerShape(s.call(http.MethodPost, "/register", "", registrationBody(nil)))
	verified, unverified := s.account(server.NewAccount{EmailVerified: true}), s.account(server.NewAccount{})
	locked := s.account(server.NewAccount{EmailVerified: true, LockReason: "spam"})
	for range 10 {
		for _, known := range []account{verified, unverified, locked} {
			for name, email := range map[string]string{
				"known": known.email, "known in capitals": strings.ToUpper(known.email), "new": uniqueEmail(),
			} {
				got := s.call(http.MethodPost, "/register", "", registrationBody(map[string]any{"email": email}))
				if got.status != http.StatusAccepted || outerShape(got) != want {
					t.Fatalf("%s: got %s\nwant %s", name, outerShape(got), want)
				}
			}
		}
	}
	if got := s.count("SELECT count(*) FROM users"); got != 1+3+30 {
		t.Errorf("got %d accounts, want one for each new address", got)
	}
}

func TestRegisterConcealedNamesATakenNicknameOnly(t *testing.T) {
	t.Parallel()
	s := newSystem(t, concealing)
	owner := s.account(server.NewAccount{Nickname: "countess"})
	var shapes []string
	for _, email := range []string{owner.email, uniqueEmail()} {
		got := s.call(http.MethodPost, "/register", "", registrationBody(map[string]any{"email": email, "nickname": "COUNTESS"}))
		problem := got.problem(t, api.ProblemCodeNicknameTaken)
		if codes := fieldCodes(problem); len(codes) != 1 || len(codes["/nickname"]) != 1 || len(problem.Suggestions) != 3 {
			t.Errorf("got %s, want the nickname and three suggestions", got.body)
		}
		body := string(got.body)
		for _, suggestion := range problem.Suggestions { // random
			body = strings.ReplaceAll(body, suggestion, "<suggestion>")
		}
		shapes = append(shapes, outerShape(response{status: got.status, header: got.header, body: []byte(body)}))
	}
	if shapes[0] != shapes[1] {
		t.Errorf("a known address: %s\na new one: %s", shapes[0], shapes[1])
	}
	s.idle()
	if got := s.inbox.Mails(""); len(got) != 0 {
		t.Errorf("got %d mails, want none: nothing was registered", len(got))
	}
}

func TestRegisterConcealedTellsTheOwnerAtMostThreeTimesAnHour(t *testing.T) {
	t.Parallel()
	s := newSystem(t, concealing, func(o *server.Options) {
		o.Links = map[string]server.LinkTemplates{"": {SignIn: "https://app.example.com/sign-in"}}
	})
	owner, other := s.account(server.NewAccount{EmailVerified: true}), s.account(server.NewAccount{})
	register := func(email string) {
		if got := s.call(http.MethodPost, "/register", "", registrationBody(map[string]any{"email": email})); got.status != http.StatusAccepted {
			t.Fatalf("got %d: %s", got.status, got.body)
		}
	}
	for range 5 {
		register(owner.email)
	}
	m := s.mailTo(owner.email, "already have an account")
	if !strings.Contains(m.Text, "https://app.example.com/sign-in\n") || !strings.Contains(m.HTML, `href="https://app.example.com/sign-in"`) {
		t.Errorf("got %q, want the link to sign in", m.Text)
	}
	s.idle()
	if got := len(s.inbox.Mails(owner.email)); got != 3 {
		t.Errorf("got %d mails to the owner, want 3", got)
	}
	register(other.email) // has an allowance of its own
	s.mailTo(other.email, "already have an account")
	s.exec("UPDATE rate_counters SET window_ends_at = now() - interval '1 second' WHERE purpose = 'mail_hour'")
	register(owner.email)
	s.eventually("a fourth mail after the hour", func() bool { return len(s.inbox.Mails(owner.email)) == 4 })
	if got := s.count("SELECT count(*) FROM one_time_tokens"); got != 0 {
		t.Errorf("got %d tokens, want none: the mail proves nothing", got)
	}
	if got := s.count("SELECT count(*) FROM users WHERE version <> 1 + email_verified::int"); got != 0 {
		t.Errorf("got %d accounts that somebody else's registration touched, want none", got)
	}
}

func TestRegisterConcealedMailsTheLinkToANewAddress(t *testing.T) {
	t.Parallel()
	s := newSystem(t, concealing)
	email := uniqueEmail()
	if got := s.call(http.MethodPost, "/register", "", registrationBody(map[string]any{"email": email})); got.header.Get("Location") != "" {
		t.Errorf("got Location %q, want none: it holds the id", got.header.Get("Location"))
	}
	token := linkToken(t, s.mailTo(email, "confirm"), "/verify-email/")
	if got := s.call(http.MethodPost, "/verify-email", "", map[string]string{"token": token}); got.status != http.StatusOK {
		t.Errorf("got %d: %s", got.status, got.body)
	}
	s.login(email, goodPassword)
}

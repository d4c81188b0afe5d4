package server_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

func readerOf(text string) io.Reader { return strings.NewReader(text) }

func TestACorrectedAddressSignsOutUntilItIsProvenAndKeepsTheRank(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin, user := s.signedIn(query.UserRoleADMIN), s.signedIn(query.UserRoleMANAGER)
	email := uniqueEmail()
	got := staffUserOf(t, staffPatch(s, admin.token, user.id, map[string]string{"email": email, "bio": "Moved"}, "*"), 200)
	if got.Email != email || got.EmailVerified || got.Role != api.RoleANONYMOUS || got.RoleWhenVerified != api.GrantedRoleMANAGER || got.Bio.MustGet() != "Moved" {
		t.Errorf("got %+v, want an unverified account that keeps its rank, and the other change too", got)
	}
	s.call(http.MethodGet, "/users/me", user.token, nil).problem(t, api.ProblemCodeInvalidAccessToken) // Z-08
	if refused := staffLogin(s, user.email); refused.status != http.StatusUnauthorized {
		t.Errorf("got %d with the old address, want 401", refused.status)
	}
	staffLogin(s, email).problem(t, api.ProblemCodeEmailNotVerified)
	token := linkToken(t, s.mailTo(email, "confirm"), "/verify-email/")
	if verified := s.call(http.MethodPost, "/verify-email", "", map[string]string{"token": token}); verified.status != 200 {
		t.Fatalf("got %s, want the new address proven", verified.body)
	}
	if after, _ := staffGet(s, admin.token, user.id); after.Role != api.RoleMANAGER || !after.EmailVerified {
		t.Errorf("got %+v, want the manager back", after)
	}
	s.call(http.MethodGet, "/users/me", user.token, nil).problem(t, api.ProblemCodeInvalidAccessToken) // the session stays ended
	s.login(email, goodPassword)
	s.idle()
	if told := s.inbox.Mails(user.email); len(told) != 1 || !strings.Contains(told[0].Subject, "was changed") || strings.Contains(told[0].Text, token) {
		t.Errorf("got %+v at the old address, want the news and no link", told)
	}
}

// The link of a mistyped address must not open the account once staff corrected it.
func TestLinksToTheOldAddressDieWithIt(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	manager := s.signedIn(query.UserRoleMANAGER)
	old := uniqueEmail()
	invited := staffUserOf(t, s.call(http.MethodPost, "/users", manager.token, map[string]string{"email": old}), 201)
	token := linkToken(t, s.mailTo(old, "invit"), "/invitations/")
	email := uniqueEmail()
	staffUserOf(t, staffPatch(s, manager.token, invited.ID, map[string]string{"email": email}, `"1"`), 200)
	s.call(http.MethodPost, "/invitations/accept", "", map[string]string{"token": token, "password": goodPassword}).problem(t, api.ProblemCodeTokenUsed)
	// There is no password yet, so the new address gets an invitation and not a mere verification.
	token = linkToken(t, s.mailTo(email, "invit"), "/invitations/")
	if got := s.call(http.MethodPost, "/invitations/accept", "", map[string]string{"token": token, "password": goodPassword}); got.status != 200 {
		t.Fatalf("got %s, want the new link to work", got.body)
	}
	s.login(email, goodPassword)
	if n := s.count("SELECT count(*) FROM mails WHERE user_id = $1 AND kind = 'verify_email'", invited.ID); n != 0 {
		t.Errorf("got %d verification mails to an account without a password", n)
	}
}

func TestALinkThatWasMailedBeforeTheCorrectionVerifiesNothing(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	old := uniqueEmail()
	if got := s.call(http.MethodPost, "/register", "", map[string]string{"email": old, "password": goodPassword}); got.status != 201 {
		t.Fatalf("register: %s", got.body)
	}
	token := linkToken(t, s.mailTo(old, "confirm"), "/verify-email/")
	var user account
	s.scan("SELECT id FROM users WHERE email = $1", []any{old}, &user.id)
	staffUserOf(t, staffPatch(s, admin.token, user.id, map[string]string{"email": uniqueEmail()}, "*"), 200)
	s.call(http.MethodPost, "/verify-email", "", map[string]string{"token": token}).problem(t, api.ProblemCodeTokenUsed)
	if after, _ := staffGet(s, admin.token, user.id); after.EmailVerified {
		t.Error("the old address's link verified the new address")
	}
}

func TestTheSameAddressAgainIsNoCorrection(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin, user := s.signedIn(query.UserRoleADMIN), s.signedIn(query.UserRoleAUTHENTICATED)
	for _, a := range []account{user, admin} { // also the own one, as a form sends it back
		for _, same := range []string{a.email, "  " + a.email + " ", strings.Replace(a.email, "example.com", "EXAMPLE.com", 1)} {
			got := staffUserOf(t, staffPatch(s, admin.token, a.id, map[string]string{"email": same}, "*"), 200)
			if !got.EmailVerified || got.Email != a.email {
				t.Errorf("got %+v, want the account to stay verified", got)
			}
		}
	}
	if got := s.call(http.MethodGet, "/users/me", user.token, nil); got.status != 200 {
		t.Errorf("got %d, want the session to go on", got.status)
	}
	shouted := strings.ToUpper(user.email[:1]) + user.email[1:] // another spelling is stored, and proves nothing anew
	if got := staffUserOf(t, staffPatch(s, admin.token, user.id, map[string]string{"email": shouted}, "*"), 200); !got.EmailVerified || got.Email != shouted {
		t.Errorf("got %+v, want the new spelling on a verified account", got)
	}
	if got := s.call(http.MethodGet, "/users/me", user.token, nil); got.status != 200 {
		t.Errorf("after another spelling: got %d, want the session to go on", got.status)
	}
	if n := s.count("SELECT count(*) FROM mails"); n != 0 {
		t.Errorf("got %d mails, want none", n)
	}
}

func TestAnEditNamesBothTakenNames(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin, user, other := s.signedIn(query.UserRoleADMIN), s.signedIn(query.UserRoleAUTHENTICATED), s.signedIn(query.UserRoleAUTHENTICATED)
	got := staffPatch(s, admin.token, user.id, map[string]string{"email": other.email, "nickname": other.nickname}, "*")
	problem := got.problem(t, api.ProblemCodeEmailTaken)
	if codes := fieldCodes(problem); len(codes["/email"]) != 1 || len(codes["/nickname"]) != 1 || len(problem.Suggestions) != 3 {
		t.Errorf("got %s, want both names and three suggestions", got.body)
	}
}

// Z-06: an administrator who corrects their own address would lock themselves out, the last one for good.
func TestNobodyCorrectsTheirOwnAddress(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	staffPatch(s, admin.token, admin.id, map[string]string{"email": uniqueEmail()}, "*").problem(t, api.ProblemCodeLastAdmin)
	s.signedIn(query.UserRoleADMIN)
	staffPatch(s, admin.token, admin.id, map[string]string{"email": uniqueEmail(), "bio": "x"}, "*").problem(t, api.ProblemCodeOwnAccount)
	own, _ := staffGet(s, admin.token, admin.id)
	if own.Email != admin.email || !own.EmailVerified || own.Version != 2 || !own.Bio.IsNull() {
		t.Errorf("got %+v, want nothing changed", own)
	}
	manager := s.signedIn(query.UserRoleMANAGER) // Z-05: a new address would be a way to take an account over
	for _, target := range []account{admin, manager, s.signedIn(query.UserRoleMANAGER)} {
		staffPatch(s, manager.token, target.id, map[string]string{"email": uniqueEmail()}, "*").problem(t, api.ProblemCodeRankTooLow)
	}
	if n := s.count("SELECT count(*) FROM mails"); n != 0 {
		t.Errorf("got %d mails, want none", n)
	}
}

func TestACorrectionIsAuditedWithoutTheAddresses(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	user := s.account(server.NewAccount{Email: "anna@example.com"})
	staffUserOf(t, staffPatch(s, admin.token, user.id, map[string]string{"email": "berta@example.org"}, "*"), 200)
	var before, after string
	s.scan("SELECT old->>'email', new->>'email' FROM audit WHERE action = 'email_corrected' AND actor_id = $1 AND subject_id = $2",
		[]any{admin.id, user.id}, &before, &after)
	if before != "a***@example.com" || after != "b***@example.org" {
		t.Errorf("got %s and %s, want masked addresses", before, after)
	}
}

// Imported addresses need not be addresses: correcting them is what the operation is for.
func TestAnOddImportedAddressCanBeCorrected(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	for _, odd := range []string{"not an address", "", "@", "@example.com", "x@", "ä@example.com", strings.Repeat("Ω", 254)} {
		user := s.account(server.NewAccount{EmailVerified: true})
		s.exec("UPDATE users SET email = $2, email_canonical = lower($2) WHERE id = $1", user.id, odd)
		email := uniqueEmail()
		if got := staffPatch(s, admin.token, user.id, map[string]string{"email": email}, "*"); got.status != 200 {
			t.Errorf("%q: got %d %s, want it corrected", odd, got.status, got.body)
			continue
		}
		s.mailTo(email, "confirm")
	}
}

func staffLogin(s *system, email string) response {
	s.t.Helper()
	return s.call(http.MethodPost, "/login", "", "username="+strings.ReplaceAll(email, "+", "%2B")+"&password="+strings.ReplaceAll(goodPassword, "*", "%2A"),
		"Content-Type", "application/x-www-form-urlencoded")
}

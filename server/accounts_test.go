package server_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

//
func TestServersThatStartTogetherMakeOneAdministrator(t *testing.T) {
	t.Parallel()
	first := newSystem(t)
	second := newSystemOn(t, first.pool)
	var created atomic.Int32
	atOnce(50, 50, func(i int) {
		s := []*system{first, second}[i%2]
		made, err := s.server.BootstrapAdmin(t.Context(), fmt.Sprintf("admin%d@example.com", i%25), goodPassword)
		if err != nil {
			t.Errorf("bootstrap: %v", err)
		}
		if made {
			created.Add(1)
		}
	})
	if got := created.Load(); got != 1 {
		t.Errorf("%d of 50 say that they made an administrator, want 1", got)
	}
	if got := first.count("SELECT count(*) FROM users"); got != 1 {
		t.Errorf("got %d accounts, want 1", got)
	}
	if got := first.count("SELECT count(*) FROM audit WHERE action = 'user_created' AND new->>'role' = 'ADMIN' AND actor_id IS NULL"); got != 1 {
		t.Errorf("got %d audit rows, want 1", got)
	}
	var email string
	first.scan("SELECT email FROM users", nil, &email)
	admin := first.login(email, goodPassword)
	if got := first.call(http.MethodGet, "/users", admin, nil); got.status != http.StatusOK {
		t.Errorf("the administrator may list users: got %d", got.status)
	}
}

// an administrator who has not proven the address yet is one, too.
func TestBootstrapMakesNobodyBesideAnAdministrator(t *testing.T) {
	t.Parallel()
	for name, existing := range map[string]server.NewAccount{
		"usable": {Role: query.UserRoleADMIN, EmailVerified: true}, "unverified": {Role: query.UserRoleADMIN},
	} {
		s := newSystem(t)
		s.account(existing)
		created, err := s.server.BootstrapAdmin(t.Context(), "new@example.com", goodPassword)
		if created || err != nil || s.count("SELECT count(*) FROM users") != 1 {
			t.Errorf("%s: got %v, %v and %d accounts; want none made", name, created, err, s.count("SELECT count(*) FROM users"))
		}
	}
}

// registration never gives a rank, whoever comes first.
func TestTheFirstRegistrationIsNoAdministrator(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	atOnce(20, 20, func(int) { registerWith(s, goodPassword) })
	proveAll(s)
	if got := s.count("SELECT count(*) FROM users WHERE role <> 'AUTHENTICATED' OR role_when_verified <> 'AUTHENTICATED'"); got != 0 {
		t.Errorf("got %d accounts with a rank, want none", got)
	}
}

func TestBootstrapHoldsToTheRules(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	taken := s.account(verifiedUser)
	for name, c := range map[string]struct{ email, password, word string }{
		"a weak password":   {"admin@example.com", "weakling", "digit"},
		"no address":        {"admin", goodPassword, "e-mail"},
		"a taken address":   {taken.email, goodPassword, "exists"},
		"no password":       {"admin@example.com", "", "short"},
		"its own address":   {"amalia.z@example.com", "Amalia.z1", "own name"},
		"an unusable place": {"admin@localhost", goodPassword, "e-mail"},
	} {
		created, err := s.server.BootstrapAdmin(t.Context(), c.email, c.password)
		if created || err == nil || !strings.Contains(err.Error(), c.word) || c.password != "" && strings.Contains(err.Error(), c.password) {
			t.Errorf("%s: got %v, %v; want a sentence with %q and without the password", name, created, err, c.word)
		}
	}
	if got := s.count("SELECT count(*) FROM users WHERE role_when_verified = 'ADMIN'"); got != 0 {
		t.Errorf("got %d administrators, want none", got)
	}
}

// What the command line makes is what the API would have made.
func TestCreateAccountStoresWhatItIsGiven(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	user, err := s.server.CreateAccount(t.Context(), server.NewAccount{
		Email: "Ada@Example.com", Nickname: "ada", Password: goodPassword, FirstName: "Ada", LastName: "Lovelace", Bio: "Notes.\nMore notes.",
		PreferredLanguage: "pt-br", Role: query.UserRoleMANAGER, EmailVerified: true, IsProfessional: true, LockReason: "abuse",
	})
	if err != nil {
		t.Fatal(err)
	}
	if user.Email != "Ada@example.com" || user.EmailCanonical != "ada@example.com" || user.Nickname != "ada" || *user.FirstName != "Ada" || *user.LastName != "Lovelace" ||
		*user.Bio != "Notes.\nMore notes." || user.PreferredLanguage != "pt-BR" || user.Role != query.UserRoleMANAGER || !user.IsProfessional || !user.IsLocked || *user.LockReason != "abuse" {
		t.Errorf("got %+v", user)
	}
	plain, err := s.server.CreateAccount(t.Context(), server.NewAccount{Email: "b@example.com", Password: goodPassword, Role: query.UserRoleADMIN})
	if err != nil {
		t.Fatal(err)
	}
	if plain.Nickname == "" || plain.Role != query.UserRoleANONYMOUS || plain.RoleWhenVerified != query.UserRoleADMIN || plain.PreferredLanguage != "en" || plain.FirstName != nil {
		t.Errorf("got %+v, want an unverified administrator with a generated nickname", plain)
	}
	if got := s.count("SELECT count(*) FROM mails"); got != 0 {
		t.Errorf("got %d mails, want none: the command line hands the password over itself", got)
	}
}

func TestCreateAccountNamesEveryBrokenFieldAndWhatIsTaken(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	_, err := s.server.CreateAccount(t.Context(), server.NewAccount{Email: "no", Nickname: "a b", Password: "x", FirstName: "\x00", PreferredLanguage: "klingon!", Role: query.UserRoleADMIN})
	problem := (*server.Problem)(nil)
	if !errors.As(err, &problem) || problem.Code != api.ProblemCodeValidationFailed {
		t.Fatalf("got %v, want validation_failed", err)
	}
	var pointers []string
	for _, e := range problem.Errors {
		pointers = append(pointers, e.Pointer)
	}
	slices.Sort(pointers)
	if got := slices.Compact(pointers); !slices.Equal(got, []string{"/email", "/first_name", "/nickname", "/password", "/preferred_language"}) {
		t.Errorf("got errors at %v", got)
	}
	existing := s.account(server.NewAccount{Nickname: "ada", Role: query.UserRoleAUTHENTICATED})
	for name, c := range map[string]struct {
		account server.NewAccount
		code    api.ProblemCode
	}{
		"address":  {server.NewAccount{Email: strings.ToUpper(existing.email), Password: goodPassword}, api.ProblemCodeEmailTaken},
		"nickname": {server.NewAccount{Email: uniqueEmail(), Nickname: "ADA", Password: goodPassword}, api.ProblemCodeNicknameTaken},
	} {
		c.account.Role = query.UserRoleAUTHENTICATED
		if _, err := s.server.CreateAccount(t.Context(), c.account); !errors.As(err, &problem) || problem.Code != c.code {
			t.Errorf("%s: got %v, want %s", name, err, c.code)
		}
	}
}

func TestAccessTokensAreForAccountsThatExist(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	user := s.signedIn(query.UserRoleAUTHENTICATED)
	if got := s.call(http.MethodGet, "/users/me", user.token, nil); got.status != http.StatusOK {
		t.Errorf("got %d %s, want 200", got.status, got.body)
	}
	locked := s.account(server.NewAccount{Role: query.UserRoleAUTHENTICATED, EmailVerified: true, LockReason: "x"})
	for _, email := range []string{"nobody@example.com", "no address", locked.email} {
		if token, err := s.server.AccessToken(t.Context(), email); err == nil || token != "" {
			t.Errorf("%s: got a token, want an error", email)
		}
	}
	if got := s.count("SELECT count(*) FROM sessions"); got != 1 {
		t.Errorf("got %d sessions, want 1", got)
	}
}

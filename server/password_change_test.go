package server_test

import (
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
	"usermanager/server/secret"
)

func changePassword(s *system, token, current, next string) response {
	return s.call(http.MethodPut, "/users/me/password", token, map[string]string{"current_password": current, "new_password": next})
}

func TestChangeOwnPasswordEndsTheOtherSessions(t *testing.T) {
	t.Parallel()
	s := newSystem(t, trustedPeer)
	owner, other := s.account(verifiedUser), s.signedIn(query.UserRoleAUTHENTICATED)
	here, there := s.login(owner.email, goodPassword), s.login(owner.email, goodPassword)
	reset := forgotten(s, owner.email)
	got := changePassword(s, here, goodPassword, "Compiler*1952")
	if got.status != http.StatusNoContent || len(got.body) > 0 {
		t.Fatalf("got %d: %s, want 204", got.status, got.body)
	}
	if !s.isSignedIn(here) || s.isSignedIn(there) || !s.isSignedIn(other.token) {
		t.Error("want that this session goes on, the user's others end, and nobody else's")
	}
	resetPassword(s, reset, goodPassword).problem(t, api.ProblemCodeTokenUsed)
	s.login(owner.email, "Compiler*1952")
	signInAttempt(s, owner.email, goodPassword).problem(t, api.ProblemCodeInvalidCredentials)
	s.mailTo(owner.email, "password at Test Product was changed")
	if got := s.count("SELECT count(*) FROM audit WHERE action = 'password_changed' AND actor_id = $1 AND subject_id = $1", owner.id); got != 1 {
		t.Errorf("got %d audit rows, want 1", got)
	}
}

func TestChangeOwnPasswordCountsAWrongOneAsAFailedSignIn(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	owner := s.account(verifiedUser)
	token := s.login(owner.email, goodPassword)
	hash := passwordHash(s, owner.id)
	for range 5 {
		got := changePassword(s, token, "Wrong*1843xyz", "Compiler*1952")
		problem := got.problem(t, api.ProblemCodeInvalidCurrentPassword)
		if codes := fieldCodes(problem); got.status != http.StatusForbidden || !slices.Equal(codes["/current_password"], []api.FieldCode{api.FieldCodeMismatch}) {
			t.Errorf("got %d %v, want 403 that names the field", got.status, codes)
		}
	}
	before := s.hasher.Verifications()
	changePassword(s, token, goodPassword, "Compiler*1952").problem(t, api.ProblemCodeTooManyAttempts) // the right one, too
	signInAttempt(s, owner.email, goodPassword).problem(t, api.ProblemCodeTooManyAttempts)             // one counter for both
	if got := s.hasher.Verifications(); got != before {
		t.Errorf("got %d verifications during the wait, want none", got-before)
	}
	if passwordHash(s, owner.id) != hash || !s.isSignedIn(token) {
		t.Error("wrong passwords changed something")
	}
	s.mailTo(owner.email, "Many failed sign-ins")
	if got := s.count(`SELECT count(*) FROM audit WHERE action IN ('login_refused', 'login_throttled') AND subject_id = $1 AND actor_id = $1
		AND new->>'operation' = 'changeOwnPassword'`, owner.id); got != 5 {
		t.Errorf("got %d audit rows, want 5", got)
	}
	passLoginTime(s, 2*time.Minute)
	if got := changePassword(s, token, goodPassword, "Compiler*1952"); got.status != http.StatusNoContent {
		t.Errorf("got %d after the wait: %s", got.status, got.body)
	}
	if got := s.count("SELECT count(*) FROM login_failures WHERE failures > 0 AND source <> '' AND address_key <> ''"); got != 0 {
		t.Errorf("got %d counters after a success, want none", got)
	}
}

func TestChangeOwnPasswordAtOnceIsCountedBeforeItIsEvaluated(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	owner := s.account(verifiedUser)
	token := s.login(owner.email, goodPassword)
	before := s.hasher.Verifications()
	answersAtOnce(50, func(int) response { return changePassword(s, token, "Wrong*1843xyz", "Compiler*1952") })
	if got := s.hasher.Verifications() - before; got > 5 {
		t.Errorf("got %d guesses evaluated, want at most 5", got)
	}
}

func TestChangeOwnPasswordTakesAnotherOneOnly(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	owner := s.account(server.NewAccount{
		Role: query.UserRoleAUTHENTICATED, EmailVerified: true, Nickname: "lighthouse", FirstName: "Wilhelmina", Password: "Caf\u00e9*1843x",
	})
	token := s.login(owner.email, "Caf\u00e9*1843x")
	for next, want := range map[string]api.FieldCode{
		"Caf\u00e9*1843x": api.FieldCodeUnchanged, "Cafe\u0301*1843x": api.FieldCodeUnchanged, "short": api.FieldCodeTooShort,
		"Password1!": api.FieldCodeTooCommon, "Wilhelmina*1": api.FieldCodeTooPersonal, "Lighthouse#22": api.FieldCodeTooPersonal,
	} {
		codes := fieldCodes(changePassword(s, token, "Caf\u00e9*1843x", next).problem(t, api.ProblemCodeValidationFailed))
		if !slices.Contains(codes["/new_password"], want) || len(codes) != 1 {
			t.Errorf("%q: got %v, want %s", next, codes, want)
		}
	}
	// Whether a password is the current one is told to nobody who does not know it.
	changePassword(s, token, "Wrong*1843xyz", "Caf\u00e9*1843x").problem(t, api.ProblemCodeInvalidCurrentPassword)
}

// A sign-in that stores the same password anew is no reason to refuse the change, and does not undo it.
func TestChangeOwnPasswordWhileASignInUpgradesTheHash(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(o *server.Options) { o.LoginAttempts = 100 })
	owner := s.account(verifiedUser)
	token := s.login(owner.email, goodPassword)
	older, err := secret.NewHasher(secret.HasherOptions{Params: secret.Params{MemoryKiB: 16, Iterations: 1, Parallelism: 1}})
	if err != nil {
		t.Fatal(err)
	}
	passwords := []string{goodPassword, "Compiler*1952"}
	for i := range 20 { // each has a failed sign-in, of which one source has fifty
		current, next := passwords[i%2], passwords[(i+1)%2]
		outdated, err := older.Hash(t.Context(), current)
		if err != nil {
			t.Fatal(err)
		}
		plantPasswordHash(s, owner.id, outdated)
		var changed response
		var both sync.WaitGroup
		both.Go(func() { changed = changePassword(s, token, current, next) })
		both.Go(func() { signInAttempt(s, owner.email, current) })
		both.Wait()
		if changed.status != http.StatusNoContent {
			t.Fatalf("round %d: got %d: %s", i, changed.status, changed.body)
		}
		signInAttempt(s, owner.email, current).problem(t, api.ProblemCodeInvalidCredentials)
		mustSignIn(t, signInAttempt(s, owner.email, next))
	}
}

// Of two changes at once the second finds that its current password no longer is one.
func TestChangeOwnPasswordAtOnceHappensOnce(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(o *server.Options) { o.LoginAttempts = 100 })
	owner := s.account(verifiedUser)
	token := s.login(owner.email, goodPassword)
	var winners []string
	for i, got := range answersAtOnce(20, func(i int) response { return changePassword(s, token, goodPassword, numberedPassword(i+1)) }) {
		if got.status == http.StatusNoContent {
			winners = append(winners, numberedPassword(i+1))
			continue
		}
		got.problem(t, api.ProblemCodeInvalidCurrentPassword)
	}
	if len(winners) != 1 {
		t.Fatalf("%d of 20 changes happened, want 1", len(winners))
	}
	s.login(owner.email, winners[0])
}

func TestChangePasswordIsWhereTheDeploymentSays(t *testing.T) {
	t.Parallel()
	const elsewhere = "https://app.example.com/settings#password"
	byDefault, configured := newSystem(t), newSystem(t, func(o *server.Options) { o.ChangePasswordLink = elsewhere })
	for _, c := range []struct {
		s    *system
		want string
	}{{byDefault, byDefault.url + "/password/forgot"}, {configured, elsewhere}} {
		got := c.s.call(http.MethodGet, "/.well-known/change-password", "", nil, "Host", "evil.example", "X-Forwarded-Host", "evil.example")
		if got.status != http.StatusFound || got.header.Get("Location") != c.want {
			t.Errorf("got %d to %q, want 302 to %s", got.status, got.header.Get("Location"), c.want)
		}
	}
	if got := byDefault.call(http.MethodGet, "/password/forgot", "", nil); got.status != http.StatusOK {
		t.Errorf("the page that it leads to: got %d", got.status)
	}
}

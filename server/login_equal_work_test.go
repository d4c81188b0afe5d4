package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"usermanager/gen/query"
	"usermanager/server"
	"usermanager/server/secret"
)

// each of these costs one verification, so the work says nothing about the account.
func TestLoginDoesTheSameWorkForEveryAddress(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(o *server.Options) { o.LoginAttempts = 1000 })
	for name, email := range sameWorkAccounts(s) {
		for _, password := range []string{"Wrong*1843xyz", "", "x"} {
			before := s.hasher.Verifications()
			if got := signInAttempt(s, email, password); got.status != http.StatusUnauthorized {
				t.Errorf("%s: got %d %s, want 401", name, got.status, got.body)
			}
			if got := s.hasher.Verifications() - before; got != 1 {
				t.Errorf("%s: got %d verifications of %q, want 1", name, got, password)
			}
		}
	}
	// a wait costs no verification, known or not.
	s.exec("UPDATE login_failures SET wait_until = now() + interval '1 minute'")
	for name, email := range sameWorkAccounts(s) {
		before := s.hasher.Verifications()
		if got := signInAttempt(s, email, goodPassword); got.status != http.StatusTooManyRequests {
			t.Errorf("%s: got %d, want 429", name, got.status)
		}
		if got := s.hasher.Verifications() - before; got != 0 {
			t.Errorf("%s: got %d verifications during a wait, want none", name, got)
		}
	}
}

// sameWorkAccounts are the addresses that must not be told apart.
func sameWorkAccounts(s *system) map[string]string {
	invited, locked := s.account(server.NewAccount{Role: query.UserRoleAUTHENTICATED}), s.account(server.NewAccount{Role: query.UserRoleAUTHENTICATED, EmailVerified: true, LockReason: "x"})
	s.exec("DELETE FROM passwords WHERE user_id = $1", invited.id)
	deleted := s.account(verifiedUser)
	s.exec("UPDATE users SET deleted_at = now() WHERE id = $1", deleted.id)
	return map[string]string{
		"known": s.account(verifiedUser).email, "unknown": uniqueEmail(), "malformed": "not an address",
		"without a password": invited.email, "locked": locked.email, "deleted": deleted.email,
		"unverified": s.account(server.NewAccount{Role: query.UserRoleAUTHENTICATED}).email,
	}
}

// A-03, coarsely: with the real parameters a sign-in that hashes takes about ten times as long as one that does
// not, so a factor of two between interleaved medians finds a missing verification and no busy machine.
func TestLoginTakesAboutTheSameTimeForEveryAddress(t *testing.T) {
	t.Parallel()
	s := newSystem(t, behindLoopbackProxy, func(o *server.Options) {
		o.LoginAttempts = 1000
		hasher, err := secret.NewHasher(secret.HasherOptions{Queue: 1000, MaxWait: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		o.Hasher = hasher
	})
	accounts := sameWorkAccounts(s)
	delete(accounts, "locked")
	delete(accounts, "deleted")
	took := map[string][]time.Duration{}
	for round := range 11 {
		for name, email := range accounts {
			began := time.Now()
			if got := signInFrom(s, fmt.Sprintf("198.51.100.%d", round), email, "Wrong*1843xyz"); got.status != http.StatusUnauthorized {
				t.Fatalf("%s: got %d %s, want 401", name, got.status, got.body)
			}
			took[name] = append(took[name], time.Since(began))
		}
	}
	medians := map[string]time.Duration{}
	for name, times := range took {
		slices.Sort(times)
		medians[name] = times[len(times)/2]
	}
	for name, median := range medians {
		if known := medians["known"]; median > 2*known || known > 2*median {
			t.Errorf("%s: median %s, known: %s", name, median, known)
		}
	}
}

package secret_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"usermanager/server/secret"
)

func newVerifier(t testing.TB, set *secret.KeySet, size int) *secret.Verifier {
	t.Helper()
	verifier, err := secret.NewVerifier(set, size)
	if err != nil {
		t.Fatalf("NewVerifier: %v", err)
	}
	return verifier
}

func TestARememberedTokenGivesTheSameClaims(t *testing.T) {
	t.Parallel()
	set := keySet(t, secret.KeyEntry{Key: signingKey(t), State: secret.KeyCurrent})
	verifier := newVerifier(t, set, 10)
	token := sign(t, set)
	first, err := verifier.Verify(token, now())
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	for range 3 {
		again, err := verifier.Verify(token, now().Add(time.Minute))
		if err != nil || again != first {
			t.Errorf("again = %+v, %v, want %+v", again, err, first)
		}
	}
	if verifier.Keys() != set {
		t.Error("Keys is not the set it was given")
	}
}

// T-06: a memory must not be a longer life.
func TestARememberedTokenExpires(t *testing.T) {
	t.Parallel()
	set := keySet(t, secret.KeyEntry{Key: signingKey(t), State: secret.KeyCurrent})
	verifier := newVerifier(t, set, 10)
	token := sign(t, set)
	for _, step := range []struct {
		after time.Duration
		want  error
	}{
		{0, nil}, {15*time.Minute - time.Second, nil}, {15 * time.Minute, secret.ErrTokenExpired}, {time.Hour, secret.ErrTokenExpired},
		{15 * time.Minute, secret.ErrTokenExpired},
	} {
		if _, err := verifier.Verify(token, now().Add(step.after)); !errors.Is(err, step.want) {
			t.Errorf("after %s: %v, want %v", step.after, err, step.want)
		}
	}
}

// T-20, T-03: a revoked key ends its tokens, also those already accepted.
func TestARememberedTokenDiesWithItsKey(t *testing.T) {
	t.Parallel()
	key, other := signingKey(t), signingKey(t)
	set := keySet(t, secret.KeyEntry{Key: key, State: secret.KeyCurrent})
	impostor, err := secret.ParsePrivate(key.ID, marshalPrivate(t, other)) // our kid, another key
	if err != nil {
		t.Fatalf("ParsePrivate: %v", err)
	}
	reloaded, err := secret.ParsePrivate(key.ID, marshalPrivate(t, key))
	if err != nil {
		t.Fatalf("ParsePrivate: %v", err)
	}
	otherRules := rules()
	otherRules.Audience = "https://moved.test"
	moved, err := secret.NewKeySet(otherRules, secret.KeyEntry{Key: key, State: secret.KeyCurrent})
	if err != nil {
		t.Fatalf("NewKeySet: %v", err)
	}
	for _, tc := range []struct {
		name string
		next *secret.KeySet
		want bool
	}{
		{"the same set", set, true},
		{"the same key loaded again", keySet(t, secret.KeyEntry{Key: reloaded, State: secret.KeyCurrent}), true},
		{"retired", keySet(t, secret.KeyEntry{Key: other, State: secret.KeyCurrent}, secret.KeyEntry{Key: key, State: secret.KeyRetired}), true},
		{"dropped", keySet(t, secret.KeyEntry{Key: other, State: secret.KeyCurrent}), false},
		{"replaced under its id", keySet(t, secret.KeyEntry{Key: impostor, State: secret.KeyCurrent}), false},
		{"another audience", moved, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			verifier := newVerifier(t, set, 10)
			token := sign(t, set)
			if _, err := verifier.Verify(token, now()); err != nil {
				t.Fatalf("Verify: %v", err)
			}
			verifier.SetKeys(tc.next)
			if _, err := verifier.Verify(token, now()); (err == nil) != tc.want {
				t.Errorf("after SetKeys: %v, want accepted %v", err, tc.want)
			}
			verifier.SetKeys(set)
			if _, err := verifier.Verify(token, now()); err != nil {
				t.Errorf("with the first set again: %v", err)
			}
		})
	}
}

func TestTheMemoryIsBounded(t *testing.T) {
	t.Parallel()
	set := keySet(t, secret.KeyEntry{Key: signingKey(t), State: secret.KeyCurrent})
	verifier := newVerifier(t, set, 2)
	for range 5 {
		token := sign(t, set)
		for range 2 {
			if _, err := verifier.Verify(token, now()); err != nil {
				t.Fatalf("Verify: %v", err)
			}
		}
	}
	for _, size := range []int{0, -1} {
		if _, err := secret.NewVerifier(set, size); err == nil {
			t.Errorf("NewVerifier takes a size of %d", size)
		}
	}
}

// A remembered token must cost no signature check. Allocations tell: a check
// makes dozens.
func TestARememberedTokenIsNotCheckedAgain(t *testing.T) { //nolint:paralleltest // AllocsPerRun panics in a parallel test
	set := keySet(t, secret.KeyEntry{Key: signingKey(t), State: secret.KeyCurrent})
	verifier := newVerifier(t, set, 10)
	token := sign(t, set)
	cached := testing.AllocsPerRun(50, func() {
		if _, err := verifier.Verify(token, now()); err != nil {
			t.Fatal(err)
		}
	})
	uncached := testing.AllocsPerRun(50, func() {
		if _, err := set.Verify(token, now()); err != nil {
			t.Fatal(err)
		}
	})
	if cached > 2 || uncached < 10 {
		t.Errorf("%v allocations cached, %v uncached; want at most 2 and at least 10", cached, uncached)
	}
}

func TestKeysMayChangeWhileTokensAreVerified(t *testing.T) {
	t.Parallel()
	a := keySet(t, secret.KeyEntry{Key: signingKey(t), State: secret.KeyCurrent})
	b := keySet(t, secret.KeyEntry{Key: signingKey(t), State: secret.KeyCurrent})
	verifier := newVerifier(t, a, 8)
	tokens := []string{sign(t, a), sign(t, b)}
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 50 {
				if worker == 0 {
					verifier.SetKeys([]*secret.KeySet{a, b}[i%2])
				}
				if _, err := verifier.Verify(tokens[i%2], now()); err != nil && !errors.Is(err, secret.ErrTokenInvalid) {
					t.Errorf("Verify: %v", err)
				}
			}
		})
	}
	wg.Wait()
	verifier.SetKeys(a)
	if _, err := verifier.Verify(tokens[0], now()); err != nil {
		t.Errorf("token of the set in use: %v", err)
	}
	if _, err := verifier.Verify(tokens[1], now()); err == nil {
		t.Error("token of the set not in use verifies")
	}
}

func BenchmarkVerifyUncached(b *testing.B) {
	set := keySet(b, secret.KeyEntry{Key: signingKey(b), State: secret.KeyCurrent})
	token := sign(b, set)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := set.Verify(token, now()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyCached(b *testing.B) {
	set := keySet(b, secret.KeyEntry{Key: signingKey(b), State: secret.KeyCurrent})
	verifier := newVerifier(b, set, 100)
	token := sign(b, set)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := verifier.Verify(token, now()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSignAnAccessToken(b *testing.B) {
	set := keySet(b, secret.KeyEntry{Key: signingKey(b), State: secret.KeyCurrent})
	b.ReportAllocs()
	for b.Loop() {
		sign(b, set)
	}
}

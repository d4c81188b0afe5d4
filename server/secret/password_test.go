package secret_test

import (
	"context"
	"errors"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"usermanager/server/secret"
)

func hashOf(t testing.TB, hasher *secret.Hasher, password string) string {
	t.Helper()
	phc, err := hasher.Hash(context.Background(), password)
	if err != nil {
		t.Fatalf("Hash: %v", err)
	}
	return phc
}

func verify(t testing.TB, hasher *secret.Hasher, phc, password string) (match, outdated bool) {
	t.Helper()
	match, outdated, err := hasher.Verify(context.Background(), phc, password)
	if err != nil {
		t.Fatalf("Verify of %s: %v", phc, err)
	}
	return match, outdated
}

//
func TestTheDefaultHashHasTheRecommendedParameters(t *testing.T) {
	t.Parallel()
	hasher, err := secret.NewHasher(secret.HasherOptions{Queue: 100, MaxWait: time.Minute})
	if err != nil {
		t.Fatalf("NewHasher: %v", err)
	}
	phc := hashOf(t, hasher, "Secure*1234")
	form := regexp.MustCompile(`^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$`)
	if !form.MatchString(phc) {
		t.Errorf("hash %s does not match %s", phc, form)
	}
	if match, outdated := verify(t, hasher, phc, "Secure*1234"); !match || outdated {
		t.Errorf("Verify = %v, outdated %v", match, outdated)
	}
	if match, _ := verify(t, hasher, phc, "secure*1234"); match {
		t.Error("another case matches")
	}
}

//
func TestEverySaltIsFresh(t *testing.T) {
	t.Parallel()
	hasher := cheapHasher(t)
	salts := map[string]bool{}
	for range 500 {
		salt := strings.Split(hashOf(t, hasher, "same password"), "$")[4]
		if salts[salt] {
			t.Fatalf("salt %s was used twice", salt)
		}
		salts[salt] = true
	}
}

// 72 bytes is bcrypt's limit, 64 code points and a NUL are other systems'.
func TestNothingOfAPasswordIsIgnored(t *testing.T) {
	t.Parallel()
	hasher := cheapHasher(t)
	for _, length := range []int{1, 8, 63, 64, 71, 72, 73, 127, 128, 255, 256} {
		for _, unit := range []string{"a", "é", "日", "😀"} {
			password := strings.Repeat(unit, length)
			phc := hashOf(t, hasher, password)
			if match, _ := verify(t, hasher, phc, password); !match {
				t.Errorf("%d x %s does not match itself", length, unit)
			}
			for _, other := range []string{password + "x", password + unit, strings.Repeat(unit, length-1), password + " ", " " + password} {
				if match, _ := verify(t, hasher, phc, other); match {
					t.Errorf("%d x %s matches %q", length, unit, other)
				}
			}
		}
	}
}

//
func TestPasswordsAreComparedAfterNFKC(t *testing.T) {
	t.Parallel()
	hasher := cheapHasher(t)
	for _, tc := range []struct {
		name, set, typed string
		want             bool
	}{
		{"composed and decomposed", "caf\u00e9-Secure*1", "cafe\u0301-Secure*1", true},
		{"decomposed and composed", "cafe\u0301-Secure*1", "caf\u00e9-Secure*1", true},
		{"ligature", "\ufb01sh-Secure*1", "fish-Secure*1", true},
		{"full width", "\uff33\uff45\uff43\uff55\uff52\uff45*1234", "Secure*1234", true},
		{"superscript", "Secure*123\u2074", "Secure*1234", true},
		{"Kelvin sign", "\u212a-Secure*1", "K-Secure*1", true},
		{"Hangul", "\u1112\u1161\u11ab-Secure*1", "\ud55c-Secure*1", true},
		{"no-break space", "Secure\u00a0*1234", "Secure *1234", true},
		{"two marks in another order", "q\u0307\u0323Secure*1", "q\u0323\u0307Secure*1", true},
		{"case is kept", "Secure*1234", "SECURE*1234", false},
		{"accent is kept", "r\u00e9sum\u00e9-Secure*1", "resume-Secure*1", false},
		{"leading space is kept", " Secure*1234", "Secure*1234", false},
		{"trailing space is kept", "Secure*1234 ", "Secure*1234", false},
		{"inner spaces are kept", "Secure  *1234", "Secure *1234", false},
		{"Cyrillic is not Latin", "S\u0435cure*1234", "Secure*1234", false},
		{"zero-width space is kept", "Secure\u200b*1234", "Secure*1234", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			phc := hashOf(t, hasher, tc.set)
			if match, outdated := verify(t, hasher, phc, tc.typed); match != tc.want || outdated {
				t.Errorf("set %q, typed %q: match = %v, outdated = %v, want %v", tc.set, tc.typed, match, outdated, tc.want)
			}
			if match, _ := verify(t, hasher, phc, tc.set); !match {
				t.Errorf("%q does not match itself", tc.set)
			}
		})
	}
}

//
func TestBrokenTextIsNeverHashedAndNeverMatches(t *testing.T) {
	t.Parallel()
	hasher := cheapHasher(t)
	phc := hashOf(t, hasher, "Secure*1234\ufffd")
	for name, password := range map[string]string{
		"NUL":              "Secure*1234\x00",
		"NUL inside":       "Secure\x00*1234",
		"invalid UTF-8":    "Secure*1234\xff",
		"a lone surrogate": "Secure*1234\xed\xa0\x80",
		"overlong":         "Secure*1234\xc0\xaf",
		"too long":         strings.Repeat("a", secret.MaxPasswordBytes+1),
		"a megabyte":       strings.Repeat("a", 1<<20),
	} {
		if got, err := hasher.Hash(t.Context(), password); !errors.Is(err, secret.ErrPasswordNotText) || got != "" {
			t.Errorf("%s: Hash = %q, %v, want ErrPasswordNotText", name, got, err)
		}
		if match, _, err := hasher.Verify(t.Context(), phc, password); match || err != nil {
			t.Errorf("%s: Verify = %v, %v", name, match, err)
		}
		if err := hasher.VerifyDummy(t.Context(), password); err != nil {
			t.Errorf("%s: VerifyDummy = %v", name, err)
		}
	}
}

//
func TestAHashWithOtherParametersIsOutdated(t *testing.T) {
	t.Parallel()
	current := cheapHasher(t)
	for _, tc := range []struct {
		name   string
		params secret.Params
		want   bool
	}{
		{"the same", cheapParams(), false},
		{"more memory", secret.Params{MemoryKiB: 128, Iterations: 1, Parallelism: 1}, true},
		{"less memory", secret.Params{MemoryKiB: 32, Iterations: 1, Parallelism: 1}, true},
		{"more passes", secret.Params{MemoryKiB: 64, Iterations: 2, Parallelism: 1}, true},
		{"more lanes", secret.Params{MemoryKiB: 64, Iterations: 1, Parallelism: 2}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			other, err := secret.NewHasher(secret.HasherOptions{Params: tc.params})
			if err != nil {
				t.Fatalf("NewHasher: %v", err)
			}
			phc := hashOf(t, other, "Secure*1234")
			if match, outdated := verify(t, current, phc, "Secure*1234"); !match || outdated != tc.want {
				t.Errorf("Verify = %v, outdated = %v, want %v", match, outdated, tc.want)
			}
			if match, _ := verify(t, current, phc, "Secure*12345"); match {
				t.Error("a wrong password matches")
			}
		})
	}
}

// the metric that shows how many guesses were really evaluated.
func TestVerificationsAreCounted(t *testing.T) {
	t.Parallel()
	hasher := cheapHasher(t)
	phc := hashOf(t, hasher, "Secure*1234")
	if got := hasher.Verifications(); got != 0 {
		t.Fatalf("after a Hash: %d, want 0", got)
	}
	verify(t, hasher, phc, "Secure*1234")
	verify(t, hasher, phc, "wrong")
	if err := hasher.VerifyDummy(t.Context(), "wrong"); err != nil {
		t.Fatalf("VerifyDummy: %v", err)
	}
	if got := hasher.Verifications(); got != 3 {
		t.Errorf("after two and a dummy: %d, want 3", got)
	}
	if _, _, err := hasher.Verify(t.Context(), "garbage", "wrong"); err == nil {
		t.Error("garbage verifies")
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := hasher.Verify(cancelled, phc, "Secure*1234"); !errors.Is(err, context.Canceled) {
		t.Errorf("Verify for nobody = %v", err)
	}
	if _, err := hasher.Hash(cancelled, "Secure*1234"); !errors.Is(err, context.Canceled) {
		t.Errorf("Hash for nobody = %v", err)
	}
	if err := hasher.VerifyDummy(cancelled, "Secure*1234"); !errors.Is(err, context.Canceled) {
		t.Errorf("VerifyDummy for nobody = %v", err)
	}
	if got := hasher.Verifications(); got != 3 {
		t.Errorf("after work that was not done: %d, want 3", got)
	}
}

// F-40: twenty callers, room for three. Some are served and some refused; how
// many of each is up to the scheduler, that nobody gets anything else is not.
func TestAnOverloadedHasherAnswersBusy(t *testing.T) {
	t.Parallel()
	hasher, err := secret.NewHasher(secret.HasherOptions{
		Params: secret.Params{MemoryKiB: 8192, Iterations: 4, Parallelism: 1}, Concurrency: 1, Queue: 2, MaxWait: time.Minute,
	})
	if err != nil {
		t.Fatalf("NewHasher: %v", err)
	}
	start := make(chan struct{})
	results := make(chan error, 20)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			<-start
			_, err := hasher.Hash(context.Background(), "Secure*1234")
			results <- err
		})
	}
	close(start)
	wg.Wait()
	close(results)
	served := 0
	for err := range results {
		var busy *secret.BusyError
		switch {
		case err == nil:
			served++
		case !errors.As(err, &busy) || busy.RetryAfter != time.Minute:
			t.Errorf("error = %v, want BusyError with a minute", err)
		}
	}
	if served < 3 {
		t.Errorf("%d served, want at least the three that fit", served)
	}
}

//
func TestHostileStoredHashesCostNothing(t *testing.T) { //nolint:paralleltest // would count other tests' allocations
	hasher, err := secret.NewHasher(secret.HasherOptions{})
	if err != nil {
		t.Fatalf("NewHasher: %v", err)
	}
	verifyAll := func() {
		for name, phc := range hostileHashes() {
			match, outdated, err := hasher.Verify(t.Context(), phc, "Secure*1234")
			if !errors.Is(err, secret.ErrMalformedHash) || match || outdated {
				t.Errorf("%s: Verify = %v, %v, %v, want ErrMalformedHash", name, match, outdated, err)
			}
		}
	}
	if !staysWithin(100*time.Millisecond, verifyAll) {
		t.Error("all together took more than 100ms in every try")
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	verifyAll()
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
		t.Errorf("allocated %d bytes, want less than 4 MiB", used)
	}
	if hasher.Verifications() != 0 {
		t.Errorf("%d verifications, want 0", hasher.Verifications())
	}
}

func BenchmarkVerifyAPassword(b *testing.B) {
	hasher, err := secret.NewHasher(secret.HasherOptions{})
	if err != nil {
		b.Fatal(err)
	}
	phc := hashOf(b, hasher, "Secure*1234")
	b.ReportAllocs()
	for b.Loop() {
		if match, _ := verify(b, hasher, phc, "Secure*1234"); !match {
			b.Fatal("no match")
		}
	}
}

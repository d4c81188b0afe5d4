package server_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"usermanager/gen/api"
	"usermanager/server"
)

// throttled reads how long a 429 asks to wait.
func throttled(t testing.TB, got response) time.Duration {
	t.Helper()
	got.problem(t, api.ProblemCodeTooManyAttempts)
	seconds, err := strconv.Atoi(got.header.Get("Retry-After"))
	if err != nil || got.status != http.StatusTooManyRequests {
		t.Fatalf("got %d with Retry-After %q, want 429 with seconds", got.status, got.header.Get("Retry-After"))
	}
	return time.Duration(seconds) * time.Second
}

//
func TestWaitsGrowFromOneToFifteenMinutes(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(o *server.Options) { o.LoginAttempts = 3 })
	user := s.account(verifiedUser)
	for name, email := range map[string]string{"known": user.email, "unknown": uniqueEmail()} {
		for range 3 {
			signInAttempt(s, email, "wrong").problem(t, api.ProblemCodeInvalidCredentials)
		}
		for _, minutes := range []int{1, 2, 4, 8, 15, 15} {
			before := s.hasher.Verifications()
			wait := throttled(t, signInAttempt(s, email, "wrong"))
			if want := time.Duration(minutes) * time.Minute; wait > want || wait < want-time.Second {
				t.Errorf("%s: got Retry-After %s, want %s", name, wait, want)
			}
			// Honoured to the second: a moment before it is too early, whatever the password.
			passLoginTime(s, wait-1500*time.Millisecond)
			if left := throttled(t, signInAttempt(s, email, goodPassword)); left > 2*time.Second {
				t.Errorf("%s: got Retry-After %s at the end of the wait", name, left)
			}
			if got := s.hasher.Verifications() - before; got != 0 {
				t.Errorf("%s: got %d verifications during a wait, want none", name, got)
			}
			passLoginTime(s, 1500*time.Millisecond)
			signInAttempt(s, email, "wrong").problem(t, api.ProblemCodeInvalidCredentials)
		}
	}
	passLoginTime(s, 15*time.Minute)
	if got := signInAttempt(s, user.email, goodPassword); got.status != http.StatusOK { // nobody has to heal anything
		t.Errorf("after the last wait: got %d %s, want 200", got.status, got.body)
	}
}

// while a wait lasts there is one answer for all.
func TestWaitsSayNothingAboutAddressOrPassword(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(o *server.Options) { o.LoginAttempts = 1 })
	user, unknown := s.account(verifiedUser), uniqueEmail()
	tries := map[string][2]string{
		"known, wrong": {user.email, "wrong"}, "known, right": {user.email, goodPassword}, "known, other spelling": {strings.ToUpper(user.email), "wrong"},
		"unknown": {unknown, "wrong"}, "no address": {"no address", "wrong"},
	}
	for _, try := range tries {
		signInAttempt(s, try[0], "wrong")
	}
	s.exec("UPDATE login_failures SET wait_until = now() + interval '50.5 seconds' WHERE wait_until IS NOT NULL")
	var want string
	for name, try := range tries {
		got := signInAttempt(s, try[0], try[1])
		if wait := throttled(t, got); wait > 51*time.Second || wait < 49*time.Second {
			t.Errorf("%s: got Retry-After %s, want 51 s", name, wait)
		}
		got.header.Set("Retry-After", "masked")
		if want == "" {
			want = maskedAnswer(got)
		}
		if maskedAnswer(got) != want {
			t.Errorf("%s: got %s\nwant %s", name, maskedAnswer(got), want)
		}
	}
}

func TestWaitsAreScaledByTheirSetting(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(o *server.Options) { o.LoginAttempts, o.LoginWait = 1, 10*time.Second })
	for _, seconds := range []int{10, 20, 40, 80, 150, 150} {
		signInAttempt(s, "someone@example.com", "wrong").problem(t, api.ProblemCodeInvalidCredentials)
		if wait := throttled(t, signInAttempt(s, "someone@example.com", "wrong")); wait != time.Duration(seconds)*time.Second {
			t.Errorf("got Retry-After %s, want %d s", wait, seconds)
		}
		passLoginTime(s, 150*time.Second)
	}
}

//
func TestOwnersSignInWhileStrangersGuess(t *testing.T) {
	t.Parallel()
	s := newSystem(t, behindLoopbackProxy)
	owner := s.account(verifiedUser)
	const home, away = "203.0.113.7", "203.0.113.8"
	mustSignIn(t, signInFrom(s, home, owner.email, goodPassword))
	guess := func(times int) {
		before := s.hasher.Verifications()
		var statuses countingStatuses
		atOnce(times, 8, func(i int) { // at most four each from forty sources
			statuses.add(signInFrom(s, fmt.Sprintf("10.9.%d.1", i%40), owner.email, "Guess*"+strconv.Itoa(i)).status)
		})
		if got := s.hasher.Verifications() - before; got > 100 || int(got) != statuses.n[http.StatusUnauthorized] {
			t.Errorf("strangers had %d guesses, want at most 100 an hour: %v", got, statuses.n)
		}
	}
	guess(150)
	for range 3 {
		mustSignIn(t, signInFrom(s, home, owner.email, goodPassword)) // on the first try, while it goes on
		guess(20)
	}
	wait := throttled(t, signInFrom(s, away, owner.email, goodPassword))
	if wait > 15*time.Minute {
		t.Errorf("a fresh source is to wait %s, want at most 15 minutes", wait)
	}
	passLoginTime(s, wait)
	mustSignIn(t, signInFrom(s, away, owner.email, goodPassword))
	guess(20)
	mustSignIn(t, signInFrom(s, away, owner.email, goodPassword)) // known from now on
}

// knowing an account once is no licence to guess.
func TestKnownSourcesWaitAfterTheirOwnFailures(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	user := s.account(verifiedUser)
	mustSignIn(t, signInAttempt(s, user.email, goodPassword))
	for range 5 {
		signInAttempt(s, user.email, "wrong").problem(t, api.ProblemCodeInvalidCredentials)
	}
	throttled(t, signInAttempt(s, user.email, goodPassword))
}

//
func TestSpellingsOfOneAddressShareOneWait(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	const email = "ada.lovelace@example.com"
	evaluated := 0
	for i := range 100 {
		spelling := []byte(email)
		for bit := range 7 {
			if i>>bit&1 == 1 {
				spelling[2*bit] = strings.ToUpper(email)[2*bit]
			}
		}
		if got := signInAttempt(s, strings.Repeat(" ", i%3)+string(spelling), "wrong"); got.status == http.StatusUnauthorized {
			evaluated++
		}
	}
	if evaluated != 5 {
		t.Errorf("got %d evaluated guesses, want the 5 of one address", evaluated)
	}
	if got := s.count("SELECT count(DISTINCT address_key) FROM login_failures WHERE address_key <> ''"); got != 1 {
		t.Errorf("got %d buckets, want 1", got)
	}
	if got := s.count("SELECT count(*) FROM login_failures WHERE convert_from(address_key, 'LATIN1') LIKE '%ada%'"); got != 0 {
		t.Error("a counter names an address")
	}
}

//
func TestSuccessAndTimeForgetFailures(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	user := s.account(verifiedUser)
	fail := func(times int) {
		t.Helper()
		for range times {
			signInAttempt(s, user.email, "wrong").problem(t, api.ProblemCodeInvalidCredentials)
		}
	}
	for range 3 {
		fail(4)
		mustSignIn(t, signInAttempt(s, user.email, goodPassword))
	}
	fail(4)
	passLoginTime(s, 25*time.Hour)
	fail(4) // the old four do not count
	mustSignIn(t, signInAttempt(s, user.email, goodPassword))
	fail(5)
	passLoginTime(s, time.Minute)
	mustSignIn(t, signInAttempt(s, user.email, goodPassword)) // the wait has grown for nobody
	fail(5)
	if wait := throttled(t, signInAttempt(s, user.email, "wrong")); wait != time.Minute {
		t.Errorf("got Retry-After %s after a success, want one minute again", wait)
	}
}

// one password tried over many addresses.
func TestOneSourceCannotSprayManyAddresses(t *testing.T) {
	t.Parallel()
	s := newSystem(t, behindLoopbackProxy)
	user := s.account(verifiedUser)
	spray := func(address func(i int) string) int64 {
		before := s.hasher.Verifications()
		atOnce(100, 8, func(i int) { signInFrom(s, address(i), uniqueEmail(), "Summer*2026x") })
		return s.hasher.Verifications() - before
	}
	if got := spray(func(int) string { return "198.51.100.1" }); got != 50 {
		t.Errorf("IPv4: got %d verifications, want 50 in ten minutes", got)
	}
	throttled(t, signInFrom(s, "198.51.100.1", user.email, goodPassword))
	// One customer has a whole /64.
	if got := spray(func(i int) string { return fmt.Sprintf("2001:db8:0:1:%x::%x", i, i+1) }); got != 50 {
		t.Errorf("IPv6: got %d verifications, want 50 in ten minutes", got)
	}
	throttled(t, signInFrom(s, "2001:db8:0:1::ffff", user.email, goodPassword))
	mustSignIn(t, signInFrom(s, "2001:db8:0:2::1", user.email, goodPassword)) // the neighbour
	// Whoever waits patiently gets few more in the same ten minutes.
	evaluated, passed := 50, time.Duration(0)
	for passed < 10*time.Minute {
		got := signInFrom(s, "198.51.100.1", uniqueEmail(), "Summer*2026x")
		if got.status == http.StatusUnauthorized {
			evaluated++
			continue
		}
		wait := throttled(t, got)
		passLoginTime(s, wait)
		passed += wait
	}
	if evaluated > 60 {
		t.Errorf("got %d verifications in ten minutes, want at most 60", evaluated)
	}
	passLoginTime(s, 10*time.Minute)
	mustSignIn(t, signInFrom(s, "198.51.100.1", user.email, goodPassword))
}

package server_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
	"usermanager/server/secret"
)

// On a machine that is busy with something else some of them are answered 503 without a look at their
// password, and may be tried again; those that are evaluated are never more than ten.
func TestSimultaneousGuessesCannotOutrunTheLimit(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(o *server.Options) { o.LoginAttempts = 10 })
	for email, guesses := range map[string]int{s.account(verifiedUser).email: 500, uniqueEmail(): 100} {
		before := s.hasher.Verifications()
		var statuses countingStatuses
		atOnce(guesses, guesses, func(i int) { statuses.add(signInAttempt(s, email, "Guess*"+strconv.Itoa(i)).status) })
		if refused := statuses.n[http.StatusTooManyRequests] + statuses.n[http.StatusServiceUnavailable]; refused < guesses-10 || refused+statuses.n[http.StatusUnauthorized] != guesses {
			t.Errorf("got %v of %d guesses, want at most 10 x 401 and else 429", statuses.n, guesses)
		}
		for range 11 { // what is left of the ten
			if signInAttempt(s, email, "wrong").status != http.StatusUnauthorized {
				break
			}
		}
		if got := s.hasher.Verifications() - before; got > 10 || got == 0 {
			t.Errorf("got %d verifications of %d guesses, want 10", got, guesses)
		}
		throttled(t, signInAttempt(s, email, goodPassword)) // the right one comes too late
	}
}

// a hundred at once of which one is right. It may come in time or too late, but buys no more guesses.
func TestRightPasswordAmongGuessesBuysNoOthers(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(o *server.Options) { o.LoginAttempts = 10 })
	user := s.account(verifiedUser)
	for range 10 {
		signInAttempt(s, user.email, "wrong").problem(t, api.ProblemCodeInvalidCredentials)
	}
	before := s.hasher.Verifications()
	atOnce(100, 20, func(i int) {
		password := "Guess*" + strconv.Itoa(i)
		if i == 50 {
			password = goodPassword
		}
		throttled(t, signInAttempt(s, user.email, password))
	})
	if got := s.hasher.Verifications() - before; got != 0 {
		t.Errorf("got %d verifications, want none", got)
	}
	if got := s.count("SELECT count(*) FROM sessions"); got != 0 {
		t.Errorf("got %d sessions, want none", got)
	}
}

//
func TestCountersEqualTheEvaluatedFailures(t *testing.T) {
	t.Parallel()
	s := newSystem(t, behindLoopbackProxy, func(o *server.Options) { o.LoginAttempts = 1000 })
	emails := []string{s.account(verifiedUser).email, s.account(verifiedUser).email, uniqueEmail(), uniqueEmail()}
	before := s.hasher.Verifications()
	atOnce(200, 20, func(i int) {
		signInFrom(s, fmt.Sprintf("10.0.0.%d", i/4%5), emails[i%4], "wrong").problem(t, api.ProblemCodeInvalidCredentials)
	})
	if got := s.hasher.Verifications() - before; got != 200 {
		t.Fatalf("got %d verifications, want 200", got)
	}
	for what, c := range map[string]struct{ rows, sum, each string }{
		"pairs":     {"address_key <> '' AND source <> ''", "200", "10"},
		"addresses": {"source = ''", "200", "50"},
		"sources":   {"address_key = ''", "200", "40"},
	} {
		var sum, least, most string
		s.scan("SELECT sum(failures)::text, min(failures)::text, max(failures)::text FROM login_failures WHERE "+c.rows, nil, &sum, &least, &most)
		if sum != c.sum || least != c.each || most != c.each {
			t.Errorf("%s: got %s in all, %s to %s each; want %s in all, %s each", what, sum, least, most, c.sum, c.each)
		}
	}
	// H-12: each of them is in the audit, with the account where there is one.
	if got := s.count("SELECT count(*) FROM audit WHERE action = 'login_refused'"); got != 200 {
		t.Errorf("got %d audit rows, want 200", got)
	}
	if got := s.count("SELECT count(*) FROM audit WHERE action = 'login_refused' AND subject_id IS NULL"); got != 100 {
		t.Errorf("got %d audit rows of unknown addresses, want 100", got)
	}
}

// the count is no part of the login that is rolled back, and no part of the process.
func TestCountersSurviveAFailedLoginAndARestart(t *testing.T) {
	t.Parallel()
	first := newSystem(t)
	user := first.account(verifiedUser)
	first.exec("ALTER TABLE audit RENAME TO gone") // refusing fails, too
	for range 5 {
		signInAttempt(first, user.email, "wrong").problem(t, api.ProblemCodeInternalError)
	}
	first.exec("ALTER TABLE gone RENAME TO audit")
	first.stop()
	second := newSystemOn(t, first.pool)
	throttled(t, signInAttempt(second, user.email, goodPassword))
}

//
func TestTwoServersShareOneLimit(t *testing.T) {
	t.Parallel()
	limited := func(o *server.Options) { o.LoginAttempts = 10 }
	first := newSystem(t, limited)
	second := newSystemOn(t, first.pool, limited)
	user := first.account(verifiedUser)
	var statuses countingStatuses
	atOnce(100, 20, func(i int) {
		s := []*system{first, second}[i%2]
		statuses.add(signInAttempt(s, user.email, "Guess*"+strconv.Itoa(i)).status)
	})
	if got := first.hasher.Verifications() + second.hasher.Verifications(); got != 10 || statuses.n[http.StatusUnauthorized] != 10 {
		t.Errorf("got %d verifications and %v, want the 10 of one server", got, statuses.n)
	}
	throttled(t, signInAttempt(first, user.email, goodPassword))
	throttled(t, signInAttempt(second, user.email, goodPassword))
}

// F-41: what was never evaluated is no failure, and is turned away alike for known and unknown addresses.
func TestShedSignInsAreNotCounted(t *testing.T) {
	t.Parallel()
	hasher, err := secret.NewHasher(secret.HasherOptions{Concurrency: 1, Queue: -1})
	if err != nil {
		t.Fatal(err)
	}
	s := newSystem(t, behindLoopbackProxy, func(o *server.Options) { o.Hasher, o.LoginAttempts = hasher, 1000 })
	known, unknown := s.account(verifiedUser).email, uniqueEmail()
	before := hasher.Verifications()
	shed := map[string][]string{}
	var mu sync.Mutex
	atOnce(40, 10, func(i int) {
		email := []string{known, unknown}[i%2]
		got := signInFrom(s, fmt.Sprintf("10.0.0.%d", i), email, "wrong")
		if got.status == http.StatusUnauthorized {
			return
		}
		got.problem(t, api.ProblemCodeServerBusy)
		if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") != "1" {
			t.Errorf("got %d, Retry-After %q; want 503 and 1", got.status, got.header.Get("Retry-After"))
		}
		mu.Lock()
		defer mu.Unlock()
		shed[email] = append(shed[email], maskedAnswer(got))
	})
	if len(shed[known]) == 0 || len(shed[unknown]) == 0 {
		t.Fatalf("shed %d known and %d unknown of 20 each: the gate was never full", len(shed[known]), len(shed[unknown]))
	}
	if all := slices.Compact(slices.Concat(shed[known], shed[unknown])); len(all) != 1 {
		t.Errorf("got different answers: %s", all)
	}
	evaluated := int(hasher.Verifications() - before)
	if evaluated+len(shed[known])+len(shed[unknown]) != 40 {
		t.Errorf("%d evaluated and %d shed, want 40 in all", evaluated, len(shed[known])+len(shed[unknown]))
	}
	for _, rows := range []string{"address_key <> '' AND source <> ''", "source = ''", "address_key = ''"} {
		if got := s.count("SELECT coalesce(sum(failures), 0) FROM login_failures WHERE " + rows); got != evaluated {
			t.Errorf("%s: got %d counted failures, want the %d that were evaluated", rows, got, evaluated)
		}
	}
}

// A client that goes away before its turn has not guessed, either.
func TestSignInsOfClientsThatLeaveAreNotCounted(t *testing.T) {
	t.Parallel()
	hasher, err := secret.NewHasher(secret.HasherOptions{Params: secret.Params{MemoryKiB: 65536, Iterations: 2, Parallelism: 1}, Concurrency: 1, Queue: 10, MaxWait: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	s := newSystem(t, func(o *server.Options) { o.Hasher = hasher })
	ctx, leave := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	for i := range 4 { // one hashes, three wait
		waiting.Go(func() { abandonedSignIn(ctx, s, fmt.Sprintf("nobody%d@example.com", i)) })
	}
	s.eventually("four attempts to be counted", func() bool {
		return s.count("SELECT count(*) FROM login_failures WHERE source = '' AND failures = 1") == 4
	})
	leave()
	waiting.Wait()
	s.eventually("those that waited to be taken back", func() bool {
		return s.count("SELECT sum(failures) FROM login_failures WHERE source = ''") <= int(max(1, hasher.Verifications()))
	})
	if got := hasher.Verifications(); got > 3 {
		t.Errorf("got %d verifications of four that left, want those that had begun", got)
	}
	// Nobody reads these answers, so they are no failures of the server.
	if log := s.logs.String(); strings.Contains(log, `"level":"ERROR"`) || strings.Contains(log, `"status":500`) {
		t.Errorf("clients that left are logged as errors: %s", log)
	}
}

func abandonedSignIn(ctx context.Context, s *system, email string) {
	form := url.Values{"username": {email}, "password": {"wrong"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/login", strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Error(err)
		return
	}
	req.Header.Set("Content-Type", formType)
	if resp, err := s.http.Do(req); err == nil {
		_ = resp.Body.Close()
	}
}

// Whatever sets a password, and the JSON sign-in, wait at the same gate as the form, and are turned away alike while it is full.
func TestPasswordWorkIsShedWhenTheGateIsFull(t *testing.T) {
	t.Parallel()
	hasher, err := secret.NewHasher(secret.HasherOptions{Concurrency: 1, Queue: -1})
	if err != nil {
		t.Fatal(err)
	}
	s := newSystem(t, func(o *server.Options) { o.Hasher, o.LoginAttempts = hasher, 1000 })
	staff, owner := s.signedIn(query.UserRoleADMIN).token, s.signedIn(query.UserRoleAUTHENTICATED).token
	current, next := goodPassword, "Compiler*1952"
	busy, done := make(chan struct{}), make(chan struct{})
	go func() { // holds the gate by hashing again and again
		defer close(done)
		for {
			select {
			case <-busy:
				return
			default:
				_, _ = hasher.Hash(context.Background(), goodPassword)
			}
		}
	}()
	defer func() { close(busy); <-done }()
	for what, try := range map[string]func() response{
		"sign-in": func() response {
			return s.call(http.MethodPost, "/sessions", "", map[string]string{"identifier": uniqueEmail(), "password": goodPassword})
		},
		"registration": func() response { return s.call(http.MethodPost, "/register", "", registrationBody(nil)) },
		"invitation": func() response {
			_, token := invited(s, staff, nil) // a new one for each try: it may have passed the gate
			return acceptInvitation(s, token, goodPassword)
		},
		"reset": func() response {
			email, _ := invited(s, staff, nil)
			return resetPassword(s, forgotten(s, email), "Compiler*1952")
		},
		"change": func() response {
			got := changePassword(s, owner, current, next)
			if got.status == http.StatusNoContent { // it passed the gate
				current, next = next, current
			}
			return got
		},
		"deletion": func() response { return deleteOwn(s, owner, "wrong") }, // one that passes the gate changes nothing
		"address":  func() response { return wantEmail(s, owner, current, uniqueEmail()) },
	} {
		s.eventually("a "+what+" to be shed", func() bool {
			got := try()
			if got.status != http.StatusServiceUnavailable {
				return false
			}
			got.problem(t, api.ProblemCodeServerBusy)
			return got.header.Get("Retry-After") == "1"
		})
	}
}

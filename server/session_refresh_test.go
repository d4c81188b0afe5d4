package server_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"usermanager/gen/api"
	"usermanager/server"
)

func TestTabsThatRefreshAtOnceGetTheSameSuccessor(t *testing.T) { // T-32
	t.Parallel()
	s := newSystem(t)
	user := s.account(verifiedUser)
	for range 5 {
		_, opened := openSessionAs(s, user.email, nil)
		var mu sync.Mutex
		successors, access := map[string]int{}, []string{}
		atOnce(50, 50, func(int) {
			got := refreshWith(s, opened.RefreshToken.MustGet())
			if got.status == http.StatusServiceUnavailable {
				return // the pool is small, and 503 says to try again
			}
			if got.status != http.StatusOK {
				t.Errorf("got %d %s", got.status, got.body)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			tokens := tokensOf(t, got)
			successors[tokens.RefreshToken.MustGet()]++
			access = append(access, tokens.AccessToken)
		})
		if len(successors) != 1 {
			t.Fatalf("got %d successors, want one for all tabs", len(successors))
		}
		for _, token := range access[:min(3, len(access))] {
			if !isAlive(s, token) {
				t.Error("a tab was signed out")
			}
		}
		for successor := range successors {
			refreshed(s, successor)
		}
	}
}

func TestALostAnswerCanBeAskedForAgain(t *testing.T) { // T-32
	t.Parallel()
	s := newSystem(t)
	user := s.account(verifiedUser)
	_, opened := openSessionAs(s, user.email, nil)
	first := opened.RefreshToken.MustGet()
	lost := refreshed(s, first)
	pass := func(d time.Duration) {
		s.exec("UPDATE sessions SET refreshed_at = refreshed_at - $1::interval, previous_refreshed_at = previous_refreshed_at - $1::interval", d)
	}
	pass(time.Minute)
	again := refreshed(s, first)
	if again.RefreshToken.MustGet() != lost.RefreshToken.MustGet() || !isAlive(s, again.AccessToken) {
		t.Error("a minute later another successor came, or none that works")
	}
	pass(61 * time.Second) // over two minutes since it was replaced, whenever it was last asked for
	refreshWith(s, first).problem(t, api.ProblemCodeInvalidRefreshToken)
	if isAlive(s, again.AccessToken) {
		t.Error("the session goes on")
	}
}

// Any other use of a replaced token ends the session, once, and its owner hears of it (RFC 9700, 4.14.2).
func TestAReplayEndsTheSessionAndTellsItsOwner(t *testing.T) { // T-31
	t.Parallel()
	s := newSystem(t)
	user := s.account(verifiedUser)
	_, opened := openSessionAs(s, user.email, nil)
	_, other := openSessionAs(s, user.email, nil)
	copied := opened.RefreshToken.MustGet()
	next := refreshed(s, refreshed(s, copied).RefreshToken.MustGet())
	s.exec("UPDATE sessions SET previous_refreshed_at = previous_refreshed_at - interval '11 seconds'")
	atOnce(10, 10, func(int) { refreshWith(s, copied).problem(t, api.ProblemCodeInvalidRefreshToken) })
	if isAlive(s, next.AccessToken) {
		t.Error("the copied session is alive")
	}
	refreshWith(s, next.RefreshToken.MustGet()).problem(t, api.ProblemCodeInvalidRefreshToken)
	if !isAlive(s, other.AccessToken) {
		t.Error("another session of the owner ended, too")
	}
	s.mailTo(user.email, "signed out")
	s.idle()
	if n := len(s.inbox.Mails(user.email)); n != 1 {
		t.Errorf("got %d mails, want one", n)
	}
	if n := s.count("SELECT count(*) FROM audit WHERE action = 'session_replayed' AND subject_id = $1", user.id); n != 1 {
		t.Errorf("got %d audit rows, want one", n)
	}
}

func TestWithinSecondsTheSameSuccessorComesEvenWhenItWasUsed(t *testing.T) { // T-32: a slow tab
	t.Parallel()
	s := newSystem(t)
	_, opened := openSessionAs(s, s.account(verifiedUser).email, nil)
	first := opened.RefreshToken.MustGet()
	second := refreshed(s, first).RefreshToken.MustGet()
	third := refreshed(s, second)
	late := refreshed(s, first)
	if late.RefreshToken.MustGet() != second || !isAlive(s, late.AccessToken) || !isAlive(s, third.AccessToken) {
		t.Error("the slow tab got another successor, or somebody was signed out")
	}
}

func TestGarbageIsNoReplay(t *testing.T) { // T-31, T-09
	t.Parallel()
	s := newSystem(t)
	_, opened := openSessionAs(s, s.account(verifiedUser).email, nil)
	token := opened.RefreshToken.MustGet()
	refreshed(s, token)
	s.exec("UPDATE sessions SET refreshed_at = refreshed_at - interval '1 hour'") // genuine, it would end the session
	for i := range len(token) {
		changed := []byte(token)
		changed[i] = map[bool]byte{true: 'B', false: 'A'}[changed[i] == 'A']
		refreshWith(s, string(changed)).problem(t, api.ProblemCodeInvalidRefreshToken)
		refreshWith(s, token[:i]+"x").problem(t, api.ProblemCodeInvalidRefreshToken)
	}
	for _, garbage := range []string{token + "A", strings.Repeat("A", 80), opened.AccessToken[:200], " " + token, token + "\n"} {
		if got := refreshWith(s, garbage); got.status != http.StatusUnauthorized && got.status != http.StatusUnprocessableEntity {
			t.Errorf("%q: got %d %s", garbage, got.status, got.body)
		}
	}
	if !isAlive(s, opened.AccessToken) || s.count("SELECT count(*) FROM audit WHERE action = 'session_replayed'") != 0 {
		t.Error("garbage ended the session")
	}
}

func TestARefreshAsksForTheAccountAsItIsNow(t *testing.T) { // T-35, Z-08, Z-10
	t.Parallel()
	s := newSystem(t)
	for what, change := range map[string]string{
		"locked":     "UPDATE users SET is_locked = true WHERE id = $1",
		"deleted":    "UPDATE users SET deleted_at = now() WHERE id = $1",
		"unverified": "UPDATE users SET email_verified = false, role = 'ANONYMOUS' WHERE id = $1",
	} {
		user := s.account(verifiedUser)
		_, opened := openSessionAs(s, user.email, nil)
		s.exec(change, user.id)
		refreshWith(s, opened.RefreshToken.MustGet()).problem(t, api.ProblemCodeInvalidRefreshToken)
		if n := s.count("SELECT count(*) FROM audit WHERE action = 'session_replayed' AND subject_id = $1", user.id); n != 0 {
			t.Errorf("%s: taken for a replay", what)
		}
	}
	user := s.account(verifiedUser)
	_, opened := openSessionAs(s, user.email, nil)
	s.exec("UPDATE users SET role_when_verified = 'MANAGER', role = 'MANAGER' WHERE id = $1", user.id)
	if next := refreshed(s, opened.RefreshToken.MustGet()); !strings.Contains(next.Scope, "users:read") {
		t.Errorf("got scope %q, want that of the new role", next.Scope)
	}
}

func TestRefreshTokensAreNowhereInTheDatabase(t *testing.T) { // T-30, A-60
	t.Parallel()
	s := newSystem(t)
	_, opened := openSessionAs(s, s.account(verifiedUser).email, nil)
	next := refreshed(s, opened.RefreshToken.MustGet())
	for _, token := range []string{opened.RefreshToken.MustGet(), next.RefreshToken.MustGet()} {
		for _, table := range []string{"sessions", "audit", "river_job", "mails"} {
			if n := s.count("SELECT count(*) FROM "+table+" t WHERE strpos(t::text, $1) > 0", token[40:]); n != 0 {
				t.Errorf("table %s holds a refresh token", table)
			}
		}
		if strings.Contains(s.logs.String(), token[40:]) {
			t.Error("the log holds a refresh token")
		}
	}
}

func TestLogoutHoldsOnEveryServerAtTheNextRequest(t *testing.T) { // T-36
	t.Parallel()
	one := newSystem(t)
	two := newSystemOn(t, one.pool, func(o *server.Options) { o.PublicURL = parsedURL(t, one.url) })
	user := one.account(verifiedUser)
	logout := func(access string, body map[string]string) response {
		return one.call(http.MethodPost, "/logout", access, body)
	}
	for what, end := range map[string]func(tokens api.TokenResponse) response{
		"access token": func(tokens api.TokenResponse) response { return logout(tokens.AccessToken, map[string]string{}) },
		"refresh token": func(tokens api.TokenResponse) response {
			return logout("", map[string]string{"refresh_token": tokens.RefreshToken.MustGet()})
		},
		"access token without a body": func(tokens api.TokenResponse) response {
			return one.call(http.MethodPost, "/logout", tokens.AccessToken, nil)
		},
		"both": func(tokens api.TokenResponse) response {
			return logout(tokens.AccessToken, map[string]string{"refresh_token": tokens.RefreshToken.MustGet()})
		},
	} {
		_, tokens := openSessionAs(one, user.email, nil)
		if !isAlive(two, tokens.AccessToken) {
			t.Fatalf("%s: not alive on the other server", what)
		}
		for range 2 { // again is no error (RFC 7009, 2.2)
			if got := end(tokens); got.status != http.StatusNoContent {
				t.Errorf("%s: got %d %s", what, got.status, got.body)
			}
			for _, s := range []*system{one, two} {
				if isAlive(s, tokens.AccessToken) {
					t.Errorf("%s: alive after it", what)
				}
			}
		}
		refreshWith(two, tokens.RefreshToken.MustGet()).problem(t, api.ProblemCodeInvalidRefreshToken)
	}
	for _, dead := range []string{"", "bad", strings.Repeat("A", 80)} {
		if got := logout(dead, map[string]string{"refresh_token": "A" + dead}); got.status != http.StatusNoContent {
			t.Errorf("%q: got %d %s, want 204 for tokens that are not alive", dead, got.status, got.body)
		}
	}
	_, tokens := openSessionAs(one, user.email, nil)
	var accepted atomic.Int32
	if got := logout(tokens.AccessToken, map[string]string{}); got.status != http.StatusNoContent {
		t.Errorf("got %d %s", got.status, got.body)
	}
	atOnce(1000, 20, func(i int) { // all of them begin after the answer
		if isAlive([]*system{one, two}[i%2], tokens.AccessToken) {
			accepted.Add(1)
		}
	})
	if n := accepted.Load(); n != 0 {
		t.Errorf("%d of 1000 requests were accepted after the logout", n)
	}
	if n := one.count("SELECT count(*) FROM audit WHERE action = 'session_ended'"); n != 5 {
		t.Errorf("got %d audit rows, want one for each session", n)
	}
}

func TestOldSessionsAreErased(t *testing.T) { // T-39
	t.Parallel()
	s := newSystem(t)
	user := s.account(verifiedUser)
	for _, column := range []string{"expires_at", "idle_expires_at", "ended_at"} {
		_, _ = openSessionAs(s, user.email, nil)
		s.exec("UPDATE sessions SET " + column + " = now() - interval '31 days' WHERE id = (SELECT id FROM sessions ORDER BY id DESC LIMIT 1)")
	}
	_, alive := openSessionAs(s, user.email, nil)
	cleanUp(s)
	if n := s.count("SELECT count(*) FROM sessions"); n != 1 || !isAlive(s, alive.AccessToken) {
		t.Errorf("got %d sessions, want the one that is alive", n)
	}
}

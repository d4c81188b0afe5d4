package server_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

// openSessionAs signs in as a frontend does.
func openSessionAs(s *system, identifier string, fields map[string]any, header ...string) (response, api.TokenResponse) {
	s.t.Helper()
	body := map[string]any{"identifier": identifier, "password": goodPassword}
	maps.Copy(body, fields)
	got := s.call(http.MethodPost, "/sessions", "", body, header...)
	if got.status != http.StatusCreated {
		s.t.Fatalf("sign in: got %d %s", got.status, got.body)
	}
	return got, tokensOf(s.t, got)
}

func tokensOf(t testing.TB, got response) (tokens api.TokenResponse) {
	t.Helper()
	if err := json.Unmarshal(got.body, &tokens); err != nil {
		t.Fatalf("got %s, want tokens", got.body)
	}
	return tokens
}

func refreshWith(s *system, token string) response {
	s.t.Helper()
	return s.call(http.MethodPost, "/sessions/refresh", "", map[string]string{"refresh_token": token})
}

// refreshed is a refresh that works.
func refreshed(s *system, token string) api.TokenResponse {
	s.t.Helper()
	got := refreshWith(s, token)
	if got.status != http.StatusOK {
		s.t.Fatalf("refresh: got %d %s", got.status, got.body)
	}
	return tokensOf(s.t, got)
}

func sessionsOf(s *system, token, path string) api.SessionList {
	s.t.Helper()
	var list api.SessionList
	got := s.call(http.MethodGet, path, token, nil)
	if err := json.Unmarshal(got.body, &list); err != nil || got.status != http.StatusOK {
		s.t.Fatalf("%s: got %d %s", path, got.status, got.body)
	}
	return list
}

func isAlive(s *system, accessToken string) bool {
	s.t.Helper()
	return s.call(http.MethodGet, "/users/me", accessToken, nil).status == http.StatusOK
}

// Two devices, one list, one of them ended from the other, across a restart: what a person sees of their sessions.
func TestTheLifeOfSessions(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	user := s.account(verifiedUser)
	_, laptop := openSessionAs(s, user.nickname, map[string]any{"device_name": "Ada's laptop"}, "User-Agent", "Browser/1")
	_, phone := openSessionAs(s, strings.ToUpper(user.email), map[string]any{"remember": true}, "User-Agent", "App/2")

	list := sessionsOf(s, laptop.AccessToken, "/users/me/sessions")
	if len(list.Items) != 2 || list.Total != 2 || list.Size != 2 {
		t.Fatalf("got %+v, want two sessions", list)
	}
	newest, oldest := list.Items[0], list.Items[1]
	if newest.IsCurrent || !oldest.IsCurrent || oldest.DeviceName.MustGet() != "Ada's laptop" || !newest.DeviceName.IsNull() ||
		newest.UserAgent != "App/2" || oldest.Address.MustGet() != "127.0.0.1" || oldest.AuthenticatedBy != api.SessionMethodPassword {
		t.Errorf("got %+v and %+v", newest, oldest)
	}
	if idle := oldest.ExpiresAt.Sub(oldest.CreatedAt); idle != 24*time.Hour {
		t.Errorf("may rest for %s, want a day", idle)
	}
	if idle := newest.ExpiresAt.Sub(newest.CreatedAt); idle != 30*24*time.Hour {
		t.Errorf("may rest for %s when remembered, want 30 days", idle)
	}

	// The laptop ends the phone by its link: the next request is refused, and so is its refresh token.
	end := newest.Links[0]
	for range 2 { // ending it again is no error
		if got := s.call(string(end.Method), strings.TrimPrefix(end.Href, s.url), laptop.AccessToken, nil); got.status != http.StatusNoContent {
			t.Fatalf("end: got %d %s", got.status, got.body)
		}
	}
	s.call(http.MethodGet, "/users/me", phone.AccessToken, nil).problem(t, api.ProblemCodeInvalidAccessToken)
	refreshWith(s, phone.RefreshToken.MustGet()).problem(t, api.ProblemCodeInvalidRefreshToken)

	// A restart changes nothing (T-34).
	s.stop()
	again := newSystemOn(t, s.pool, func(o *server.Options) { o.PublicURL = parsedURL(t, s.url) })
	next := refreshed(again, laptop.RefreshToken.MustGet())
	if !isAlive(again, next.AccessToken) || isAlive(again, phone.AccessToken) {
		t.Error("after a restart the wrong session is alive")
	}

	// Signing out everywhere else leaves this one.
	_, other := openSessionAs(again, user.email, nil)
	if got := again.call(http.MethodDelete, "/users/me/sessions", other.AccessToken, nil); got.status != http.StatusNoContent {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	if isAlive(again, next.AccessToken) || !isAlive(again, other.AccessToken) {
		t.Error("all others: the wrong session is alive")
	}
	if n := again.count("SELECT count(*) FROM audit WHERE action = 'session_ended' AND subject_id = $1", user.id); n != 2 {
		t.Errorf("got %d audit rows about ended sessions, want 2", n)
	}
}

func TestStaffSeeAndEndSessionsBelowTheirRank(t *testing.T) { // T-38
	t.Parallel()
	s := newSystem(t)
	manager, user := s.signedIn(query.UserRoleMANAGER), s.account(verifiedUser)
	_, one := openSessionAs(s, user.email, nil)
	_, two := openSessionAs(s, user.email, nil)
	path := "/users/" + user.id.String() + "/sessions"
	list := sessionsOf(s, manager.token, path)
	if len(list.Items) != 2 || list.Items[0].IsCurrent || list.Items[1].IsCurrent {
		t.Fatalf("got %+v", list.Items)
	}
	if got := s.call(http.MethodDelete, path+"/"+list.Items[1].ID.String(), manager.token, nil); got.status != http.StatusNoContent {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if isAlive(s, one.AccessToken) || !isAlive(s, two.AccessToken) {
		t.Error("the wrong session is alive")
	}
	own := sessionsOf(s, manager.token, "/users/me/sessions").Items[0].ID.String()
	s.call(http.MethodDelete, path+"/"+own, manager.token, nil).problem(t, api.ProblemCodeNotFound) // not that user's
	s.call(http.MethodDelete, "/users/me/sessions/"+list.Items[0].ID.String(), manager.token, nil).problem(t, api.ProblemCodeNotFound)
	if got := s.call(http.MethodDelete, path, manager.token, nil); got.status != http.StatusNoContent || isAlive(s, two.AccessToken) {
		t.Errorf("got %d, and alive", got.status)
	}
}

func TestTheOldestOfTooManySessionsGoes(t *testing.T) { // T-39
	t.Parallel()
	s := newSystem(t)
	user := s.account(verifiedUser)
	var tokens []string
	for range 22 {
		_, opened := openSessionAs(s, user.email, nil)
		tokens = append(tokens, opened.AccessToken)
	}
	alive := slices.DeleteFunc(slices.Clone(tokens), func(token string) bool { return !isAlive(s, token) })
	if !slices.Equal(alive, tokens[2:]) {
		t.Errorf("got %d alive, want the newest 20", len(alive))
	}
}

func TestSessionsEndAtRestAndAtTheirAge(t *testing.T) { // T-30
	t.Parallel()
	s := newSystem(t, func(o *server.Options) { o.SessionIdle, o.SessionMax = time.Hour, 2*time.Hour })
	user := s.account(verifiedUser)
	_, tokens := openSessionAs(s, user.email, nil)
	pass := func(d time.Duration) { // every clock of the session moves, but the access token's
		s.exec(`UPDATE sessions SET created_at = created_at - $1::interval, expires_at = expires_at - $1::interval,
			idle_expires_at = idle_expires_at - $1::interval, refreshed_at = refreshed_at - $1::interval`, d)
	}
	pass(50 * time.Minute)
	tokens = refreshed(s, tokens.RefreshToken.MustGet()) // not at rest any more
	pass(50 * time.Minute)
	tokens = refreshed(s, tokens.RefreshToken.MustGet())
	pass(25 * time.Minute) // five minutes are over its age, which counts whether or not it rests
	refreshWith(s, tokens.RefreshToken.MustGet()).problem(t, api.ProblemCodeInvalidRefreshToken)
	if isAlive(s, tokens.AccessToken) {
		t.Error("an access token outlives its session")
	}
	_, tokens = openSessionAs(s, user.email, nil)
	pass(61 * time.Minute)
	refreshWith(s, tokens.RefreshToken.MustGet()).problem(t, api.ProblemCodeInvalidRefreshToken)
	if n := s.count("SELECT count(*) FROM audit WHERE action = 'session_replayed'"); n != 0 {
		t.Errorf("got %d replays in the audit: what is too old was not copied", n)
	}
}

func TestANicknameAndItsAddressShareOneWait(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(o *server.Options) { o.LoginAttempts = 4 })
	user := s.account(verifiedUser)
	attempt := func(identifier string) response {
		return s.call(http.MethodPost, "/sessions", "", map[string]string{"identifier": identifier, "password": "wrong"})
	}
	for _, identifier := range []string{user.nickname, user.email, strings.ToUpper(user.nickname), strings.ToUpper(user.email)} {
		attempt(identifier).problem(t, api.ProblemCodeInvalidCredentials)
	}
	for _, got := range []response{attempt(user.nickname), attempt(user.email), signInAttempt(s, user.email, goodPassword)} {
		got.problem(t, api.ProblemCodeTooManyAttempts)
		if got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") == "" {
			t.Errorf("got %d %s", got.status, got.body)
		}
	}
	for range 4 { // nobody's nickname waits alike
		attempt("nobody_at_all").problem(t, api.ProblemCodeInvalidCredentials)
	}
	attempt("Nobody_at_all").problem(t, api.ProblemCodeTooManyAttempts)
}

func TestTheRightPasswordLearnsWhyASessionIsRefused(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	for account, code := range map[string]api.ProblemCode{
		s.account(server.NewAccount{}).nickname:                                     api.ProblemCodeEmailNotVerified,
		s.account(server.NewAccount{EmailVerified: true, LockReason: "x"}).nickname: api.ProblemCodeAccountLocked,
	} {
		for password, want := range map[string]api.ProblemCode{goodPassword: code, "wrong": api.ProblemCodeInvalidCredentials} {
			s.call(http.MethodPost, "/sessions", "", map[string]string{"identifier": account, "password": password}).problem(t, want)
		}
	}
}

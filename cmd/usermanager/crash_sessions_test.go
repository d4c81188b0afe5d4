package main

import (
	"net/http"
	"testing"

	"usermanager/server/mail/mailtest"
)

// T-34: what was signed out or replaced before a power cut stays so, and what was alive goes on.
func TestAKilledServerRevivesNoSession(t *testing.T) { //nolint:paralleltest // it measures, or needs the machine for itself
	const email, password = "root@example.com", "Analytic*1843"
	d := deploy(t, buildProgram(t), mailtest.Start(t))
	d.kill()
	d.env = append(d.env, "BOOTSTRAP_ADMIN_EMAIL="+email, "BOOTSTRAP_ADMIN_PASSWORD="+password, "REFRESH_GRACE=10s")
	d.start()
	signIn := func() (access, refresh string) {
		status, tokens := call(t, http.MethodPost, d.base+"/sessions", "", map[string]any{"identifier": email, "password": password})
		if status != http.StatusCreated {
			t.Fatalf("sign in: got %d %v", status, tokens)
		}
		return tokens["access_token"].(string), tokens["refresh_token"].(string)
	}
	expect := func(what string, want int, method, path, token string, body map[string]any) map[string]any {
		t.Helper()
		status, answer := call(t, method, d.base+path, token, body)
		if status != want {
			t.Errorf("%s: got %d %v, want %d", what, status, answer, want)
		}
		return answer
	}
	alive, refresh := signIn()
	for range 10 {
		gone, goneRefresh := signIn()
		expect("sign out", http.StatusNoContent, http.MethodPost, "/logout", gone, map[string]any{})
		copied, copiedRefresh := signIn()
		next := expect("refresh", http.StatusOK, http.MethodPost, "/sessions/refresh", "", map[string]any{"refresh_token": copiedRefresh})
		d.exec("UPDATE sessions SET refreshed_at = refreshed_at - interval '1 minute'")
		expect("a replay", http.StatusUnauthorized, http.MethodPost, "/sessions/refresh", "", map[string]any{"refresh_token": copiedRefresh})
		d.kill()
		d.start()
		for what, token := range map[string]string{"signed out": gone, "ended by a replay": copied, "its successor": next["access_token"].(string)} {
			expect(what, http.StatusUnauthorized, http.MethodGet, "/users/me", token, nil)
		}
		for what, token := range map[string]string{"signed out": goneRefresh, "ended by a replay": next["refresh_token"].(string)} {
			expect("the refresh token of what was "+what, http.StatusUnauthorized, http.MethodPost, "/sessions/refresh", "", map[string]any{"refresh_token": token})
		}
		expect("the one that goes on", http.StatusOK, http.MethodGet, "/users/me", alive, nil)
		renewed := expect("its refresh", http.StatusOK, http.MethodPost, "/sessions/refresh", "", map[string]any{"refresh_token": refresh})
		alive, refresh = renewed["access_token"].(string), renewed["refresh_token"].(string)
	}
	d.terminate()
}

package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"usermanager/db/dbtest"
)

// countUsers asks the database of a dev.
func countUsers(t *testing.T, url, where string) int {
	t.Helper()
	pool, err := openPool(t.Context(), url, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	var users int
	if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM users WHERE `+where).Scan(&users); err != nil {
		t.Fatal(err)
	}
	return users
}

func TestASecondSeedAddsNothingAndKeepsWhatWasChanged(t *testing.T) {
	t.Parallel()
	dir, url := reachableDir(t), dbtest.URL(t)
	env := []string{"DATABASE_URL=" + url}

	dev, base := startDev(t, dir, env, "--seed", "25")
	if dev.stderr.wait(`users added.*count=25`, dev.done) == nil {
		t.Errorf("it does not say how many it added:\n%s", dev.stderr)
	}
	if got, want := countUsers(t, url, "true"), 25+len(devAccounts()); got != want {
		t.Errorf("%d users, want %d", got, want)
	}
	// A seeded user is one like all others: they sign in, and administrators see them.
	verified := seedUser(2)
	signIn(t, base, verified.email, devPassword)
	admin := signIn(t, base, "admin@example.com", devPassword)
	status, list := call(t, http.MethodGet, base+"/users?limit=100", admin, nil)
	if items, _ := list["items"].([]any); status != 200 || len(items) != 25+len(devAccounts()) {
		t.Errorf("the list: %d with %d users", status, len(items))
	}
	user := signIn(t, base, "user@example.com", devPassword)
	if status, answer := call(t, http.MethodPatch, base+"/users/me", user, map[string]any{"nickname": "renamed"}); status != 200 {
		t.Fatalf("rename: %d %v", status, answer)
	}
	if code := dev.stop(t); code != 0 {
		t.Fatalf("stop: exit code %d:\n%s", code, dev.stderr)
	}

	again, base := startDev(t, dir, env, "--seed", "25")
	if strings.Contains(again.stderr.String(), "users added") {
		t.Errorf("the second seed adds some:\n%s", again.stderr)
	}
	if got, want := countUsers(t, url, "true"), 25+len(devAccounts()); got != want {
		t.Errorf("%d users after the second seed, want %d", got, want)
	}
	user = signIn(t, base, "user@example.com", devPassword)
	if _, me := call(t, http.MethodGet, base+"/users/me", user, nil); me["nickname"] != "renamed" {
		t.Errorf("the account is called %v again", me["nickname"])
	}
}

func TestDevMakesAnAccountAgainThatWasDeleted(t *testing.T) {
	t.Parallel()
	dir, url := reachableDir(t), dbtest.URL(t)
	env := []string{"DATABASE_URL=" + url}
	dev, _ := startDev(t, dir, env)
	dev.stop(t)
	pool, err := openPool(t.Context(), url, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if _, err := pool.Exec(t.Context(), `UPDATE users SET deleted_at = now() WHERE email = 'user@example.com'`); err != nil {
		t.Fatal(err)
	}
	_, base := startDev(t, dir, env)
	signIn(t, base, "user@example.com", devPassword)
	if got := countUsers(t, url, "email = 'user@example.com' AND deleted_at IS NULL"); got != 1 {
		t.Errorf("%d accounts, want 1", got)
	}
}

func TestDevSaysWhichFileOfItsFolderIsBroken(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil func(t *testing.T, dir string)
		want  string
	}{
		"the key": {func(t *testing.T, dir string) {
			t.Helper()
			writeTo(t, filepath.Join(dir, "secret.key"), "changeme")
		}, "secret.key"},
		"a mail": {func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Mkdir(filepath.Join(dir, "inbox"), 0o700); err != nil {
				t.Fatal(err)
			}
			writeTo(t, filepath.Join(dir, "inbox", "00000000000000000001.json"), "{")
		}, "00000000000000000001.json"},
		"the state": {func(t *testing.T, dir string) {
			t.Helper()
			if err := os.MkdirAll(filepath.Join(dir, "running.json", "x"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, "state"},
	} {
		dir := reachableDir(t)
		test.spoil(t, dir)
		got := runCommand(t, withEnv("DATABASE_URL="+dbtest.URL(t)), "dev", "--listen", "localhost:0", "--data-dir", dir)
		if got.code != 1 || !strings.Contains(got.stderr, test.want) || strings.Contains(got.stdout, "Ready") {
			t.Errorf("%s: exit code %d with\n%s%s", name, got.code, got.stdout, got.stderr)
		}
	}
}

func TestDevWithADatabaseThatIsDownIsAnErrorWithoutItsPassword(t *testing.T) {
	t.Parallel()
	url := "postgres://u:" + canary + "@127.0.0.1:1/d?connect_timeout=1"
	got := runCommand(t, withEnv("DATABASE_URL="+url), "dev", "--listen", "localhost:0", "--data-dir", reachableDir(t))
	if got.code != 1 || !strings.Contains(got.stderr, "127.0.0.1") || strings.Contains(got.stdout+got.stderr, canary) { // H-09
		t.Errorf("exit code %d with\n%s%s", got.code, got.stdout, got.stderr)
	}
}

func TestDevOnADatabaseOfAnotherKeySaysSo(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	dev, _ := startDev(t, reachableDir(t), []string{"DATABASE_URL=" + url})
	dev.stop(t)
	got := runCommand(t, withEnv("DATABASE_URL="+url), "dev", "--listen", "localhost:0", "--data-dir", reachableDir(t))
	if got.code != 1 || !strings.Contains(got.stderr, "SECRET_KEY") || strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("exit code %d with\n%s", got.code, got.stderr)
	}
}

func TestDevRefusesABootstrapThatTheAPIWouldRefuse(t *testing.T) {
	t.Parallel()
	env := withEnv("DATABASE_URL="+dbtest.URL(t), "BOOTSTRAP_ADMIN_EMAIL=root@example.com", "BOOTSTRAP_ADMIN_PASSWORD="+canary)
	got := runCommand(t, env, "dev", "--listen", "localhost:0", "--data-dir", reachableDir(t))
	if got.code != 1 || !strings.Contains(got.stderr, "BOOTSTRAP_ADMIN") || strings.Contains(got.stderr, canary) {
		t.Errorf("exit code %d with\n%s", got.code, got.stderr)
	}
}

func TestAPageOfLocalhostMayCallDev(t *testing.T) {
	t.Parallel()
	_, base := startDev(t, reachableDir(t), []string{"DATABASE_URL=" + dbtest.URL(t)})
	for origin, want := range map[string]string{
		"http://localhost:5173": "http://localhost:5173", "http://localhost.example.com": "", "https://example.com": "",
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/settings", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Origin", origin)
		response, err := (&http.Client{Timeout: patience}).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if got := response.Header.Get("Access-Control-Allow-Origin"); got != want {
			t.Errorf("%s may call as %q, want %q", origin, got, want)
		}
	}
}

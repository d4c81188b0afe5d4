package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"usermanager/db/dbtest"
	"usermanager/server/mail/mailtest"
)

// TestTraps holds what the replaced system got wrong when it started. The other traps are in package server.
func TestTraps(t *testing.T) {
	t.Parallel()
	for name, try := range map[string]func(t *testing.T){
		"a default secret does not start":            defaultSecretDoesNotStart,
		"there is a way to an administrator":         wayToAnAdministrator,
		"a first start makes the schema":             firstStartMakesTheSchema,
		"a start without a schema says what to do":   startWithoutSchemaSaysWhatToDo,
		"what was registered is there at the next":   accountsOutliveTheServer,
		"a mail that was owed is sent at the next":   mailsOutliveTheServer,
		"no account is there before anybody made it": noAccountIsThereBefore,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			try(t)
		})
	}
}

// trapServe starts serve and returns where it listens.
func trapServe(t *testing.T, env []string, args ...string) (r *running, base string) {
	t.Helper()
	r = start(t, withEnv(env...), append([]string{"serve"}, args...)...)
	ready := r.stderr.wait(`"msg":"ready","address":"([^"]+)"`, r.done)
	if ready == nil {
		t.Fatalf("not ready:\n%s", r.stderr)
	}
	return r, "http://" + ready[1]
}

func trapRegister(t *testing.T, base, email string) {
	t.Helper()
	status, answer := call(t, http.MethodPost, base+"/register", "", map[string]any{"email": email, "password": "Analytical*1843"})
	if status != http.StatusCreated {
		t.Fatalf("register: %d %v", status, answer)
	}
}

func defaultSecretDoesNotStart(t *testing.T) {
	url := dbtest.URL(t)
	for _, key := range []string{"", "a_very_secret_key", "secret", "changeme-changeme-changeme-changeme"} {
		got := runCommand(t, withEnv(serveEnv(url, "SECRET_KEY="+key)...), "serve")
		if got.code == 0 || !strings.Contains(got.stderr, "SECRET_KEY") || strings.Contains(got.stderr, `"ready"`) {
			t.Errorf("%q: exit code %d with %s", key, got.code, got.stderr)
		}
		if key != "" && strings.Contains(got.stderr, key) {
			t.Errorf("it repeats the secret: %s", got.stderr)
		}
	}
	if n := countUsers(t, url, "true"); n != 0 {
		t.Errorf("%d users", n)
	}
}

func wayToAnAdministrator(t *testing.T) {
	url := dbtest.URL(t)
	got := runCommand(t, func(p *process) {
		p.env, p.stdin = serveEnv(url), strings.NewReader("Secure*1843xyz\n")
	}, "admin", "create", "--email", "root@example.com", "--password-stdin")
	if got.code != 0 {
		t.Fatalf("exit code %d with %s", got.code, got.stderr)
	}
	_, base := trapServe(t, serveEnv(url))
	token := signIn(t, base, "root@example.com", "Secure*1843xyz")
	if status, me := call(t, http.MethodGet, base+"/users/me", token, nil); status != http.StatusOK || me["role"] != "ADMIN" {
		t.Errorf("they are %d %v", status, me["role"])
	}
}

func firstStartMakesTheSchema(t *testing.T) {
	url := dbtest.Empty(t)
	_, base := trapServe(t, serveEnv(url), "--migrate")
	trapRegister(t, base, "ada@example.com")
	if n := countUsers(t, url, "email = 'ada@example.com'"); n != 1 {
		t.Errorf("%d users, want 1", n)
	}
}

func startWithoutSchemaSaysWhatToDo(t *testing.T) {
	got := runCommand(t, withEnv(serveEnv(dbtest.Empty(t))...), "serve")
	if got.code != 1 || !strings.Contains(got.stderr, "usermanager migrate up") || strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("exit code %d with %s", got.code, got.stderr)
	}
}

func accountsOutliveTheServer(t *testing.T) {
	url := dbtest.Empty(t)
	first, base := trapServe(t, serveEnv(url), "--migrate")
	trapRegister(t, base, "ada@example.com")
	if code := first.stop(t); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, first.stderr)
	}
	_, base = trapServe(t, serveEnv(url), "--migrate") // which must not begin anew
	status, answer := call(t, http.MethodPost, base+"/register", "", map[string]any{"email": "ADA@example.com", "password": "Analytical*1843"})
	if status != http.StatusConflict || answer["code"] != "email_taken" || countUsers(t, url, "true") != 1 {
		t.Errorf("got %d %v and %d users, want the first one", status, answer["code"], countUsers(t, url, "true"))
	}
}

func mailsOutliveTheServer(t *testing.T) {
	url, relay := dbtest.URL(t), mailtest.Start(t)
	relay.Stop()
	env := serveEnv(url, "SMTP_URL="+relay.URL())
	first, base := trapServe(t, env)
	trapRegister(t, base, "ada@example.com")
	if code := first.stop(t); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, first.stderr)
	}
	relay.Restart()
	second, _ := trapServe(t, env)
	relay.Wait(1)
	second.stop(t)
	if n := len(relay.MessagesTo("ada@example.com")); n != 1 {
		t.Errorf("%d mails, want 1", n)
	}
}

func noAccountIsThereBefore(t *testing.T) {
	database := dbtest.Empty(t)
	_, base := trapServe(t, serveEnv(database), "--migrate")
	for _, email := range []string{"admin@example.com", "admin"} {
		for _, password := range []string{"secret", "admin", "Secure*1234"} {
			form := url.Values{"username": {email}, "password": {password}}
			if status, _ := call(t, http.MethodPost, base+"/login", "", form); status != http.StatusUnauthorized {
				t.Errorf("%s with %s: %d, want 401", email, password, status)
			}
		}
	}
	if n := countUsers(t, database, "true"); n != 0 {
		t.Errorf("%d users", n)
	}
}

package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"usermanager/db/dbtest"
	"usermanager/gen/query"
)

// serveEnv is the least that serve starts with.
func serveEnv(databaseURL string, more ...string) []string {
	return append([]string{
		"DATABASE_URL=" + databaseURL, "SECRET_KEY=" + goodKey, "SMTP_URL=smtp+plain://127.0.0.1:1",
		"MAIL_FROM=noreply@example.com", "LISTEN_ADDR=127.0.0.1:0", "DRAIN_DELAY=0s",
	}, more...)
}

// running is a command that runs in this process until it is stopped.
type running struct {
	stdout, stderr *output
	cancel         context.CancelFunc
	done           chan struct{}
	code           int // once done is closed
}

func start(t *testing.T, change func(*process), args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{stdout: newOutput(), stderr: newOutput(), cancel: cancel, done: make(chan struct{})}
	p := process{
		args: args, dir: t.TempDir(), data: t.TempDir(), cores: 2, stdin: strings.NewReader(""), stdout: r.stdout, stderr: r.stderr,
	}
	if change != nil {
		change(&p)
	}
	go func() {
		defer close(r.done)
		r.code = run(ctx, p)
	}()
	t.Cleanup(func() { r.stop(t) })
	return r
}

// stop does what SIGINT does and returns the exit code.
func (r *running) stop(t *testing.T) int {
	t.Helper()
	r.cancel()
	select {
	case <-r.done:
	case <-time.After(patience):
		t.Errorf("still running after %s:\n%s%s", patience, r.stdout, r.stderr)
		return -1
	}
	return r.code
}

// get returns the status of a GET.
func get(t *testing.T, url string) int {
	t.Helper()
	response, err := (&http.Client{Timeout: patience}).Get(url)
	if err != nil {
		t.Errorf("GET %s: %v", url, err)
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}

func TestServeRefusesToStartWithoutItsSettings(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{"DATABASE_URL", "SECRET_KEY", "SMTP_URL", "MAIL_FROM"} {
		var env []string
		for _, variable := range serveEnv("postgres://u:p@127.0.0.1:1/d") {
			if !strings.HasPrefix(variable, setting+"=") {
				env = append(env, variable)
			}
		}
		got := runCommand(t, withEnv(env...), "serve")
		if got.code != 1 || !strings.HasPrefix(got.stderr, setting+" is not set") || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("without %s: exit code %d with\n%s", setting, got.code, got.stderr)
		}
	}
	got := runCommand(t, nil, "serve")
	if got.code != 1 || strings.Count(got.stderr, " is not set") != 4 {
		t.Errorf("without any: exit code %d with\n%s", got.code, got.stderr)
	}
}

func TestServeRefusesAKeyThatIsNoSecret(t *testing.T) {
	t.Parallel()
	for _, key := range []string{
		"a_very_secret_key", "changeme", "secret", "0123456789abcdef", strings.Repeat("0", 64), strings.Repeat("x", 31),
		"your-secret-key-your-secret-key-your-secret-key", "00112233445566778899aabbccddeeff",
	} {
		got := runCommand(t, withEnv(serveEnv("postgres://u:p@127.0.0.1:1/d", "SECRET_KEY="+key)...), "serve")
		if got.code != 1 || !strings.HasPrefix(got.stderr, "SECRET_KEY (environment) cannot be used") {
			t.Errorf("%s: exit code %d with %q", key, got.code, got.stderr)
		}
	}
}

func TestServeRefusesLongAccessTokens(t *testing.T) {
	t.Parallel()
	env := withEnv(serveEnv("postgres://u:p@127.0.0.1:1/d?connect_timeout=1", "ACCESS_TTL=16m")...)
	got := runCommand(t, env, "serve")
	if got.code != 1 || !strings.HasPrefix(got.stderr, "ACCESS_TTL must not be longer than 15m") {
		t.Errorf("exit code %d with %q", got.code, got.stderr)
	}
}

func TestServeRunsUntilItIsStopped(t *testing.T) {
	t.Parallel()
	url := dbtest.Empty(t)
	r := start(t, withEnv(serveEnv(url, "BOOTSTRAP_ADMIN_EMAIL=root@example.com", "BOOTSTRAP_ADMIN_PASSWORD=Secure*1234")...),
		"serve", "--migrate")
	ready := r.stderr.wait(`"msg":"ready","address":"([^"]+)"`, r.done)
	if ready == nil {
		t.Fatalf("not ready:\n%s", r.stderr)
	}
	if status := get(t, "http://"+ready[1]+"/readyz"); status != 200 {
		t.Errorf("/readyz is %d, want 200", status)
	}
	if code := r.stop(t); code != 0 {
		t.Errorf("exit code %d, want 0:\n%s", code, r.stderr)
	}
	for line := range strings.Lines(r.stderr.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
		if strings.Contains(line, "Secure") {
			t.Errorf("a password is logged: %s", line)
		}
	}
	pool, err := openPool(t.Context(), url, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	admin, err := query.New(pool).UserByEmail(t.Context(), "root@example.com")
	if err != nil || admin.Role != query.UserRoleADMIN {
		t.Errorf("the administrator is %+v, error %v", admin, err)
	}
}

func TestServersThatStartTogetherMakeOneAdministrator(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	var servers []*running
	for _, email := range []string{"one@example.com", "two@example.com", "three@example.com"} {
		servers = append(servers, start(t,
			withEnv(serveEnv(url, "BOOTSTRAP_ADMIN_EMAIL="+email, "BOOTSTRAP_ADMIN_PASSWORD=Secure*1234", "DATABASE_MAX_CONNECTIONS=4")...), "serve"))
	}
	for _, r := range servers {
		if r.stderr.wait(`"msg":"ready"`, r.done) == nil {
			t.Fatalf("not ready:\n%s", r.stderr)
		}
	}
	pool, err := openPool(t.Context(), url, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	var admins int
	if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM users WHERE role = 'ADMIN'`).Scan(&admins); err != nil || admins != 1 {
		t.Errorf("%d administrators, want 1 (error %v)", admins, err)
	}
}

func TestServeSaysInOneSentenceWhyItCannotStart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	url := dbtest.URL(t)
	for name, test := range map[string]struct {
		env  []string
		args []string
		want string
	}{
		"the port is taken":           {serveEnv(url, "LISTEN_ADDR="+taken.Addr().String()), []string{"serve"}, "in use"},
		"the database is down":        {serveEnv("postgres://u:" + canary + "@127.0.0.1:1/d"), []string{"serve"}, "127.0.0.1"},
		"the database has no schema":  {serveEnv(dbtest.Empty(t)), []string{"serve"}, "usermanager migrate up"},
		"it is, for migrations":       {serveEnv("postgres://u:" + canary + "@127.0.0.1:1/d"), []string{"serve", "--migrate"}, "127.0.0.1"},
		"the administrator is no one": {serveEnv(url, "BOOTSTRAP_ADMIN_EMAIL=a@example.com", "BOOTSTRAP_ADMIN_PASSWORD="+canary), []string{"serve"}, "BOOTSTRAP_ADMIN"},
	} {
		got := runCommand(t, withEnv(test.env...), test.args...)
		if got.code != 1 || !strings.Contains(got.stderr, test.want) || strings.Contains(got.stderr, canary) {
			t.Errorf("%s: exit code %d with\n%s", name, got.code, got.stderr)
		}
	}
}

func TestAStopWhileItStartsIsNoError(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"serve"}, {"serve", "--migrate"}, {"dev", "--listen", "localhost:0", "--data-dir", t.TempDir()}} { // F-30
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		stderr := newOutput()
		p := process{args: args, env: serveEnv("postgres://u:p@127.0.0.1:1/d"), dir: t.TempDir(), cores: 1, stdout: newOutput(), stderr: stderr}
		if args[0] == "dev" {
			p.env = append(p.env, "LISTEN_ADDR=localhost:0")
		}
		if code := run(ctx, p); code != 0 {
			t.Errorf("%v: exit code %d with %s", args, code, stderr)
		}
	}
}

package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"usermanager/db/dbtest"
	"usermanager/server/mail"
	"usermanager/server/mail/mailtest"
)

func TestDevTakesAUserFromRegistrationToTheirProfile(t *testing.T) {
	t.Parallel()
	dir, env := reachableDir(t), devDatabase(t)
	dev, base := startDev(t, dir, env)

	status, answer := call(t, http.MethodPost, base+"/register", "", map[string]any{
		"email": "Ada@example.com", "password": "Analytical*1843", "nickname": "countess",
	})
	if status != 201 {
		t.Fatalf("register: %d %v", status, answer)
	}
	text := mailTo(t, dir, "Ada@example.com").Text
	link := regexp.MustCompile(regexp.QuoteMeta(base) + `/\S+`).FindString(text)
	token := link[strings.LastIndexAny(link, "/=")+1:]
	if status, answer := call(t, http.MethodPost, base+"/verify-email", "", map[string]any{"token": token}); status != 200 {
		t.Fatalf("verify with %s: %d %v", link, status, answer)
	}
	access := signIn(t, base, "ada@example.com", "Analytical*1843")
	if status, me := call(t, http.MethodGet, base+"/users/me", access, nil); status != 200 || me["nickname"] != "countess" ||
		me["role"] != "AUTHENTICATED" {
		t.Errorf("me: %d %v", status, me)
	}
	for _, page := range []string{"/docs", "/openapi.yaml", "/dev/inbox", "/readyz"} {
		if status := get(t, base+page); status != 200 {
			t.Errorf("GET %s: %d", page, status)
		}
	}

	database := databaseOf(t, dir)
	if code := dev.stop(t); code != 0 {
		t.Fatalf("stop: exit code %d:\n%s", code, dev.stderr)
	}
	if env == nil && postgresRuns(database) {
		t.Error("PostgreSQL runs after the stop")
	}

	// A restart has everything: the account, its mail, the keys, and it makes nothing twice.
	_, again := startDev(t, dir, env)
	signIn(t, again, "ada@example.com", "Analytical*1843")
	mailTo(t, dir, "Ada@example.com")
	if again != base { // the port differs, and with it the issuer of tokens
		if status, _ := call(t, http.MethodGet, again+"/users/me", access, nil); status != 401 {
			t.Errorf("a token of another issuer: %d, want 401", status)
		}
	}
}

func TestDevHasAnAccountOfEachRoleAndTokensForThem(t *testing.T) {
	t.Parallel()
	dir := reachableDir(t)
	dev, base := startDev(t, dir, devDatabase(t), "--access-ttl", "2h")
	for name, role := range map[string]string{"admin": "ADMIN", "manager": "MANAGER", "user": "AUTHENTICATED"} {
		email := name + "@example.com"
		if !strings.Contains(dev.stdout.String(), email) {
			t.Errorf("%s is not announced:\n%s", email, dev.stdout)
		}
		for _, account := range []string{name, email} {
			got := runCommand(t, nil, "dev", "token", account, "--data-dir", dir)
			if got.code != 0 {
				t.Fatalf("dev token %s: %s", account, got.stderr)
			}
			status, me := call(t, http.MethodGet, base+"/users/me", strings.TrimSpace(got.stdout), nil)
			if status != 200 || me["role"] != role || me["email"] != email {
				t.Errorf("the token of %s: %d %v", account, status, me)
			}
		}
		signIn(t, base, email, devPassword)
	}
	_, answer := call(t, http.MethodPost, base+"/login", "", url.Values{"username": {"user@example.com"}, "password": {devPassword}})
	if answer["expires_in"] != 7200.0 {
		t.Errorf("--access-ttl 2h: a token lasts %v seconds", answer["expires_in"])
	}
	if got := runCommand(t, nil, "dev", "token", "nobody@example.com", "--data-dir", dir); got.code != 1 || got.stdout != "" {
		t.Errorf("a token for nobody: exit code %d with %q", got.code, got.stdout)
	}

	second := runCommand(t, nil, "dev", "--listen", "localhost:0", "--data-dir", dir)
	if second.code != 1 || !strings.Contains(second.stderr, "another `usermanager dev`") || strings.Count(second.stderr, "\n") != 1 {
		t.Errorf("a second dev on the folder: exit code %d with\n%s", second.code, second.stderr)
	}
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(base, "http://"))
	third := runCommand(t, nil, "dev", "--listen", "localhost:"+port, "--data-dir", reachableDir(t))
	if third.code != 1 || !strings.Contains(third.stderr, "in use") || strings.Count(third.stderr, "\n") != 1 {
		t.Errorf("a taken port: exit code %d with\n%s", third.code, third.stderr)
	}

	dev.stop(t)
	if got := runCommand(t, nil, "dev", "token", "admin", "--data-dir", dir); got.code != 1 || !strings.Contains(got.stderr, "no `usermanager dev` runs") {
		t.Errorf("a token after the stop: exit code %d with %q", got.code, got.stderr)
	}
}

func TestDevListensOnThisMachineOnly(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.7:0", "example.com:0", "localhost.example.com:0"} {
		got := runCommand(t, nil, "dev", "--listen", addr)
		if got.code != 1 || !strings.Contains(got.stderr, "this machine only") || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("%s: exit code %d with\n%s", addr, got.code, got.stderr)
		}
	}
	for _, addr := range []string{"localhost:0", "127.0.0.1:0", "127.9.9.9:0", "[::1]:0"} {
		l := loadWith(t, []string{"LISTEN_ADDR=" + addr}, nil, "")
		l.checkForDev(devOptions{})
		if l.err() != nil {
			t.Errorf("%s: %v", addr, l.err())
		}
	}
}

func TestDevRefusesWhatItCannotDo(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"--seed must be":      {"dev", "--seed", "-1"},
		"--seed must be from": {"dev", "--seed", "10000001"},
		"LISTEN_ADDR":         {"dev", "--listen", "8080"},
		"data folder":         {"dev", "--listen", "localhost:0", "--data-dir", filepath.Join(os.DevNull, "x")},
	} {
		if got := runCommand(t, nil, args...); got.code != 1 || !strings.Contains(got.stderr, want) {
			t.Errorf("%v: exit code %d with %q", args, got.code, got.stderr)
		}
	}
	got := runCommand(t, withEnv("DATABASE_URL=postgres://h/d"), "dev", "--reset")
	if got.code != 1 || !strings.Contains(got.stderr, "DATABASE_URL") {
		t.Errorf("--reset of somebody's database: exit code %d with %q", got.code, got.stderr)
	}
}

func TestDevUsesADatabaseAndAKeyThatAreGiven(t *testing.T) {
	t.Parallel()
	database, dir := dbtest.Empty(t), reachableDir(t)
	relay := mailtest.Start(t)
	env := []string{
		"DATABASE_URL=" + database, "SECRET_KEY=" + goodKey, "SMTP_URL=" + relay.URL(), "MAIL_FROM=team@example.com",
		"PUBLIC_URL=http://localhost:1", "PRODUCT_NAME=Acme", "LOG_FORMAT=json", "LOG_LEVEL=debug",
		"BOOTSTRAP_ADMIN_EMAIL=root@example.com", "BOOTSTRAP_ADMIN_PASSWORD=Secure*1234",
	}
	dev := start(t, withEnv(env...), "dev", "--listen", "localhost:0", "--data-dir", dir)
	if dev.stdout.wait(`Ctrl-C`, dev.done) == nil {
		t.Fatalf("not ready:\n%s%s", dev.stdout, dev.stderr)
	}
	if text := dev.stdout.String(); !strings.Contains(text, "http://localhost:1/docs") || strings.Contains(text, database) {
		t.Errorf("it announces\n%s", text)
	}
	for _, absent := range []string{"postgres", "secret.key"} {
		if _, err := os.Stat(filepath.Join(dir, absent)); err == nil {
			t.Errorf("%s was made", absent)
		}
	}
	if got := runCommand(t, withEnv("SECRET_KEY="+goodKey), "dev", "token", "root@example.com", "--data-dir", dir); got.code != 0 {
		t.Errorf("a token with the key: exit code %d with %q", got.code, got.stderr)
	}
	if got := runCommand(t, nil, "dev", "token", "root@example.com", "--data-dir", dir); got.code != 1 {
		t.Errorf("a token without the key: exit code %d", got.code)
	}
}

func TestARelayedMailIsShownOnceItIsDelivered(t *testing.T) {
	t.Parallel()
	from, err := mail.ParseFrom("team@example.com")
	if err != nil {
		t.Fatal(err)
	}
	inbox, err := mail.OpenInbox("", from)
	if err != nil {
		t.Fatal(err)
	}
	message := mail.Message{ID: uuid.New(), Kind: mail.KindLocked, To: "ada@example.com", Content: mail.Content{Subject: "Hi", Text: "Hi", HTML: "Hi"}}
	send := func(smtpURL string) error {
		server, err := mail.ParseURL(smtpURL)
		if err != nil {
			t.Fatal(err)
		}
		return relayed{smtp: mail.NewSMTP(server, from), inbox: inbox}.Send(t.Context(), message)
	}
	if err := send("smtp+plain://127.0.0.1:1"); err == nil || len(inbox.Mails("")) != 0 {
		t.Errorf("nobody takes it: error %v, %d shown", err, len(inbox.Mails("")))
	}
	if err := send(mailtest.Start(t).URL()); err != nil || len(inbox.Mails("")) != 1 {
		t.Errorf("it is taken: error %v, %d shown", err, len(inbox.Mails("")))
	}
}

func TestCtrlCOfTheProgramLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	dir, env := reachableDir(t), devDatabase(t)
	args := []string{"dev", "--listen", "127.0.0.1:0", "--data-dir", dir}
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM, os.Kill} {
		p := startProgram(t, env, args...)
		if p.stdout.wait(`Ctrl-C`, p.done) == nil {
			t.Fatalf("not ready:\n%s%s", p.stdout, p.stderr)
		}
		database, begun := databaseOf(t, dir), time.Now()
		if err := p.cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		code := p.ended(t)
		if want := map[os.Signal]int{os.Kill: -1}[signal]; code != want {
			t.Errorf("%v: exit code %d, want %d:\n%s", signal, code, want, p.stderr)
		}
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("%v: it took %s to stop", signal, took)
		}
		if env == nil && !isGone(database) {
			t.Errorf("%v: PostgreSQL runs on", signal)
		}
		if _, err := runningState(dir); err == nil {
			t.Errorf("%v: it counts as running", signal)
		}
	}
}

func TestDevEndsWhenItsDatabaseDoes(t *testing.T) {
	t.Parallel()
	if !hasPostgres() {
		return // without a private cluster there is none that could end
	}
	dir := reachableDir(t)
	dev, base := startDev(t, dir, nil)
	if status := get(t, base+"/readyz"); status != 200 {
		t.Fatalf("/readyz is %d", status)
	}
	content, err := os.ReadFile(filepath.Join(dir, "postgres", "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(string(content), &pid); err != nil {
		t.Fatal(err)
	}
	postgres, err := os.FindProcess(pid)
	if err == nil {
		err = postgres.Signal(syscall.SIGQUIT) // an immediate shutdown
	}
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-dev.done:
	case <-time.After(patience):
		t.Fatal("it runs on without a database")
	}
	if dev.code != 1 || !strings.Contains(dev.stderr.String(), "PostgreSQL has ended unexpectedly") {
		t.Errorf("exit code %d with\n%s", dev.code, dev.stderr)
	}
}

func TestDevBeginsAnewAfterReset(t *testing.T) {
	t.Parallel()
	if !hasPostgres() {
		return // --reset is for the private cluster
	}
	dir := reachableDir(t)
	dev, _ := startDev(t, dir, nil, "--seed", "3")
	key, err := os.ReadFile(filepath.Join(dir, "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	dev.stop(t)
	_, _ = startDev(t, dir, nil, "--reset")
	newKey, err := os.ReadFile(filepath.Join(dir, "secret.key"))
	if err != nil || bytes.Equal(key, newKey) {
		t.Errorf("the key is the old one (error %v)", err)
	}
	pool, err := openPool(t.Context(), databaseOf(t, dir), 2)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	var users int
	if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM users`).Scan(&users); err != nil || users != len(devAccounts()) {
		t.Errorf("%d users after --reset, want %d (error %v)", users, len(devAccounts()), err)
	}
}

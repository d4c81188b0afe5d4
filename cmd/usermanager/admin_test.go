package main

import (
	"errors"
	"io"
	"strings"
	"testing"

	"usermanager/db/dbtest"
	"usermanager/gen/query"
)

func TestAdminCreateMakesAnAdministrator(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	got := runCommand(t, func(p *process) {
		p.env = []string{"DATABASE_URL=" + url, "SECRET_KEY=" + goodKey}
		p.stdin = strings.NewReader("Secure*1234 \r\nmore lines\n")
	}, "admin", "create", "--email", "Root@Example.com", "--password-stdin")
	if got.code != 0 || !strings.Contains(got.stdout, "is an administrator") || strings.Contains(got.stdout+got.stderr, "Secure") {
		t.Fatalf("exit code %d with %q %q", got.code, got.stdout, got.stderr)
	}
	pool, err := openPool(t.Context(), url, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	user, err := query.New(pool).UserByEmail(t.Context(), "root@example.com")
	if err != nil || user.Role != query.UserRoleADMIN || !user.EmailVerified {
		t.Errorf("got %+v, error %v", user, err)
	}
	var hash string
	if err := pool.QueryRow(t.Context(), `SELECT hash FROM passwords WHERE user_id = $1`, user.ID).Scan(&hash); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("the password is stored as %q", hash)
	}
}

func TestAdminCreateRefusesWhatTheAPIRefuses(t *testing.T) {
	t.Parallel()
	env := []string{"DATABASE_URL=" + dbtest.URL(t), "SECRET_KEY=" + goodKey}
	create := func(email, password string) outcome {
		return runCommand(t, func(p *process) {
			p.env, p.stdin = env, strings.NewReader(password+"\n")
		}, "admin", "create", "--password-stdin", "--email", email)
	}
	if got := create("a@example.com", "Secure*1234"); got.code != 0 {
		t.Fatalf("the first one: %s", got.stderr)
	}
	for _, test := range []struct{ email, password string }{
		{"A@example.com", "Secure*1234"}, // is taken
		{"b@example.com", "weak-" + canary},
		{"not an address", "Secure*1234"},
	} {
		got := create(test.email, test.password)
		if got.code != 1 || got.stdout != "" || strings.TrimSpace(got.stderr) == "" || strings.Contains(got.stderr, canary) {
			t.Errorf("%s: exit code %d with %q %q", test.email, got.code, got.stdout, got.stderr)
		}
	}
}

func TestAdminCreateNeedsItsSettings(t *testing.T) {
	t.Parallel()
	got := runCommand(t, nil, "admin", "create", "--email", "a@example.com", "--password-stdin")
	if got.code != 1 || !strings.Contains(got.stderr, "DATABASE_URL is not set") || !strings.Contains(got.stderr, "SECRET_KEY is not set") {
		t.Errorf("exit code %d with %q", got.code, got.stderr)
	}
	if strings.Contains(got.stderr, "SMTP_URL") {
		t.Errorf("it sends no mail, and asks for SMTP_URL: %q", got.stderr)
	}
	if got := runCommand(t, nil, "admin", "create"); got.code != 1 || !strings.Contains(got.stderr, "email") {
		t.Errorf("without --email: exit code %d with %q", got.code, got.stderr)
	}
	unreachable := withEnv("DATABASE_URL=postgres://u:p@127.0.0.1:1/d?connect_timeout=1", "SECRET_KEY="+goodKey)
	got = runCommand(t, func(p *process) {
		unreachable(p)
		p.stdin = strings.NewReader("Secure*1234\n")
	}, "admin", "create", "--email", "a@example.com", "--password-stdin")
	if got.code != 1 || got.stderr == "" {
		t.Errorf("without a database: exit code %d with %q", got.code, got.stderr)
	}
}

func TestAPasswordIsReadFromTheInputOrAskedTwice(t *testing.T) {
	t.Parallel()
	answers := func(texts ...string) func(string) (string, error) {
		return func(string) (string, error) {
			if len(texts) == 0 {
				return "", errors.New("hung up")
			}
			text := texts[0]
			texts = texts[1:]
			return text, nil
		}
	}
	tests := map[string]struct {
		fromStdin bool
		stdin     io.Reader
		ask       func(string) (string, error)
		want      string
		wantErr   string
	}{
		"a line":               {fromStdin: true, stdin: strings.NewReader("a b \r\nnext"), want: "a b "},
		"a line without end":   {fromStdin: true, stdin: strings.NewReader("secret"), want: "secret"},
		"an empty line":        {fromStdin: true, stdin: strings.NewReader("\nsecret"), wantErr: "no password"},
		"an empty input":       {fromStdin: true, stdin: strings.NewReader(""), wantErr: "no password"},
		"an input that breaks": {fromStdin: true, stdin: brokenReader{}, wantErr: "input broke"},
		"no terminal":          {wantErr: "--password-stdin"},
		"two equal answers":    {ask: answers("x", "x"), want: "x"},
		"two answers":          {ask: answers("x", "y"), wantErr: "differ"},
		"one answer":           {ask: answers("x"), wantErr: "hung up"},
		"no answer":            {ask: answers(), wantErr: "hung up"},
	}
	for name, test := range tests {
		p := process{stdin: test.stdin, askPassword: test.ask}
		got, err := p.password(test.fromStdin)
		if got != test.want || (err == nil) != (test.wantErr == "") || err != nil && !strings.Contains(err.Error(), test.wantErr) {
			t.Errorf("%s: got %q, error %v", name, got, err)
		}
	}
}

func TestNoCommandTakesAPasswordAsArgument(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"admin", "create", "--email", "a@example.com", "--password", "x"}, {"admin", "create", "--email", "a@example.com", "x"},
	} {
		if got := runCommand(t, withEnv("DATABASE_URL=postgres://h/d", "SECRET_KEY="+goodKey), args...); got.code != 1 {
			t.Errorf("%v is accepted", args)
		}
	}
}

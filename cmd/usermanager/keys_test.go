package main

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"usermanager/db/dbtest"
	"usermanager/gen/query"
	"usermanager/server"
	"usermanager/server/secret"
)

// nextGoodKey is a SECRET_KEY that follows goodKey.
const nextGoodKey = "0yZV+TmNho8m1vWhqkKjMlYIsPVUZY4QaGecfIu2Q5c="

// keysDatabase is a database with its first signing key and no server, and the command on it.
func keysDatabase(t *testing.T) (url string, keys func(args ...string) outcome) {
	t.Helper()
	url = dbtest.URL(t)
	env := []string{"DATABASE_URL=" + url, "SECRET_KEY=" + goodKey}
	got := runCommand(t, func(p *process) {
		p.env, p.stdin = env, strings.NewReader("Secure*1234\n")
	}, "admin", "create", "--email", "root@example.com", "--password-stdin")
	if got.code != 0 {
		t.Fatal(got.stderr)
	}
	return url, func(args ...string) outcome {
		return runCommand(t, withEnv(env...), append([]string{"keys"}, args...)...)
	}
}

func listedKeys(t *testing.T, keys func(args ...string) outcome) []server.KeyInfo {
	t.Helper()
	got := keys("list", "--json")
	var infos []server.KeyInfo
	if err := json.Unmarshal([]byte(got.stdout), &infos); err != nil || got.code != 0 || got.stderr != "" {
		t.Fatalf("exit code %d with %q %q: %v", got.code, got.stdout, got.stderr, err)
	}
	return infos
}

// T-20, as an operator sees it.
func TestKeysRotateAndRetireWithoutAServer(t *testing.T) {
	t.Parallel()
	_, keys := keysDatabase(t)
	first := listedKeys(t, keys)
	if len(first) != 1 || first[0].State != query.SigningKeyStateCurrent || first[0].LeavesAt == nil {
		t.Fatalf("got %+v, want the current key and the schedule's plan for it", first)
	}

	begun := keys("rotate")
	next := regexp.MustCompile(`^Key (\S+) is published\.\nIt signs from (\S+) on, when a server runs; until then (\S+) does\.\n$`).FindStringSubmatch(begun.stdout)
	if begun.code != 0 || begun.stderr != "" || next == nil || next[3] != first[0].KID {
		t.Fatalf("exit code %d with %q %q", begun.code, begun.stdout, begun.stderr)
	}
	if at, err := time.Parse(time.RFC3339, next[2]); err != nil || time.Until(at) < 14*time.Minute || time.Until(at) > 15*time.Minute {
		t.Errorf("it signs from %s on, error %v", next[2], err)
	}
	if again := keys("rotate"); again.code != 0 || !strings.Contains(again.stdout, "A rotation is under way: key "+next[1]) {
		t.Errorf("a second time: exit code %d with %q %q", again.code, again.stdout, again.stderr)
	}
	if got := listedKeys(t, keys); len(got) != 2 || got[1].KID != next[1] || got[1].State != query.SigningKeyStateNext {
		t.Errorf("got %+v, want a next key", got)
	}

	now := keys("rotate", "--now")
	if now.code != 0 || !strings.HasPrefix(now.stdout, "Key "+next[1]+" signs now instead of "+first[0].KID) ||
		!strings.Contains(now.stderr, "Warning: new tokens are refused by other servers for up to 30 seconds") || !strings.Contains(now.stderr, "5 minutes") {
		t.Errorf("--now: exit code %d with %q %q", now.code, now.stdout, now.stderr)
	}
	table := keys("list")
	for _, line := range []string{`KID +STATE +CREATED +SIGNS FROM +LEAVES\n`, first[0].KID + ` +retired +\S+Z +\S+Z +\S+Z\n`, next[1] + ` +current +\S+Z +\S+Z +\S+Z\n`} {
		if !regexp.MustCompile(line).MatchString(table.stdout) {
			t.Errorf("the table has no line %s:\n%s", line, table.stdout)
		}
	}

	retired := keys("retire", next[1])
	if retired.code != 0 || !strings.Contains(retired.stdout, "within a minute") || !strings.Contains(retired.stderr, "Warning") {
		t.Errorf("retire: exit code %d with %q %q", retired.code, retired.stdout, retired.stderr)
	}
	successor := regexp.MustCompile(`Key (\S+) signs now\.`).FindStringSubmatch(retired.stdout)
	got := listedKeys(t, keys)
	if len(got) != 2 || successor == nil || got[1].KID != successor[1] || got[1].State != query.SigningKeyStateCurrent {
		t.Errorf("got %+v after %q", got, retired.stdout)
	}
	if old := keys("retire", first[0].KID); old.code != 0 || old.stderr != "" || strings.Contains(old.stdout, "signs now") {
		t.Errorf("retire of a key that signs no more: exit code %d with %q %q", old.code, old.stdout, old.stderr)
	}
	if gone := keys("retire", next[1]); gone.code != 1 || gone.stdout != "" || !strings.Contains(gone.stderr, "keys list") {
		t.Errorf("retire of a key that is gone: exit code %d with %q %q", gone.code, gone.stdout, gone.stderr)
	}
}

func TestKeysRewrapSaysWhatStillNeedsThePreviousKey(t *testing.T) {
	t.Parallel()
	url, _ := keysDatabase(t)
	rewrap := func(env ...string) outcome {
		return runCommand(t, withEnv(append(env, "DATABASE_URL="+url)...), "keys", "rewrap")
	}
	if got := rewrap("SECRET_KEY=" + goodKey); got.code != 1 || !strings.Contains(got.stderr, "SECRET_KEY_PREVIOUS is not set") {
		t.Errorf("without the previous key: exit code %d with %q", got.code, got.stderr)
	}
	change := []string{"SECRET_KEY=" + nextGoodKey, "SECRET_KEY_PREVIOUS=" + goodKey}
	got := rewrap(change...)
	if got.code != 0 || got.stderr != "" || !strings.HasPrefix(got.stdout, "Sealed anew under SECRET_KEY: 1 signing key; so is the check value.\n") {
		t.Errorf("exit code %d with %q %q", got.code, got.stdout, got.stderr)
	}
	for _, line := range []string{`mailed links +0 links +none is open`, `refresh tokens +0 sessions +none is left`, `cursors +pages`} {
		if !regexp.MustCompile(line).MatchString(got.stdout) {
			t.Errorf("it does not say %s:\n%s", line, got.stdout)
		}
	}
	if got := rewrap(change...); got.code != 0 || !strings.HasPrefix(got.stdout, "Everything is sealed under SECRET_KEY already.\n") {
		t.Errorf("a second time: exit code %d with %q %q", got.code, got.stdout, got.stderr)
	}
	rotate := func(key string) outcome {
		return runCommand(t, withEnv("DATABASE_URL="+url, "SECRET_KEY="+key), "keys", "rotate")
	}
	if got := rotate(goodKey); got.code != 1 || !strings.Contains(got.stderr, "SECRET_KEY is not the one") {
		t.Errorf("with the previous key alone: exit code %d with %q %q", got.code, got.stdout, got.stderr)
	}
	if got := rotate(nextGoodKey); got.code != 0 {
		t.Errorf("with the new key alone: exit code %d with %q", got.code, got.stderr)
	}
}

func TestOutstandingThingsReadLikeSentences(t *testing.T) {
	t.Parallel()
	until := time.Date(2026, 10, 20, 12, 0, 0, 0, time.FixedZone("CEST", 7200))
	for _, test := range []struct{ got, want string }{
		{untilOr(server.Outstanding{}, "none"), "none"},
		{untilOr(server.Outstanding{Count: 2, Until: until}, "none"), "until 2026-10-20T10:00:00Z at the latest"},
		{counted(0, "link"), "0 links"},
		{counted(1, "link"), "1 link"},
		{counted(2, "link"), "2 links"},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}

func TestKeysOfAFreshDatabaseAndMissingSettings(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	run := func(env []string, args ...string) outcome {
		return runCommand(t, withEnv(env...), append([]string{"keys"}, args...)...)
	}
	only, with := []string{"DATABASE_URL=" + url}, []string{"DATABASE_URL=" + url, "SECRET_KEY=" + goodKey}
	if got := run(only, "list"); got.code != 0 || got.stdout != "There are no keys yet: the first server that starts makes one.\n" {
		t.Errorf("list: exit code %d with %q %q", got.code, got.stdout, got.stderr)
	}
	if got := run(only, "list", "--json"); got.code != 0 || got.stdout != "[]\n" {
		t.Errorf("list --json: exit code %d with %q %q", got.code, got.stdout, got.stderr)
	}
	for _, args := range [][]string{{"rotate"}, {"rotate", "--now"}, {"retire", "x"}} {
		if got := run(with, args...); got.code != 1 || !strings.Contains(got.stderr, "no signing keys yet") {
			t.Errorf("%v: exit code %d with %q", args, got.code, got.stderr)
		}
		if got := run(only, args...); got.code != 1 || !strings.Contains(got.stderr, "SECRET_KEY is not set") {
			t.Errorf("%v without SECRET_KEY: exit code %d with %q", args, got.code, got.stderr)
		}
	}
	for _, args := range [][]string{{"list"}, {"rotate"}, {"retire", "x"}, {"rewrap"}} {
		if got := run(nil, args...); got.code != 1 || !strings.Contains(got.stderr, "DATABASE_URL is not set") {
			t.Errorf("%v without DATABASE_URL: exit code %d with %q", args, got.code, got.stderr)
		}
	}
	for _, args := range [][]string{nil, {"rotat"}, {"retire"}, {"retire", "a", "b"}, {"list", "x"}} {
		if got := run(with, args...); got.code != 1 || got.stderr == "" {
			t.Errorf("keys %v: exit code %d", args, got.code)
		}
	}
	if got := run([]string{"DATABASE_URL=postgres://u:p@127.0.0.1:1/d?connect_timeout=1"}, "list"); got.code != 1 || !strings.Contains(got.stderr, "cannot be reached") {
		t.Errorf("without a database: exit code %d with %q", got.code, got.stderr)
	}
}

// T-21
func TestNoKeysCommandPrintsAPrivateKey(t *testing.T) {
	t.Parallel()
	url, keys := keysDatabase(t)
	all := ""
	for _, args := range [][]string{{"rotate"}, {"list"}, {"list", "--json"}, {"rotate", "--now"}, {"list"}} {
		got := keys(args...)
		all += got.stdout + got.stderr
	}
	pool, err := openPool(t.Context(), url, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	rows, err := query.New(pool).SigningKeyList(t.Context())
	if err != nil || len(rows) != 2 {
		t.Fatalf("got %d keys, error %v", len(rows), err)
	}
	raw, err := secret.ParseKey(goodKey)
	if err != nil {
		t.Fatal(err)
	}
	root, err := secret.NewRoot(raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		private, err := root.Open(secret.PurposeSigningKey, row.Sealed, []byte(row.KID))
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{base64.StdEncoding.EncodeToString(private)[40:60], base64.StdEncoding.EncodeToString(row.Sealed)[:20], goodKey} {
			if strings.Contains(all, part) {
				t.Errorf("printed %q", all)
			}
		}
	}
}

// T-20, with real processes and the real times.
func TestARetiredKeyIsRefusedByRunningServersWithinAMinute(t *testing.T) {
	t.Parallel()
	url, keys := keysDatabase(t)
	var servers []string
	for range 2 {
		p := startProgram(t, serveEnv(url), "serve")
		ready := p.stderr.wait(`"msg":"ready","address":"([^"]+)"`, p.done)
		if ready == nil {
			t.Fatalf("not ready:\n%s", p.stderr)
		}
		servers = append(servers, "http://"+ready[1])
	}
	client := &http.Client{Timeout: patience}
	signIn := func() string {
		response, err := client.PostForm(servers[0]+"/login", map[string][]string{"username": {"root@example.com"}, "password": {"Secure*1234"}})
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var body struct {
			AccessToken string `json:"access_token"`
		}
		if err := json.NewDecoder(response.Body).Decode(&body); err != nil || body.AccessToken == "" {
			t.Fatalf("sign-in: status %d, error %v", response.StatusCode, err)
		}
		return body.AccessToken
	}
	status := func(server, token string) int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server+"/users/me", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	token := signIn()
	if a, b := status(servers[0], token), status(servers[1], token); a != http.StatusOK || b != http.StatusOK {
		t.Fatalf("before: got %d and %d, want 200", a, b)
	}
	if got := keys("retire", listedKeys(t, keys)[0].KID); got.code != 0 {
		t.Fatal(got.stderr)
	}
	retiredAt, again := time.Now(), time.NewTicker(100*time.Millisecond)
	defer again.Stop()
	for _, server := range servers {
		for status(server, token) != http.StatusUnauthorized {
			if time.Since(retiredAt) > time.Minute {
				t.Fatalf("%s accepts the token after a minute", server)
			}
			<-again.C
		}
	}
	t.Logf("refused by both after %s", time.Since(retiredAt).Round(time.Millisecond))
	token = signIn()
	if a, b := status(servers[0], token), status(servers[1], token); a != http.StatusOK || b != http.StatusOK {
		t.Errorf("a token of the successor: got %d and %d, want 200", a, b)
	}
}

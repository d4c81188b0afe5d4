package localpg

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestAClusterIsPrivate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(open(t), "deep", "cluster")
	cluster := begin(t, Options{Dir: dir, Database: "usermanager", Settings: map[string]string{"max_connections": "42"}})

	for setting, want := range map[string]string{
		"listen_addresses":        "127.0.0.1",
		"unix_socket_directories": "",
		"max_connections":         "42",
		"fsync":                   "off",
		"password_encryption":     "scram-sha-256",
		"lc_messages":             "C",
	} {
		if got := ask(t, cluster.URL("usermanager"), "SELECT current_setting('"+setting+"')"); got != want {
			t.Errorf("%s = %q, want %q", setting, got, want)
		}
	}
	if got := ask(t, cluster.URL("usermanager"), "SELECT lower('ÄRGER')"); got != "ärger" {
		t.Errorf("lower('ÄRGER') = %q, want letters beyond ASCII to have a lower case", got)
	}

	for name, user := range map[string]*url.Userinfo{
		"a wrong password": url.UserPassword(superuser, "guess"),
		"no password":      url.User(superuser),
		"another user":     url.UserPassword("root", cluster.password),
	} {
		u, _ := url.Parse(cluster.URL("postgres"))
		u.User = user
		if conn, err := pgx.Connect(t.Context(), u.String()); err == nil {
			conn.Close(t.Context())
			t.Errorf("%s opens the database", name)
		}
	}
	for name, want := range map[string]os.FileMode{
		"password": 0o600, "postgres.log": 0o600, "lock": 0o600, "data": 0o700 | os.ModeDir,
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Errorf("%v", err)
		} else if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", name, info.Mode(), want)
		}
	}
	if uid, _, _ := ownerOf(cluster.folder.data()); uid == 0 {
		t.Error("the data belong to root, whom PostgreSQL refuses")
	}
	if len(cluster.password) < 32 {
		t.Errorf("the password has %d characters, want at least 32", len(cluster.password))
	}
}

func TestAFolderIsUsedAgainWithItsData(t *testing.T) {
	t.Parallel()
	o := Options{Dir: open(t), Durable: true, Database: "kept"}
	first := begin(t, o)
	if got := ask(t, first.URL("kept"), "SELECT current_setting('fsync')"); got != "on" {
		t.Errorf("fsync of a durable cluster = %q, want on", got)
	}
	ask(t, first.URL("kept"), "WITH made AS (SELECT set_config('a.b', 'c', false)) SELECT 'ok' FROM made")
	conn, err := pgx.Connect(t.Context(), first.URL("kept"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "CREATE TABLE notes AS SELECT 'remember' AS note"); err != nil {
		t.Fatal(err)
	}
	stop(t, first) // with a connection open

	second := begin(t, o)
	if got := ask(t, second.URL("kept"), "SELECT note FROM notes"); got != "remember" {
		t.Errorf("the note reads %q, want %q", got, "remember")
	}
}

func TestASecondStartOnAFolderIsRefused(t *testing.T) {
	t.Parallel()
	dir := open(t)
	cluster := begin(t, Options{Dir: dir})

	link := filepath.Join(open(t), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{dir, dir + "/", link} {
		_, err := Start(t.Context(), Options{Dir: name})
		if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), dir) || strings.Contains(err.Error(), "\n") {
			t.Errorf("Start(%s) = %v, want one sentence that the folder is in use", name, err)
		}
	}
	if err := Remove(t.Context(), dir); !errors.Is(err, ErrInUse) {
		t.Errorf("Remove = %v, want ErrInUse", err)
	}
	ask(t, cluster.URL("postgres"), "SELECT 'the first one lives'")
}

func TestRemoveDeletesAStoppedCluster(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(open(t), "cluster")
	stop(t, begin(t, Options{Dir: dir}))

	if err := Remove(t.Context(), dir); err != nil {
		t.Fatalf("Remove: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
	if err := Remove(t.Context(), dir); err != nil {
		t.Errorf("Remove of nothing = %v, want nil", err)
	}
}

func TestStoppingTwiceIsFine(t *testing.T) {
	t.Parallel()
	cluster := begin(t, Options{Dir: open(t)})
	stop(t, cluster)
	stop(t, cluster)
	select {
	case <-cluster.Done():
	default:
		t.Error("Done is not closed after Stop")
	}
}

func TestAStopThatRunsOutOfTimeEndsTheServerHard(t *testing.T) {
	t.Parallel()
	dir := open(t)
	cluster := begin(t, Options{Dir: dir})
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()

	err := cluster.Stop(cancelled)
	if err != nil && !strings.Contains(err.Error(), "recovers") {
		t.Errorf("Stop = %v, want nil or that it recovers", err)
	}
	gone(t, cluster.cmd.Process.Pid)
	again := begin(t, Options{Dir: dir})
	ask(t, again.URL("postgres"), "SELECT 'recovered'")
}

func TestAStartThatIsCancelledLeavesNothingRunning(t *testing.T) {
	t.Parallel()
	dir := open(t)
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(enough)
	if _, err := Start(ctx, Options{Dir: dir}); err == nil {
		t.Fatal("Start with an ended context gave no error")
	}
	// The folder is free again, and what the first start left of it is no hindrance.
	stop(t, begin(t, Options{Dir: dir}))

	if _, err := Start(ctx, Options{Dir: dir}); err == nil {
		t.Fatal("Start of an existing cluster with an ended context gave no error")
	}
	stop(t, begin(t, Options{Dir: dir}))
}

func TestATakenPortIsTriedAgainUntilTheContextEnds(t *testing.T) {
	t.Parallel()
	dir := open(t)
	cluster := begin(t, Options{Dir: filepath.Join(dir, "first")})
	u, err := url.Parse(cluster.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	second := filepath.Join(dir, "second")
	stop(t, begin(t, Options{Dir: second}))

	// Settings come last on the command line, so this sends each of its tries to the taken port.
	ctx, cancel := context.WithTimeout(t.Context(), patienceForRetries)
	defer cancel()
	_, err = Start(ctx, Options{Dir: second, Settings: map[string]string{"port": u.Port()}})
	if err == nil {
		t.Fatal("Start on a taken port gave no error")
	}
	if strings.Contains(err.Error(), "password") {
		t.Errorf("Start = %v, want it not to take the other server for its own", err)
	}
	stop(t, begin(t, Options{Dir: second}))
}

func TestASettingThatPostgreSQLRefusesIsQuoted(t *testing.T) {
	t.Parallel()
	_, err := Start(t.Context(), Options{Dir: open(t), Settings: map[string]string{"no_such_setting": "1"}})
	if !errors.Is(err, errEnded) || !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("Start = %v, want PostgreSQL's own words about no_such_setting", err)
	}
}

func TestAFolderIsNeeded(t *testing.T) {
	t.Parallel()
	if _, err := Start(t.Context(), Options{}); err == nil {
		t.Error("Start without a folder gave no error")
	}
	file := filepath.Join(open(t), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		if _, err := Start(t.Context(), Options{Dir: dir}); err == nil {
			t.Errorf("Start in %s gave no error", dir)
		}
	}
}

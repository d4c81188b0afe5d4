package localpg

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestFoldersThatCannotBeUsedSayWhatToDo(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"another major version", map[string]string{"data/PG_VERSION": "8\n", "password": "x"}, "install version 8"},
		{"a very old version", map[string]string{"data/PG_VERSION": "9.6\n", "password": "x"}, "install version 9"},
		{"a damaged version", map[string]string{"data/PG_VERSION": "new\n"}, "invalid syntax"},
		{"somebody's data", map[string]string{"data/thesis.tex": "..."}, "choose another folder"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := open(t)
			write(t, dir, c.files)
			_, err := Start(t.Context(), Options{Dir: dir})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("Start = %v, want it to say %q", err, c.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("Start = %q, want one sentence", err)
			}
			for name, content := range c.files {
				if got, err := os.ReadFile(filepath.Join(dir, name)); string(got) != content {
					t.Errorf("%s holds %q, %v, want it untouched", name, got, err)
				}
			}
		})
	}
}

func TestALostOrWrongPasswordIsExplained(t *testing.T) {
	t.Parallel()
	dir := open(t)
	stop(t, begin(t, Options{Dir: dir}))
	password := filepath.Join(dir, "password")

	write(t, dir, map[string]string{"password": "not the one"})
	_, err := Start(t.Context(), Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "does not open") {
		t.Errorf("Start with a wrong password = %v, want it to say so", err)
	}
	if err != nil && strings.Contains(err.Error(), "not the one") {
		t.Errorf("Start = %q, which contains the password", err)
	}

	if err := os.Remove(password); err != nil {
		t.Fatal(err)
	}
	_, err = Start(t.Context(), Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "is missing") {
		t.Errorf("Start without the password = %v, want it to say so", err)
	}
	if err := os.Mkdir(password, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err = Start(t.Context(), Options{Dir: dir}); err == nil {
		t.Error("Start with a password that cannot be read gave no error")
	}
}

func TestTheServersUserMustReachTheFolder(t *testing.T) {
	t.Parallel()
	closed := open(t)
	dir := filepath.Join(closed, "cluster")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	stranger := &account{name: "stranger", uid: 54321, gid: 54321}
	if err := stranger.canEnter(dir); err != nil {
		t.Errorf("canEnter of an open folder = %v, want nil", err)
	}
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	err := stranger.canEnter(dir)
	if err == nil || !strings.Contains(err.Error(), "stranger, who cannot enter "+closed) {
		t.Errorf("canEnter = %v, want it to name the user and %s", err, closed)
	}
	if err := (*account)(nil).canEnter(dir); err != nil {
		t.Errorf("canEnter as ourselves = %v, want nil", err)
	}

	sys := system{search: installed(), account: func() (*account, error) { return stranger, nil }}
	if _, err := start(t.Context(), Options{Dir: dir}, sys); err == nil || !strings.Contains(err.Error(), "stranger") {
		t.Errorf("start = %v, want it to name the user", err)
	}
	if err := stranger.canEnter(filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("canEnter of nothing = %v, want that it does not exist", err)
	}
}

func TestPermissionBitsOfOwnerGroupAndOthers(t *testing.T) {
	t.Parallel()
	dir := open(t)
	uid, gid, _ := ownerOf(dir)
	owner := &account{uid: uid, gid: gid + 1}
	member := &account{uid: uid + 1, gid: gid}
	other := &account{uid: uid + 1, gid: gid + 1}
	for _, c := range []struct {
		mode                 os.FileMode
		owner, member, other bool
	}{
		{0o700, true, false, false},
		{0o710, true, true, false},
		{0o711, true, true, true},
		{0o701, true, false, true},
		{0o666, false, false, false},
	} {
		if err := os.Chmod(dir, c.mode); err != nil {
			t.Fatal(err)
		}
		for a, want := range map[*account]bool{owner: c.owner, member: c.member, other: c.other} {
			if got, err := a.passes(dir); err != nil || got != want {
				t.Errorf("mode %o, user %d, group %d: passes = %t, %v, want %t", c.mode, a.uid, a.gid, got, err, want)
			}
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestAMachineWithoutAnUnprivilegedUserIsExplained(t *testing.T) {
	t.Parallel()
	if _, err := lookUp("no-such-user-a", "no-such-user-b"); err == nil || !strings.Contains(err.Error(), "no-such-user-b") {
		t.Errorf("lookUp = %v, want it to name the users", err)
	}
	if a, err := lookUp("root", "no-such-user-a"); err == nil {
		t.Errorf("lookUp = %+v, want root to be refused", a)
	}
	nobody := errors.New("nobody there")
	sys := system{search: installed(), account: func() (*account, error) { return nil, nobody }}
	if _, err := start(t.Context(), Options{Dir: open(t)}, sys); !errors.Is(err, nobody) {
		t.Errorf("start = %v, want %v", err, nobody)
	}
}

// A-25 in small: what the server's process gets to see.
func TestTheServerDoesNotInheritOurEnvironment(t *testing.T) {
	t.Setenv("SECRET_KEY", "CANARY-1")
	t.Setenv("PGDATA", "/somewhere/else")
	t.Setenv("LC_ALL", "tr_TR.UTF-8")
	env := (*account)(nil).command("/bin/true", nil).Env
	for _, entry := range env {
		if strings.Contains(entry, "CANARY") || strings.HasPrefix(entry, "PG") || strings.Contains(entry, "tr_TR") {
			t.Errorf("the server gets %s", entry)
		}
	}
	if !slices.Contains(env, "LC_ALL=C") || !slices.Contains(env, "PATH="+os.Getenv("PATH")) {
		t.Errorf("the server gets %v, want LC_ALL=C and our PATH among them", env)
	}
}

func TestLocaleOptionsFitTheVersion(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		version int
		system  string
		want    string
	}{
		{18, "linux", "--builtin-locale=C.UTF-8"},
		{17, "windows", "--builtin-locale=C.UTF-8"},
		{16, "linux", "--locale=C.UTF-8"},
		{16, "darwin", "--lc-ctype=en_US.UTF-8"},
		{16, "windows", "--locale=C"},
	} {
		if got := localeOptions(c.version, c.system); !slices.Contains(got, c.want) {
			t.Errorf("localeOptions(%d, %s) = %v, want %s among them", c.version, c.system, got, c.want)
		}
	}
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

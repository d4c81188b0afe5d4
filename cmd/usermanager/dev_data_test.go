package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func openedDir(t *testing.T) *dataDir {
	t.Helper()
	d, err := openDataDir(filepath.Join(t.TempDir(), "a", "b"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.close)
	return d
}

func TestRootsDataAreWherePostgresCanReachThem(t *testing.T) {
	t.Parallel()
	if got := defaultDataDir(0, "/root/.cache"); strings.HasPrefix(got, "/root") {
		t.Errorf("root's data are in %s", got)
	}
	if got, want := defaultDataDir(1000, "/home/a/.cache"), filepath.Join("/home/a/.cache", "usermanager", "dev"); got != want {
		t.Errorf("a user's data are in %s, want %s", got, want)
	}
	if got := defaultDataDir(-1, "cache"); got != filepath.Join("cache", "usermanager", "dev") { // Windows
		t.Errorf("without users they are in %s", got)
	}
}

func TestADataFolderIsForOne(t *testing.T) {
	t.Parallel()
	d := openedDir(t)
	if _, err := openDataDir(d.path); err == nil || !strings.Contains(err.Error(), "another `usermanager dev`") {
		t.Errorf("a second one: %v", err)
	}
	d.close()
	again, err := openDataDir(d.path)
	if err != nil {
		t.Fatalf("after the first has closed it: %v", err)
	}
	again.close()
}

func TestADataFolderThatCannotBeMadeIsAnError(t *testing.T) {
	t.Parallel()
	file := writeTo(t, filepath.Join(t.TempDir(), "file"), "")
	for _, path := range []string{file, filepath.Join(file, "below")} {
		if _, err := openDataDir(path); err == nil {
			t.Errorf("%s is accepted", path)
		}
	}
	if _, err := lockFile(filepath.Join(t.TempDir(), "no", "such", "folder")); err == nil {
		t.Error("a lock in no folder is held")
	}
}

func TestTheKeyStaysAndIsClosedToOthers(t *testing.T) {
	t.Parallel()
	d := openedDir(t)
	first, err := d.secretKey()
	if err != nil || len(first) != 32 {
		t.Fatalf("a key of %d bytes, error %v", len(first), err)
	}
	if second, err := d.secretKey(); err != nil || second != first {
		t.Errorf("the second one differs (error %v)", err)
	}
	if err := d.writeState(devState{DatabaseURL: "u"}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{d.keyFile(), d.state()} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, error %v", path, info.Mode(), err)
		}
	}
	other := openedDir(t)
	if key, err := other.secretKey(); err != nil || key == first {
		t.Errorf("two folders share a key (error %v)", err)
	}
	writeTo(t, d.keyFile(), "changeme")
	if _, err := d.secretKey(); err == nil || !strings.Contains(err.Error(), "secret.key") {
		t.Errorf("a bad key: %v", err)
	}
}

func TestWhatCannotBeWrittenIsAnError(t *testing.T) {
	t.Parallel()
	gone := &dataDir{path: filepath.Join(t.TempDir(), "gone")}
	if _, err := gone.secretKey(); err == nil {
		t.Error("a key without a folder")
	}
	if err := gone.writeState(devState{}); err == nil {
		t.Error("a state without a folder")
	}
}

func TestOnlyARunningDevHasAState(t *testing.T) {
	t.Parallel()
	d := openedDir(t)
	want := devState{DatabaseURL: "postgres://h/d", PublicURL: "http://localhost:1"}
	if _, err := runningState(d.path); err == nil {
		t.Error("before it was written")
	}
	if err := d.writeState(want); err != nil {
		t.Fatal(err)
	}
	if got, err := runningState(d.path); err != nil || got != want {
		t.Errorf("got %+v, error %v", got, err)
	}
	content, err := os.ReadFile(d.state())
	if err != nil {
		t.Fatal(err)
	}
	writeTo(t, d.state(), "{")
	if _, err := runningState(d.path); err == nil {
		t.Error("a broken state is accepted")
	}
	d.close()
	writeTo(t, d.state(), string(content)) // as after a kill -9
	if _, err := runningState(d.path); err == nil || !strings.Contains(err.Error(), "no `usermanager dev` runs") {
		t.Errorf("without the lock: %v", err)
	}
	if _, err := runningState(filepath.Join(d.path, "none")); err == nil {
		t.Error("a folder that is not there has one")
	}
}

func TestResetDeletesOnlyWhatIsDevs(t *testing.T) {
	t.Parallel()
	d := openedDir(t)
	if _, err := d.secretKey(); err != nil {
		t.Fatal(err)
	}
	notes := writeTo(t, filepath.Join(d.path, "notes.txt"), "mine")
	if err := os.MkdirAll(filepath.Join(d.inbox(), "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := d.reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{d.keyFile(), d.inbox(), d.postgres()} {
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("%s is there (error %v)", path, err)
		}
	}
	if _, err := os.Stat(notes); err != nil {
		t.Errorf("a file that dev did not make: %v", err)
	}
	if _, err := openDataDir(d.path); err == nil {
		t.Error("the reset gave the lock away")
	}
}

package localpg

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// script is a program that prints a line.
func script(line string) string {
	return "#!/bin/sh\necho '" + line + "'\n"
}

// servers makes folders that look like installations: name/bin with a postgres of that version.
func servers(t *testing.T, dir string, versions map[string]string) {
	t.Helper()
	for name, version := range versions {
		write(t, filepath.Join(dir, name, "bin"), map[string]string{
			"postgres": script("postgres (PostgreSQL) " + version),
			"initdb":   script("initdb"),
		})
	}
}

func TestBinariesAreFoundBestFirst(t *testing.T) {
	t.Parallel()
	dir := open(t)
	servers(t, dir, map[string]string{"lib/9.6": "9.6.1", "lib/10": "10.2", "lib/17": "17.1", "own": "12.1",
		"brew/postgresql@16": "16.1", "brew/postgresql@9.6": "9.6"})
	write(t, dir, map[string]string{
		"pg_config":        script(filepath.Join(dir, "own", "bin")),
		"lib/18/bin/psql":  script("a client only"),
		"client/pg_config": script(filepath.Join(dir, "lib", "18", "bin")),
	})
	at := func(names ...string) []string {
		var paths []string
		for _, name := range names {
			paths = append(paths, filepath.Join(dir, name, "bin"))
		}
		return paths
	}
	lib, brew := filepath.Join(dir, "lib/*/bin"), filepath.Join(dir, "brew/postgresql@*/bin")

	for _, c := range []struct {
		name   string
		search search
		want   []string
	}{
		{"pg_config's first, then the newest, by number",
			search{pgConfig: filepath.Join(dir, "pg_config"), globs: []string{lib}},
			at("own", "lib/17", "lib/10", "lib/9.6")},
		{"a client's pg_config does not count",
			search{pgConfig: filepath.Join(dir, "client/pg_config"), globs: []string{lib}},
			at("lib/17", "lib/10", "lib/9.6")},
		{"in the order of the places",
			search{globs: []string{brew, lib}},
			at("brew/postgresql@16", "brew/postgresql@9.6", "lib/17", "lib/10", "lib/9.6")},
		{"the one in PATH last, and each once",
			search{globs: []string{brew}, server: filepath.Join(dir, "brew/postgresql@16/bin/postgres")},
			at("brew/postgresql@16", "brew/postgresql@9.6")},
		{"the one in PATH alone", search{server: filepath.Join(dir, "own/bin/postgres")}, at("own")},
		{"nothing", search{pgConfig: filepath.Join(dir, "none"), globs: []string{dir + "/none/*"}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := c.search.folders(t.Context()); !slices.Equal(got, c.want) {
				t.Errorf("folders = %v, want %v", got, c.want)
			}
		})
	}
}

func TestTheBinariesFitTheFolder(t *testing.T) {
	t.Parallel()
	dir := open(t)
	servers(t, dir, map[string]string{"lib/15": "15.18 (Debian 15.18-0+deb12u1)", "lib/17": "17.1", "lib/16": "no number"})
	sys := system{search: search{globs: []string{filepath.Join(dir, "lib/*/bin")}}}

	for _, c := range []struct {
		data, want, err string
	}{
		{data: "", want: "lib/17"},
		{data: "15", want: "lib/15"},
		{data: "17", want: "lib/17"},
		{data: "14", err: "only 17, 0, 15 is installed"},
	} {
		f := folder{dir: open(t)}
		if c.data != "" {
			write(t, f.dir, map[string]string{"data/PG_VERSION": c.data + "\n"})
		}
		got, err := f.binaries(t.Context(), sys, false)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("binaries for data of %s = %v, want an error with %q", c.data, err, c.err)
			}
			continue
		}
		if want := filepath.Join(dir, c.want, "bin"); err != nil || got != want {
			t.Errorf("binaries for data of %q = %s, %v, want %s", c.data, got, err, want)
		}
	}
}

func TestAServerThatDoesNotRunIsAnError(t *testing.T) {
	t.Parallel()
	dir := open(t)
	write(t, dir, map[string]string{
		"broken/initdb": "no program", "broken/postgres": "no program",
		"silent/initdb": script(""), "silent/postgres": script("hello"),
	})
	for _, name := range []string{"broken", "silent"} {
		if _, err := major(t.Context(), filepath.Join(dir, name)); err == nil {
			t.Errorf("major of the %s server gave no error", name)
		}
		sys := system{search: search{globs: []string{filepath.Join(dir, name)}}, account: unprivileged}
		if _, err := start(t.Context(), Options{Dir: filepath.Join(dir, "cluster-"+name)}, sys); err == nil {
			t.Errorf("start of the %s server gave no error", name)
		}
	}
}

func TestAnInitdbThatRefusesIsQuoted(t *testing.T) {
	t.Parallel()
	dir := open(t)
	write(t, dir, map[string]string{
		"bin/postgres": script("postgres (PostgreSQL) 17.1"),
		"bin/initdb":   "#!/bin/sh\necho 'initdb: error: no mood today' >&2\nexit 1\n",
	})
	sys := system{search: search{globs: []string{filepath.Join(dir, "bin")}}, account: unprivileged}
	_, err := start(t.Context(), Options{Dir: filepath.Join(dir, "cluster")}, sys)
	if err == nil || !strings.Contains(err.Error(), "no mood today") {
		t.Errorf("start = %v, want initdb's words", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "cluster", "data")); err == nil {
		t.Error("a refused initialization left a data folder")
	}
}

func TestWithoutBinariesTheErrorSaysWhatToInstall(t *testing.T) {
	t.Parallel()
	sys := system{account: unprivileged, download: func(string, string) error {
		t.Error("something was downloaded without being asked for")
		return nil
	}}
	_, err := start(t.Context(), Options{Dir: open(t)}, sys)
	if !errors.Is(err, ErrNoBinaries) {
		t.Fatalf("start = %v, want ErrNoBinaries", err)
	}
	for _, hint := range []string{"apt-get install postgresql", "brew install postgresql@17"} {
		if !strings.Contains(err.Error(), hint) {
			t.Errorf("start = %q, want it to name %q", err, hint)
		}
	}
}

func TestBinariesAreDownloadedOnlyWhenNoneAreThere(t *testing.T) {
	t.Parallel()
	dir := open(t)
	servers(t, dir, map[string]string{"lib/17": "17.1"})
	there := search{globs: []string{filepath.Join(dir, "lib/*/bin")}}
	var downloads int
	offline := errors.New("no route to host")

	fetch := func(result error) func(string, string) error {
		return func(to, repository string) error {
			downloads++
			if !strings.HasPrefix(repository, "https://") {
				t.Errorf("downloaded from %q, want https", repository)
			}
			if result == nil {
				servers(t, filepath.Dir(to), map[string]string{filepath.Base(to): "17.5"})
			}
			return result
		}
	}
	f := folder{dir: filepath.Join(dir, "cluster")}
	own := filepath.Join(f.dir, "binaries", "bin")

	if _, err := f.binaries(t.Context(), system{search: there, download: fetch(nil)}, true); err != nil || downloads != 0 {
		t.Errorf("with binaries there: %v after %d downloads, want nil after none", err, downloads)
	}
	_, err := f.binaries(t.Context(), system{download: fetch(offline)}, true)
	if !errors.Is(err, ErrNoBinaries) || !errors.Is(err, offline) || downloads != 1 {
		t.Errorf("offline: %v after %d downloads, want both reasons after one", err, downloads)
	}
	if got, err := f.binaries(t.Context(), system{download: fetch(nil)}, true); err != nil || got != own || downloads != 2 {
		t.Errorf("online: %s, %v after %d downloads, want %s after two", got, err, downloads, own)
	}
	if got, err := f.binaries(t.Context(), system{download: fetch(nil)}, true); err != nil || got != own || downloads != 2 {
		t.Errorf("the second time: %s, %v after %d downloads, want %s after no further one", got, err, downloads, own)
	}
}

func TestADownloadWithoutAServerInItIsAnError(t *testing.T) {
	t.Parallel()
	repository := httptest.NewServer(http.NotFoundHandler())
	defer repository.Close()
	if err := download(filepath.Join(open(t), "binaries"), repository.URL); err == nil {
		t.Error("download from an empty repository gave no error")
	}
}

func TestWhatWasDownloadedCounts(t *testing.T) {
	t.Parallel()
	dir := open(t)
	// A folder that has everything makes the library skip the network.
	servers(t, dir, map[string]string{"binaries": "17.5"})
	write(t, dir, map[string]string{"binaries/bin/pg_ctl": script(""), "binaries/bin/initdb": "#!/bin/sh\nexit 1\n"})
	if err := download(filepath.Join(dir, "binaries"), "http://127.0.0.1:1"); err != nil {
		t.Errorf("download = %v, want nil", err)
	}
}

package localpg

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ErrNoBinaries says that no PostgreSQL server is installed where one is usually found.
var ErrNoBinaries = errors.New("PostgreSQL is not installed: `apt-get install postgresql` (Debian, Ubuntu) or " +
	"`brew install postgresql@17` (macOS) installs it")

// search is where binaries are looked for.
type search struct {
	pgConfig string   // a program that prints a folder when called with --bindir
	globs    []string // each newest first
	server   string   // a program whose folder is meant
}

// installed is the usual places. Debian keeps the server out of PATH; Homebrew does with versions that are not
// the newest.
func installed() search {
	return search{
		pgConfig: "pg_config",
		globs: []string{
			"/usr/lib/postgresql/*/bin", // Debian, Ubuntu
			"/usr/pgsql-*/bin",          // the PostgreSQL project's own RPMs
			"/opt/homebrew/opt/postgresql@*/bin",
			"/usr/local/opt/postgresql@*/bin",
			"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
			"/Applications/Postgres.app/Contents/Versions/*/bin",
			`C:\Program Files\PostgreSQL\*\bin`,
		},
		server: "postgres",
	}
}

// folders lists every place that has a whole server, best first.
func (s search) folders(ctx context.Context) []string {
	var found []string
	if out, err := exec.CommandContext(ctx, s.pgConfig, "--bindir").Output(); err == nil {
		found = append(found, strings.TrimSpace(string(out)))
	}
	for _, glob := range s.globs {
		matches, _ := filepath.Glob(glob) // fails for a malformed pattern only
		slices.SortStableFunc(matches, func(a, b string) int {
			// The version is in the name of bin's parent; the folders above may have numbers of their own.
			return cmp.Compare(numberIn(filepath.Base(filepath.Dir(b))), numberIn(filepath.Base(filepath.Dir(a))))
		})
		found = append(found, matches...)
	}
	if path, err := exec.LookPath(s.server); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			found = append(found, filepath.Dir(path))
		}
	}
	var whole []string
	for _, dir := range found {
		// libpq-dev brings a pg_config without a server.
		if isServer(dir) && !slices.Contains(whole, dir) {
			whole = append(whole, dir)
		}
	}
	return whole
}

func isServer(dir string) bool {
	_, noInitdb := exec.LookPath(filepath.Join(dir, "initdb"))
	_, noServer := exec.LookPath(filepath.Join(dir, "postgres"))
	return noInitdb == nil && noServer == nil
}

// numberIn is the first number in text, 0 when there is none: 15 in "pgsql-15", 9.6 in "postgresql@9.6".
func numberIn(text string) float64 {
	n, _ := strconv.ParseFloat(regexp.MustCompile(`\d+(\.\d+)?`).FindString(text), 64)
	return n
}

// major asks the server in dir for its major version.
func major(ctx context.Context, dir string) (int, error) {
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return 0, fmt.Errorf("ask %s for its version: %w", dir, err)
	}
	// "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"
	version := numberIn(string(out))
	if version == 0 {
		return 0, fmt.Errorf("ask %s for its version: it answers %q", dir, out)
	}
	return int(version), nil
}

// binaries picks the server for this folder: the best one for a new cluster, one of the same major version for
// an existing cluster, because PostgreSQL reads no other version's files.
func (f folder) binaries(ctx context.Context, sys system, mayDownload bool) (string, error) {
	found := sys.search.folders(ctx)
	if own := filepath.Join(f.downloaded(), "bin"); isServer(own) {
		found = append(found, own)
	}
	if len(found) == 0 && mayDownload {
		if err := sys.download(f.downloaded(), mavenCentral); err != nil {
			return "", fmt.Errorf("%w, and downloading it did not work either: %w", ErrNoBinaries, err)
		}
		found = append(found, filepath.Join(f.downloaded(), "bin"))
	}
	if len(found) == 0 {
		return "", ErrNoBinaries
	}

	want, err := f.major()
	if err != nil || want == 0 {
		return found[0], err
	}
	var others []string
	for _, dir := range found {
		have, err := major(ctx, dir)
		if err == nil && have == want {
			return dir, nil
		}
		others = append(others, strconv.Itoa(have))
	}
	return "", fmt.Errorf("the data in %s were made by PostgreSQL %d, but only %s is installed: install version %d, "+
		"or delete the folder to begin anew", f.dir, want, strings.Join(others, ", "), want)
}

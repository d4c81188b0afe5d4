package localpg

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// superuser is the only role of a new cluster.
const superuser = "postgres"

// folder is where a cluster lives. Its root belongs to whoever starts the cluster, data/ to whoever runs it, so
// that an unprivileged server cannot make root write through a link of its own.
type folder struct {
	dir string
}

func (f folder) data() string       { return filepath.Join(f.dir, "data") }
func (f folder) log() string        { return filepath.Join(f.dir, "postgres.log") }
func (f folder) downloaded() string { return filepath.Join(f.dir, "binaries") }

// openFolder makes the folder if needed. Links are resolved, so that one folder has one name.
func openFolder(dir string) (folder, error) {
	if dir == "" {
		return folder{}, errors.New("a PostgreSQL cluster needs a folder")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return folder{}, fmt.Errorf("make the PostgreSQL folder: %w", err)
	}
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return folder{}, fmt.Errorf("make the PostgreSQL folder: %w", err)
		}
		// Against a strict umask: the server's user must pass through to data/.
		if err := os.Chmod(dir, 0o711); err != nil {
			return folder{}, fmt.Errorf("make the PostgreSQL folder: %w", err)
		}
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return folder{}, fmt.Errorf("make the PostgreSQL folder: %w", err)
	}
	return folder{dir: dir}, nil
}

// lock keeps other processes off until the file is closed or this process dies.
func (f folder) lock() (*os.File, error) {
	file, err := lockFile(filepath.Join(f.dir, "lock"))
	if errors.Is(err, errLocked) {
		return nil, fmt.Errorf("the PostgreSQL folder %s %w", f.dir, ErrInUse)
	}
	if err != nil {
		return nil, fmt.Errorf("lock the PostgreSQL folder: %w", err)
	}
	return file, nil
}

// major is the version that made the data, 0 when there are none yet.
func (f folder) major() (int, error) {
	content, err := os.ReadFile(filepath.Join(f.data(), "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat(f.data()); err == nil {
			return 0, fmt.Errorf("%s exists but is not PostgreSQL's: choose another folder", f.data())
		}
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the PostgreSQL version of %s: %w", f.dir, err)
	}
	text, _, _ := strings.Cut(strings.TrimSpace(string(content)), ".") // 9.6 and before
	return strconv.Atoi(text)
}

// password reads the superuser's password, or invents one for a new cluster.
func (f folder) password() (string, error) {
	path := filepath.Join(f.dir, "password")
	content, err := os.ReadFile(path)
	if err == nil && len(content) > 0 {
		return string(content), nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read the PostgreSQL password: %w", err)
	}
	if version, _ := f.major(); version > 0 {
		return "", fmt.Errorf("%s is missing and nothing else opens the database: "+
			"restore it, or delete the folder to begin anew", path)
	}
	secret := make([]byte, 24)
	rand.Read(secret)
	password := hex.EncodeToString(secret)
	if err := os.WriteFile(path, []byte(password), 0o600); err != nil {
		return "", fmt.Errorf("write the PostgreSQL password: %w", err)
	}
	return password, nil
}

// initialize makes the data of a new cluster, under another name until they are whole: a start that is killed
// in between leaves nothing that looks like a cluster.
func (c *Cluster) initialize(ctx context.Context, durable bool) error {
	version, err := c.folder.major()
	if err != nil || version > 0 {
		return err
	}
	if version, err = major(ctx, c.bin); err != nil {
		return err
	}
	unfinished := c.folder.data() + ".new"
	if err := os.RemoveAll(unfinished); err != nil {
		return fmt.Errorf("remove an unfinished PostgreSQL folder: %w", err)
	}
	if err := os.Mkdir(unfinished, 0o700); err != nil {
		return fmt.Errorf("make the PostgreSQL data folder: %w", err)
	}
	// initdb runs as the other user too, and cannot read the password in its place.
	passwordFile := filepath.Join(c.folder.dir, "password.new")
	os.Remove(passwordFile)
	if err := os.WriteFile(passwordFile, []byte(c.password), 0o600); err != nil {
		return fmt.Errorf("write the PostgreSQL password: %w", err)
	}
	defer os.Remove(passwordFile)
	for _, path := range []string{unfinished, passwordFile} {
		if err := c.account.give(path); err != nil {
			return err
		}
	}

	args := []string{"--pgdata", unfinished, "--username", superuser, "--pwfile", passwordFile,
		"--auth", "scram-sha-256", "--encoding", "UTF8"}
	args = append(args, localeOptions(version, runtime.GOOS)...)
	if !durable {
		args = append(args, "--no-sync")
	}
	if err := c.account.run(ctx, c.executable("initdb"), args); err != nil {
		return err
	}
	if err := os.Rename(unfinished, c.folder.data()); err != nil {
		return fmt.Errorf("name the PostgreSQL data folder: %w", err)
	}
	return nil
}

// localeOptions give every cluster the same order (by code point) and upper and lower case beyond ASCII, as far
// as the version and the system have them, with messages in English.
func localeOptions(version int, system string) []string {
	switch {
	case version >= 17:
		return []string{"--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"}
	case system == "linux":
		return []string{"--locale=C.UTF-8", "--lc-messages=C"}
	case system == "darwin":
		return []string{"--locale=C", "--lc-ctype=en_US.UTF-8"}
	}
	return []string{"--locale=C"}
}

// owner is whom the server runs as; nil means whoever calls. Only root has a choice.
func (f folder) owner(unprivileged func() (*account, error)) (*account, error) {
	a, err := unprivileged()
	if a == nil || err != nil {
		return nil, err
	}
	if uid, gid, ok := ownerOf(f.data()); ok && uid != 0 {
		a = &account{name: strconv.Itoa(uid), uid: uid, gid: gid}
		if u, err := user.LookupId(a.name); err == nil {
			a.name = u.Username
		}
	}
	return a, nil
}

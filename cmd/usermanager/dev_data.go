package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"usermanager/db/localpg"
	"usermanager/server/secret"
)

// defaultDataDir is below the user's cache folder. Root's is closed to the user that PostgreSQL runs as, so
// root has one that everybody may pass through.
func defaultDataDir(euid int, cache string) string {
	if euid == 0 {
		return "/var/lib/usermanager-dev"
	}
	return filepath.Join(cache, "usermanager", "dev")
}

// dataDir is what `dev` keeps between runs. Whoever has it open holds its lock.
type dataDir struct {
	path string
	lock *os.File
}

func (d *dataDir) postgres() string { return filepath.Join(d.path, "postgres") }
func (d *dataDir) inbox() string    { return filepath.Join(d.path, "inbox") }
func (d *dataDir) keyFile() string  { return filepath.Join(d.path, "secret.key") }
func (d *dataDir) state() string    { return filepath.Join(d.path, "running.json") }

var errInUse = errors.New("in use")

// openDataDir makes the folder if needed and locks it. Its own mode lets the user of PostgreSQL pass through,
// and what is secret in it is closed by itself.
func openDataDir(path string) (*dataDir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(path, 0o711); err != nil { // #nosec G301 -- see above
			return nil, fmt.Errorf("make the data folder: %w", err)
		}
	}
	lock, err := lockFile(filepath.Join(path, "lock"))
	if errors.Is(err, errInUse) {
		return nil, fmt.Errorf("another `usermanager dev` runs on %s: stop it, or give this one a --data-dir of its own", path)
	}
	if err != nil {
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	return &dataDir{path: path, lock: lock}, nil
}

// close gives the folder back.
func (d *dataDir) close() {
	_ = os.Remove(d.state()) // one that stays is not believed without the lock
	_ = d.lock.Close()
}

// reset deletes what earlier runs left, and nothing else that may be in the folder.
func (d *dataDir) reset(ctx context.Context) error {
	if err := localpg.Remove(ctx, d.postgres()); err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	for _, path := range []string{d.inbox(), d.keyFile(), d.state()} {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("reset: %w", err)
		}
	}
	return nil
}

// secretKey is this folder's SECRET_KEY, made at the first call.
func (d *dataDir) secretKey() (string, error) {
	content, err := os.ReadFile(d.keyFile())
	if errors.Is(err, fs.ErrNotExist) {
		key := make([]byte, secret.MinKeyBytes)
		_, _ = rand.Read(key) // never returns an error: it ends the program instead
		content = []byte(base64.StdEncoding.EncodeToString(key) + "\n")
		err = writeFile(d.keyFile(), content)
	}
	if err != nil {
		return "", fmt.Errorf("keep a SECRET_KEY: %w", err)
	}
	key, err := secret.ParseKey(string(content))
	if err != nil {
		return "", fmt.Errorf("%s: %w; delete it together with the database by --reset", d.keyFile(), err)
	}
	return string(key), nil
}

// devState is what `dev token` needs of the dev that runs. It holds the database's password.
type devState struct {
	DatabaseURL string `json:"database_url"`
	PublicURL   string `json:"public_url"` // the tokens' issuer
}

func (d *dataDir) writeState(state devState) error {
	content, err := json.Marshal(state)
	if err == nil {
		err = writeFile(d.state(), content)
	}
	if err != nil {
		return fmt.Errorf("keep the state for `dev token`: %w", err)
	}
	return nil
}

// writeFile goes through another name, so that a crash leaves the whole file or none. Mode 0600.
func writeFile(path string, content []byte) error {
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// runningState reads the state of the dev that runs on the folder. A file that a killed one left is told by
// its lock, which the system has released.
func runningState(path string) (devState, error) {
	notRunning := fmt.Errorf("no `usermanager dev` runs on %s: start one, or name its folder with --data-dir", path)
	d := dataDir{path: path}
	content, err := os.ReadFile(d.state())
	if errors.Is(err, fs.ErrNotExist) {
		return devState{}, notRunning
	}
	if err != nil {
		return devState{}, fmt.Errorf("read the state of dev: %w", err)
	}
	lock, err := lockFile(filepath.Join(path, "lock"))
	if err == nil {
		_ = lock.Close()
		return devState{}, notRunning
	}
	if !errors.Is(err, errInUse) {
		return devState{}, fmt.Errorf("read the state of dev: %w", err)
	}
	var state devState
	if err := json.Unmarshal(content, &state); err != nil {
		return devState{}, fmt.Errorf("read the state of dev: %w", err)
	}
	return state, nil
}

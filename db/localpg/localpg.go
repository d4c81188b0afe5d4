// Package localpg runs a private PostgreSQL from binaries that are installed on this machine, for
// `usermanager dev` and for the tests: no service, no container, no configuration.
//
// The server listens on a free TCP port of 127.0.0.1 only, has no Unix socket, and asks for a random password
// (scram-sha-256) that only the starting user can read, so that other users of the machine stay out. PostgreSQL
// refuses to run as root; there it runs as the owner of an existing data folder, else as the user postgres, else
// as nobody, who must be able to enter the folder's parents.
//
// What it is not: a production server. There is no TLS, no backup, no upgrade from one major version to the
// next. From nothing to ready takes one to three seconds, most of them initdb; a restart takes 60 to 200 ms.
// On Linux the kernel stops the server when this process dies, however it dies; elsewhere a server that
// survived a kill -9 is stopped at the next Start on its folder.
package localpg

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrInUse says that another process runs a cluster in the same folder.
var ErrInUse = errors.New("is in use by another process: stop that one or choose another folder")

// Options say where a cluster lives and how careful it is.
type Options struct {
	// Dir holds data, password and log. It is created, and a cluster that is there already is used again.
	Dir string

	// Durable keeps commits through a crash of the machine. Without it fsync and its kin are off: for tests.
	Durable bool

	// Database is created when it is missing. Empty means that only the database "postgres" is wanted.
	Database string

	// Settings are server parameters such as max_connections. They show in the process list: no secrets.
	Settings map[string]string

	// Download fetches binaries into Dir when none are installed, see download.go.
	Download bool
}

// Cluster is a running server. Stop it, or it ends with this process.
type Cluster struct {
	folder   folder
	lock     *os.File
	bin      string
	account  *account
	port     int
	password string
	log      *os.File

	cmd  *exec.Cmd
	done <-chan struct{} // closed when the server process has ended

	stop    sync.Once
	stopErr error
}

// Start runs the cluster of o.Dir and returns when it answers queries. ctx bounds the start, not the cluster.
// Errors are sentences for the person at the terminal; ErrNoBinaries and ErrInUse can be told apart.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	return start(ctx, o, system{search: installed(), account: unprivileged, download: download})
}

// system is what a start takes from the machine; tests bring their own.
type system struct {
	search   search
	account  func() (*account, error)
	download func(dir, repository string) error
}

func start(ctx context.Context, o Options, sys system) (_ *Cluster, err error) {
	c := &Cluster{}
	if c.folder, err = openFolder(o.Dir); err != nil {
		return nil, err
	}
	if c.lock, err = c.folder.lock(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			c.release()
		}
	}()

	if c.account, err = c.folder.owner(sys.account); err != nil {
		return nil, err
	}
	if err = c.account.canEnter(c.folder.dir); err != nil {
		return nil, err
	}
	if c.bin, err = c.folder.binaries(ctx, sys, o.Download); err != nil {
		return nil, err
	}
	if err = c.account.canEnter(c.bin); err != nil {
		return nil, err
	}
	if c.password, err = c.folder.password(); err != nil {
		return nil, err
	}
	if err = c.initialize(ctx, o.Durable); err != nil {
		return nil, err
	}
	if err = stopOrphan(ctx, c.folder.data()); err != nil {
		return nil, err
	}
	if err = c.run(ctx, o); err != nil {
		return nil, err
	}
	if err = c.createDatabase(ctx, o.Database); err != nil {
		return nil, errors.Join(err, c.Stop(context.WithoutCancel(ctx)))
	}
	return c, nil
}

// URL is where the superuser reaches a database of this cluster. It contains the password.
func (c *Cluster) URL(database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, c.password),
		Host:     fmt.Sprintf("127.0.0.1:%d", c.port),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Done is closed when the server has ended, whether Stop was called or it crashed.
func (c *Cluster) Done() <-chan struct{} {
	return c.done
}

// Stop ends the server: open transactions are rolled back, data reach the disk, connections close. It returns
// when the process is gone. When that takes longer than ctx or 30 seconds, the server is ended hard and the
// error says so; nothing that was committed is lost, and the next start recovers it. Stopping twice is fine.
func (c *Cluster) Stop(ctx context.Context) error {
	c.stop.Do(func() {
		c.stopErr = c.shutDown(ctx)
		c.release()
	})
	return c.stopErr
}

func (c *Cluster) shutDown(ctx context.Context) error {
	polite, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	c.interrupt(fast)
	if c.ended(polite) {
		return nil
	}
	harder, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	c.interrupt(immediate)
	if !c.ended(harder) {
		c.cmd.Process.Kill()
		<-c.done
	}
	return errors.New("PostgreSQL did not stop in time and was ended hard; it recovers at its next start")
}

func (c *Cluster) ended(ctx context.Context) bool {
	select {
	case <-c.done:
		return true
	default:
	}
	select {
	case <-c.done:
		return true
	case <-ctx.Done():
		return false
	}
}

// release gives the folder back.
func (c *Cluster) release() {
	if c.log != nil {
		c.log.Close()
	}
	unlockFile(c.lock)
}

// Remove deletes the folder of a cluster that no process runs any more, with all data. The error is an
// ErrInUse while one does.
func Remove(ctx context.Context, dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	f, err := openFolder(dir)
	if err != nil {
		return err
	}
	lock, err := f.lock()
	if err != nil {
		return err
	}
	defer unlockFile(lock)
	if err := stopOrphan(ctx, f.data()); err != nil {
		return err
	}
	return os.RemoveAll(f.dir)
}

func (c *Cluster) createDatabase(ctx context.Context, name string) error {
	if name == "" || name == "postgres" {
		return nil
	}
	conn, err := pgx.Connect(ctx, c.URL("postgres"))
	if err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	defer conn.Close(context.WithoutCancel(ctx))

	var exists bool // checking first is safe here: the lock keeps every other Start away
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, name).Scan(&exists)
	if err == nil && !exists {
		_, err = conn.Exec(ctx, `CREATE DATABASE `+pgx.Identifier{name}.Sanitize())
	}
	if err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}

// executable finds a program of the chosen PostgreSQL; Windows appends .exe by itself.
func (c *Cluster) executable(name string) string {
	return filepath.Join(c.bin, name)
}

// tail is the end of the server's log, for errors.
func (c *Cluster) tail() string {
	content, _ := os.ReadFile(c.folder.log())
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

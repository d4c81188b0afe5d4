package localpg

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	startTimeout = time.Minute // recovery after a crash included
	retryPause   = 200 * time.Millisecond
)

// run starts the server until one start holds. Two refusals are nobody's mistake: somebody else took the port
// between our look and the server's, and what a killed server left behind takes a moment to go.
func (c *Cluster) run(ctx context.Context, o Options) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout,
		fmt.Errorf("PostgreSQL did not answer within %s, see %s", startTimeout, c.folder.log()))
	defer cancel()
	for {
		err := c.runOnce(ctx, o)
		if err == nil {
			return nil
		}
		log := c.tail()
		again := strings.Contains(log, "could not bind") || strings.Contains(log, "in use") ||
			strings.Contains(log, `lock file "postmaster.pid" already exists`)
		if !again || !errors.Is(err, errEnded) {
			return err
		}
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return err
		}
	}
}

var errEnded = errors.New("PostgreSQL ended while it started")

func (c *Cluster) runOnce(ctx context.Context, o Options) (err error) {
	if c.log != nil {
		c.log.Close()
	}
	if c.log, err = os.OpenFile(c.folder.log(), os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return fmt.Errorf("open the PostgreSQL log: %w", err)
	}
	if c.port, err = freePort(); err != nil {
		return err
	}
	c.cmd = c.account.command(c.executable("postgres"), serverArgs(c.folder.data(), c.port, o))
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	if c.done, err = launch(c.cmd); err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	if err := c.waitReady(ctx); err != nil {
		_ = c.shutDown(ctx) // err says already why there is no server
		return err
	}
	return nil
}

// serverArgs are the server's command line. The last of two equal settings wins, so o.Settings come last.
func serverArgs(data string, port int, o Options) []string {
	settings := []string{
		"listen_addresses=127.0.0.1",
		"port=" + strconv.Itoa(port),
		"unix_socket_directories=", // Debian's default is not writable for us, and a socket is a door more
		"logging_collector=off",
	}
	if !o.Durable {
		settings = append(settings, "fsync=off", "synchronous_commit=off", "full_page_writes=off",
			"wal_level=minimal", "max_wal_senders=0", "log_checkpoints=off")
	}
	var own []string
	for name, value := range o.Settings {
		own = append(own, name+"="+value)
	}
	slices.Sort(own)

	args := []string{"-D", data}
	for _, setting := range append(settings, own...) {
		args = append(args, "-c", setting)
	}
	return args
}

// waitReady asks until the server answers a login. Before that it refuses connections or says that it starts.
func (c *Cluster) waitReady(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := c.connectOnce(ctx)
		if err == nil {
			return nil
		}
		// Somebody else's server on a port that was free a moment ago knows our password just as little.
		pgErr, answered := errors.AsType[*pgconn.PgError](err)
		wrongPassword := answered && pgErr.Code == "28P01" && c.isReady()
		select {
		case <-c.done:
			return fmt.Errorf("%w: %s", errEnded, c.tail())
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		if wrongPassword {
			return fmt.Errorf("the password in %s does not open its database: restore it, or delete the folder "+
				"to begin anew", c.folder.dir)
		}
	}
}

// isReady reads what our server itself says: its process number and, once it accepts connections, its state.
func (c *Cluster) isReady() bool {
	content, _ := os.ReadFile(filepath.Join(c.folder.data(), "postmaster.pid"))
	lines := strings.Split(string(content), "\n")
	return lines[0] == strconv.Itoa(c.cmd.Process.Pid) && strings.Contains(string(content), "ready")
}

func (c *Cluster) connectOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.URL("postgres"))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// freePort asks the system for a port that nobody has now.
func freePort() (int, error) {
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return 0, fmt.Errorf("find a free port for PostgreSQL: %w", err)
	}
	defer listener.Close()
	address, err := netip.ParseAddrPort(listener.Addr().String())
	return int(address.Port()), err
}

package dbtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"usermanager/db"
)

const (
	databasePrefix = "usermanager_test_"     // + seconds since 1970 + "_" + random
	templatePrefix = "usermanager_template_" // + fingerprint
	zone           = "Asia/Kathmandu"

	// staleAfter is longer than any run: a database of that age belongs to one that was killed.
	staleAfter = 24 * time.Hour
	// templateLock is held while a template is made: the packages of one `go test ./...` are processes.
	templateLock = 7_305_802_471_023_559
)

// server makes and drops databases. It starts when first asked.
type server struct {
	from sources

	start    sync.Once
	startErr error
	running  running
	base     *url.URL      // of the database that admin is connected to
	admin    *pgxpool.Pool // nil until started
	copies   string        // how this version copies a database best

	migrate    sync.Once
	migrateErr error
}

func (s *server) ready(ctx context.Context) error {
	s.start.Do(func() { s.startErr = s.open(ctx) })
	return s.startErr
}

func (s *server) open(ctx context.Context) (err error) {
	if s.running, err = s.from.open(ctx); err != nil {
		return err
	}
	s.base, err = url.Parse(s.running.url)
	if err != nil || s.base.Scheme != "postgres" && s.base.Scheme != "postgresql" {
		// The parser's own error quotes the URL, password included.
		return errors.New("TEST_DATABASE_URL has to be of the form postgres://user:password@host:port/database")
	}
	config, err := pgxpool.ParseConfig(s.running.url)
	if err != nil {
		return err
	}
	config.MaxConns = 8 // more copies at once only take turns in the server
	if s.admin, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return err
	}
	var version int
	if err := s.admin.QueryRow(ctx, `SELECT current_setting('server_version_num')::int`).Scan(&version); err != nil {
		return fmt.Errorf("connect to the test server: %w", err)
	}
	if version >= 15_00_00 {
		s.copies = " STRATEGY file_copy" // in memory twice as fast as by the log, which became the default in 15
	}
	return s.dropStale(ctx, time.Now())
}

func (s *server) close() error {
	s.start.Do(func() { s.startErr = errors.New("the tests are over") })
	if s.admin != nil {
		s.admin.Close()
	}
	if s.running.stop == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return s.running.stop(ctx)
}

// url is where a test reaches one of the databases.
func (s *server) url(database string) string {
	u := *s.base
	u.Path = "/" + database
	return u.String()
}

// clone copies the migrated template, which the first caller waits for.
func (s *server) clone(ctx context.Context) (string, error) {
	if err := s.ready(ctx); err != nil {
		return "", err
	}
	s.migrate.Do(func() { s.migrateErr = s.makeTemplate(ctx, template(), db.Migrate) })
	if s.migrateErr != nil {
		return "", fmt.Errorf("migrate the template: %w", s.migrateErr)
	}
	return s.create(ctx, " TEMPLATE "+template()+s.copies)
}

func (s *server) empty(ctx context.Context) (string, error) {
	if err := s.ready(ctx); err != nil {
		return "", err
	}
	return s.create(ctx, " TEMPLATE template0"+s.copies)
}

// create makes a database. Names are made of letters, digits and _ here, so nothing needs quoting.
func (s *server) create(ctx context.Context, options string) (string, error) {
	name := databasePrefix + strconv.FormatInt(time.Now().Unix(), 10) + "_" + strings.ToLower(rand.Text()[:12])
	if _, err := s.admin.Exec(ctx, "CREATE DATABASE "+name+options); err != nil {
		return "", err
	}
	if _, err := s.admin.Exec(ctx, "ALTER DATABASE "+name+" SET timezone = '"+zone+"'"); err != nil {
		return "", errors.Join(err, s.drop(ctx, name))
	}
	return name, nil
}

func (s *server) drop(ctx context.Context, name string) error {
	_, err := s.admin.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
	return err
}

// template names the database that has this schema: 16 of the fingerprint's digits, because names end at 63.
func template() string {
	return templatePrefix + db.Fingerprint()[:16]
}

// makeTemplate migrates a database unless another process has: under another name until it is whole, so that a
// run that is killed here leaves no half of a template. Nobody can connect to the finished one, because a
// database that has connections cannot be copied.
func (s *server) makeTemplate(ctx context.Context, name string,
	migrate func(ctx context.Context, url string) (int, error)) (err error) {
	conn, err := s.admin.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(templateLock)); err != nil {
		return err
	}
	defer func() {
		_, unlockErr := conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, int64(templateLock))
		err = errors.Join(err, unlockErr)
	}()

	var exists bool
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, name).Scan(&exists)
	if err != nil || exists {
		return err
	}
	unfinished := name + "_new"
	if err := s.drop(ctx, unfinished); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+unfinished+" TEMPLATE template0"+s.copies); err != nil {
		return err
	}
	if _, err := migrate(ctx, s.url(unfinished)); err != nil {
		return errors.Join(err, s.drop(context.WithoutCancel(ctx), unfinished))
	}
	if _, err := conn.Exec(ctx, "ALTER DATABASE "+unfinished+" ALLOW_CONNECTIONS false"); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "ALTER DATABASE "+unfinished+" RENAME TO "+name)
	return err
}

// dropStale removes databases of killed runs from a server that outlives them.
func (s *server) dropStale(ctx context.Context, now time.Time) error {
	rows, err := s.admin.Query(ctx, `SELECT datname FROM pg_database
		WHERE starts_with(datname, $1) AND pg_has_role(datdba, 'MEMBER')`, databasePrefix)
	if err != nil {
		return err
	}
	var stale []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		seconds, _, _ := strings.Cut(strings.TrimPrefix(name, databasePrefix), "_")
		made, err := strconv.ParseInt(seconds, 10, 64)
		if err == nil && now.Sub(time.Unix(made, 0)) > staleAfter {
			stale = append(stale, name)
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, name := range stale {
		if err := s.drop(ctx, name); err != nil {
			return fmt.Errorf("drop %s of an earlier run: %w", name, err)
		}
	}
	return nil
}

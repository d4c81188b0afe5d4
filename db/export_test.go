package db

import (
	"context"
	"io/fs"
	"maps"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Sequence is a schema that tests make up, with River's tables at the given numbers.
type Sequence struct{ schema }

func NewSequence(files fs.FS, river map[int64]int) Sequence {
	s := schema{files: files}
	for _, version := range slices.Sorted(maps.Keys(river)) { // in order, as riverSteps has them
		s.river = append(s.river, riverStep{version: version, target: river[version]})
	}
	return Sequence{s}
}

// Embedded is the real one.
func Embedded() Sequence { return Sequence{embedded()} }

func (s Sequence) Up(ctx context.Context, url string) (applied int, err error) {
	err = withMigrator(ctx, url, s.schema, func(m *migrator) error {
		applied, err = m.up(ctx)
		return err
	})
	return applied, err
}

func (s Sequence) Down(ctx context.Context, url string) (version int64, err error) {
	err = withMigrator(ctx, url, s.schema, func(m *migrator) error {
		version, err = m.down(ctx)
		return err
	})
	return version, err
}

func (s Sequence) Steps() []Migration  { return s.steps() }
func (s Sequence) Fingerprint() string { return s.fingerprint() }

// Hold takes the migrators' lock, as a migration that is running does, until the returned function is called.
func Hold(ctx context.Context, pool *pgxpool.Pool) (release func(), err error) {
	conn, err := lock(ctx, pool)
	if err != nil {
		return nil, err
	}
	return sync.OnceFunc(func() { conn.Hijack().Close(context.WithoutCancel(ctx)) }), nil
}

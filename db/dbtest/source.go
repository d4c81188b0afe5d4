package dbtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"usermanager/db/localpg"
)

// running is a server and what ends it; stop is nil for one that is not ours.
type running struct {
	url  string
	stop func(context.Context) error
}

// sources are the places a server can come from, in this order.
type sources struct {
	url       string // TEST_DATABASE_URL
	local     func(context.Context) (running, error)
	container func(context.Context) (running, error)
}

func systemSources() sources {
	return sources{
		url:       os.Getenv("TEST_DATABASE_URL"),
		local:     func(ctx context.Context) (running, error) { return startLocal(ctx, memoryOrDisk()) },
		container: startContainer,
	}
}

func (s sources) open(ctx context.Context) (running, error) {
	if s.url != "" {
		return running{url: s.url}, nil
	}
	server, err := s.local(ctx)
	// Binaries that are there but do not start are a fault to report, not a reason for a container.
	if !errors.Is(err, localpg.ErrNoBinaries) {
		return server, err
	}
	server, containerErr := s.container(ctx)
	if containerErr != nil {
		return running{}, fmt.Errorf("%w; or set TEST_DATABASE_URL, or start Docker (%w)", err, containerErr)
	}
	return server, nil
}

// serverSettings suit many small databases that live for a second.
func serverSettings() map[string]string {
	return map[string]string{
		"max_connections": "300",
		"autovacuum":      "off", // its workers would visit every database and hold up the copies
	}
}

const folderPrefix = "usermanager-test-"

// startLocal runs a private server in a new folder of parent.
func startLocal(ctx context.Context, parent string) (running, error) {
	removeStale(ctx, parent, time.Now())
	// Not os.MkdirTemp: its folders are closed to the user that the server runs as when we are root.
	dir := filepath.Join(parent, folderPrefix+strings.ToLower(rand.Text()))
	cluster, err := localpg.Start(ctx, localpg.Options{Dir: dir, Settings: serverSettings()})
	if err != nil {
		return running{}, errors.Join(err, os.RemoveAll(dir))
	}
	return running{url: cluster.URL("postgres"), stop: func(ctx context.Context) error {
		return errors.Join(cluster.Stop(ctx), os.RemoveAll(dir))
	}}, nil
}

// removeStale removes the folders of killed runs. Locked ones are in use, and the youngest may not have their
// lock yet. What cannot be removed is another user's.
func removeStale(ctx context.Context, parent string, now time.Time) {
	folders, _ := filepath.Glob(filepath.Join(parent, folderPrefix+"*")) // fails for a malformed pattern only
	for _, dir := range folders {
		if info, err := os.Stat(dir); err == nil && now.Sub(info.ModTime()) > time.Minute {
			_ = localpg.Remove(ctx, dir)
		}
	}
}

// memoryOrDisk is a folder in memory when that is big enough for a cluster and a few hundred databases of 9 MB;
// containers often have 64 MB there.
func memoryOrDisk() string {
	const enough = 2 << 30
	if free, err := freeMemoryDisk(); err == nil && free >= enough {
		if probe, err := os.CreateTemp(memoryDisk, "usermanager-probe-"); err == nil {
			probe.Close()
			os.Remove(probe.Name())
			return memoryDisk
		}
	}
	return os.TempDir()
}

package dbtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"usermanager/db/localpg"
)

func TestTheServerComesFromTheFirstSourceThatHasOne(t *testing.T) {
	t.Parallel()
	broken := errors.New("no space left")
	source := func(url string, err error) func(context.Context) (running, error) {
		return func(context.Context) (running, error) { return running{url: url}, err }
	}
	for _, c := range []struct {
		name             string
		url              string
		local, container func(context.Context) (running, error)
		want             string
		wantErr          error
	}{
		{"TEST_DATABASE_URL before all", "set", source("local", nil), source("container", nil), "set", nil},
		{"binaries before a container", "", source("local", nil), source("container", nil), "local", nil},
		{"a container without binaries", "", source("", localpg.ErrNoBinaries), source("container", nil), "container", nil},
		{"wrapped, too", "", source("", fmt.Errorf("start: %w", localpg.ErrNoBinaries)), source("container", nil), "container", nil},
		{"no container for broken binaries", "", source("", broken), source("container", nil), "", broken},
		{"nothing", "", source("", localpg.ErrNoBinaries), source("", broken), "", broken},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := sources{url: c.url, local: c.local, container: c.container}.open(t.Context())
			if got.url != c.want || !errors.Is(err, c.wantErr) {
				t.Errorf("open = %q, %v, want %q, %v", got.url, err, c.want, c.wantErr)
			}
		})
	}
}

func TestWithoutAnySourceTheErrorNamesAllWays(t *testing.T) {
	t.Parallel()
	_, err := sources{
		local:     func(context.Context) (running, error) { return running{}, localpg.ErrNoBinaries },
		container: func(context.Context) (running, error) { return running{}, errors.New("no daemon") },
	}.open(t.Context())
	if !errors.Is(err, localpg.ErrNoBinaries) {
		t.Fatalf("open = %v, want ErrNoBinaries", err)
	}
	for _, way := range []string{"apt-get install", "TEST_DATABASE_URL", "Docker", "no daemon"} {
		if !strings.Contains(err.Error(), way) {
			t.Errorf("open = %q, want it to mention %q", err, way)
		}
	}
}

func TestTheSystemsSourcesFollowTheEnvironment(t *testing.T) {
	t.Setenv("TEST_DATABASE_URL", "postgres://from-the-environment/")
	if got, err := systemSources().open(t.Context()); err != nil || got.url != "postgres://from-the-environment/" {
		t.Errorf("open = %q, %v, want TEST_DATABASE_URL", got.url, err)
	}
}

func TestALocalServerTakesManyConnectionsAndLeavesNothing(t *testing.T) {
	t.Parallel()
	parent := open(t)
	server, err := startLocal(t.Context(), parent)
	if err != nil {
		t.Fatalf("startLocal: %v", err)
	}
	for setting, want := range map[string]string{"max_connections": "300", "fsync": "off"} {
		if got := query[string](t, server.url, "SELECT current_setting('"+setting+"')"); got != want {
			t.Errorf("%s = %s, want %s", setting, got, want)
		}
	}
	if err := server.stop(t.Context()); err != nil {
		t.Errorf("stop: %v", err)
	}
	if entries, _ := os.ReadDir(parent); len(entries) != 0 {
		t.Errorf("the stopped server leaves %v", entries)
	}
}

func TestALocalServerThatCannotStartLeavesNothing(t *testing.T) {
	t.Parallel()
	parent := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := startLocal(ctx, parent); err == nil {
		t.Fatal("startLocal with an ended context gave no error")
	}
	if entries, _ := os.ReadDir(parent); len(entries) != 0 {
		t.Errorf("the start that failed leaves %v", entries)
	}
}

func TestFoldersOfKilledRunsAreRemoved(t *testing.T) {
	t.Parallel()
	parent := open(t)
	now := time.Now()
	folder := func(name string, age time.Duration) {
		dir := filepath.Join(parent, name)
		if err := os.Mkdir(dir, 0o711); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(dir, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	folder(folderPrefix+"killed", time.Hour)
	folder(folderPrefix+"just-made", time.Second)
	folder("somebody-elses", time.Hour)
	server, err := startLocal(t.Context(), parent)
	if err != nil {
		t.Fatalf("startLocal: %v", err)
	}
	defer server.stop(context.Background())

	removeStale(t.Context(), parent, now.Add(30*time.Second)) // twice the same age for the running one: locked
	removeStale(t.Context(), parent, now.Add(40*time.Second))
	entries, err := os.ReadDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, entry := range entries {
		left = append(left, entry.Name())
	}
	if slices.Contains(left, folderPrefix+"killed") {
		t.Errorf("the killed run's folder is still among %v", left)
	}
	for _, want := range []string{folderPrefix + "just-made", "somebody-elses"} {
		if !slices.Contains(left, want) {
			t.Errorf("%s was removed, %v are left", want, left)
		}
	}

	removeStale(t.Context(), parent, now.Add(time.Hour))
	if query[int](t, server.url, "SELECT 1") != 1 {
		t.Error("the running server's folder was removed")
	}
}

func TestTheContainerIsAskedForWhatALocalServerHas(t *testing.T) {
	t.Parallel()
	request := containerRequest("s3cret")
	command := strings.Join(request.Cmd, " ")
	for _, want := range []string{"fsync=off", "max_connections=300", "autovacuum=off"} {
		if !strings.Contains(command, want) {
			t.Errorf("the command is %q, want %s in it", command, want)
		}
	}
	if request.Image != "postgres:17-alpine" || request.Env["POSTGRES_PASSWORD"] != "s3cret" || request.WaitingFor == nil {
		t.Errorf("the request is for %s with %v, want postgres:17-alpine, the password and something to wait for",
			request.Image, request.Env)
	}

	u, err := url.Parse(containerURL("[::1]:5432", "a/b@c"))
	if err != nil {
		t.Fatal(err)
	}
	if password, _ := u.User.Password(); password != "a/b@c" || u.Hostname() != "::1" || u.Path != "/postgres" {
		t.Errorf("the URL is %v, want the password and the address as given", u)
	}
}

func TestWithoutDockerTheContainerIsAnError(t *testing.T) {
	t.Setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
	t.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if server, err := startContainer(ctx); err == nil {
		server.stop(ctx)
		t.Error("a container without Docker gave no error")
	}
}

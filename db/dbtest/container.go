package dbtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/moby/moby/api/types/network"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"
)

const containerPort = "5432/tcp"

// startContainer runs PostgreSQL in Docker, for machines that have no binaries of it.
func startContainer(ctx context.Context) (_ running, err error) {
	// The library panics where it finds no Docker at all.
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("run a PostgreSQL container: %v", cause)
		}
	}()
	password := rand.Text()
	container, err := testcontainers.GenericContainer(ctx, testcontainers.GenericContainerRequest{
		ContainerRequest: containerRequest(password),
		Started:          true,
	})
	stop := func(ctx context.Context) error {
		return testcontainers.TerminateContainer(container, testcontainers.StopContext(ctx))
	}
	if err != nil {
		return running{}, errors.Join(fmt.Errorf("run a PostgreSQL container: %w", err), stop(ctx))
	}
	address, err := container.PortEndpoint(ctx, containerPort, "")
	if err != nil {
		return running{}, errors.Join(fmt.Errorf("find the PostgreSQL container: %w", err), stop(ctx))
	}
	return running{url: containerURL(address, password), stop: stop}, nil
}

func containerRequest(password string) testcontainers.ContainerRequest {
	command := []string{"postgres", "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"}
	for name, value := range serverSettings() {
		command = append(command, "-c", name+"="+value)
	}
	return testcontainers.ContainerRequest{
		Image:        "postgres:17-alpine",
		ExposedPorts: []string{containerPort},
		Cmd:          command,
		Env: map[string]string{
			"POSTGRES_PASSWORD": password,
			// The order and letter case that package localpg gives a cluster.
			"POSTGRES_INITDB_ARGS": "--locale=C --locale-provider=builtin --builtin-locale=C.UTF-8",
		},
		Tmpfs: map[string]string{"/var/lib/postgresql/data": "rw"},
		// Docker's proxy accepts connections before PostgreSQL does, so an open port says nothing.
		WaitingFor: wait.ForSQL(containerPort, "pgx", func(host string, port network.Port) string {
			return containerURL(net.JoinHostPort(host, port.Port()), password)
		}).WithStartupTimeout(time.Minute),
	}
}

func containerURL(address, password string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword("postgres", password),
		Host:     address,
		Path:     "/postgres",
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

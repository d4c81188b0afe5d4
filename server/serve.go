package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Time-outs of a connection (I-22), and of stopping.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 60 * time.Second
	maxHeaderBytes    = 16 << 10
	finishTimeout     = 20 * time.Second // for requests that are under way
	jobsStopTimeout   = 4 * time.Second  // a job that does not end by then is rescued by another server
)

// Serve answers requests on l and works jobs until ctx ends. Then /readyz refuses for drain, so that balancers
// turn away; requests under way finish, jobs stop, and nil is returned.
func (s *Server) Serve(ctx context.Context, l net.Listener, drain time.Duration) error {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	if err := s.jobs.Start(running); err != nil {
		return errors.Join(fmt.Errorf("start jobs: %w", err), l.Close())
	}
	go s.keepKeys(running)
	httpServer := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(s.Logger.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- httpServer.Serve(l) }()
	select {
	case err := <-served:
		return errors.Join(fmt.Errorf("serve: %w", err), s.stopJobs())
	case <-ctx.Done():
	}
	s.draining.Store(true)
	select { // the listener still answers
	case <-time.After(drain):
	case err := <-served:
		return errors.Join(fmt.Errorf("serve: %w", err), s.stopJobs())
	}
	finish, cancel := context.WithTimeout(running, finishTimeout)
	defer cancel()
	err := httpServer.Shutdown(finish)
	if err != nil {
		err = errors.Join(fmt.Errorf("finish requests: %w", err), httpServer.Close())
	}
	return errors.Join(err, s.stopJobs())
}

// stopJobs lets running jobs end; those that take too long are cancelled and tried again later.
func (s *Server) stopJobs() error {
	ctx, cancel := context.WithTimeout(context.Background(), jobsStopTimeout)
	defer cancel()
	if err := s.jobs.Stop(ctx); err == nil {
		return nil
	}
	ctx, cancel = context.WithTimeout(context.Background(), jobsStopTimeout)
	defer cancel()
	if err := s.jobs.StopAndCancel(ctx); err != nil {
		return fmt.Errorf("stop jobs: %w", err)
	}
	return nil
}

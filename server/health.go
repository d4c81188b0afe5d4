package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"usermanager/db"
	"usermanager/gen/api"
)

const (
	readyTimeout = time.Second
	readyCache   = time.Second // however often it is asked, the database is asked once a second (F-32)
)

// readiness is the last answer about the database.
type readiness struct {
	mu        sync.Mutex
	checkedAt time.Time
	err       error
}

// GetLiveness touches nothing: a process that can answer is alive, whatever its database does.
func (s *Server) GetLiveness(context.Context, api.GetLivenessRequestObject) (api.GetLivenessResponseObject, error) {
	return api.GetLiveness200JSONResponse{Status: api.HealthStatusOk}, nil
}

// GetReadiness says whether requests can be served: the database answers, its schema is this server's or newer,
// and the server is not about to stop.
func (s *Server) GetReadiness(ctx context.Context, _ api.GetReadinessRequestObject) (api.GetReadinessResponseObject, error) {
	if s.draining.Load() {
		return nil, &Problem{Code: api.ProblemCodeShuttingDown, RetryAfter: time.Second}
	}
	if err := s.checkDatabase(ctx); err != nil {
		code := api.ProblemCodeDatabaseUnavailable
		if errors.Is(err, db.ErrSchemaOutdated) {
			code = api.ProblemCodeSchemaOutdated
		}
		return nil, &Problem{Code: code, RetryAfter: time.Second, cause: err}
	}
	return api.GetReadiness200JSONResponse{Status: api.HealthStatusOk}, nil
}

func (s *Server) checkDatabase(ctx context.Context) error {
	s.ready.mu.Lock()
	defer s.ready.mu.Unlock()
	if time.Since(s.ready.checkedAt) < readyCache {
		return s.ready.err
	}
	// Not the client's context: its going away says nothing about the database, and others read the answer.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout)
	defer cancel()
	s.ready.err = db.CheckSchema(ctx, s.Pool)
	s.ready.checkedAt = time.Now()
	return s.ready.err
}

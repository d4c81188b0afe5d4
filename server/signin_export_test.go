package server

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/labstack/echo/v4"

	"usermanager/gen/query"
)

// ReloadKeys does at once what Serve does every 30 seconds.
func (s *Server) ReloadKeys(ctx context.Context) error { return s.reloadKeys(ctx) }

// AddRoute lets a test answer a path itself, behind the middleware of every route.
func (s *Server) AddRoute(path string, answer echo.HandlerFunc) { s.echo.GET(path, answer) }

// InTx lets a test do what no operation does in a transaction.
func (s *Server) InTx(ctx context.Context, do func(q *query.Queries, tx pgx.Tx) error) error {
	return s.inTx(ctx, do)
}

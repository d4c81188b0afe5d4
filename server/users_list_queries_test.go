package server_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"usermanager/db/dbtest"
	"usermanager/gen/query"
)

// queryTracer collects the statements of requests that ask for it by their context.
type queryTracer struct{}

type tracedQueries struct {
	mu         sync.Mutex
	statements []string
}

type tracedKey struct{}

func (queryTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if traced, ok := ctx.Value(tracedKey{}).(*tracedQueries); ok {
		traced.mu.Lock()
		defer traced.mu.Unlock()
		traced.statements = append(traced.statements, data.SQL)
	}
	return ctx
}

func (queryTracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// newTracedSystem is a system that counts the queries of a request.
func newTracedSystem(t *testing.T) *system {
	t.Helper()
	config, err := pgxpool.ParseConfig(dbtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig.Tracer = queryTracer{}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return newSystemOn(t, pool)
}

func (s *system) queriesOf(path, token string) []string {
	s.t.Helper()
	traced := &tracedQueries{}
	ctx := context.WithValue(s.t.Context(), tracedKey{}, traced)
	req := httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	req.Header.Set("Authorization", "Bearer "+token)
	answer := httptest.NewRecorder()
	s.server.Handler().ServeHTTP(answer, req)
	if answer.Code != http.StatusOK {
		s.t.Fatalf("GET %s: got %d %s", path, answer.Code, answer.Body)
	}
	return traced.statements
}

// The replaced system asked the database once more for every row and link.
func TestAReadCostsTheSameFewQueriesWhateverItsSize(t *testing.T) {
	t.Parallel()
	s := newTracedSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	listInsert(s, 120, "now() - make_interval(secs => i)")
	s.exec("INSERT INTO mails (id, user_id, kind) SELECT gen_random_uuid(), id, 'upgraded' FROM users, generate_series(1, 3)")
	cursor := listOf(t, s.call(http.MethodGet, "/users?limit=10", admin.token, nil)).NextCursor.MustGet()
	for _, tc := range []struct {
		path string
		want int
	}{
		{"/users/me", 1},
		{"/users/" + admin.id.String(), 3}, // who is calling, the account, its failed sign-ins
		{"/users?limit=1", 4},              // who is calling, the page, the total, the failed sign-ins of all on the page
		{"/users?limit=10", 4},
		{"/users?limit=100", 4},
		{"/users?limit=50&skip=60", 4},
		{"/users?limit=100&cursor=" + cursor, 4},
		{"/users?limit=100&role=AUTHENTICATED&is_locked=false", 4},
	} {
		if got := s.queriesOf(tc.path, admin.token); len(got) != tc.want {
			t.Errorf("GET %s: got %d queries, want %d\n%q", tc.path, len(got), tc.want, got)
		}
	}
}

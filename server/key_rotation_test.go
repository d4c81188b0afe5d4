package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"usermanager/db/dbtest"
	"usermanager/gen/query"
	"usermanager/server"
	"usermanager/server/secret"
)

// never keeps a server's own reloading out of a test, which reloads by itself.
const never = time.Hour

// keysOf are the keys of a database for an operator, who has the SECRET_KEY of the tests.
func keysOf(t testing.TB, pool *pgxpool.Pool, times server.KeyTimes) *server.Keys {
	t.Helper()
	return server.NewKeys(server.Options{Pool: pool, Secret: rootOfKeys(t, testKey, nil), KeyTimes: times})
}

// keyStates are the kids of the stored keys by state.
func keyStates(s *system) map[query.SigningKeyState][]string {
	s.t.Helper()
	rows, err := s.pool.Query(context.Background(), "SELECT state, kid FROM signing_keys ORDER BY created_at")
	if err != nil {
		s.t.Fatal(err)
	}
	defer rows.Close()
	states := map[query.SigningKeyState][]string{}
	for rows.Next() {
		var state query.SigningKeyState
		var kid string
		if err := rows.Scan(&state, &kid); err != nil {
			s.t.Fatal(err)
		}
		states[state] = append(states[state], kid)
	}
	if err := rows.Err(); err != nil {
		s.t.Fatal(err)
	}
	return states
}

// publishedIDs are the kids of the JWKS, sorted.
func publishedIDs(s *system) []string {
	s.t.Helper()
	var kids []string
	for _, key := range publishedKeys(s) {
		kids = append(kids, fmt.Sprint(key["kid"]))
	}
	slices.Sort(kids)
	return kids
}

// keyAudits are the audit rows about keys, oldest first, as "action kid by".
func keyAudits(s *system) []string {
	s.t.Helper()
	var rows []string
	s.scan(`SELECT coalesce(array_agg(concat_ws(' ', action, new ->> 'kid', 'by the', new ->> 'by') ORDER BY id), '{}')
		FROM audit WHERE action::text ~ '^(signing|secret)_key_'`, nil, &rows)
	return rows
}

func reload(t testing.TB, systems ...*system) {
	t.Helper()
	for _, s := range systems {
		if err := s.server.ReloadKeys(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

func sameIssuer(t testing.TB) func(*server.Options) {
	t.Helper()
	url := parsedURL(t, "https://users.example.com")
	return func(o *server.Options) { o.PublicURL = url }
}

func kidOf(t testing.TB, token string) string {
	t.Helper()
	return fmt.Sprint(tokenPart(t, token, 0)["kid"])
}

// T-20: whoever reads the JWKS has a key before it signs, and a key outlives the last token that it signed.
func TestTheDefaultTimesOfKeysKeepTheirPromises(t *testing.T) {
	t.Parallel()
	if op := closedSpec().Paths.Value("/.well-known/jwks.json").Get; op.Extensions["x-cache-seconds"] != server.JWKSCacheTime.Seconds() {
		t.Errorf("getJwks may be kept for %v s, the code reckons with %s", op.Extensions["x-cache-seconds"], server.JWKSCacheTime)
	}
	for _, accessTTL := range []time.Duration{time.Minute, 15 * time.Minute, 30 * 24 * time.Hour} {
		got := server.NewKeys(server.Options{AccessTTL: accessTTL}).Times()
		if got.Reload != 30*time.Second || got.Rotation != 0 {
			t.Errorf("got %+v, want a reload of 30 s, which the commands' help says, and no schedule", got)
		}
		if got.Lead <= server.JWKSCacheTime+got.Reload {
			t.Errorf("a next key is published for %s, want more than the cache and the reload", got.Lead)
		}
		// Another server signs with the old key until it has reloaded; a minute ago ACCESS_TTL may have been longer.
		if lastSignature := got.Reload; got.RetireAfter-lastSignature < max(accessTTL, 15*time.Minute)+secret.ClockLeeway {
			t.Errorf("with tokens of %s a key is accepted for %s after a takeover", accessTTL, got.RetireAfter)
		}
	}
	if got := server.NewKeys(server.Options{KeyTimes: server.KeyTimes{1, 2, 3, 4}}).Times(); got != (server.KeyTimes{1, 2, 3, 4}) {
		t.Errorf("got %+v: given times are changed", got)
	}
}

// T-20, step by step, each step on two servers.
func TestAKeyIsPublishedThenSignsThenIsRetired(t *testing.T) {
	t.Parallel()
	slow := func(o *server.Options) { o.KeyTimes = server.KeyTimes{Reload: never} }
	first := newSystem(t, sameIssuer(t), slow)
	second := newSystemOn(t, first.pool, sameIssuer(t), slow)
	user := first.signedIn(query.UserRoleAUTHENTICATED)
	keys := keysOf(t, first.pool, server.KeyTimes{})
	works := func(token string) []int {
		return []int{first.call(http.MethodGet, "/users/me", token, nil).status, second.call(http.MethodGet, "/users/me", token, nil).status}
	}

	began := time.Now()
	rotation, err := keys.Begin(t.Context())
	if err != nil || !rotation.Began || rotation.Previous != kidOf(t, user.token) || !rotation.LeavesAt.IsZero() {
		t.Fatalf("got %+v, error %v", rotation, err)
	}
	if wait := rotation.At.Sub(began); wait < 14*time.Minute || wait > 16*time.Minute {
		t.Errorf("the next key signs in %s, want a quarter of an hour", wait)
	}
	both := []string{rotation.Previous, rotation.Next}
	slices.Sort(both)
	reload(t, first, second)
	for _, s := range []*system{first, second} {
		if got := publishedIDs(s); !slices.Equal(got, both) {
			t.Errorf("while it waits: got %v, want %v", got, both)
		}
		if got := kidOf(t, s.login(user.email, goodPassword)); got != rotation.Previous {
			t.Errorf("while it waits: %s signs", got)
		}
	}

	first.exec("UPDATE signing_keys SET signs_from = now() WHERE state = 'next'")
	reload(t, first)
	newToken := first.login(user.email, goodPassword)
	if got := kidOf(t, newToken); got != rotation.Next {
		t.Errorf("after its time: %s signs, want %s", got, rotation.Next)
	}
	if got := works(newToken); !slices.Equal(got, []int{200, 200}) {
		t.Errorf("a new token on a server that has not reloaded: got %v, want it accepted", got)
	}
	if late := second.login(user.email, goodPassword); !slices.Equal(works(late), []int{200, 200}) || kidOf(t, late) != rotation.Previous {
		t.Error("a token that the other server still signs with the old key is not accepted")
	}
	reload(t, second)
	if got := works(user.token); !slices.Equal(got, []int{200, 200}) {
		t.Errorf("an old token: got %v, want it accepted", got)
	}

	first.exec("UPDATE signing_keys SET leaves_at = now() WHERE state = 'retired'")
	reload(t, second, first) // whoever comes first erases it
	if got := works(user.token); !slices.Equal(got, []int{401, 401}) {
		t.Errorf("an old token afterwards: got %v, want it refused", got)
	}
	if got := works(newToken); !slices.Equal(got, []int{200, 200}) {
		t.Errorf("a new token afterwards: got %v, want it accepted", got)
	}
	for _, s := range []*system{first, second} {
		if got := publishedIDs(s); !slices.Equal(got, []string{rotation.Next}) {
			t.Errorf("afterwards: got %v, want %s alone", got, rotation.Next)
		}
	}
	want := []string{
		"signing_key_published " + rotation.Next + " by the command line",
		"signing_key_took_over " + rotation.Next + " by the system",
		"signing_key_retired " + rotation.Previous + " by the system",
	}
	if got := keyAudits(first); !slices.Equal(got, want) {
		t.Errorf("got audit %q, want %q", got, want)
	}
}

// T-20: a key whose time is over counts for nothing, even where nobody has erased it.
func TestAKeyIsRefusedOnTimeByAServerThatCannotEraseIt(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(o *server.Options) { o.KeyTimes.Reload = never })
	user := s.signedIn(query.UserRoleAUTHENTICATED)
	if _, err := keysOf(t, s.pool, server.KeyTimes{}).TakeOver(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.exec("UPDATE signing_keys SET leaves_at = now() WHERE state = 'retired'")
	s.exec("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''refused''; END'")
	s.exec("CREATE TRIGGER refuse BEFORE DELETE ON signing_keys FOR EACH ROW EXECUTE FUNCTION refuse()")
	if err := s.server.ReloadKeys(t.Context()); err == nil || !strings.Contains(err.Error(), "erase signing keys") {
		t.Errorf("got %v, want the failure to erase", err)
	}
	if got := s.call(http.MethodGet, "/users/me", user.token, nil).status; got != http.StatusUnauthorized {
		t.Errorf("got %d, want 401", got)
	}
}

func TestTheScheduleRotatesByItself(t *testing.T) {
	t.Parallel()
	scheduled := func(o *server.Options) {
		o.KeyTimes = server.KeyTimes{Rotation: 2 * time.Second, Lead: time.Second, Reload: 100 * time.Millisecond, RetireAfter: time.Second}
	}
	s := newSystem(t, sameIssuer(t), scheduled)
	newSystemOn(t, s.pool, sameIssuer(t), scheduled)
	s.eventually("two rotations", func() bool { return s.count("SELECT count(*) FROM audit WHERE action = 'signing_key_took_over'") >= 2 })
	var apart float64
	s.scan(`SELECT extract(epoch FROM max(at) - min(at))::float8
		FROM (SELECT at FROM audit WHERE action = 'signing_key_took_over' ORDER BY id LIMIT 2) AS takeovers`, nil, &apart)
	if apart < 2 {
		t.Errorf("two takeovers are %.3f s apart, want the schedule's two", apart)
	}
	if n := s.count("SELECT count(*) FROM audit WHERE action::text LIKE 'signing_key_%' AND (new ->> 'by' <> 'system' OR actor_id IS NOT NULL)"); n != 0 {
		t.Errorf("%d audit rows name somebody else than the system", n)
	}
}

func TestWithoutAScheduleNothingRotates(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.exec("UPDATE signing_keys SET created_at = now() - interval '10 years', signs_from = now() - interval '10 years'")
	reload(t, s)
	if got := keyStates(s); len(got) != 1 || len(got[query.SigningKeyStateCurrent]) != 1 {
		t.Errorf("got %v, want the one key", got)
	}
}

// Servers and operators who rotate at once make one rotation, at its beginning and at its end.
func TestOneRotationComesOfMany(t *testing.T) {
	t.Parallel()
	times := server.KeyTimes{Rotation: 90 * 24 * time.Hour, Reload: never}
	scheduled := func(o *server.Options) { o.KeyTimes = times }
	systems := []*system{newSystem(t, sameIssuer(t), scheduled)}
	s := systems[0]
	for range 2 {
		systems = append(systems, newSystemOn(t, s.pool, sameIssuer(t), scheduled))
	}
	keys := keysOf(t, s.pool, times)
	old := keyStates(s)[query.SigningKeyStateCurrent][0]
	s.exec("UPDATE signing_keys SET signs_from = now() - interval '90 days'")
	told := make([]string, 20)
	atOnce(len(told), len(told), func(i int) {
		if i%2 == 0 {
			if err := systems[i%3].server.ReloadKeys(context.Background()); err != nil {
				t.Error(err)
			}
			return
		}
		rotation, err := keys.Begin(context.Background())
		if err != nil || rotation.Previous != old {
			t.Errorf("got %+v, error %v", rotation, err)
		}
		told[i] = rotation.Next
	})
	states := keyStates(s)
	if len(states[query.SigningKeyStateNext]) != 1 || len(states[query.SigningKeyStateCurrent]) != 1 || len(keyAudits(s)) != 1 {
		t.Fatalf("got %v with audit %v, want one next key", states, keyAudits(s))
	}
	next := states[query.SigningKeyStateNext][0]
	for i, kid := range told {
		if i%2 == 1 && kid != next {
			t.Errorf("operator %d is told %s, want %s", i, kid, next)
		}
	}

	s.exec("UPDATE signing_keys SET signs_from = now() WHERE state = 'next'")
	atOnce(20, 20, func(i int) {
		if err := systems[i%3].server.ReloadKeys(context.Background()); err != nil {
			t.Error(err)
		}
	})
	states = keyStates(s)
	if !slices.Equal(states[query.SigningKeyStateCurrent], []string{next}) || !slices.Equal(states[query.SigningKeyStateRetired], []string{old}) ||
		len(states[query.SigningKeyStateNext]) != 0 || len(keyAudits(s)) != 2 {
		t.Errorf("got %v with audit %v, want one takeover", states, keyAudits(s))
	}
}

// An operator who waits for a server's takeover is told of it instead of making a second one.
func TestATakeoverThatCameFirstIsTheOneThatWasWanted(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(o *server.Options) { o.KeyTimes.Reload = never })
	keys := keysOf(t, s.pool, server.KeyTimes{})
	for name, ask := range map[string]func(context.Context) (server.Rotation, error){"Begin": keys.Begin, "TakeOver": keys.TakeOver} {
		rotation, err := keys.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		tx, err := s.pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		q := query.New(tx)
		lockErr := q.SigningKeyLock(t.Context())
		_, stopErr := q.SigningKeyStop(t.Context(), 3600)
		_, startErr := q.SigningKeyStart(t.Context())
		if err := errors.Join(lockErr, stopErr, startErr); err != nil {
			t.Fatal(err)
		}
		type answer struct {
			server.Rotation
			error
		}
		answers := make(chan answer, 1)
		go func() {
			got, err := ask(context.Background())
			answers <- answer{got, err}
		}()
		s.eventually("the operator waits", func() bool {
			return s.count("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'") == 1
		})
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := <-answers
		if got.error != nil || got.Began || got.Next != rotation.Next || got.Previous != rotation.Previous || got.LeavesAt.IsZero() {
			t.Errorf("%s: got %+v, error %v; want that %s has taken over", name, got.Rotation, got.error, rotation.Next)
		}
		if states := keyStates(s); len(states[query.SigningKeyStateNext]) != 0 {
			t.Errorf("%s: got %v, want no other rotation", name, states)
		}
	}
}

func TestATakeoverAtOnceUsesTheKeyThatIsPublished(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	keys := keysOf(t, s.pool, server.KeyTimes{RetireAfter: time.Hour})
	begun, err := keys.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rotation, err := keys.TakeOver(t.Context())
	if err != nil || rotation.Began || rotation.Next != begun.Next || rotation.Previous != begun.Previous {
		t.Errorf("got %+v, error %v, want %s to take over", rotation, err, begun.Next)
	}
	if lag := time.Until(rotation.LeavesAt); lag < 59*time.Minute || lag > time.Hour {
		t.Errorf("the key before is accepted for %s, want an hour", lag)
	}
	again, err := keys.TakeOver(t.Context())
	if err != nil || !again.Began || again.Previous != begun.Next {
		t.Errorf("got %+v, error %v, want a new key", again, err)
	}
	if got := keyStates(s); len(got[query.SigningKeyStateRetired]) != 2 {
		t.Errorf("got %v, want two keys that are still accepted", got)
	}
}

func TestOnlyTheSecretKeyOfTheDatabaseRotates(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	before := keyStates(s)
	keys := server.NewKeys(server.Options{Pool: s.pool, Secret: rootOfKeys(t, otherKey, nil)})
	_, beginErr := keys.Begin(t.Context())
	_, takeOverErr := keys.TakeOver(t.Context())
	_, retireErr := keys.Retire(t.Context(), before[query.SigningKeyStateCurrent][0])
	_, rewrapErr := keys.Rewrap(t.Context())
	for _, err := range []error{beginErr, takeOverErr, retireErr, rewrapErr} {
		if err == nil || !strings.Contains(err.Error(), "SECRET_KEY is not the one") {
			t.Errorf("got %v, want a refusal of the SECRET_KEY", err)
		}
	}
	if after := keyStates(s); fmt.Sprint(after) != fmt.Sprint(before) || len(keyAudits(s)) != 0 {
		t.Errorf("got %v with audit %v, want nothing changed", after, keyAudits(s))
	}
}

func TestADatabaseWithoutKeysSaysSo(t *testing.T) {
	t.Parallel()
	keys := keysOf(t, dbtest.Pool(t), server.KeyTimes{})
	_, beginErr := keys.Begin(t.Context())
	_, takeOverErr := keys.TakeOver(t.Context())
	_, rewrapErr := keys.Rewrap(t.Context())
	for _, err := range []error{beginErr, takeOverErr, rewrapErr} {
		if !errors.Is(err, server.ErrNoKeys) {
			t.Errorf("got %v, want %v", err, server.ErrNoKeys)
		}
	}
	if infos, err := keys.List(t.Context()); err != nil || len(infos) != 0 {
		t.Errorf("got %v, error %v", infos, err)
	}
}

func TestTheListTellsEachKeysTimes(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	times := server.KeyTimes{Lead: time.Minute, RetireAfter: time.Hour}
	keys := keysOf(t, s.pool, times)
	if _, err := keys.TakeOver(t.Context()); err != nil {
		t.Fatal(err)
	}
	list := func(keys *server.Keys) []server.KeyInfo {
		infos, err := keys.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return infos
	}
	if got := list(keys); len(got) != 2 || got[0].State != query.SigningKeyStateRetired || got[0].LeavesAt == nil || got[1].LeavesAt != nil {
		t.Errorf("got %+v, want a key that leaves and one of which nobody knows", got)
	}
	times.Rotation = 24 * time.Hour
	if got := list(keysOf(t, s.pool, times))[1]; got.LeavesAt == nil || got.LeavesAt.Sub(got.SignsFrom) != 25*time.Hour {
		t.Errorf("got %+v, want it to leave an hour after the schedule's day", got)
	}
	rotation, err := keys.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := list(keys)
	if got[1].LeavesAt == nil || !got[1].LeavesAt.Equal(rotation.At.Add(time.Hour)) || got[2].KID != rotation.Next || !got[2].SignsFrom.Equal(rotation.At) {
		t.Errorf("got %+v, want the current key to leave an hour after the next one signs", got)
	}
	for _, info := range got {
		if info.CreatedAt.IsZero() || info.CreatedAt.Location() != time.UTC || info.SignsFrom.Before(info.CreatedAt) {
			t.Errorf("got %+v", info)
		}
	}
}

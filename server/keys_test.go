package server_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"usermanager/db/dbtest"
	"usermanager/gen/query"
	"usermanager/server"
	"usermanager/server/mail"
	"usermanager/server/secret"
)

const otherKey = "tests only: another key 0123456789abcdef"

func rootOfKeys(t testing.TB, current string, previous []byte) *secret.Root {
	t.Helper()
	root, err := secret.NewRoot([]byte(current), previous)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// bareServer is a server that nobody serves: what New says about a database.
func bareServer(t testing.TB, pool *pgxpool.Pool, root *secret.Root) (*server.Server, error) {
	t.Helper()
	hasher, err := secret.NewHasher(secret.HasherOptions{Params: cheap})
	if err != nil {
		t.Fatal(err)
	}
	from, err := mail.ParseFrom("Tests <tests@example.com>")
	if err != nil {
		t.Fatal(err)
	}
	inbox, err := mail.OpenInbox("", from)
	if err != nil {
		t.Fatal(err)
	}
	return server.New(context.Background(), server.Options{
		Pool: pool, Secret: root, Mail: inbox, Hasher: hasher, PublicURL: parsedURL(t, "https://users.example.com"),
		Product: mail.Product{Name: "Test Product", URL: "https://product.example.com"},
		Logger:  slog.New(slog.DiscardHandler),
	})
}

// plantSigningKey makes the current key a new one, as another server would, and returns its id.
func plantSigningKey(s *system, root *secret.Root) string {
	s.t.Helper()
	key, err := secret.NewSigningKey()
	if err != nil {
		s.t.Fatal(err)
	}
	private, err := key.MarshalPrivate()
	if err != nil {
		s.t.Fatal(err)
	}
	s.exec("UPDATE signing_keys SET state = 'retired', leaves_at = now() + interval '1 hour' WHERE state = 'current'")
	s.exec("INSERT INTO signing_keys (kid, state, sealed) VALUES ($1, 'current', $2)", key.ID, root.Seal(secret.PurposeSigningKey, private, []byte(key.ID)))
	return key.ID
}

func publishedKeys(s *system) []map[string]any {
	s.t.Helper()
	got := s.call(http.MethodGet, "/.well-known/jwks.json", "", nil)
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal(got.body, &set); err != nil || got.status != http.StatusOK {
		s.t.Fatalf("got %d %s", got.status, got.body)
	}
	return set.Keys
}

// T-21
func TestOnlyPublicKeysArePublished(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	forge := newTokenForge(s, s.signedIn(query.UserRoleAUTHENTICATED).token)
	keys := publishedKeys(s)
	if len(keys) != 1 {
		t.Fatalf("got %d keys, want 1", len(keys))
	}
	names := []string{}
	for name := range keys[0] {
		names = append(names, name)
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"alg", "crv", "kid", "kty", "use", "x", "y"}) || keys[0]["kid"] != forge.kid || keys[0]["use"] != "sig" || keys[0]["alg"] != "ES256" {
		t.Errorf("got %v, want the public members of %s", keys[0], forge.kid)
	}
	if cache := s.call(http.MethodGet, "/.well-known/jwks.json", "", nil).header.Get("Cache-Control"); cache != "public, max-age=300" {
		t.Errorf("got Cache-Control %q: keys are read by many and change seldom", cache)
	}
	private, err := forge.key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range dumpedTables(s) { // at rest they are sealed
		if n := s.count(fmt.Sprintf("SELECT count(*) FROM %s AS t WHERE t::text LIKE '%%' || $1 || '%%'", table), hex.EncodeToString(private)); n != 0 {
			t.Errorf("%s holds the private key in clear", table)
		}
	}
}

// one sentence that names the setting, and nothing of either key.
func TestAStartWithAnotherSecretKeyStopsInOneSentence(t *testing.T) {
	t.Parallel()
	pool := dbtest.Pool(t)
	first, err := bareServer(t, pool, rootOfKeys(t, testKey, nil))
	if err != nil || first == nil {
		t.Fatalf("on an empty database: %v", err)
	}
	_, err = bareServer(t, pool, rootOfKeys(t, otherKey, nil))
	if err == nil {
		t.Fatal("a start with another SECRET_KEY worked")
	}
	text := err.Error()
	if !strings.Contains(text, "SECRET_KEY ") || !strings.Contains(text, "SECRET_KEY_PREVIOUS") || strings.ContainsAny(text, "\n") || strings.Contains(text, "0123456789") {
		t.Errorf("got %q, want a sentence that names both settings and shows neither", text)
	}
	if _, err := bareServer(t, pool, rootOfKeys(t, otherKey, []byte(testKey))); err != nil {
		t.Errorf("with the old key as SECRET_KEY_PREVIOUS: %v", err)
	}
	if _, err := bareServer(t, pool, rootOfKeys(t, testKey, nil)); err != nil {
		t.Errorf("with the old key, which another server may still run with: %v", err)
	}
}

// A change of SECRET_KEY ends no session.
func TestTokensOutliveAChangeOfTheSecretKey(t *testing.T) {
	t.Parallel()
	url := parsedURL(t, "https://users.example.com")
	fixed := func(o *server.Options) { o.PublicURL = url }
	before := newSystem(t, fixed)
	user := before.signedIn(query.UserRoleAUTHENTICATED)
	before.stop()
	after := newSystemOn(t, before.pool, fixed, func(o *server.Options) { o.Secret = rootOfKeys(t, otherKey, []byte(testKey)) })
	if got := after.call(http.MethodGet, "/users/me", user.token, nil); got.status != http.StatusOK {
		t.Errorf("got %d %s, want 200", got.status, got.body)
	}
	mustSignIn(t, signInAttempt(after, user.email, goodPassword))
}

func TestASigningKeySealedUnderAnotherSecretKeyStopsTheStart(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	plantSigningKey(s, rootOfKeys(t, otherKey, nil))
	if _, err := bareServer(t, s.pool, rootOfKeys(t, testKey, nil)); err == nil || !strings.Contains(err.Error(), "signing key") {
		t.Errorf("got %v, want an error about the signing key", err)
	}
	s.exec("UPDATE signing_keys SET sealed = '\\x00' WHERE state = 'current'")
	if _, err := bareServer(t, s.pool, rootOfKeys(t, testKey, nil)); err == nil {
		t.Error("a damaged signing key did not stop the start")
	}
}

// A key that cannot be read later does not stop a server that runs: it goes on with those it has.
func TestAServerGoesOnWithItsKeysWhenReloadingFails(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	user := s.signedIn(query.UserRoleAUTHENTICATED)
	plantSigningKey(s, rootOfKeys(t, otherKey, nil))
	if err := s.server.ReloadKeys(t.Context()); err == nil {
		t.Error("reloading a key of another SECRET_KEY worked")
	}
	for _, token := range []string{user.token, s.login(user.email, goodPassword)} {
		if got := s.call(http.MethodGet, "/users/me", token, nil); got.status != http.StatusOK {
			t.Errorf("got %d %s, want 200", got.status, got.body)
		}
	}
}

// T-20: what another server does with the keys arrives here.
func TestServersPickUpEachOthersKeys(t *testing.T) {
	t.Parallel()
	url := parsedURL(t, "https://users.example.com")
	fixed := func(o *server.Options) { o.PublicURL = url }
	first := newSystem(t, fixed)
	user := first.signedIn(query.UserRoleAUTHENTICATED)
	newID := plantSigningKey(first, rootOfKeys(t, testKey, nil))
	second := newSystemOn(t, first.pool, fixed) // starts with the new key
	newToken := second.login(user.email, goodPassword)
	if kid := tokenPart(t, newToken, 0)["kid"]; kid != newID {
		t.Fatalf("the second server signs with %v, want %s", kid, newID)
	}
	status := func(s *system, token string) int { return s.call(http.MethodGet, "/users/me", token, nil).status }
	if got := status(first, newToken); got != http.StatusUnauthorized {
		t.Errorf("before it knows the key: got %d, want 401", got)
	}
	if err := first.server.ReloadKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*system{"first": first, "second": second} {
		if status(s, user.token) != http.StatusOK || status(s, newToken) != http.StatusOK {
			t.Errorf("%s: old key %d, new key %d; want 200 twice", name, status(s, user.token), status(s, newToken))
		}
		if keys := publishedKeys(s); len(keys) != 2 {
			t.Errorf("%s: publishes %d keys, want both", name, len(keys))
		}
	}
	if kid := tokenPart(t, first.login(user.email, goodPassword), 0)["kid"]; kid != newID {
		t.Errorf("the first server signs with %v after reloading, want %s", kid, newID)
	}
	// A key that is taken away counts for nothing, also in the memory of verified tokens.
	first.exec("DELETE FROM signing_keys WHERE state = 'retired'")
	if err := first.server.ReloadKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := status(first, user.token); got != http.StatusUnauthorized {
		t.Errorf("a token of a key that is gone: got %d, want 401", got)
	}
	if got := status(first, newToken); got != http.StatusOK {
		t.Errorf("a token of the key that stays: got %d, want 200", got)
	}
}

// T-34
func TestARestartRevivesNothing(t *testing.T) {
	t.Parallel()
	url := parsedURL(t, "https://users.example.com")
	fixed := func(o *server.Options) { o.PublicURL = url }
	before := newSystem(t, fixed)
	live, ended := before.signedIn(query.UserRoleAUTHENTICATED), before.signedIn(query.UserRoleAUTHENTICATED)
	before.exec("UPDATE sessions SET ended_at = now() WHERE user_id = $1", ended.id)
	before.stop()
	after := newSystemOn(t, before.pool, fixed)
	if got := after.call(http.MethodGet, "/users/me", live.token, nil); got.status != http.StatusOK {
		t.Errorf("the live session: got %d %s", got.status, got.body)
	}
	if got := after.call(http.MethodGet, "/users/me", ended.token, nil); got.status != http.StatusUnauthorized {
		t.Errorf("the ended session: got %d, want 401", got.status)
	}
}

func TestServersThatStartTogetherAgreeOnOneKey(t *testing.T) {
	t.Parallel()
	pool := dbtest.Pool(t)
	servers := make([]*server.Server, 10)
	atOnce(len(servers), len(servers), func(i int) {
		var err error
		if servers[i], err = bareServer(t, pool, rootOfKeys(t, testKey, nil)); err != nil {
			t.Errorf("server %d: %v", i, err)
		}
	})
	var keys, current int
	if err := pool.QueryRow(t.Context(), "SELECT count(*), count(*) FILTER (WHERE state = 'current') FROM signing_keys").Scan(&keys, &current); err != nil {
		t.Fatal(err)
	}
	if keys != 1 || current != 1 {
		t.Errorf("got %d keys, %d of them current; want one", keys, current)
	}
	if t.Failed() {
		return
	}
	user, err := servers[0].CreateAccount(t.Context(), server.NewAccount{Email: "a@example.com", Password: goodPassword, Role: query.UserRoleAUTHENTICATED, EmailVerified: true})
	if err != nil {
		t.Fatal(err)
	}
	kids := map[any]bool{}
	for _, s := range servers {
		token, err := s.AccessToken(t.Context(), user.Email)
		if err != nil {
			t.Fatal(err)
		}
		kids[tokenPart(t, token, 0)["kid"]] = true
	}
	if len(kids) != 1 {
		t.Errorf("the servers sign with %d keys, want one", len(kids))
	}
}

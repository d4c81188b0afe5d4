package server_test

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"usermanager/db/dbtest"
	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
	"usermanager/server/secret"
)

// A change of SECRET_KEY from its beginning to its end: both keys, rewrap, only the new key.
func TestAfterARewrapThePreviousSecretKeyCanGo(t *testing.T) {
	t.Parallel()
	before := newSystem(t, sameIssuer(t))
	user := before.signedIn(query.UserRoleAUTHENTICATED)
	_, renewed := openSessionAs(before, user.email, nil)
	_, resting := openSessionAs(before, user.email, nil)
	_, oldLink := unverified(before)
	if _, err := keysOf(t, before.pool, server.KeyTimes{}).TakeOver(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := keysOf(t, before.pool, server.KeyTimes{}).Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	before.stop()

	both := rootOfKeys(t, otherKey, []byte(testKey))
	during := newSystemOn(t, before.pool, sameIssuer(t), func(o *server.Options) { o.Secret, o.KeyTimes.Reload = both, 100*time.Millisecond })
	if logs := during.logs.String(); !strings.Contains(logs, "keys rewrap") {
		t.Errorf("the start does not say that a rewrap is due: %s", logs)
	}
	_, newLink := unverified(during)
	keys := server.NewKeys(server.Options{Pool: during.pool, Secret: both})
	done, err := keys.Rewrap(t.Context())
	if err != nil || done.SigningKeys != 3 || !done.CheckValue {
		t.Fatalf("got %+v, error %v, want three keys and the check value", done, err)
	}
	if left := time.Until(done.Links.Until); done.Links.Count != 1 || left < 23*time.Hour || left > 72*time.Hour {
		t.Errorf("got links %+v, want the one of the old key", done.Links)
	}
	if left := time.Until(done.Sessions.Until); done.Sessions.Count != 3 || left < 23*time.Hour || left > 24*time.Hour {
		t.Errorf("got sessions %+v, want those of before, for as long as they may rest", done.Sessions)
	}
	during.login(user.email, goodPassword)
	renewed = refreshed(during, renewed.RefreshToken.MustGet())
	again, err := keys.Rewrap(t.Context())
	if err != nil || again.SigningKeys != 0 || again.CheckValue || again.Links != done.Links || again.Sessions.Count != 2 {
		t.Errorf("a second time: got %+v, error %v, want that nothing is left but %+v", again, err, done.Links)
	}
	if got := keyAudits(during); got[len(got)-1] != "secret_key_rewrapped by the command line" || len(got) != 4 {
		t.Errorf("got audit %q, want one row of the rewrap", got)
	}

	reload(t, during) // the server that runs goes on
	if got := during.call(http.MethodGet, "/users/me", user.token, nil).status; got != http.StatusOK {
		t.Errorf("a live token: got %d, want 200", got)
	}
	if during.login(user.email, goodPassword); strings.Contains(during.logs.String(), "not reloaded") {
		t.Error("the server that runs cannot read its keys")
	}

	after := newSystemOn(t, before.pool, sameIssuer(t), func(o *server.Options) { o.Secret = rootOfKeys(t, otherKey, nil) })
	if got := after.call(http.MethodGet, "/users/me", user.token, nil).status; got != http.StatusOK {
		t.Errorf("a live token, without the previous key: got %d, want 200", got)
	}
	after.login(user.email, goodPassword)
	refreshed(after, renewed.RefreshToken.MustGet())
	refreshWith(after, resting.RefreshToken.MustGet()).problem(t, api.ProblemCodeInvalidRefreshToken)
	refreshed(during, resting.RefreshToken.MustGet())
	if old, young := verifyByToken(after, oldLink).status, verifyByToken(after, newLink).status; old == http.StatusOK || young != http.StatusOK {
		t.Errorf("without the previous key: the old link %d, the new one %d", old, young)
	}
	if got := verifyByToken(during, oldLink).status; got != http.StatusOK {
		t.Errorf("with the previous key: the old link %d, want 200", got)
	}
	if _, err := bareServer(t, before.pool, rootOfKeys(t, testKey, nil)); err == nil || !strings.Contains(err.Error(), "SECRET_KEY") {
		t.Errorf("a start with the previous key alone: got %v, want a refusal", err)
	}
	if last, err := keys.Rewrap(t.Context()); err != nil || last.Links.Count != 0 || last.Sessions.Count != 1 {
		t.Errorf("when link and token have been used: got %+v, error %v", last, err)
	}
}

func TestARewrapDoesAllOrNothing(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	plantSigningKey(s, rootOfKeys(t, "tests only: a third key 0123456789abcdef", nil))
	sealedKeys := func() (text string) {
		s.scan("SELECT string_agg(k::text, ',' ORDER BY kid) || (SELECT c::text FROM secret_key_check c) FROM signing_keys k", nil, &text)
		return text
	}
	before := sealedKeys()
	keys := server.NewKeys(server.Options{Pool: s.pool, Secret: rootOfKeys(t, otherKey, []byte(testKey))})
	if done, err := keys.Rewrap(t.Context()); err == nil || !strings.Contains(err.Error(), "keys retire") || done != (server.Rewrapped{}) {
		t.Errorf("got %+v, error %v, want an error that says what to do", done, err)
	}
	if sealedKeys() != before || len(keyAudits(s)) != 0 {
		t.Error("a part of it was done")
	}
}

// A link that is not yet mailed lives from its delivery on, so the previous key is needed for that long.
func TestARewrapReckonsWithMailsThatAreUnderWay(t *testing.T) {
	t.Parallel()
	pool := dbtest.Pool(t)
	s, err := bareServer(t, pool, rootOfKeys(t, testKey, nil)) // sends no mails
	if err != nil {
		t.Fatal(err)
	}
	user, err := s.CreateAccount(t.Context(), server.NewAccount{Email: "a@example.com", Password: goodPassword, Role: query.UserRoleAUTHENTICATED})
	if err != nil {
		t.Fatal(err)
	}
	old, id := rootOfKeys(t, testKey, nil), uuid.Must(uuid.NewV7())
	token := old.MintToken(secret.PurposeInvitation, id, user.ID, user.EmailCanonical)
	_, err = query.New(pool).TokenCreate(t.Context(), query.TokenCreateParams{
		ID: id, UserID: user.ID, Purpose: query.TokenPurposeInvitation, Address: user.EmailCanonical, Hash: secret.TokenHash(token), UndeliveredSeconds: 60,
	})
	if err != nil {
		t.Fatal(err)
	}
	keys := server.NewKeys(server.Options{Pool: pool, Secret: rootOfKeys(t, otherKey, []byte(testKey))})
	done, err := keys.Rewrap(t.Context())
	if left := time.Until(done.Links.Until); err != nil || done.Links.Count != 1 || left < 143*time.Hour || left > 144*time.Hour {
		t.Errorf("got %+v, error %v, want the invitation for twice its three days", done.Links, err)
	}
}

// T-21: private keys are never in the clear: not in the database at any step, not in the log, not in audit rows.
func TestPrivateKeysStaySealedThroughARotation(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(o *server.Options) {
		o.KeyTimes = server.KeyTimes{Rotation: time.Second, Lead: 500 * time.Millisecond, Reload: 100 * time.Millisecond, RetireAfter: time.Second}
	})
	root := rootOfKeys(t, testKey, nil)
	seen := map[string]bool{}
	s.eventually("three keys", func() bool {
		var kids []string
		var sealed [][]byte
		s.scan("SELECT array_agg(kid), array_agg(sealed) FROM signing_keys", nil, &kids, &sealed)
		for i, kid := range kids {
			der, err := root.Open(secret.PurposeSigningKey, sealed[i], []byte(kid))
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := x509.ParsePKCS8PrivateKey(der)
			if err != nil {
				t.Fatal(err)
			}
			scalar, err := parsed.(*ecdsa.PrivateKey).Bytes()
			if err != nil {
				t.Fatal(err)
			}
			seen[string(scalar)] = true
			for _, table := range dumpedTables(s) {
				if n := s.count(fmt.Sprintf("SELECT count(*) FROM %s AS t WHERE t::text LIKE '%%' || $1 || '%%'", table), hex.EncodeToString(scalar)); n != 0 {
					t.Errorf("%s holds a private key in the clear", table)
				}
			}
		}
		return len(seen) >= 3
	})
	logs := s.logs.String()
	for scalar := range seen {
		for _, text := range []string{scalar, hex.EncodeToString([]byte(scalar)), base64.RawURLEncoding.EncodeToString([]byte(scalar)), base64.StdEncoding.EncodeToString([]byte(scalar))} {
			if strings.Contains(logs, text) {
				t.Error("the log holds a private key")
			}
		}
	}
}

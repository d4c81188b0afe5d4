package server_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"usermanager/gen/query"
	"usermanager/server"
)

// T-20, T-03: an emergency. The promise is 60 s where servers reload every 30 s, so twice the reload.
func TestARetiredKeyIsRefusedByEveryServerInTime(t *testing.T) {
	t.Parallel()
	const reloadEvery = time.Second
	quick := func(o *server.Options) { o.KeyTimes.Reload = reloadEvery }
	first := newSystem(t, sameIssuer(t), quick)
	second := newSystemOn(t, first.pool, sameIssuer(t), quick)
	user := first.signedIn(query.UserRoleAUTHENTICATED)
	stolen := newTokenForge(first, user.token)
	refused := func(s *system, token string) bool {
		return s.call(http.MethodGet, "/users/me", token, nil).status == http.StatusUnauthorized
	}
	if forged := stolen.with(map[string]any{"jti": "forged"}); refused(first, forged) || refused(second, forged) {
		t.Fatal("what the stolen key signs is not accepted before: the test proves nothing")
	}

	began := time.Now()
	successor, err := keysOf(t, first.pool, server.KeyTimes{}).Retire(t.Context(), stolen.kid)
	if err != nil || successor == "" || successor == stolen.kid {
		t.Fatalf("got successor %q, error %v", successor, err)
	}
	for _, s := range []*system{first, second} {
		s.eventually("the refusal", func() bool { return refused(s, user.token) })
	}
	if took := time.Since(began); took > 2*reloadEvery {
		t.Errorf("every server refuses the key after %s, want %s at most", took, 2*reloadEvery)
	}
	for _, s := range []*system{first, second} {
		if !refused(s, stolen.with(map[string]any{"jti": "forged again"})) {
			t.Error("a new token of the stolen key is accepted")
		}
		if got := publishedIDs(s); !slices.Equal(got, []string{successor}) {
			t.Errorf("got JWKS %v, want %s alone", got, successor)
		}
		token := s.login(user.email, goodPassword)
		if kidOf(t, token) != successor || refused(first, token) || refused(second, token) {
			t.Errorf("%s signs, want %s, accepted by both", kidOf(t, token), successor)
		}
	}
	if n := first.count("SELECT count(*) FROM signing_keys WHERE kid = $1", stolen.kid); n != 0 {
		t.Error("the stolen key is kept")
	}
	want := []string{"signing_key_retired " + stolen.kid + " by the command line", "signing_key_took_over " + successor + " by the command line"}
	if got := keyAudits(first); !slices.Equal(got, want) {
		t.Errorf("got audit %q, want %q", got, want)
	}
}

func TestAnyKeyCanBeRetired(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(o *server.Options) { o.KeyTimes.Reload = never })
	keys := keysOf(t, s.pool, server.KeyTimes{})
	rotated, err := keys.TakeOver(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	begun, err := keys.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ name, kid, successor string }{
		{"a key that signs no more", rotated.Previous, ""},
		{"the current key while another one waits", rotated.Next, begun.Next},
	} {
		if successor, err := keys.Retire(t.Context(), step.kid); err != nil || successor != step.successor {
			t.Errorf("%s: got successor %q, error %v, want %q", step.name, successor, err, step.successor)
		}
	}
	waiting, err := keys.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if successor, err := keys.Retire(t.Context(), waiting.Next); err != nil || successor != "" {
		t.Errorf("a key that waits: got successor %q, error %v", successor, err)
	}
	if got := keyStates(s); !slices.Equal(got[query.SigningKeyStateCurrent], []string{begun.Next}) || len(got) != 1 {
		t.Errorf("got %v, want %s alone", got, begun.Next)
	}
	if _, err := keys.Retire(t.Context(), waiting.Next); !errors.Is(err, server.ErrUnknownKey) {
		t.Errorf("a key that is gone: got %v, want %v", err, server.ErrUnknownKey)
	}
	reload(t, s)
	if got := kidOf(t, s.signedIn(query.UserRoleAUTHENTICATED).token); got != begun.Next {
		t.Errorf("%s signs, want %s", got, begun.Next)
	}
}

// T-03: a server that cannot read the new keys lets go of a retired one all the same, and signs nothing with it.
func TestAServerThatCannotReadTheNewKeyRefusesTheRetiredOne(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(o *server.Options) { o.KeyTimes.Reload = never })
	user := s.signedIn(query.UserRoleAUTHENTICATED)
	old := kidOf(t, user.token)
	plantSigningKey(s, rootOfKeys(t, otherKey, nil))
	s.exec("DELETE FROM signing_keys WHERE kid = $1", old)
	if err := s.server.ReloadKeys(t.Context()); err == nil || !strings.Contains(err.Error(), "open signing key") {
		t.Errorf("got %v, want the key that cannot be opened", err)
	}
	if got := s.call(http.MethodGet, "/users/me", user.token, nil).status; got != http.StatusUnauthorized {
		t.Errorf("its token: got %d, want 401", got)
	}
	if _, err := s.server.AccessToken(t.Context(), user.email); err == nil || !strings.Contains(err.Error(), "was retired") {
		t.Errorf("a new token: got %v, want an error", err)
	}
}

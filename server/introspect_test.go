package server_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

func introspect(s *system, asker, token string) api.TokenIntrospection {
	s.t.Helper()
	got := s.call(http.MethodPost, "/introspect", asker, url.Values{"token": {token}}.Encode(), "Content-Type", formType)
	var answer api.TokenIntrospection
	if err := json.Unmarshal(got.body, &answer); err != nil || got.status != http.StatusOK {
		s.t.Fatalf("introspect: got %d %s", got.status, got.body)
	}
	return answer
}

func TestIntrospectionSaysWhatATokenIsWorthNow(t *testing.T) { // RFC 7662
	t.Parallel()
	s := newSystem(t)
	service, user := s.signedIn(query.UserRoleAUTHENTICATED).token, s.signedIn(query.UserRoleAUTHENTICATED)
	alive := introspect(s, service, user.token)
	if !alive.Active || alive.Sub.MustGet() != user.id.String() || alive.Username.MustGet() != user.nickname || alive.Iss.MustGet() != s.url ||
		alive.Exp.MustGet()-alive.Iat.MustGet() != 900 || alive.Role.MustGet() != "AUTHENTICATED" {
		t.Errorf("got %+v", alive)
	}
	s.exec("UPDATE users SET role_when_verified = 'MANAGER', role = 'MANAGER' WHERE id = $1", user.id)
	if got := introspect(s, service, user.token); got.Role.MustGet() != "MANAGER" || !strings.Contains(got.Scope.MustGet(), "users:read") {
		t.Errorf("got %+v, want the role as it is now", got)
	}
	s.exec("UPDATE users SET is_locked = true WHERE id = $1", user.id)
	for what, token := range map[string]string{"of a locked account": user.token, "made up": "x", "altered": user.token + "A"} {
		got := introspect(s, service, token)
		if got.Active || !got.Sub.IsNull() || !got.Scope.IsNull() || !got.Role.IsNull() || !got.Exp.IsNull() {
			t.Errorf("%s: got %+v, want inactive and nothing more", what, got)
		}
	}
}

func TestTheMetadataLeadsToWhatIsThere(t *testing.T) { // RFC 8414
	t.Parallel()
	s := newSystem(t)
	got := s.call(http.MethodGet, "/.well-known/oauth-authorization-server", "", nil)
	var metadata api.AuthorizationServer
	if err := json.Unmarshal(got.body, &metadata); err != nil {
		t.Fatalf("got %s", got.body)
	}
	claims := trapClaims(t, s.signedIn(query.UserRoleAUTHENTICATED).token)
	if metadata.Issuer != claims["iss"] || metadata.Issuer != claims["aud"] {
		t.Errorf("got issuer %s, tokens say %v for %v", metadata.Issuer, claims["iss"], claims["aud"])
	}
	for _, address := range []string{metadata.JwksURI, metadata.ServiceDocumentation} {
		if got := s.call(http.MethodGet, strings.TrimPrefix(address, s.url), "", nil); got.status != http.StatusOK {
			t.Errorf("%s: got %d", address, got.status)
		}
	}
	for _, address := range []string{metadata.TokenEndpoint, metadata.IntrospectionEndpoint} {
		if got := s.call(http.MethodPost, strings.TrimPrefix(address, s.url), "", "{}"); got.status != http.StatusUnsupportedMediaType {
			t.Errorf("%s: got %d, want a form asked for", address, got.status)
		}
	}
}

package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/oapi-codegen/nullable"

	"usermanager/gen/api"
)

// IntrospectToken says what an access token is worth now (RFC 7662), by the query that every request makes.
func (s *Server) IntrospectToken(ctx context.Context, req api.IntrospectTokenRequestObject) (api.IntrospectTokenResponseObject, error) {
	claims, err := s.verifier.Verify(req.Body.Token, time.Now())
	if err != nil {
		return api.IntrospectToken200JSONResponse(inactiveToken()), nil //nolint:nilerr // that it is not valid is the answer
	}
	row, err := s.query.SessionActor(ctx, claims.SessionID)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && row.User.ID != claims.Subject {
		return api.IntrospectToken200JSONResponse(inactiveToken()), nil
	}
	if err != nil {
		return nil, fmt.Errorf("load session: %w", err)
	}
	text := nullable.NewNullableWithValue[string]
	return api.IntrospectToken200JSONResponse{
		Active: true, Scope: text(s.scopesOf(row.User.Role)), Username: text(row.User.Nickname), TokenType: text(string(api.TokenTypeBearer)),
		Exp: nullable.NewNullableWithValue(claims.ExpiresAt.Unix()), Iat: nullable.NewNullableWithValue(claims.IssuedAt.Unix()),
		Sub: text(claims.Subject.String()), Aud: text(claims.Audience), Iss: text(claims.Issuer), Sid: text(claims.SessionID.String()),
		Role: text(string(row.User.Role)),
	}, nil
}

// inactiveToken says nothing of why: expired, ended and made up are alike.
func inactiveToken() api.TokenIntrospection {
	none, never := nullable.NewNullNullable[string](), nullable.NewNullNullable[int64]()
	return api.TokenIntrospection{
		Scope: none, Username: none, TokenType: none, Exp: never, Iat: never, Sub: none, Aud: none, Iss: none, Sid: none, Role: none,
	}
}

// GetAuthorizationServer is RFC 8414.
func (s *Server) GetAuthorizationServer(context.Context, api.GetAuthorizationServerRequestObject) (api.GetAuthorizationServerResponseObject, error) {
	scopes := s.contract.spec.Components.SecuritySchemes["oauth2"].Value.Flows.Password.Scopes
	return api.GetAuthorizationServer200JSONResponse{
		Issuer: s.issuer(), TokenEndpoint: s.absolute("/login", nil), JwksURI: s.absolute("/.well-known/jwks.json", nil),
		IntrospectionEndpoint: s.absolute("/introspect", nil), ResponseTypesSupported: []string{}, GrantTypesSupported: []string{"password"},
		TokenEndpointAuthMethodsSupported: []string{"none"}, ScopesSupported: slices.Sorted(maps.Keys(scopes)),
		ServiceDocumentation: s.absolute("/docs", nil),
	}, nil
}

package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server/secret"
)

const (
	keyReload          = 30 * time.Second // a key that another server made or retired is known here by then
	verifiedTokens     = 10_000           // remembered by the verifier: about 6 MB
	longestTokenMargin = time.Second
)

// checkSecretKey stops a start with another SECRET_KEY than the database was set up with: everything sealed or
// derived would be unreadable, and links in mails that are under way would die.
func (s *Server) checkSecretKey(ctx context.Context) error {
	if err := s.query.SecretKeyCheckCreate(ctx, s.Secret.CheckValue()); err != nil {
		return fmt.Errorf("check SECRET_KEY: %w", err)
	}
	check, err := s.query.SecretKeyCheckGet(ctx)
	if err != nil {
		return fmt.Errorf("check SECRET_KEY: %w", err)
	}
	if !s.Secret.Matches(check) {
		return errors.New("SECRET_KEY is not the one that this database was set up with; set it back, or give that one as SECRET_KEY_PREVIOUS")
	}
	return nil
}

// loadSigningKeys reads the keys, and makes the first one on an empty database. Servers that start at once
// agree on one, by the unique index on the current key.
func (s *Server) loadSigningKeys(ctx context.Context) error {
	keys, err := s.readSigningKeys(ctx)
	if err != nil {
		return err
	}
	if keys == nil {
		if err := s.makeSigningKey(ctx); err != nil {
			return err
		}
		if keys, err = s.readSigningKeys(ctx); err != nil {
			return err
		}
	}
	if s.verifier == nil {
		s.verifier, err = secret.NewVerifier(keys, verifiedTokens)
		return err
	}
	s.verifier.SetKeys(keys)
	return nil
}

func (s *Server) makeSigningKey(ctx context.Context) error {
	key, err := secret.NewSigningKey()
	if err != nil {
		return err
	}
	private, err := key.MarshalPrivate()
	if err != nil {
		return err
	}
	err = s.query.SigningKeyCreate(ctx, query.SigningKeyCreateParams{
		KID: key.ID, State: query.SigningKeyStateCurrent, Sealed: s.Secret.Seal(secret.PurposeSigningKey, private, []byte(key.ID)),
	})
	if err != nil {
		return fmt.Errorf("store signing key: %w", err)
	}
	return nil
}

// readSigningKeys returns nil when there are none.
func (s *Server) readSigningKeys(ctx context.Context) (*secret.KeySet, error) {
	rows, err := s.query.SigningKeyList(ctx)
	if err != nil {
		return nil, fmt.Errorf("read signing keys: %w", err)
	}
	if len(rows) == 0 {
		return nil, nil //nolint:nilnil // no keys yet is no error
	}
	var entries []secret.KeyEntry
	for _, row := range rows {
		private, err := s.Secret.Open(secret.PurposeSigningKey, row.Sealed, []byte(row.KID))
		if err != nil {
			return nil, fmt.Errorf("open signing key: %w", err)
		}
		key, err := secret.ParsePrivate(row.KID, private)
		if err != nil {
			return nil, fmt.Errorf("parse signing key: %w", err)
		}
		entries = append(entries, secret.KeyEntry{Key: key, State: secret.KeyState(row.State)})
	}
	rules := secret.TokenRules{Issuer: s.issuer(), Audience: s.issuer(), MaxLifetime: s.AccessTTL + longestTokenMargin}
	return secret.NewKeySet(rules, entries...)
}

// reloadKeys keeps up with the other servers until ctx ends.
func (s *Server) reloadKeys(ctx context.Context) {
	ticker := time.NewTicker(keyReload)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := s.loadSigningKeys(ctx); err != nil && ctx.Err() == nil {
				s.Logger.LogAttrs(ctx, slog.LevelError, "signing keys not reloaded", slog.Any("error", err))
			}
		}
	}
}

// GetJwks publishes the public keys.
func (s *Server) GetJwks(context.Context, api.GetJwksRequestObject) (api.GetJwksResponseObject, error) {
	var set api.JwkSet
	if err := json.Unmarshal(s.verifier.Keys().JWKS(), &set); err != nil {
		return nil, fmt.Errorf("publish keys: %w", err)
	}
	return api.GetJwks200JSONResponse(set), nil
}

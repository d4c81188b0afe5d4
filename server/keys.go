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
	verifiedTokens     = 10_000 // remembered by the verifier: about 6 MB
	longestTokenMargin = time.Second

	keyReloadTimeout = 10 * time.Second // two statements, and what holds them up
	keyReloadRetry   = 5 * time.Second  // after a failure
)

// checkSecretKey stops a start with another SECRET_KEY than the database was set up with: everything sealed or
// derived would be unreadable, and links in mails that are under way would die.
func (s *Server) checkSecretKey(ctx context.Context) error {
	if err := s.query.SecretKeyCheckCreate(ctx, s.Secret.CheckValue()); err != nil {
		return fmt.Errorf("check SECRET_KEY: %w", err)
	}
	check, err := s.keys.checkSecretKey(ctx, s.query)
	if err != nil {
		return err
	}
	if !s.Secret.IsCurrent(check.Value) {
		s.Logger.LogAttrs(ctx, slog.LevelWarn, "the database is sealed under SECRET_KEY_PREVIOUS: "+
			"run `usermanager keys rewrap` when every server has the new SECRET_KEY")
	}
	return nil
}

// loadSigningKeys reads the keys, and makes the first one on an empty database. Servers that start at once
// agree on one, by the unique index on the current key.
func (s *Server) loadSigningKeys(ctx context.Context) error {
	rows, err := s.listSigningKeys(ctx)
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		if _, err := s.keys.create(ctx, s.query, query.SigningKeyStateCurrent); err != nil {
			return err
		}
		if rows, err = s.listSigningKeys(ctx); err != nil {
			return err
		}
	}
	keys, err := s.openSigningKeys(rows)
	if s.verifier == nil {
		if err == nil {
			s.verifier, err = secret.NewVerifier(keys, verifiedTokens)
		}
		return err
	}
	if err != nil {
		return errors.Join(err, s.keepOnly(rows))
	}
	s.verifier.SetKeys(keys)
	return nil
}

func (s *Server) listSigningKeys(ctx context.Context) ([]query.SigningKey, error) {
	rows, err := s.query.SigningKeyList(ctx)
	if err != nil {
		return nil, fmt.Errorf("read signing keys: %w", err)
	}
	return rows, nil
}

func (s *Server) openSigningKeys(rows []query.SigningKey) (*secret.KeySet, error) {
	var entries []secret.KeyEntry
	for _, row := range rows {
		private, err := s.Secret.Open(secret.PurposeSigningKey, row.Sealed, []byte(row.KID))
		if err != nil {
			return nil, fmt.Errorf("open signing key %s: %w", row.KID, err)
		}
		key, err := secret.ParsePrivate(row.KID, private)
		if err != nil {
			return nil, fmt.Errorf("parse signing key %s: %w", row.KID, err)
		}
		entries = append(entries, secret.KeyEntry{Key: key, State: secret.KeyState(row.State)})
	}
	rules := secret.TokenRules{Issuer: s.issuer(), Audience: s.issuer(), MaxLifetime: s.AccessTTL + longestTokenMargin}
	return secret.NewKeySet(rules, entries...)
}

// keepOnly lets go of the keys that are gone when those that came cannot be read, so that a key that was retired
// in an emergency is refused by this server too.
func (s *Server) keepOnly(rows []query.SigningKey) error {
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = row.KID
	}
	kept, err := s.verifier.Keys().Only(ids)
	if err != nil {
		return fmt.Errorf("keep the other signing keys: %w", err)
	}
	s.verifier.SetKeys(kept)
	return nil
}

// keepKeys does what is due, and keeps up with the other servers, until ctx ends.
func (s *Server) keepKeys(ctx context.Context) {
	timer := time.NewTimer(s.keys.times.Reload)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		pause := s.keys.times.Reload
		if err := s.reloadKeys(ctx); err != nil && ctx.Err() == nil {
			s.Logger.LogAttrs(ctx, slog.LevelError, "signing keys not reloaded", slog.Any("error", err))
			pause = min(pause, keyReloadRetry)
		}
		timer.Reset(pause)
	}
}

// reloadKeys reads the keys also when what is due could not be done.
func (s *Server) reloadKeys(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, keyReloadTimeout)
	defer cancel()
	return errors.Join(s.keys.doDue(ctx), s.loadSigningKeys(ctx))
}

// GetJwks publishes the public keys.
func (s *Server) GetJwks(context.Context, api.GetJwksRequestObject) (api.GetJwksResponseObject, error) {
	var set api.JwkSet
	if err := json.Unmarshal(s.verifier.Keys().JWKS(), &set); err != nil {
		return nil, fmt.Errorf("publish keys: %w", err)
	}
	return api.GetJwks200JSONResponse(set), nil
}

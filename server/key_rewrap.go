package server

import (
	"context"
	"crypto/subtle"
	"fmt"
	"time"

	"usermanager/gen/query"
	"usermanager/server/secret"
)

// Rewrapped is what Rewrap did, and what still needs the previous SECRET_KEY.
type Rewrapped struct {
	SigningKeys int  // sealed anew
	CheckValue  bool // was the one of the previous key
	Links       Outstanding
	Sessions    Outstanding // whose refresh token was not renewed since
}

// Outstanding is what was handed out under the previous key and cannot be called back.
type Outstanding struct {
	Count int
	Until time.Time // when the last one has expired
}

func (o *Outstanding) add(until time.Time) {
	o.Count++
	if until.After(o.Until) {
		o.Until = until.UTC()
	}
}

// Rewrap seals everything under the current SECRET_KEY that is sealed under the previous one. Servers that have
// both keys notice nothing; one that has only the previous key cannot start any more. What it cannot open it
// leaves alone, all of it, and says which key that is.
func (k *Keys) Rewrap(ctx context.Context) (Rewrapped, error) {
	var done Rewrapped
	err := k.change(ctx, func(q *query.Queries) error {
		done = Rewrapped{}
		check, err := q.SecretKeyCheckGet(ctx)
		if err != nil {
			return fmt.Errorf("check SECRET_KEY: %w", err)
		}
		if done.SigningKeys, err = k.rewrapSigningKeys(ctx, q); err != nil {
			return err
		}
		if done.CheckValue = !k.secret.IsCurrent(check.Value); done.CheckValue {
			if check, err = q.SecretKeyCheckSet(ctx, k.secret.CheckValue()); err != nil {
				return fmt.Errorf("store check value: %w", err)
			}
		}
		if done.Links, err = k.openLinks(ctx, q); err != nil {
			return err
		}
		sessions, err := q.SessionsBefore(ctx, check.ChangedAt)
		if err != nil {
			return fmt.Errorf("count sessions: %w", err)
		}
		if sessions.Count > 0 {
			done.Sessions = Outstanding{int(sessions.Count), sessions.Until.UTC()}
		}
		if done.SigningKeys == 0 && !done.CheckValue {
			return nil
		}
		return k.audit(ctx, q, query.AuditActionSecretKeyRewrapped, map[string]any{"signing_keys": done.SigningKeys, "check_value": done.CheckValue})
	})
	if err != nil {
		return Rewrapped{}, err
	}
	return done, nil
}

func (k *Keys) rewrapSigningKeys(ctx context.Context, q *query.Queries) (int, error) {
	rows, err := q.SigningKeyList(ctx)
	if err != nil {
		return 0, fmt.Errorf("read signing keys: %w", err)
	}
	count := 0
	for _, row := range rows {
		private, err := k.secret.Open(secret.PurposeSigningKey, row.Sealed, []byte(row.KID))
		if err != nil {
			return 0, fmt.Errorf("open signing key %s: %w: it was sealed under another SECRET_KEY, or is damaged; "+
				"give that one as SECRET_KEY_PREVIOUS, or end this one with `usermanager keys retire %s`", row.KID, err, row.KID)
		}
		if k.secret.IsSealedByCurrent(row.Sealed) {
			continue
		}
		if err := q.SigningKeySeal(ctx, k.secret.Seal(secret.PurposeSigningKey, private, []byte(row.KID)), row.KID); err != nil {
			return 0, fmt.Errorf("store signing key: %w", err)
		}
		count++
	}
	return count, nil
}

// openLinks finds the mailed links that the previous key derived. Only their hashes are stored, so each is derived
// again to see.
func (k *Keys) openLinks(ctx context.Context, q *query.Queries) (Outstanding, error) {
	tokens, err := q.TokenOpen(ctx)
	if err != nil {
		return Outstanding{}, fmt.Errorf("read open links: %w", err)
	}
	var links Outstanding
	for _, token := range tokens {
		kind := tokenKinds[token.Purpose]
		current := k.secret.MintToken(kind.purpose, token.ID, token.UserID, token.Address)
		if subtle.ConstantTimeCompare(secret.TokenHash(current), token.Hash) == 1 {
			continue
		}
		if _, ok := k.secret.MintTokenWithHash(token.Hash, kind.purpose, token.ID, token.UserID, token.Address); !ok {
			continue // of neither key: it opens nothing already
		}
		until := token.ExpiresAt
		if token.DeliveredAt == nil { // its time begins when its mail leaves, see TokenDeliver
			until = token.CreatedAt.Add(max(undeliveredTTL, 2*kind.ttl))
		}
		links.add(until)
	}
	return links, nil
}

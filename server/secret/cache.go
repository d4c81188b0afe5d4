package secret

import (
	"crypto/sha256"
	"fmt"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// Verifier verifies access tokens with the key set of the moment and remembers
// those it accepted, so that an ES256 check (about 100 µs) is paid once per token
// and not once per request. It is safe for concurrent use.
type Verifier struct {
	redacted
	keys  atomic.Pointer[KeySet]
	cache *lru.Cache[[sha256.Size]byte, verified]
}

// verified is an accepted token under the hash of its text: the cache holds
// nothing that could be used as a token.
type verified struct {
	claims Claims
	key    *SigningKey
	rules  TokenRules
}

// NewVerifier takes the first key set and how many accepted tokens to remember,
// at about 600 bytes each.
func NewVerifier(keys *KeySet, cacheSize int) (*Verifier, error) {
	cache, err := lru.New[[sha256.Size]byte, verified](cacheSize)
	if err != nil {
		return nil, fmt.Errorf("cache of verified tokens: %w", err)
	}
	v := &Verifier{cache: cache}
	v.keys.Store(keys)
	return v, nil
}

// SetKeys replaces the key set. It holds at the next Verify, also for tokens
// that were accepted before: without its key, a remembered token counts for
// nothing.
func (v *Verifier) SetKeys(keys *KeySet) { v.keys.Store(keys) }

// Keys returns the key set of the moment, to sign with and to publish.
func (v *Verifier) Keys() *KeySet { return v.keys.Load() }

// Verify is KeySet.Verify with a memory. Expiry, the key and the rules are
// checked again each time; refused tokens are not remembered, so that garbage
// cannot push out good ones.
func (v *Verifier) Verify(token string, now time.Time) (Claims, error) {
	if len(token) > MaxTokenBytes {
		return Claims{}, invalid("too long") // before hashing a megabyte
	}
	keys := v.keys.Load()
	id := sha256.Sum256([]byte(token))
	if known, found := v.cache.Get(id); found && known.rules == keys.rules && keys.holds(known.key) {
		if !now.Before(known.claims.ExpiresAt) {
			v.cache.Remove(id)
			return Claims{}, ErrTokenExpired
		}
		return known.claims, nil
	}
	claims, key, err := keys.verify(token, now)
	if err != nil {
		return Claims{}, err
	}
	v.cache.Add(id, verified{claims: claims, key: key, rules: keys.rules})
	return claims, nil
}

package secret

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
)

// SigningKey is an ES256 key pair (P-256, RFC 7518 section 3.4), or only its
// public half. It prints as "[secret]".
type SigningKey struct {
	redacted
	// ID is the key's "kid": random, public, unique in the database.
	ID string

	public  *ecdsa.PublicKey
	private *ecdsa.PrivateKey // nil when this server may only verify
}

// NewSigningKey makes a key pair with a random ID of almost 128 bits.
func NewSigningKey() (*SigningKey, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate signing key: %w", err)
	}
	id := "-"
	for id[0] == '-' { // an operator gives it to a command, where that would begin a flag
		id = base64.RawURLEncoding.EncodeToString(randomBytes(16))
	}
	return &SigningKey{ID: id, private: private, public: &private.PublicKey}, nil
}

// ParsePrivate reads what MarshalPrivate wrote. The error never shows any of it.
func ParsePrivate(id string, der []byte) (*SigningKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	private, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok || private.Curve != elliptic.P256() {
		return nil, errors.New("signing key is not a P-256 private key in PKCS #8 form")
	}
	if !isKeyID(id) {
		return nil, errKeyID
	}
	return &SigningKey{ID: id, private: private, public: &private.PublicKey}, nil
}

// ParsePublic reads what MarshalPublic wrote. The key can verify and not sign.
func ParsePublic(id string, der []byte) (*SigningKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(der)
	public, ok := parsed.(*ecdsa.PublicKey)
	if err != nil || !ok || public.Curve != elliptic.P256() {
		return nil, errors.New("signing key is not a P-256 public key in PKIX form")
	}
	if !isKeyID(id) {
		return nil, errKeyID
	}
	return &SigningKey{ID: id, public: public}, nil
}

// MarshalPrivate returns the private key as PKCS #8 DER, unencrypted: seal it
// with PurposeSigningKey and the ID as additional data before it is stored.
func (k *SigningKey) MarshalPrivate() ([]byte, error) {
	if k.private == nil {
		return nil, fmt.Errorf("signing key %s has no private part", k.ID)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return nil, fmt.Errorf("marshal signing key %s: %w", k.ID, err)
	}
	return der, nil
}

// MarshalPublic returns the public key as PKIX DER.
func (k *SigningKey) MarshalPublic() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(k.public)
	if err != nil {
		return nil, fmt.Errorf("marshal public key %s: %w", k.ID, err)
	}
	return der, nil
}

var errKeyID = errors.New("signing key id must have 1 to 64 characters of A-Z a-z 0-9 _ -")

// isKeyID keeps ids to characters that need no escape in JSON or a URL.
func isKeyID(id string) bool {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
	return id != "" && len(id) <= 64 && strings.Trim(id, alphabet) == ""
}

// KeyState says what a key is used for. Every key of a set verifies; a key
// that must not any more is left out of the set.
type KeyState string

// The states, in the order of a key's life.
const (
	KeyNext    KeyState = "next"    // published before it signs, so that every cache of the JWKS knows it
	KeyCurrent KeyState = "current" // signs; exactly one
	KeyRetired KeyState = "retired" // signs no more; verifies what it signed until that expires
)

// KeyEntry is a key and its state in a set.
type KeyEntry struct {
	Key   *SigningKey
	State KeyState
}

// KeySet signs and verifies access tokens. It does not change and is safe for
// concurrent use; a rotation makes a new one.
type KeySet struct {
	redacted
	rules    TokenRules
	entries  []KeyEntry
	current  *SigningKey // nil only after Only
	byID     map[string]*SigningKey
	byHeader map[string]*SigningKey // by a token's whole first part, see jwt.go
	jwks     []byte
}

// NewKeySet builds a set. It needs exactly one current key with its private
// part and unique ids.
func NewKeySet(rules TokenRules, entries ...KeyEntry) (*KeySet, error) {
	set, err := newKeySet(rules, entries)
	if err != nil {
		return nil, err
	}
	if set.current == nil {
		return nil, errors.New("key set has no current key")
	}
	return set, nil
}

func newKeySet(rules TokenRules, entries []KeyEntry) (*KeySet, error) {
	if err := rules.check(); err != nil {
		return nil, err
	}
	set := &KeySet{rules: rules, entries: entries, byID: map[string]*SigningKey{}, byHeader: map[string]*SigningKey{}}
	for _, entry := range entries {
		key := entry.Key
		if key == nil {
			return nil, errors.New("key set has an entry without a key")
		}
		switch entry.State {
		case KeyNext, KeyRetired:
		case KeyCurrent:
			if set.current != nil {
				return nil, errors.New("key set has more than one current key")
			}
			if key.private == nil {
				return nil, fmt.Errorf("current key %s has no private part", key.ID)
			}
			set.current = key
		default:
			return nil, fmt.Errorf("key %s has the unknown state %q", key.ID, entry.State)
		}
		if set.byID[key.ID] != nil {
			return nil, fmt.Errorf("key set has two keys %s", key.ID)
		}
		set.byID[key.ID] = key
		set.byHeader[key.header()] = key
	}
	jwks, err := publish(entries)
	if err != nil {
		return nil, err
	}
	set.jwks = jwks
	return set, nil
}

// Only returns the set without the keys that ids does not name. Without the current one it verifies what the
// others signed and signs nothing itself: a server that cannot read a new key still lets go of a retired one.
func (s *KeySet) Only(ids []string) (*KeySet, error) {
	var kept []KeyEntry
	for _, entry := range s.entries {
		if slices.Contains(ids, entry.Key.ID) {
			kept = append(kept, entry)
		}
	}
	return newKeySet(s.rules, kept)
}

// JWKS returns the public keys as a JSON Web Key Set (RFC 7517), each with
// "use", "alg" and "kid", for every key that may verify a token now or soon.
func (s *KeySet) JWKS() []byte { return slices.Clone(s.jwks) }

// publish is handed whole pairs and reads only their public halves.
func publish(entries []KeyEntry) ([]byte, error) {
	set := jwk.NewSet()
	for _, entry := range entries {
		key, err := jwk.FromRaw(entry.Key.public)
		if err == nil {
			err = errors.Join(
				key.Set(jwk.KeyIDKey, entry.Key.ID),
				key.Set(jwk.AlgorithmKey, jwa.ES256),
				key.Set(jwk.KeyUsageKey, jwk.ForSignature),
				set.AddKey(key),
			)
		}
		if err != nil {
			return nil, fmt.Errorf("publish key %s: %w", entry.Key.ID, err)
		}
	}
	text, err := json.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("marshal key set: %w", err)
	}
	return text, nil
}

// holds reports whether the very same key is still in the set. The id alone
// would let a replaced key live on.
func (s *KeySet) holds(key *SigningKey) bool {
	mine := s.byID[key.ID]
	return mine == key || mine != nil && mine.public.Equal(key.public)
}

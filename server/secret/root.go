// Package secret holds everything that touches key material: the root key and
// what is derived from it, password hashes, one-time tokens, signing keys and
// access tokens.
//
// It is pure. It imports neither the database nor HTTP, which purity_test.go
// enforces, so every function here can be fuzzed and measured by itself, and a
// mistake in a handler cannot reach a key. Nothing in it logs; values that hold
// secrets print as "[secret]".
package secret

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"slices"
)

// MinKeyBytes is the least a root key may have: 256 bits, as much as the keys
// that are derived from it.
const MinKeyBytes = 32

// Purpose separates uses of the root key: a value made for one purpose is
// noise for every other.
type Purpose string

// Purposes of sealed values and keyed hashes. Those of mailed tokens are in token.go.
const (
	PurposeSigningKey Purpose = "signing key" // private signing keys at rest
	PurposeCursor     Purpose = "cursor"      // list cursors
	PurposeAddress    Purpose = "address"     // e-mail addresses in login counters
)

const keyIDSize = 4

// Root is the server's root secret, from which one key per purpose is derived
// by HKDF-SHA256 (RFC 5869). New values are made with the current key; values
// made with the previous one are still accepted, so that the key can be changed
// without ending every session. A Root is safe for concurrent use and prints as
// "[secret]".
type Root struct {
	redacted
	keys []*rootKey // current first, then previous; by pointer, so that not even a copy prints one
}

// rootKey is what is kept of one root key: HKDF's extracted key, never the input.
type rootKey struct {
	prk   []byte
	id    [keyIDSize]byte // derived, not secret: tells which key made a value
	check string
}

// NewRoot takes the current root key and the previous one, or nil when there is
// none. Each must have at least MinKeyBytes; the error names the short one and
// never shows it.
func NewRoot(current, previous []byte) (*Root, error) {
	key, err := newRootKey(current)
	if err != nil {
		return nil, fmt.Errorf("current root key: %w", err)
	}
	root := &Root{keys: []*rootKey{key}}
	if len(previous) > 0 {
		key, err := newRootKey(previous)
		if err != nil {
			return nil, fmt.Errorf("previous root key: %w", err)
		}
		root.keys = append(root.keys, key)
	}
	return root, nil
}

func newRootKey(secret []byte) (*rootKey, error) {
	if len(secret) < MinKeyBytes {
		return nil, fmt.Errorf("has %d bytes, needs at least %d", len(secret), MinKeyBytes)
	}
	prk, err := hkdf.Extract(sha256.New, secret, []byte("usermanager root key v1"))
	if err != nil {
		return nil, fmt.Errorf("extract: %w", err)
	}
	key := &rootKey{prk: prk}
	copy(key.id[:], key.derive("id", ""))
	key.check = "v1." + base64.RawURLEncoding.EncodeToString(key.derive("check", "")[:16])
	return key, nil
}

// derive returns the 32-byte key for one use. The kind keeps sealing, hashing
// and tokens apart even where their purposes are spelled alike.
func (k *rootKey) derive(kind string, purpose Purpose, more ...byte) []byte {
	info := lengthPrefixed(nil, kind, string(purpose))
	key, err := hkdf.Expand(sha256.New, k.prk, string(append(info, more...)), 32)
	if err != nil {
		panic("hkdf: 32 bytes refused: " + err.Error()) // its only error is a length above 8160 bytes
	}
	return key
}

// CheckValue identifies the current key and reveals nothing about it. Stored
// in the database, it lets a start with the wrong key stop in one sentence
// instead of failing at every login.
func (r *Root) CheckValue() string { return r.keys[0].check }

// Matches reports whether check is the CheckValue of the current or previous key.
func (r *Root) Matches(check string) bool {
	return slices.ContainsFunc(r.keys, func(k *rootKey) bool { return equal(k.check, check) })
}

// IsCurrent reports whether check is the CheckValue of the current key. When it
// only Matches, what is stored should be sealed anew.
func (r *Root) IsCurrent(check string) bool { return equal(r.keys[0].check, check) }

// KeyedHash returns 32 bytes that stand for value and cannot be turned back
// without the root key (HMAC-SHA256). Only the current key is used: after a
// change of key the same value has another hash.
func (r *Root) KeyedHash(purpose Purpose, value string) []byte {
	return mac(r.keys[0].derive("hash", purpose), []byte(value))
}

// AddressKey returns the key under which attempts for an e-mail address are
// counted, so that the counters hold no addresses, not even unknown ones.
// The address must be canonical: the hash of another spelling is another key.
func (r *Root) AddressKey(canonicalEmail string) []byte {
	return r.KeyedHash(PurposeAddress, canonicalEmail)
}

func mac(key, message []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(message)
	return h.Sum(nil)
}

func equal(a, b string) bool {
	return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

// lengthPrefixed appends each part after its length, so that no two different
// lists of parts give the same bytes.
func lengthPrefixed(dst []byte, parts ...string) []byte {
	for _, part := range parts {
		n := len(part)
		dst = append(dst, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
		dst = append(dst, part...)
	}
	return dst
}

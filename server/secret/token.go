package secret

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"

	"github.com/google/uuid"
)

// Purposes of mailed tokens.
const (
	PurposeVerifyEmail Purpose = "verify-email" // proves the address of a new account
	PurposeInvitation  Purpose = "invitation"   // lets an invited person choose a password
)

// PurposeRefresh is that of refresh tokens, see refresh.go.
const PurposeRefresh Purpose = "refresh"

const (
	tokenSize = keyIDSize + 16 + sha256.Size
	// TokenLength is the length in characters of every one-time token.
	TokenLength = (tokenSize*8 + 5) / 6
)

// ErrMalformedToken means that a text is not a one-time token at all.
var ErrMalformedToken = errors.New("malformed token")

// Token is a parsed one-time token. Parsing proves nothing: ID only says which
// row to look up before VerifyToken decides. It prints as "[secret]".
type Token struct {
	redacted
	// ID is the token's row. It is not secret.
	ID uuid.UUID

	keyID [keyIDSize]byte
	mac   [sha256.Size]byte
}

// MintToken derives the token that is mailed for one row. The same arguments
// give the same token, so that it need not be stored: a worker derives it
// again when it retries a mail, and a dump of the database opens nothing
// (OWASP ASVS 11.5.1). It is bound to its purpose, user and address. The text is
// base64url without padding, TokenLength characters, of
// key id(4) | token id(16) | HMAC-SHA256(32).
func (r *Root) MintToken(purpose Purpose, tokenID, userID uuid.UUID, address string) string {
	return r.keys[0].mintToken(purpose, tokenID, userID, address)
}

// MintTokenWithHash derives the token whose TokenHash is stored, with the
// current or the previous key: after a change of key, mails that were queued
// before it still carry links that work. It reports false when neither key or
// other arguments made that hash.
func (r *Root) MintTokenWithHash(hash []byte, purpose Purpose, tokenID, userID uuid.UUID, address string) (string, bool) {
	for _, key := range r.keys {
		token := key.mintToken(purpose, tokenID, userID, address)
		if subtle.ConstantTimeCompare(TokenHash(token), hash) == 1 {
			return token, true
		}
	}
	return "", false
}

// ParseToken reads a token's text. It is strict: exactly TokenLength characters
// of canonical base64url, so that no two texts are one token. The error is
// ErrMalformedToken.
func ParseToken(text string) (Token, error) {
	if len(text) != TokenLength {
		return Token{}, ErrMalformedToken
	}
	// The length is checked again because the decoder skips line breaks.
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != tokenSize {
		return Token{}, ErrMalformedToken
	}
	return Token{
		ID:    uuid.UUID(raw[keyIDSize : keyIDSize+16]),
		keyID: [keyIDSize]byte(raw),
		mac:   [sha256.Size]byte(raw[keyIDSize+16:]),
	}, nil
}

// VerifyToken reports whether the current or previous key minted the token for
// exactly this purpose, user and address. It compares in constant time.
func (r *Root) VerifyToken(purpose Purpose, token Token, userID uuid.UUID, address string) bool {
	valid := false
	for _, key := range r.keys {
		want := key.tokenMAC(purpose, token.ID, userID, address)
		if subtle.ConstantTimeCompare(want, token.mac[:]) == 1 && key.id == token.keyID {
			valid = true
		}
	}
	return valid
}

// TokenHash returns the SHA-256 of a token's text: what the database stores. A
// plain hash is enough, because 256 bits cannot be guessed.
func TokenHash(token string) []byte {
	hash := sha256.Sum256([]byte(token))
	return hash[:]
}

func (k *rootKey) mintToken(purpose Purpose, tokenID, userID uuid.UUID, address string) string {
	raw := make([]byte, 0, tokenSize)
	raw = append(raw, k.id[:]...)
	raw = append(raw, tokenID[:]...)
	raw = append(raw, k.tokenMAC(purpose, tokenID, userID, address)...)
	return base64.RawURLEncoding.EncodeToString(raw)
}

func (k *rootKey) tokenMAC(purpose Purpose, tokenID, userID uuid.UUID, address string) []byte {
	message := lengthPrefixed(nil, string(purpose), string(tokenID[:]), string(userID[:]), address)
	return mac(k.derive("token", purpose), message)
}

package secret

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"

	"github.com/google/uuid"
)

const (
	refreshSize = keyIDSize + 16 + 8 + sha256.Size
	// RefreshLength is the length in characters of every refresh token.
	RefreshLength = (refreshSize*8 + 5) / 6
)

// RefreshToken is a parsed refresh token. Parsing proves nothing: SessionID
// only says which row to look up before VerifyRefresh decides. It prints as
// "[secret]".
type RefreshToken struct {
	redacted
	// SessionID and Counter are the token's session and its place in the row of
	// that session's tokens. They are not secret.
	SessionID uuid.UUID
	Counter   int64

	keyID [keyIDSize]byte
	mac   [sha256.Size]byte
}

// MintRefresh derives the refresh token of a session and a counter. It need not
// be stored: the same arguments give the same token, so whoever lost an answer
// gets it again, and a dump of the database opens nothing (RFC 9700 section
// 4.14.2). The text is base64url without padding, RefreshLength characters, of
// key id(4) | session id(16) | counter(8) | HMAC-SHA256(32).
func (r *Root) MintRefresh(sessionID uuid.UUID, counter int64, salt uuid.UUID) string {
	key := r.keys[0]
	raw := make([]byte, 0, refreshSize)
	raw = append(raw, key.id[:]...)
	raw = append(raw, sessionID[:]...)
	raw = binary.BigEndian.AppendUint64(raw, uint64(counter))
	raw = append(raw, key.refreshMAC(sessionID, counter, salt)...)
	return base64.RawURLEncoding.EncodeToString(raw)
}

// ParseRefresh reads a refresh token's text as strictly as ParseToken does. The
// error is ErrMalformedToken.
func ParseRefresh(text string) (RefreshToken, error) {
	if len(text) != RefreshLength {
		return RefreshToken{}, ErrMalformedToken
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != refreshSize {
		return RefreshToken{}, ErrMalformedToken
	}
	counter := int64(binary.BigEndian.Uint64(raw[keyIDSize+16:]))
	if counter < 0 {
		return RefreshToken{}, ErrMalformedToken
	}
	return RefreshToken{
		SessionID: uuid.UUID(raw[keyIDSize : keyIDSize+16]),
		Counter:   counter,
		keyID:     [keyIDSize]byte(raw),
		mac:       [sha256.Size]byte(raw[keyIDSize+16+8:]),
	}, nil
}

// VerifyRefresh reports whether the current or previous key minted the token
// for its session, counter and this salt. It compares in constant time.
func (r *Root) VerifyRefresh(token RefreshToken, salt uuid.UUID) bool {
	valid := false
	for _, key := range r.keys {
		want := key.refreshMAC(token.SessionID, token.Counter, salt)
		if subtle.ConstantTimeCompare(want, token.mac[:]) == 1 && key.id == token.keyID {
			valid = true
		}
	}
	return valid
}

func (k *rootKey) refreshMAC(sessionID uuid.UUID, counter int64, salt uuid.UUID) []byte {
	message := lengthPrefixed(nil, string(sessionID[:]), string(binary.BigEndian.AppendUint64(nil, uint64(counter))), string(salt[:]))
	return mac(k.derive("token", PurposeRefresh), message)
}

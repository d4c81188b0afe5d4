package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
)

// ErrSealed means that a sealed value was altered, cut, made for another
// purpose or other data, or sealed with a key this server does not have.
var ErrSealed = errors.New("sealed value cannot be opened")

const (
	sealVersion   = 1
	sealSaltSize  = 12
	sealNonceSize = 12
	sealTagSize   = 16
	sealHeader    = 1 + keyIDSize + sealSaltSize + sealNonceSize
)

// SealOverhead is how many bytes a sealed value is longer than its plaintext.
const SealOverhead = sealHeader + sealTagSize

// Seal encrypts and authenticates plaintext with the current key (AES-256-GCM).
// aad is authenticated but not stored: Open needs the same purpose and aad, so a
// value bound to one row or filter is worthless beside another. Two seals of
// one plaintext differ.
//
// Layout: version(1) | key id(4) | salt(12) | nonce(12) | ciphertext | tag(16).
// The random salt gives each message its own key, because random 96-bit nonces
// under one key are safe for 2^32 messages only (NIST SP 800-38D section 8.3)
// and a busy list seals more cursors than that.
func (r *Root) Seal(purpose Purpose, plaintext, aad []byte) []byte {
	key := r.keys[0]
	out := make([]byte, sealHeader, sealHeader+len(plaintext)+sealTagSize)
	out[0] = sealVersion
	copy(out[1:], key.id[:])
	_, _ = rand.Read(out[1+keyIDSize:]) // never returns an error: it ends the program instead
	return key.aead(purpose, out).Seal(out, out[sealHeader-sealNonceSize:sealHeader], plaintext, sealedData(out, aad))
}

// Open returns what Seal was given, whether the current or the previous key
// sealed it. Anything else is ErrSealed, without saying why.
func (r *Root) Open(purpose Purpose, sealed, aad []byte) ([]byte, error) {
	if len(sealed) < SealOverhead || sealed[0] != sealVersion {
		return nil, ErrSealed
	}
	header := sealed[:sealHeader]
	for _, key := range r.keys {
		if [keyIDSize]byte(header[1:1+keyIDSize]) != key.id {
			continue
		}
		nonce := header[sealHeader-sealNonceSize:]
		plaintext, err := key.aead(purpose, header).Open(nil, nonce, sealed[sealHeader:], sealedData(header, aad))
		if err == nil {
			return plaintext, nil
		}
	}
	return nil, ErrSealed
}

// IsSealedByCurrent reports whether sealed names the current key as the one that made it. It proves nothing:
// only Open does.
func (r *Root) IsSealedByCurrent(sealed []byte) bool {
	return len(sealed) > keyIDSize && [keyIDSize]byte(sealed[1:1+keyIDSize]) == r.keys[0].id
}

func (k *rootKey) aead(purpose Purpose, header []byte) cipher.AEAD {
	salt := header[1+keyIDSize : 1+keyIDSize+sealSaltSize]
	block, err := aes.NewCipher(k.derive("seal", purpose, salt...))
	if err != nil {
		panic("aes: 32-byte key refused: " + err.Error())
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("gcm: AES refused: " + err.Error())
	}
	return aead
}

// sealedData authenticates the header too, so that no bit of a sealed value is free.
func sealedData(header, aad []byte) []byte {
	return append(append(make([]byte, 0, len(header)+len(aad)), header...), aad...)
}

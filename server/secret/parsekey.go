package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Why ParseKey refuses a text. The messages never contain any of it.
var (
	ErrKeyTooShort   = errors.New("key is too short: it needs at least 32 bytes (256 bit), for example from `openssl rand -base64 32`")
	ErrKeyGuessable  = errors.New("key is a placeholder or a pattern, not a random value: make one with `openssl rand -base64 32`")
	ErrKeyEmpty      = errors.New("key is empty: make one with `openssl rand -base64 32`")
	errNotBase64Text = errors.New("not base64")
)

// minDistinctBytes is far below what 32 random bytes have (about 30) and above
// what patterns have. The chance that a random key is refused is under 2^-80.
const minDistinctBytes = 10

// ParseKey reads a root key as an operator writes it: hexadecimal, base64
// (standard or URL alphabet, padded or not) or plain text, with white space
// around it ignored, because files end with a newline. It must decode to at
// least MinKeyBytes. Sample values such as "changeme…" or "a_very_secret_key",
// repetitions and sequences are refused, because they would sign tokens as
// readily as a good key.
func ParseKey(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, ErrKeyEmpty
	}
	key := decodeKey(text)
	// The words are looked for before the length, so that "changeme" is told
	// what it is and not merely that it is short.
	if containsPlaceholder(text) || containsPlaceholder(string(key)) {
		return nil, ErrKeyGuessable
	}
	if len(key) < MinKeyBytes {
		return nil, fmt.Errorf("%w; this one has %d", ErrKeyTooShort, len(key))
	}
	if isPattern(key) {
		return nil, ErrKeyGuessable
	}
	return key, nil
}

// decodeKey prefers the narrowest alphabet. Hexadecimal never falls back to
// plain text: 32 such digits look long enough and have only 128 bits.
func decodeKey(text string) []byte {
	if key, err := hex.DecodeString(text); err == nil {
		return key
	}
	if key, err := decodeBase64Text(text); err == nil && len(key) >= MinKeyBytes {
		return key
	}
	return []byte(text)
}

func decodeBase64Text(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, errNotBase64Text // the decoder would skip them
	}
	text = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	return base64.RawStdEncoding.DecodeString(text)
}

// containsPlaceholder knows the sample keys of tutorials and templates. Words
// shorter than seven letters are absent: random base64 would contain one too often.
func containsPlaceholder(text string) bool {
	text = strings.NewReplacer("_", "", "-", "", " ", "", ".", "").Replace(strings.ToLower(text))
	for _, word := range []string{
		"changeme", "changethis", "changeit", "replaceme", "replacethis", "placeholder",
		"verysecret", "secretkey", "supersecret", "topsecret", "mysecret", "yoursecret", "jwtsecret", "thisisasecret",
		"yourkey", "notsecure", "insecure", "password", "example", "default", "letmein", "qwertyuiop",
	} {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

// isPattern finds repetitions of a shorter unit, runs such as "abcdef…" or
// "00000…", and values made of only a few different bytes.
func isPattern(b []byte) bool {
	distinct := map[byte]bool{}
	steps := map[byte]int{}
	for i, c := range b {
		distinct[c] = true
		if i > 0 {
			steps[c-b[i-1]]++
		}
	}
	if len(distinct) < minDistinctBytes {
		return true
	}
	for _, n := range steps {
		if n > len(b)/2 {
			return true
		}
	}
	// A text that is a repetition occurs in its own doubling off the ends.
	doubled := append(bytes.Clone(b), b...)
	return bytes.Contains(doubled[1:len(doubled)-1], b)
}

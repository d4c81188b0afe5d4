package secret

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// ErrMalformedHash means that a stored password hash is in no form that this
// package reads, or asks for more work than any honest hash.
var ErrMalformedHash = errors.New("malformed password hash")

// Limits on stored parameters. A hash in the database is input like any other:
// whoever can plant one must not be able to stop the server with it. They are
// generous to what other systems write (argon2-cffi: 64 MiB and three passes,
// Django: 100 MiB and two, libsodium interactive: 64 MiB and two).
const (
	maxMemoryKiB   = 128 << 10 // 128 MiB
	maxMemoryWork  = 512 << 10 // KiB x passes, about one second of a core
	maxParallelism = 16
	maxHashLength  = 512 // characters of a stored hash
	minTagSize     = 16  // bytes; a shorter one could be guessed
	maxTagSize     = 64
	minSaltSize    = 8
	maxSaltSize    = 64
)

// storedHash is a parsed hash that is safe to compute.
type storedHash struct {
	matches func(password []byte) bool
	// Of argon2id only; zero parameters otherwise.
	params   Params
	saltSize int
	tagSize  int
}

func (s storedHash) isCurrent(params Params) bool {
	return s.params == params && s.saltSize >= saltSize && s.tagSize == tagSize
}

// parseHash reads these forms and no others. Base64 is strict; numbers have no
// sign and no leading zero; the parameters stand in the order shown.
//
//	$argon2id$v=19$m=19456,t=2,p=1$salt$hash      also argon2i; base64 without padding
//	$2a$, $2b$ or $2y$ 12 $ salt and hash          bcrypt; the costs 4 to 14
//	$scrypt$ln=16,r=8,p=1$salt$hash                base64 without padding
//	$pbkdf2-sha256$29000$salt$hash                 passlib; also sha512; "." for "+" in base64
//	$pbkdf2-sha256$i=600000$salt$hash              PHC; also sha512, also i=...,l=32
//	argon2$argon2id$...  bcrypt$$2b$...            Django, and the four forms of phc_django.go
func parseHash(phc string) (storedHash, error) {
	if len(phc) > maxHashLength {
		return storedHash{}, ErrMalformedHash
	}
	if !strings.HasPrefix(phc, "$") {
		return parseDjango(phc)
	}
	fields := strings.Split(phc[1:], "$")
	switch fields[0] {
	case "argon2id", "argon2i":
		return parseArgon2(fields)
	case "2a", "2b", "2y":
		return parseBcrypt(phc)
	case "scrypt":
		return parseScrypt(fields)
	case "pbkdf2-sha256", "pbkdf2-sha512":
		return parsePBKDF2(fields)
	}
	return storedHash{}, ErrMalformedHash
}

func parseArgon2(fields []string) (storedHash, error) {
	if len(fields) != 5 || fields[0] != "argon2id" && fields[0] != "argon2i" || fields[1] != "v=19" {
		return storedHash{}, ErrMalformedHash
	}
	numbers, ok := parseParams(fields[2], "m", "t", "p")
	if !ok || numbers[2] > maxParallelism {
		return storedHash{}, ErrMalformedHash
	}
	params := Params{MemoryKiB: numbers[0], Iterations: numbers[1], Parallelism: uint8(numbers[2])}
	if params.check() != nil {
		return storedHash{}, ErrMalformedHash
	}
	salt, tag, err := decodeSaltAndTag(base64.RawStdEncoding, fields[3], fields[4])
	if err != nil {
		return storedHash{}, err
	}
	if fields[0] == "argon2i" {
		return storedHash{matches: func(password []byte) bool {
			got := argon2.Key(password, salt, params.Iterations, params.MemoryKiB, params.Parallelism, uint32(len(tag)))
			return subtle.ConstantTimeCompare(got, tag) == 1
		}}, nil
	}
	return storedHash{
		params: params, saltSize: len(salt), tagSize: len(tag),
		matches: func(password []byte) bool {
			return subtle.ConstantTimeCompare(params.key(password, salt, uint32(len(tag))), tag) == 1
		},
	}, nil
}

// check refuses what argon2 cannot compute or this server will not.
func (p Params) check() error {
	switch {
	case p.Iterations < 1:
		return errors.New("iterations must be at least 1")
	case p.Parallelism < 1 || p.Parallelism > maxParallelism:
		return fmt.Errorf("parallelism must be from 1 to %d", maxParallelism)
	case p.MemoryKiB < 8*uint32(p.Parallelism): // RFC 9106 section 3.1
		return errors.New("memory must be at least 8 KiB for each lane")
	case p.MemoryKiB > maxMemoryKiB:
		return fmt.Errorf("memory must be at most %d KiB", maxMemoryKiB)
	case uint64(p.MemoryKiB)*uint64(p.Iterations) > maxMemoryWork:
		return fmt.Errorf("memory times iterations must be at most %d KiB", maxMemoryWork)
	}
	return nil
}

// format writes the PHC string (github.com/P-H-C/phc-string-format).
func (p Params) format(salt, tag []byte) string {
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s",
		argon2.Version, p.MemoryKiB, p.Iterations, p.Parallelism, encode(salt), encode(tag))
}

// parseParams reads "a=1,b=2" with exactly these names in this order.
func parseParams(text string, names ...string) ([]uint32, bool) {
	parts := strings.Split(text, ",")
	if len(parts) != len(names) {
		return nil, false
	}
	numbers := make([]uint32, len(names))
	for i, part := range parts {
		value, found := strings.CutPrefix(part, names[i]+"=")
		number, ok := parseNumber(value)
		if !found || !ok {
			return nil, false
		}
		numbers[i] = number
	}
	return numbers, true
}

// parseNumber reads a decimal as strictly as it is written: "+1", "01" and ""
// are refused.
func parseNumber(text string) (uint32, bool) {
	n, err := strconv.ParseUint(text, 10, 32)
	return uint32(n), err == nil && strconv.FormatUint(n, 10) == text
}

func decodeSaltAndTag(encoding *base64.Encoding, saltText, tagText string) (salt, tag []byte, err error) {
	if strings.ContainsAny(saltText+tagText, "\r\n") {
		return nil, nil, ErrMalformedHash // the decoder would skip them
	}
	salt, saltErr := encoding.Strict().DecodeString(saltText)
	tag, tagErr := encoding.Strict().DecodeString(tagText)
	if saltErr != nil || tagErr != nil ||
		len(salt) < minSaltSize || len(salt) > maxSaltSize || len(tag) < minTagSize || len(tag) > maxTagSize {
		return nil, nil, ErrMalformedHash
	}
	return salt, tag, nil
}

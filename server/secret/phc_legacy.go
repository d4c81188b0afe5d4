package secret

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"hash"
	"strings"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"
)

// Limits on imported hashes, each near a second of work on one core.
const (
	maxBcryptCost       = 14
	maxPBKDF2Iterations = 2_000_000           // Django 6: 1,200,000; OWASP: 600,000
	maxScryptMemory     = maxMemoryKiB << 10  // bytes; OWASP's ln=17, r=8 needs exactly this
	maxScryptWork       = 4 * maxScryptMemory // bytes over all lanes
)

const (
	bcryptLength    = 60 // characters of every bcrypt hash
	bcryptMaxInput  = 72 // bytes; the algorithm ignores what follows
	bcryptAlphabet  = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	passlibAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789./"
)

func parseBcrypt(phc string) (storedHash, error) {
	if !isBcrypt(phc) {
		return storedHash{}, ErrMalformedHash
	}
	return storedHash{matches: func(password []byte) bool {
		return bcryptMatches(phc, password)
	}}, nil
}

// bcryptMatches does not let a password that goes on after 72 bytes match, as
// bcrypt itself would: everything after would be free to guess. Such accounts
// need a new password.
func bcryptMatches(phc string, password []byte) bool {
	match := bcrypt.CompareHashAndPassword([]byte(phc), password[:min(len(password), bcryptMaxInput)]) == nil
	return match && len(password) <= bcryptMaxInput
}

func isBcrypt(phc string) bool {
	if len(phc) != bcryptLength || phc[0] != '$' || phc[3] != '$' || phc[6] != '$' {
		return false
	}
	switch phc[1:3] {
	case "2a", "2b", "2y":
	default:
		return false
	}
	cost, ok := parseNumber(strings.TrimPrefix(phc[4:6], "0"))
	if !ok || cost < uint32(bcrypt.MinCost) || cost > maxBcryptCost {
		return false
	}
	return strings.Trim(phc[7:], bcryptAlphabet) == ""
}

func parseScrypt(fields []string) (storedHash, error) {
	if len(fields) != 4 {
		return storedHash{}, ErrMalformedHash
	}
	numbers, ok := parseParams(fields[1], "ln", "r", "p")
	if !ok || numbers[0] > 30 {
		return storedHash{}, ErrMalformedHash
	}
	salt, tag, err := decodeSaltAndTag(base64.RawStdEncoding, fields[2], fields[3])
	if err != nil {
		return storedHash{}, err
	}
	return newScryptHash(1<<numbers[0], numbers[1], numbers[2], salt, tag)
}

func newScryptHash(n, r, p uint32, salt, tag []byte) (storedHash, error) {
	if n < 2 || n&(n-1) != 0 || r < 1 || p < 1 || r > 64 || p > maxParallelism {
		return storedHash{}, ErrMalformedHash
	}
	memory := 128 * uint64(n) * uint64(r) // RFC 7914 section 2
	if memory > maxScryptMemory || memory*uint64(p) > maxScryptWork {
		return storedHash{}, ErrMalformedHash
	}
	return storedHash{matches: func(password []byte) bool {
		got, err := scrypt.Key(password, salt, int(n), int(r), int(p), len(tag))
		return err == nil && subtle.ConstantTimeCompare(got, tag) == 1
	}}, nil
}

func parsePBKDF2(fields []string) (storedHash, error) {
	if len(fields) != 4 {
		return storedHash{}, ErrMalformedHash
	}
	algorithm := sha256.New
	if fields[0] == "pbkdf2-sha512" {
		algorithm = sha512.New
	}
	encoding := base64.RawStdEncoding
	iterations, isPasslib := parseNumber(fields[1])
	if isPasslib {
		encoding = base64.NewEncoding(passlibAlphabet).WithPadding(base64.NoPadding)
	}
	salt, tag, err := decodeSaltAndTag(encoding, fields[2], fields[3])
	if err != nil {
		return storedHash{}, err
	}
	if !isPasslib {
		numbers, ok := parseParams(fields[1], "i")
		if !ok {
			numbers, ok = parseParams(fields[1], "i", "l")
			ok = ok && numbers[1] == uint32(len(tag))
		}
		if !ok {
			return storedHash{}, ErrMalformedHash
		}
		iterations = numbers[0]
	}
	return newPBKDF2Hash(algorithm, iterations, salt, tag)
}

func newPBKDF2Hash(algorithm func() hash.Hash, iterations uint32, salt, tag []byte) (storedHash, error) {
	if iterations < 1 || iterations > maxPBKDF2Iterations || len(tag) > algorithm().Size() {
		return storedHash{}, ErrMalformedHash
	}
	return storedHash{matches: func(password []byte) bool {
		got, err := pbkdf2.Key(algorithm, string(password), salt, int(iterations), len(tag))
		return err == nil && subtle.ConstantTimeCompare(got, tag) == 1
	}}, nil
}

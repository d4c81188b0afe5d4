package secret

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// parseDjango reads the hashes of django.contrib.auth, whose first field has no
// "$" before it. The salts of pbkdf2 and scrypt are text, used as they stand.
//
//	pbkdf2_sha256$1000000$salt$hash      base64 with padding
//	scrypt$salt$16384$8$5$hash           base64 with padding
//	argon2$argon2id$v=19$...             a PHC string after "argon2"
//	bcrypt$$2b$12$...                    a bcrypt hash after "bcrypt$"
//	bcrypt_sha256$$2b$12$...             bcrypt over the hexadecimal SHA-256
func parseDjango(text string) (storedHash, error) {
	fields := strings.Split(text, "$")
	switch {
	case fields[0] == "argon2":
		return parseArgon2(fields[1:])
	case fields[0] == "bcrypt" && strings.HasPrefix(text, "bcrypt$$"):
		return parseBcrypt(strings.TrimPrefix(text, "bcrypt$"))
	case fields[0] == "bcrypt_sha256":
		return parseDjangoBcryptSHA256(strings.TrimPrefix(text, "bcrypt_sha256$"))
	case fields[0] == "pbkdf2_sha256" && len(fields) == 4:
		return parseDjangoPBKDF2(fields)
	case fields[0] == "scrypt" && len(fields) == 6:
		return parseDjangoScrypt(fields)
	}
	return storedHash{}, ErrMalformedHash
}

func parseDjangoBcryptSHA256(phc string) (storedHash, error) {
	if !isBcrypt(phc) {
		return storedHash{}, ErrMalformedHash
	}
	return storedHash{matches: func(password []byte) bool {
		digest := sha256.Sum256(password)
		return bcryptMatches(phc, []byte(hex.EncodeToString(digest[:])))
	}}, nil
}

func parseDjangoPBKDF2(fields []string) (storedHash, error) {
	iterations, ok := parseNumber(fields[1])
	tag, err := decodeDjangoTag(fields[2], fields[3])
	if !ok || err != nil {
		return storedHash{}, ErrMalformedHash
	}
	return newPBKDF2Hash(sha256.New, iterations, []byte(fields[2]), tag)
}

func parseDjangoScrypt(fields []string) (storedHash, error) {
	n, okN := parseNumber(fields[2])
	r, okR := parseNumber(fields[3])
	p, okP := parseNumber(fields[4])
	tag, err := decodeDjangoTag(fields[1], fields[5])
	if !okN || !okR || !okP || err != nil {
		return storedHash{}, ErrMalformedHash
	}
	return newScryptHash(n, r, p, []byte(fields[1]), tag)
}

// decodeDjangoTag checks a text salt with the bounds of a decoded one.
func decodeDjangoTag(salt, tagText string) ([]byte, error) {
	encodedSalt := base64.StdEncoding.EncodeToString([]byte(salt))
	_, tag, err := decodeSaltAndTag(base64.StdEncoding, encodedSalt, tagText)
	return tag, err
}

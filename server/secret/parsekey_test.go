package secret_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"usermanager/server/secret"
)

// randomLooking returns n bytes that are the same in every run.
func randomLooking(n int) []byte {
	var out []byte
	for seed := byte(0); len(out) < n; seed++ {
		sum := sha256.Sum256([]byte{seed})
		out = append(out, sum[:]...)
	}
	return out[:n]
}

func TestAKeyIsReadInEveryUsualSpelling(t *testing.T) {
	t.Parallel()
	key := randomLooking(32)
	long := randomLooking(64)
	for _, tc := range []struct {
		name, text string
		want       []byte
	}{
		{"hexadecimal", hex.EncodeToString(key), key},
		{"hexadecimal in capitals", strings.ToUpper(hex.EncodeToString(key)), key},
		{"base64", base64.StdEncoding.EncodeToString(key), key},
		{"base64 without padding", base64.RawStdEncoding.EncodeToString(key), key},
		{"base64url", base64.URLEncoding.EncodeToString(key), key},
		{"base64url without padding", base64.RawURLEncoding.EncodeToString(key), key},
		{"64 bytes in base64", base64.StdEncoding.EncodeToString(long), long},
		{"a file's last newline", base64.StdEncoding.EncodeToString(key) + "\r\n", key},
		{"spaces around", "  " + hex.EncodeToString(key) + "\t", key},
		{"plain text", "Tr0ub4dor&3 horse/battery*staple~42", []byte("Tr0ub4dor&3 horse/battery*staple~42")},
		{"plain text over two lines", "Tr0ub4dorhorse\nbatterystaple42wxyzk", []byte("Tr0ub4dorhorse\nbatterystaple42wxyzk")},
		{"plain text that is base64 of too little", "kX9mQ2vR7tL4wZ8nB3cF6hJ1pS5dG0yAu", []byte("kX9mQ2vR7tL4wZ8nB3cF6hJ1pS5dG0yAu")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := secret.ParseKey(tc.text)
			if err != nil {
				t.Fatalf("ParseKey: %v", err)
			}
			if !bytes.Equal(got, tc.want) {
				t.Errorf("ParseKey = %x, want %x", got, tc.want)
			}
		})
	}
}

//
func TestAWeakKeyIsRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, text string
		want       error
	}{
		{"empty", "", secret.ErrKeyEmpty},
		{"only spaces", " \n", secret.ErrKeyEmpty},
		{"31 characters", "kX9mQ2vR7tL4wZ8nB3cF6hJ1pS5dG0!", secret.ErrKeyTooShort},
		{"128 bits in hexadecimal look like 32 characters", hex.EncodeToString(randomLooking(16)), secret.ErrKeyTooShort},
		{"31 bytes in hexadecimal", hex.EncodeToString(randomLooking(31)), secret.ErrKeyTooShort},
		{"the sample key of the replaced system", "a_very_secret_key", secret.ErrKeyGuessable},
		{"that key made longer", "a_very_secret_key_a_very_long_one_2026", secret.ErrKeyGuessable},
		{"changeme", "changeme", secret.ErrKeyGuessable},
		{"changeme made longer", "changeme-changeme-8f2k1q0z7x5w3v9b", secret.ErrKeyGuessable},
		{"Change-Me", "Please-Change-Me-9f8e7d6c5b4a3210zyx", secret.ErrKeyGuessable},
		{"placeholder", "<placeholder: 32 random characters>", secret.ErrKeyGuessable},
		{"your secret", "your_secret_here_1234567890_abcdefg", secret.ErrKeyGuessable},
		{"JWT secret", "my-JWT-secret-for-development-only!", secret.ErrKeyGuessable},
		{"base64 of a placeholder", base64.StdEncoding.EncodeToString([]byte("this-is-changeme-0123456789-xyzwvu")), secret.ErrKeyGuessable},
		{"hexadecimal of a placeholder", hex.EncodeToString([]byte("this-is-changeme-0123456789-xyzwvu")), secret.ErrKeyGuessable},
		{"one character", strings.Repeat("x", 40), secret.ErrKeyGuessable},
		{"zeros in hexadecimal", strings.Repeat("0", 64), secret.ErrKeyGuessable},
		{"zeros in base64", base64.StdEncoding.EncodeToString(make([]byte, 32)), secret.ErrKeyGuessable},
		{"three characters in turn", strings.Repeat("x!z", 14), secret.ErrKeyGuessable},
		{"a repeated unit of many characters", strings.Repeat("k9!Qw2#Lm7^Zp", 3), secret.ErrKeyGuessable},
		{"the alphabet", "abcdefghijklmnopqrstuvwxyz!abcdefghijk", secret.ErrKeyGuessable},
		{"counting bytes", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", secret.ErrKeyGuessable},
		{"counting down by two", "403e3c3a38363432302e2c2a28262422201e1c1a18161412100e0c0a08060402", secret.ErrKeyGuessable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			key, err := secret.ParseKey(tc.text)
			if !errors.Is(err, tc.want) {
				t.Fatalf("ParseKey = %x, %v, want %v", key, err, tc.want)
			}
			if key != nil {
				t.Errorf("a refused key is returned: %x", key)
			}
		})
	}
}

// H-09: a refusal ends in a log, so it must not carry the key.
func TestARefusedKeyIsNotInItsError(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"hunter2-canary", strings.Repeat("canary", 8), "changeme-canary-0123456789"} {
		_, err := secret.ParseKey(text)
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("ParseKey error = %v", err)
		}
	}
}

func TestRandomKeysAreAcceptedInEverySpelling(t *testing.T) {
	t.Parallel()
	for i := range 2000 {
		seed := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		for name, text := range map[string]string{
			"hex": hex.EncodeToString(seed[:]), "base64": base64.StdEncoding.EncodeToString(seed[:]),
		} {
			got, err := secret.ParseKey(text)
			if err != nil || !bytes.Equal(got, seed[:]) {
				t.Fatalf("ParseKey of %s %s = %x, %v", name, text, got, err)
			}
		}
	}
}

func FuzzParseKey(f *testing.F) {
	for _, seed := range []string{"", "changeme", strings.Repeat("0", 64), "a_very_secret_key", "Zm9v", "%%%=-_\r\n",
		base64.StdEncoding.EncodeToString(randomLooking(32)), hex.EncodeToString(randomLooking(32))} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, err := secret.ParseKey(text)
		if err != nil {
			if key != nil {
				t.Errorf("error and key")
			}
			return
		}
		if len(key) < secret.MinKeyBytes {
			t.Errorf("%d bytes accepted", len(key))
		}
		if _, err := secret.NewRoot(key, nil); err != nil {
			t.Errorf("NewRoot refuses what ParseKey accepts: %v", err)
		}
		again, err := secret.ParseKey("\n" + text + " ")
		if err != nil || !bytes.Equal(again, key) {
			t.Errorf("white space around changes the key: %v", err)
		}
	})
}

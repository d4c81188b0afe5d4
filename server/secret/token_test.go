package secret_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"usermanager/server/secret"
)

const (
	address      = "jane@example.com"
	base64URLSet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
)

func parseToken(t *testing.T, text string) secret.Token {
	t.Helper()
	token, err := secret.ParseToken(text)
	if err != nil {
		t.Fatalf("ParseToken: %v", err)
	}
	return token
}

func TestAMintedTokenVerifiesAndNamesItsRow(t *testing.T) {
	t.Parallel()
	root := rootOf(t, 1)
	for _, purpose := range []secret.Purpose{secret.PurposeVerifyEmail, secret.PurposeInvitation} {
		text := root.MintToken(purpose, tokenID, userID, address)
		if len(text) != secret.TokenLength || strings.Trim(text, base64URLSet) != "" {
			t.Errorf("token %q is not %d characters of base64url", text, secret.TokenLength)
		}
		if again := root.MintToken(purpose, tokenID, userID, address); again != text {
			t.Errorf("minted again it is %q, first %q", again, text)
		}
		token := parseToken(t, text)
		if token.ID != tokenID {
			t.Errorf("ID = %s, want %s", token.ID, tokenID)
		}
		if !root.VerifyToken(purpose, token, userID, address) {
			t.Errorf("%s token does not verify", purpose)
		}
	}
}

// purposes x purposes, only the diagonal works; and bound to user and address.
func TestATokenIsBoundToPurposeUserAndAddress(t *testing.T) {
	t.Parallel()
	root := rootOf(t, 1)
	purposes := []secret.Purpose{secret.PurposeVerifyEmail, secret.PurposeInvitation, "reset-password", "change-email"}
	for _, minted := range purposes {
		token := parseToken(t, root.MintToken(minted, tokenID, userID, address))
		for _, used := range purposes {
			if got := root.VerifyToken(used, token, userID, address); got != (minted == used) {
				t.Errorf("minted for %s, used for %s: VerifyToken = %v", minted, used, got)
			}
		}
	}
	token := parseToken(t, root.MintToken(secret.PurposeVerifyEmail, tokenID, userID, address))
	for _, tc := range []struct {
		name    string
		user    uuid.UUID
		address string
	}{
		{"another user", sessionID, address},
		{"no user", uuid.Nil, address},
		{"the row's id as the user", tokenID, address},
		{"another address", userID, "mallory@example.com"},
		{"another spelling", userID, "Jane@example.com"},
		{"no address", userID, ""},
		{"a longer address", userID, address + "\x00"},
	} {
		if root.VerifyToken(secret.PurposeVerifyEmail, token, tc.user, tc.address) {
			t.Errorf("%s: the token verifies", tc.name)
		}
	}
}

// T-09 for opaque tokens: every one of the 63 other characters at every place.
func TestATokenWithOneOtherCharacterIsRefused(t *testing.T) {
	t.Parallel()
	root := rootOf(t, 1)
	text := root.MintToken(secret.PurposeVerifyEmail, tokenID, userID, address)
	tried := 0
	for i := range len(text) {
		for _, c := range []byte(base64URLSet + "=+/.\n\r \x00") {
			if c == text[i] {
				continue
			}
			changed := []byte(text)
			changed[i] = c
			tried++
			token, err := secret.ParseToken(string(changed))
			if err != nil {
				continue
			}
			// The owner's row is looked up by ID; grant the attacker that it is found.
			if root.VerifyToken(secret.PurposeVerifyEmail, token, userID, address) {
				t.Fatalf("verifies with character %d changed to %q", i, c)
			}
		}
	}
	if want := secret.TokenLength * 63; tried < want {
		t.Errorf("tried %d changes, want at least %d", tried, want)
	}
}

func TestWhatIsNoTokenIsMalformed(t *testing.T) {
	t.Parallel()
	good := rootOf(t, 1).MintToken(secret.PurposeVerifyEmail, tokenID, userID, address)
	last := strings.IndexByte(base64URLSet, good[len(good)-1])
	for name, text := range map[string]string{
		"empty":                      "",
		"one short":                  good[:len(good)-1],
		"one more":                   good + "A",
		"padded":                     good + "==",
		"free bits set at the end":   good[:len(good)-1] + string(base64URLSet[last|1]),
		"line breaks at the end":     good[:65] + "A\r\n\r\n", // decodes, to three bytes too few
		"line break at the end":      good[:len(good)-1] + "\n",
		"standard alphabet":          "+/" + good[2:],
		"an access token":            "eyJhbGciOiJFUzI1NiJ9.e30.c2ln",
		"a megabyte":                 strings.Repeat("A", 1<<20),
		"characters outside ASCII":   strings.Repeat("é", secret.TokenLength/2),
		"a UUID":                     tokenID.String(),
		"a NUL in it":                good[:10] + "\x00" + good[11:],
		"percent-encoded":            good[:10] + "%2D" + good[13:],
		"spaces in place of letters": good[:10] + "   " + good[13:],
	} {
		if token, err := secret.ParseToken(text); !errors.Is(err, secret.ErrMalformedToken) || token.ID != uuid.Nil {
			t.Errorf("%s: ParseToken = %v, want ErrMalformedToken", name, err)
		}
	}
}

func TestTokensOutliveOneChangeOfRootKey(t *testing.T) {
	t.Parallel()
	text := rootOf(t, 1).MintToken(secret.PurposeVerifyEmail, tokenID, userID, address)
	token := parseToken(t, text)
	for _, tc := range []struct {
		name string
		root *secret.Root
		want bool
	}{
		{"the key that made it", rootOf(t, 1), true},
		{"as the previous key", rootOf(t, 2, 1), true},
		{"another key", rootOf(t, 2), false},
		{"two changes later", rootOf(t, 3, 2), false},
	} {
		if got := tc.root.VerifyToken(secret.PurposeVerifyEmail, token, userID, address); got != tc.want {
			t.Errorf("%s: VerifyToken = %v, want %v", tc.name, got, tc.want)
		}
	}
}

// The worker derives the mailed token from its row; the row may be older than the key.
func TestAQueuedTokenIsDerivedAgainFromItsHash(t *testing.T) {
	t.Parallel()
	text := rootOf(t, 1).MintToken(secret.PurposeInvitation, tokenID, userID, address)
	hash := secret.TokenHash(text)
	for _, tc := range []struct {
		name    string
		root    *secret.Root
		purpose secret.Purpose
		want    bool
	}{
		{"same key", rootOf(t, 1), secret.PurposeInvitation, true},
		{"key changed since", rootOf(t, 2, 1), secret.PurposeInvitation, true},
		{"key lost", rootOf(t, 2), secret.PurposeInvitation, false},
		{"another purpose", rootOf(t, 1), secret.PurposeVerifyEmail, false},
	} {
		got, ok := tc.root.MintTokenWithHash(hash, tc.purpose, tokenID, userID, address)
		if ok != tc.want || (ok && got != text) || (!ok && got != "") {
			t.Errorf("%s: MintTokenWithHash = %q, %v, want %v", tc.name, got, ok, tc.want)
		}
	}
}

//
func TestTheStoredHashIsNotTheToken(t *testing.T) {
	t.Parallel()
	text := rootOf(t, 1).MintToken(secret.PurposeVerifyEmail, tokenID, userID, address)
	want := sha256.Sum256([]byte(text))
	hash := secret.TokenHash(text)
	if !bytes.Equal(hash, want[:]) {
		t.Errorf("TokenHash = %x, want SHA-256 %x", hash, want)
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatalf("decode: %v", err)
	}
	if bytes.Contains(raw, hash) || bytes.Contains(raw, hash[:8]) {
		t.Error("the token contains its hash")
	}
}

func FuzzParseToken(f *testing.F) {
	root := rootOf(f, 1, 2)
	good := root.MintToken(secret.PurposeVerifyEmail, tokenID, userID, address)
	f.Add(good)
	f.Add("")
	f.Add(good[:69] + "\n")
	f.Add(strings.Repeat("_", secret.TokenLength))
	f.Fuzz(func(t *testing.T, text string) {
		token, err := secret.ParseToken(text)
		if err != nil {
			return
		}
		if len(text) != secret.TokenLength || strings.Trim(text, base64URLSet) != "" {
			t.Errorf("%q was read as a token", text)
		}
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || base64.RawURLEncoding.EncodeToString(raw) != text {
			t.Errorf("%q is not canonical", text)
		}
		if root.VerifyToken(secret.PurposeVerifyEmail, token, userID, address) && text != good {
			t.Errorf("%q verifies and nobody minted it", text)
		}
	})
}

package server_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"usermanager/server/secret"
)

// tokenForge holds the private key of a system, so that a test can sign what the server never would.
type tokenForge struct {
	t       testing.TB
	key     *ecdsa.PrivateKey
	kid     string
	genuine string // a token that is good
	header  string // its first part
	claims  map[string]any
}

func newTokenForge(s *system, genuine string) tokenForge {
	s.t.Helper()
	root, err := secret.NewRoot([]byte(testKey), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	var kid string
	var sealed []byte
	s.scan("SELECT kid, sealed FROM signing_keys WHERE state = 'current'", nil, &kid, &sealed)
	der, err := root.Open(secret.PurposeSigningKey, sealed, []byte(kid))
	if err != nil {
		s.t.Fatal(err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	key, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok {
		s.t.Fatalf("parse signing key: %v", err)
	}
	return tokenForge{
		t: s.t, key: key, kid: kid, genuine: genuine, header: strings.Split(genuine, ".")[0], claims: tokenPart(s.t, genuine, 1),
	}
}

// sign makes a token of these two parts with a good ES256 signature.
func (f tokenForge) sign(header, payload string) string {
	f.t.Helper()
	sum := sha256.Sum256([]byte(header + "." + payload))
	r, s, err := ecdsa.Sign(rand.Reader, f.key, sum[:])
	if err != nil {
		f.t.Fatal(err)
	}
	signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	return header + "." + payload + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// with signs the genuine claims with some of them changed; nil takes one away.
func (f tokenForge) with(changes map[string]any) string {
	f.t.Helper()
	claims := maps.Clone(f.claims)
	for name, value := range changes {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	return f.sign(f.header, encodeTokenPart(f.t, claims))
}

// headed signs the genuine claims under another header.
func (f tokenForge) headed(header map[string]any) string {
	f.t.Helper()
	return f.sign(encodeTokenPart(f.t, header), encodeTokenPart(f.t, f.claims))
}

func encodeTokenPart(t testing.TB, value any) string {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

func decodeTokenPart(t testing.TB, part string) []byte {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

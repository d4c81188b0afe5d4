package secret_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"usermanager/server/secret"
)

func marshalPrivate(t testing.TB, key *secret.SigningKey) []byte {
	t.Helper()
	der, err := key.MarshalPrivate()
	if err != nil {
		t.Fatalf("MarshalPrivate: %v", err)
	}
	return der
}

// publicHalf is the key as a server sees it that may only verify.
func publicHalf(t testing.TB, key *secret.SigningKey) *secret.SigningKey {
	t.Helper()
	der, err := key.MarshalPublic()
	if err != nil {
		t.Fatalf("MarshalPublic: %v", err)
	}
	public, err := secret.ParsePublic(key.ID, der)
	if err != nil {
		t.Fatalf("ParsePublic: %v", err)
	}
	return public
}

func TestASigningKeySurvivesStorage(t *testing.T) {
	t.Parallel()
	key := signingKey(t)
	root := rootOf(t, 1)
	sealed := root.Seal(secret.PurposeSigningKey, marshalPrivate(t, key), []byte(key.ID))
	der, err := root.Open(secret.PurposeSigningKey, sealed, []byte(key.ID))
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	loaded, err := secret.ParsePrivate(key.ID, der)
	if err != nil {
		t.Fatalf("ParsePrivate: %v", err)
	}
	before := keySet(t, secret.KeyEntry{Key: key, State: secret.KeyCurrent})
	after := keySet(t, secret.KeyEntry{Key: loaded, State: secret.KeyCurrent})
	for _, pair := range [][2]*secret.KeySet{{before, after}, {after, before}} {
		if _, err := pair[1].Verify(sign(t, pair[0]), now()); err != nil {
			t.Errorf("Verify across storage: %v", err)
		}
	}
	if !bytes.Equal(before.JWKS(), after.JWKS()) {
		t.Errorf("JWKS %s, after storage %s", before.JWKS(), after.JWKS())
	}
}

// None begins with a dash: `keys retire -x` would take it for a flag.
func TestKeyIDsAreRandom(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 500 {
		id := signingKey(t).ID
		if id[0] == '-' {
			t.Errorf("id %q", id)
		}
		raw, err := base64.RawURLEncoding.DecodeString(id)
		if err != nil || len(raw) != 16 || seen[id] {
			t.Fatalf("id %q: %d bytes, %v, seen %v", id, len(raw), err, seen[id])
		}
		seen[id] = true
	}
}

func TestAPublicHalfVerifiesAndDoesNotSign(t *testing.T) {
	t.Parallel()
	key, other := signingKey(t), signingKey(t)
	public := publicHalf(t, key)
	if der, err := public.MarshalPrivate(); err == nil {
		t.Errorf("MarshalPrivate of a public half = %x", der)
	}
	token := sign(t, keySet(t, secret.KeyEntry{Key: key, State: secret.KeyCurrent}))
	set := keySet(t, secret.KeyEntry{Key: other, State: secret.KeyCurrent}, secret.KeyEntry{Key: public, State: secret.KeyRetired})
	if _, err := set.Verify(token, now()); err != nil {
		t.Errorf("Verify: %v", err)
	}
}

func TestOnlyP256KeysAreParsed(t *testing.T) {
	t.Parallel()
	private, public := map[string]any{}, map[string]any{}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private["P-384"], public["P-384"] = p384, &p384.PublicKey
	edPublic, edPrivate, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private["Ed25519"], public["Ed25519"] = edPrivate, edPublic
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	private["RSA"], public["RSA"] = rsaKey, &rsaKey.PublicKey

	for name, key := range private {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := secret.ParsePrivate("kid", der); err == nil {
			t.Errorf("ParsePrivate takes %s", name)
		}
	}
	for name, key := range public {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := secret.ParsePublic("kid", der); err == nil {
			t.Errorf("ParsePublic takes %s", name)
		}
	}
	good := marshalPrivate(t, signingKey(t))
	for name, der := range map[string][]byte{"nothing": nil, "garbage": []byte("garbage"), "half": good[:len(good)/2]} {
		if _, err := secret.ParsePrivate("kid", der); err == nil || strings.Contains(err.Error(), "garbage") {
			t.Errorf("ParsePrivate of %s = %v", name, err)
		}
		if _, err := secret.ParsePublic("kid", der); err == nil {
			t.Errorf("ParsePublic takes %s", name)
		}
	}
}

// T-03: an id that needs no escape can be nothing but an id.
func TestKeyIDsHaveAPlainAlphabet(t *testing.T) {
	t.Parallel()
	key := signingKey(t)
	private := marshalPrivate(t, key)
	public, err := key.MarshalPublic()
	if err != nil {
		t.Fatalf("MarshalPublic: %v", err)
	}
	for id, ok := range map[string]bool{
		"a": true, "2026-03_x": true, strings.Repeat("a", 64): true,
		"": false, strings.Repeat("a", 65): false, "../../dev/null": false, `a"b`: false, "a b": false, "é": false, "' OR 1=1--": false,
	} {
		if _, err := secret.ParsePrivate(id, private); (err == nil) != ok {
			t.Errorf("ParsePrivate with id %q: %v", id, err)
		}
		if _, err := secret.ParsePublic(id, public); (err == nil) != ok {
			t.Errorf("ParsePublic with id %q: %v", id, err)
		}
	}
}

func TestAKeySetNeedsExactlyOneKeyThatSigns(t *testing.T) {
	t.Parallel()
	a, b := signingKey(t), signingKey(t)
	entry := func(key *secret.SigningKey, state secret.KeyState) secret.KeyEntry {
		return secret.KeyEntry{Key: key, State: state}
	}
	for _, tc := range []struct {
		name    string
		rules   secret.TokenRules
		entries []secret.KeyEntry
		ok      bool
	}{
		{"one current", rules(), []secret.KeyEntry{entry(a, secret.KeyCurrent)}, true},
		{"a public key that is next", rules(), []secret.KeyEntry{entry(publicHalf(t, b), secret.KeyNext), entry(a, secret.KeyCurrent)}, true},
		{"none", rules(), nil, false},
		{"no current", rules(), []secret.KeyEntry{entry(a, secret.KeyNext), entry(b, secret.KeyRetired)}, false},
		{"two current", rules(), []secret.KeyEntry{entry(a, secret.KeyCurrent), entry(b, secret.KeyCurrent)}, false},
		{"a current key without its private part", rules(), []secret.KeyEntry{entry(publicHalf(t, a), secret.KeyCurrent)}, false},
		{"one key twice", rules(), []secret.KeyEntry{entry(a, secret.KeyCurrent), entry(a, secret.KeyRetired)}, false},
		{"an unknown state", rules(), []secret.KeyEntry{entry(a, secret.KeyCurrent), entry(b, "revoked")}, false},
		{"no state", rules(), []secret.KeyEntry{entry(a, "")}, false},
		{"no key", rules(), []secret.KeyEntry{entry(nil, secret.KeyCurrent)}, false},
		{"no issuer", secret.TokenRules{Audience: "a", MaxLifetime: 1e9}, []secret.KeyEntry{entry(a, secret.KeyCurrent)}, false},
		{"no audience", secret.TokenRules{Issuer: "i", MaxLifetime: 1e9}, []secret.KeyEntry{entry(a, secret.KeyCurrent)}, false},
		{"no lifetime", secret.TokenRules{Issuer: "i", Audience: "a"}, []secret.KeyEntry{entry(a, secret.KeyCurrent)}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			set, err := secret.NewKeySet(tc.rules, tc.entries...)
			if (err == nil) != tc.ok || (set != nil) != tc.ok {
				t.Errorf("NewKeySet = %v, %v, want ok %v", set, err, tc.ok)
			}
		})
	}
}

// T-03: what is left of a set when some of its keys were revoked.
func TestASetWithoutSomeOfItsKeys(t *testing.T) {
	t.Parallel()
	old, current := signingKey(t), signingKey(t)
	before := keySet(t, secret.KeyEntry{Key: old, State: secret.KeyCurrent})
	set := keySet(t, secret.KeyEntry{Key: old, State: secret.KeyRetired}, secret.KeyEntry{Key: current, State: secret.KeyCurrent})
	oldToken, newToken := sign(t, before), sign(t, set)
	for _, tc := range []struct {
		name          string
		ids           []string
		old, new, can bool
	}{
		{"all", []string{current.ID, old.ID, "another"}, true, true, true},
		{"the current one", []string{current.ID}, false, true, true},
		{"the retired one", []string{old.ID}, true, false, false},
		{"none", nil, false, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			left, err := set.Only(tc.ids)
			if err != nil {
				t.Fatalf("Only: %v", err)
			}
			_, oldErr := left.Verify(oldToken, now())
			_, newErr := left.Verify(newToken, now())
			_, signErr := left.Sign(claims())
			if (oldErr == nil) != tc.old || (newErr == nil) != tc.new || (signErr == nil) != tc.can {
				t.Errorf("old token: %v, new token: %v, signing: %v", oldErr, newErr, signErr)
			}
			if has := bytes.Contains(left.JWKS(), []byte(old.ID)); has != tc.old {
				t.Errorf("the old key is published: %v, want %v", has, tc.old)
			}
		})
	}
}

// T-21
func TestTheJWKSPublishesPublicPartsOnly(t *testing.T) {
	t.Parallel()
	entries := []secret.KeyEntry{
		{Key: signingKey(t), State: secret.KeyCurrent},
		{Key: signingKey(t), State: secret.KeyNext},
		{Key: publicHalf(t, signingKey(t)), State: secret.KeyRetired},
	}
	set := keySet(t, entries...)
	var published struct {
		Keys []map[string]string `json:"keys"`
	}
	if err := json.Unmarshal(set.JWKS(), &published); err != nil {
		t.Fatalf("JWKS %s: %v", set.JWKS(), err)
	}
	if len(published.Keys) != len(entries) {
		t.Fatalf("%d keys published, want %d", len(published.Keys), len(entries))
	}
	for i, key := range published.Keys {
		want := map[string]string{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": entries[i].Key.ID}
		for name, value := range want {
			if key[name] != value {
				t.Errorf("key %d: %s = %q, want %q", i, name, key[name], value)
			}
		}
		if len(key) != len(want)+2 { // and x and y
			t.Errorf("key %d has other members: %v", i, key)
		}
		point := slices.Concat([]byte{4}, coordinate(t, key["x"]), coordinate(t, key["y"])) // SEC 1 section 2.3.3
		if own, err := publicOf(t, entries[i].Key).Bytes(); err != nil || !bytes.Equal(point, own) {
			t.Errorf("key %d: the point is another (%v)", i, err)
		}
	}
	set.JWKS()[0] = 'x'
	if set.JWKS()[0] != '{' {
		t.Error("a caller can change the published keys")
	}
}

// coordinate has 32 bytes whatever its value: RFC 7518 section 6.2.1.2.
func coordinate(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) != 32 {
		t.Fatalf("coordinate %q: %d bytes, %v", text, len(raw), err)
	}
	return raw
}

func publicOf(t testing.TB, key *secret.SigningKey) *ecdsa.PublicKey {
	t.Helper()
	der, err := key.MarshalPublic()
	if err != nil {
		t.Fatalf("MarshalPublic: %v", err)
	}
	public, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	return public.(*ecdsa.PublicKey)
}

// T-20: next, current, retired, gone.
func TestARotationAcceptsEveryLiveTokenAndNoDeadOne(t *testing.T) {
	t.Parallel()
	old, fresh := signingKey(t), signingKey(t)
	stages := []struct {
		name             string
		entries          []secret.KeyEntry
		wantOld, wantNew bool
	}{
		{"before", []secret.KeyEntry{{Key: old, State: secret.KeyCurrent}}, true, false},
		{"published", []secret.KeyEntry{{Key: old, State: secret.KeyCurrent}, {Key: fresh, State: secret.KeyNext}}, true, true},
		{"switched", []secret.KeyEntry{{Key: old, State: secret.KeyRetired}, {Key: fresh, State: secret.KeyCurrent}}, true, true},
		{"dropped", []secret.KeyEntry{{Key: fresh, State: secret.KeyCurrent}}, false, true},
	}
	oldToken, newToken := sign(t, keySet(t, stages[0].entries...)), sign(t, keySet(t, stages[3].entries...))
	verifier, err := secret.NewVerifier(keySet(t, stages[0].entries...), 10)
	if err != nil {
		t.Fatalf("NewVerifier: %v", err)
	}
	for _, stage := range stages {
		set := keySet(t, stage.entries...)
		verifier.SetKeys(set)
		for name, verify := range map[string]func(string) error{
			"set":      func(token string) error { _, err := set.Verify(token, now()); return err },
			"verifier": func(token string) error { _, err := verifier.Verify(token, now()); return err },
		} {
			if err := verify(oldToken); (err == nil) != stage.wantOld {
				t.Errorf("%s, %s: token of the old key: %v", stage.name, name, err)
			}
			if err := verify(newToken); (err == nil) != stage.wantNew {
				t.Errorf("%s, %s: token of the new key: %v", stage.name, name, err)
			}
		}
	}
}

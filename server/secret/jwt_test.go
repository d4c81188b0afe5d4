package secret_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"usermanager/server/secret"
)

// forge builds tokens by hand, with any header and claims, so that the tests do
// not trust the code that they test.
type forge struct {
	kid     string
	private *ecdsa.PrivateKey
	set     *secret.KeySet
}

func newForge(t testing.TB) forge {
	t.Helper()
	key := signingKey(t)
	parsed, err := x509.ParsePKCS8PrivateKey(marshalPrivate(t, key))
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	return forge{kid: key.ID, private: parsed.(*ecdsa.PrivateKey), set: keySet(t, secret.KeyEntry{Key: key, State: secret.KeyCurrent})}
}

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func (f forge) header() string { return fmt.Sprintf(`{"alg":"ES256","kid":%q,"typ":"at+jwt"}`, f.kid) }

// sign signs header and payload truly, whatever they say.
func (f forge) sign(t testing.TB, header, payload string) string {
	t.Helper()
	input := encode(header) + "." + encode(payload)
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, f.private, digest[:])
	if err != nil {
		t.Fatalf("sign: %v", err)
	}
	signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	return input + "." + encode(string(signature))
}

// payload is a good payload with some members changed; nil removes one.
func payload(changes map[string]any) string {
	members := map[string]any{
		"iss": "https://id.test", "aud": "https://api.test", "sub": userID.String(), "sid": sessionID.String(),
		"iat": now().Unix(), "exp": now().Add(15 * time.Minute).Unix(), "jti": "j1", "scope": "profile:read",
	}
	maps.Copy(members, changes)
	maps.DeleteFunc(members, func(_ string, value any) bool { return value == nil })
	text, err := json.Marshal(members)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// refused fails unless the token is ErrTokenInvalid for set and verifier alike,
// and unless refusing is fast.
func refused(t *testing.T, f forge, name, token string) {
	t.Helper()
	verifier, err := secret.NewVerifier(f.set, 4)
	if err != nil {
		t.Fatalf("NewVerifier: %v", err)
	}
	for who, verify := range map[string]func(string, time.Time) (secret.Claims, error){"set": f.set.Verify, "verifier": verifier.Verify} {
		for range 2 { // the second time a cache could answer
			got, err := verify(token, now())
			if !errors.Is(err, secret.ErrTokenInvalid) || got != (secret.Claims{}) {
				t.Errorf("%s: %s.Verify = %+v, %v, want ErrTokenInvalid", name, who, got, err)
			}
			if err != nil && len(err.Error()) > 100 {
				t.Errorf("%s: the error repeats the token: %.200s", name, err)
			}
		}
	}
}

func TestASignedTokenVerifies(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	token := sign(t, f.set)
	got, err := f.set.Verify(token, now())
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	want := claims()
	want.Issuer, want.Audience, want.JWTID = "https://id.test", "https://api.test", got.JWTID
	if got != want {
		t.Errorf("claims = %+v, want %+v", got, want)
	}
	if raw, err := base64.RawURLEncoding.DecodeString(got.JWTID); err != nil || len(raw) != 16 {
		t.Errorf("jti %q is not 16 random bytes", got.JWTID)
	}
	header, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
	if err != nil || string(header) != f.header() {
		t.Errorf("header = %s, %v, want %s", header, err, f.header())
	}
	if second, err := f.set.Verify(sign(t, f.set), now()); err != nil || second.JWTID == got.JWTID {
		t.Errorf("a second token has jti %q, %v, like the first", second.JWTID, err)
	}
}

// The forge must make good tokens too, else the corpus below proves nothing.
func TestAForgedTokenWithNothingWrongVerifies(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	at := now()
	for name, changes := range map[string]map[string]any{
		"plain":                        {},
		"our audience among others":    {"aud": []string{"https://other.test", "https://api.test"}},
		"our audience alone in a list": {"aud": []string{"https://api.test"}},
		"no scope":                     {"scope": nil},
		"an unknown claim":             {"client_id": "x", "nested": map[string]any{"exp": 1}},
		"nbf in the past":              {"nbf": at.Unix() - 100},
		"nbf within the leeway":        {"nbf": at.Unix() + 30},
		"iat within the leeway":        {"iat": at.Unix() + 30, "exp": at.Unix() + 900},
		"one second left":              {"iat": at.Unix() - 899, "exp": at.Unix() + 1},
	} {
		if _, err := f.set.Verify(f.sign(t, f.header(), payload(changes)), at); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// T-01
func TestNoOtherAlgorithmIsAccepted(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	good := payload(nil)
	for _, alg := range []string{
		`"none"`, `"None"`, `"NONE"`, `"nOnE"`, `""`, `["ES256"]`, `1`, `null`, `true`, `{}`, `"ES256 "`, `" ES256"`, `"es256"`,
		`"HS256"`, `"HS384"`, `"HS512"`, `"RS256"`, `"PS256"`, `"ES384"`, `"ES512"`, `"ES256K"`, `"EdDSA"`, `"dir"`,
	} {
		header := fmt.Sprintf(`{"alg":%s,"kid":%q,"typ":"at+jwt"}`, alg, f.kid)
		refused(t, f, "alg "+alg+" truly signed", f.sign(t, header, good))
		refused(t, f, "alg "+alg+" unsigned", encode(header)+"."+encode(good)+".")
		refused(t, f, "alg "+alg+" in two parts", encode(header)+"."+encode(good))
	}
	refused(t, f, "no alg", f.sign(t, fmt.Sprintf(`{"kid":%q,"typ":"at+jwt"}`, f.kid), good))
	refused(t, f, "two algs", f.sign(t, fmt.Sprintf(`{"alg":"none","alg":"ES256","kid":%q,"typ":"at+jwt"}`, f.kid), good))
	token := f.sign(t, f.header(), good)
	parts := strings.Split(token, ".")
	refused(t, f, "no signature", parts[0]+"."+parts[1]+".")
	refused(t, f, "two parts", parts[0]+"."+parts[1])
	refused(t, f, "one part", parts[0])
	refused(t, f, "four parts", token+".")
	refused(t, f, "five parts", token+".AAAA.AAAA")
	refused(t, f, "empty header", "."+parts[1]+"."+parts[2])
	refused(t, f, "empty", "")
	refused(t, f, "dots", "..")
}

// T-02
func TestThePublicKeyIsNoSharedSecret(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	der, err := x509.MarshalPKIXPublicKey(&f.private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	asPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	x := f.private.X.FillBytes(make([]byte, 32))
	for name, key := range map[string][]byte{
		"PEM": asPEM, "PEM without newline": bytes.TrimSpace(asPEM), "DER": der, "JWKS": f.set.JWKS(), "x": x,
		"x in base64": []byte(base64.RawURLEncoding.EncodeToString(x)), "nothing": nil, "kid": []byte(f.kid),
	} {
		for _, alg := range []string{"HS256", "ES256"} {
			header := fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"at+jwt"}`, alg, f.kid)
			input := encode(header) + "." + encode(payload(nil))
			sum := hmac.New(sha256.New, key)
			sum.Write([]byte(input))
			refused(t, f, alg+" with "+name, input+"."+encode(string(sum.Sum(nil))))
			refused(t, f, alg+" padded with "+name, input+"."+encode(string(sum.Sum(make([]byte, 32)))))
		}
	}
	input := encode(f.header()) + "." + encode(payload(nil))
	order := f.private.Params().N.FillBytes(make([]byte, 32))
	zero, one := make([]byte, 32), append(make([]byte, 31), 1)
	for name, rs := range map[string][2][]byte{
		"r=s=0": {zero, zero}, "r=0": {zero, one}, "s=0": {one, zero}, "r=s=1": {one, one}, "r=s=n": {order, order}, "r=n": {order, one},
	} {
		refused(t, f, name, input+"."+encode(string(rs[0])+string(rs[1])))
	}
	stranger := newForge(t)
	stranger.kid = f.kid
	refused(t, f, "another key under our kid", stranger.sign(t, f.header(), payload(nil)))
}

// T-03
func TestNoOtherKeyIDIsAccepted(t *testing.T) {
	t.Parallel()
	f, other := newForge(t), newForge(t)
	for _, kid := range []string{
		`""`, `"unknown"`, `"../../dev/null"`, `"' OR 1=1--"`, `["` + f.kid + `"]`, `1`, `null`, `{}`, fmt.Sprintf("%q", other.kid),
		fmt.Sprintf("%q", f.kid+" "), fmt.Sprintf("%q", strings.ToLower(f.kid)+"x"), fmt.Sprintf("%q", f.kid+"\x00"),
	} {
		refused(t, f, "kid "+kid, f.sign(t, fmt.Sprintf(`{"alg":"ES256","kid":%s,"typ":"at+jwt"}`, kid), payload(nil)))
	}
	refused(t, f, "no kid", f.sign(t, `{"alg":"ES256","typ":"at+jwt"}`, payload(nil)))
	refused(t, f, "a megabyte of kid", f.sign(t, `{"alg":"ES256","kid":"`+strings.Repeat("k", 1<<20)+`","typ":"at+jwt"}`, payload(nil)))
	refused(t, f, "the other set's token", other.sign(t, other.header(), payload(nil)))
}

// T-04: what would make a library fetch or trust a key is not even read. That
// nothing connects follows from TestThePackageImportsNoDatabaseAndNoHTTP and
// from the header being compared, not parsed.
func TestKeysInTheHeaderAreRefused(t *testing.T) {
	t.Parallel()
	f, attacker := newForge(t), newForge(t)
	var jwks struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(attacker.set.JWKS(), &jwks); err != nil {
		t.Fatal(err)
	}
	for name, member := range map[string]string{
		"jwk":      `"jwk":` + string(jwks.Keys[0]),
		"jku":      `"jku":"http://127.0.0.1:9/jwks.json"`,
		"x5u":      `"x5u":"http://127.0.0.1:9/cert.pem"`,
		"x5c":      `"x5c":["MIIB"]`,
		"crit":     `"crit":["b64"],"b64":false`,
		"zip":      `"zip":"DEF"`,
		"p2c":      `"p2c":2147483648,"p2s":"AAAA"`,
		"anything": `"x":1`,
	} {
		header := fmt.Sprintf(`{"alg":"ES256",%s,"kid":%q,"typ":"at+jwt"}`, member, f.kid)
		refused(t, f, name+" signed by the attacker", attacker.sign(t, header, payload(nil)))
		refused(t, f, name+" signed by us", f.sign(t, header, payload(nil)))
	}
}

// T-08
func TestOnlyAccessTokensAreAccessTokens(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	for _, typ := range []string{`"JWT"`, `"jwt"`, `"AT+JWT"`, `"application/at+jwt"`, `"at+jwt "`, `"logout+jwt"`, `"refresh"`, `""`, `null`, `["at+jwt"]`} {
		refused(t, f, "typ "+typ, f.sign(t, fmt.Sprintf(`{"alg":"ES256","kid":%q,"typ":%s}`, f.kid, typ), payload(nil)))
	}
	refused(t, f, "no typ", f.sign(t, fmt.Sprintf(`{"alg":"ES256","kid":%q}`, f.kid), payload(nil)))
	root := rootOf(t, 1)
	refused(t, f, "a mailed token", root.MintToken(secret.PurposeVerifyEmail, tokenID, userID, address))
	refused(t, f, "a sealed value", encode(string(root.Seal(secret.PurposeCursor, []byte("cursor"), nil))))
}

// T-06, T-07: all of these carry a good signature.
func TestSignedClaimsAreHeldToTheRules(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	at := now().Unix()
	num := func(text string) json.Number { return json.Number(text) }
	for name, changes := range map[string]map[string]any{
		"exp missing": {"exp": nil}, "exp null": {"exp": json.RawMessage("null")}, "exp now": {"iat": at - 900, "exp": at},
		"exp past": {"iat": at - 1000, "exp": at - 100}, "exp huge": {"exp": num("1e308")}, "exp exponent": {"exp": num("1.772366400e9")},
		"exp fraction": {"exp": num("1772367000.5")}, "exp string": {"exp": "1772367000"}, "exp negative": {"exp": -1}, "exp zero": {"exp": 0},
		"exp 2^63": {"exp": num("9223372036854775808")}, "exp 2^63-1": {"exp": num("9223372036854775807")}, "exp 2^41": {"exp": 1 << 41},
		"exp boolean": {"exp": true}, "exp array": {"exp": []int64{at + 900}}, "exp object": {"exp": map[string]any{}}, "EXP": {"exp": nil, "EXP": at + 900},
		"iat missing": {"iat": nil}, "iat future": {"iat": at + 31, "exp": at + 600}, "iat string": {"iat": "now"}, "iat negative": {"iat": -5},
		"iat after exp": {"iat": at + 20, "exp": at + 10}, "iat equals exp": {"iat": at + 10, "exp": at + 10},
		"a second too long": {"exp": at + 901}, "a year": {"exp": at + 31536000}, "iat long ago": {"iat": at - 86400, "exp": at + 60},
		"nbf future": {"nbf": at + 31}, "nbf string": {"nbf": "soon"}, "nbf null": {"nbf": json.RawMessage("null")}, "nbf negative": {"nbf": -1},
		"iss missing": {"iss": nil}, "iss empty": {"iss": ""}, "iss wrong": {"iss": "https://evil.test"}, "iss prefix": {"iss": "https://id.tes"},
		"iss longer": {"iss": "https://id.test/"}, "iss case": {"iss": "https://ID.test"}, "iss array": {"iss": []string{"https://id.test"}}, "iss number": {"iss": 1},
		"aud missing": {"aud": nil}, "aud empty": {"aud": ""}, "aud wrong": {"aud": "https://evil.test"}, "aud prefix": {"aud": "https://api.tes"},
		"aud case": {"aud": "HTTPS://API.TEST"}, "aud empty array": {"aud": []string{}}, "aud array without us": {"aud": []string{"https://id.test", "x"}},
		"aud array of numbers": {"aud": []int{1}}, "aud mixed array": {"aud": []any{"https://api.test", 1}}, "aud nested": {"aud": []any{[]string{"https://api.test"}}},
		"aud object": {"aud": map[string]string{"https://api.test": "https://api.test"}}, "aud null": {"aud": json.RawMessage("null")},
		"sub missing": {"sub": nil}, "sub empty": {"sub": ""}, "sub e-mail": {"sub": "jane@example.com"}, "sub nil": {"sub": uuid.Nil.String()},
		"sub capitals": {"sub": strings.ToUpper(userID.String())}, "sub braces": {"sub": "{" + userID.String() + "}"}, "sub urn": {"sub": userID.URN()},
		"sub number": {"sub": 1}, "sub array": {"sub": []string{userID.String()}},
		"sid missing": {"sid": nil}, "sid nil": {"sid": uuid.Nil.String()}, "sid wrong": {"sid": "1"},
		"jti missing": {"jti": nil}, "jti empty": {"jti": ""}, "jti number": {"jti": 7},
		"scope array": {"scope": []string{"users:write"}}, "scope null": {"scope": json.RawMessage("null")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refused(t, f, name, f.sign(t, f.header(), payload(changes)))
		})
	}
}

func TestAPayloadThatIsNoPlainObjectIsRefused(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	good := payload(nil)
	for name, text := range map[string]string{
		"empty": "", "null": "null", "array": "[" + good + "]", "string": `"x"`, "number": "1", "cut": good[:len(good)-1], "cut in a value": good[:len(good)-5],
		"cut after a name": `{"exp"`, "two objects": good + good, "something after": good + "x", "a bracket after": good + "]",
		"a repeated name": good[:len(good)-1] + `,"sub":"` + sessionID.String() + `"}`,
		"no colon":        `{"exp" 1}`, "no quotes": `{exp:1}`, "deep": strings.Repeat("[", 5000), "brackets crossed": `{"a":1]`,
	} {
		refused(t, f, name, f.sign(t, f.header(), text))
	}
	parts := strings.Split(f.sign(t, f.header(), good), ".")
	refused(t, f, "standard alphabet", strings.Join([]string{parts[0], parts[1] + "=", parts[2]}, "."))

	input := encode(f.header()) + ".e30=" // signed, but not base64url without padding
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, f.private, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	refused(t, f, "padded payload", input+"."+encode(string(signature)))
}

// T-09
func TestEveryBitOfATokenCounts(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	token := sign(t, f.set)
	if bits := len(token) * 8; bits < 2000 {
		t.Fatalf("the token has only %d bits", bits)
	}
	for i := range len(token) * 8 {
		flipped := []byte(token)
		flipped[i/8] ^= 1 << (i % 8)
		if got, err := f.set.Verify(string(flipped), now()); !errors.Is(err, secret.ErrTokenInvalid) {
			t.Fatalf("bit %d flipped: Verify = %+v, %v", i, got, err)
		}
	}
	for n := range len(token) {
		if _, err := f.set.Verify(token[:n], now()); !errors.Is(err, secret.ErrTokenInvalid) {
			t.Fatalf("cut to %d: %v", n, err)
		}
		if _, err := f.set.Verify(token[n+1:], now()); !errors.Is(err, secret.ErrTokenInvalid) {
			t.Fatalf("without the first %d: %v", n+1, err)
		}
	}
	for _, extra := range []string{" ", "\n", "\r\n", "=", "==", "A", ".", "\x00", "%00"} {
		refused(t, f, fmt.Sprintf("%q after", extra), token+extra)
		refused(t, f, fmt.Sprintf("%q before", extra), extra+token)
	}
	parts := strings.Split(token, ".")
	refused(t, f, "line breaks in the signature", parts[0]+"."+parts[1]+"."+parts[2][:40]+"\n"+parts[2][41:])
	refused(t, f, "another's claims", parts[0]+"."+encode(payload(map[string]any{"sub": sessionID.String()}))+"."+parts[2])
}

// staysWithin tries again after a run that took too long: it may have waited for the processor, but work that is
// too much is so every time.
func staysWithin(limit time.Duration, work func()) bool {
	for range 10 {
		start := time.Now()
		work()
		if time.Since(start) <= limit {
			return true
		}
	}
	return false
}

// T-11
func TestOversizeTokensAreRefusedBeforeTheyAreRead(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	token := sign(t, f.set)
	for name, oversize := range map[string]string{
		"a megabyte":                  strings.Repeat("A", 1<<20),
		"many dots":                   strings.Repeat(".", 100_000),
		"8 KiB of dots":               strings.Repeat(".", secret.MaxTokenBytes),
		"a good token and a megabyte": token + strings.Repeat("A", 1<<20),
		"JWE":                         encode(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483647,"p2s":"AAAA","zip":"DEF"}`) + ".AAAA.AAAA.AAAA.AAAA",
	} {
		const limit = 40 * time.Millisecond // for four verifications
		if !staysWithin(limit, func() { refused(t, f, name, oversize) }) {
			t.Errorf("%s: took more than %s in every try", name, limit)
		}
	}
	long := f.sign(t, f.header(), payload(map[string]any{"scope": strings.Repeat("s", 8<<10)}))
	refused(t, f, "truly signed and too long", long)
	if _, err := f.set.Verify(f.sign(t, f.header(), payload(map[string]any{"scope": strings.Repeat("s", 5<<10)})), now()); err != nil {
		t.Errorf("a token below the limit: %v", err)
	}
}

func TestAnOldTokenIsExpiredAndNotMerelyInvalid(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	token := sign(t, f.set)
	for offset, want := range map[time.Duration]error{
		0: nil, 15*time.Minute - time.Second: nil, 15*time.Minute - time.Nanosecond: nil,
		15 * time.Minute: secret.ErrTokenExpired, 24 * time.Hour: secret.ErrTokenExpired,
		-30 * time.Second: nil, -31 * time.Second: secret.ErrTokenInvalid,
	} {
		_, err := f.set.Verify(token, now().Add(offset))
		if !errors.Is(err, want) || (want != nil && !errors.Is(err, secret.ErrTokenInvalid)) {
			t.Errorf("at %s: %v, want %v", offset, err, want)
		}
		if errors.Is(err, secret.ErrTokenExpired) != (want == secret.ErrTokenExpired) {
			t.Errorf("at %s: %v", offset, err)
		}
	}
}

func TestSignRefusesWhatVerifyWould(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	for name, change := range map[string]func(*secret.Claims){
		"no user":          func(c *secret.Claims) { c.Subject = uuid.Nil },
		"no session":       func(c *secret.Claims) { c.SessionID = uuid.Nil },
		"no issue time":    func(c *secret.Claims) { c.IssuedAt = time.Time{} },
		"no expiry":        func(c *secret.Claims) { c.ExpiresAt = time.Time{} },
		"too long":         func(c *secret.Claims) { c.ExpiresAt = c.IssuedAt.Add(15*time.Minute + time.Second) },
		"backwards":        func(c *secret.Claims) { c.ExpiresAt = c.IssuedAt.Add(-time.Second) },
		"another issuer":   func(c *secret.Claims) { c.Issuer = "https://evil.test" },
		"another audience": func(c *secret.Claims) { c.Audience = "https://evil.test" },
		"too big":          func(c *secret.Claims) { c.Scope = strings.Repeat("s", secret.MaxTokenBytes) },
	} {
		bad := claims()
		change(&bad)
		if token, err := f.set.Sign(bad); err == nil {
			t.Errorf("%s: Sign = %s", name, token)
		}
	}
	odd := claims()
	odd.IssuedAt, odd.JWTID = odd.IssuedAt.Add(700*time.Millisecond), "chosen"
	odd.Issuer, odd.Audience = "https://id.test", "https://api.test"
	token, err := f.set.Sign(odd)
	if err != nil {
		t.Fatalf("Sign: %v", err)
	}
	got, err := f.set.Verify(token, now())
	if err != nil || !got.IssuedAt.Equal(now()) || got.JWTID != "chosen" {
		t.Errorf("Verify = %+v, %v, want whole seconds and the chosen jti", got, err)
	}
}

func FuzzVerifyAnAccessToken(f *testing.F) {
	forged := newForge(f)
	good := sign(f, forged.set)
	f.Add(good, payload(nil))
	f.Add(encode(`{"alg":"none"}`)+"."+encode(payload(nil))+".", `{"exp":1e308}`)
	f.Add("..", "")
	f.Add(strings.Repeat(".", 100), `{"aud":[null]}`)
	f.Fuzz(func(t *testing.T, token, body string) {
		if got, err := forged.set.Verify(token, now()); err == nil && token != good {
			t.Errorf("%q verifies as %+v", token, got)
		}
		// With a good signature the claims decoder meets the fuzzer directly.
		got, err := forged.set.Verify(forged.sign(t, forged.header(), body), now())
		if err != nil {
			if !errors.Is(err, secret.ErrTokenInvalid) {
				t.Errorf("Verify = %v, want ErrTokenInvalid", err)
			}
			return
		}
		if got.Issuer != rules().Issuer || got.Audience != rules().Audience || got.Subject == uuid.Nil ||
			!got.ExpiresAt.After(now()) || got.ExpiresAt.After(now().Add(16*time.Minute)) {
			t.Errorf("%s verifies as %+v", body, got)
		}
	})
}

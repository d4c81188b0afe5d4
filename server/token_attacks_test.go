package server_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"hash"
	"maps"
	"math"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

// T-01 to T-09: whatever is wrong with a token, the answer is the same and the token is nowhere in the log.
// The whole corpus is in package secret; this is the walk through HTTP.
func TestForgedTokensAreAllRefusedAlike(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	user, victim := s.signedIn(query.UserRoleAUTHENTICATED), s.signedIn(query.UserRoleADMIN)
	forge := newTokenForge(s, user.token)
	if got := s.call(http.MethodGet, "/users/me", forge.with(nil), nil); got.status != http.StatusOK {
		t.Fatalf("the forge makes no good tokens: %d %s", got.status, got.body) // else all of this proves nothing
	}
	want := maskedAnswer(s.call(http.MethodGet, "/users/me", "x", nil))
	tokens := forgedTokens(forge, victim)
	maps.Copy(tokens, alteredTokens(user.token))
	for name, token := range tokens {
		got := s.call(http.MethodGet, "/users/me", token, nil)
		got.problem(t, api.ProblemCodeInvalidAccessToken)
		if got.status != http.StatusUnauthorized || !strings.Contains(got.header.Get("WWW-Authenticate"), `error="invalid_token"`) || maskedAnswer(got) != want {
			t.Errorf("%s: got %s\nwant %s", name, maskedAnswer(got), want)
		}
	}
	log := s.logs.String()
	for name, token := range tokens {
		for part := range strings.SplitSeq(token, ".") {
			if len(part) > 40 && strings.Contains(log, part) {
				t.Errorf("%s: the log holds a part of it", name)
			}
		}
	}
	if got := s.call(http.MethodGet, "/users/me", user.token, nil); got.status != http.StatusOK {
		t.Errorf("the genuine token afterwards: got %d", got.status)
	}
}

func forgedTokens(f tokenForge, victim account) map[string]string {
	now := time.Now().Unix()
	parts := strings.Split(f.genuine, ".")
	tokens := map[string]string{
		// T-01
		"two parts": parts[0] + "." + parts[1], "empty signature": parts[0] + "." + parts[1] + ".", "five parts": f.genuine + ".x.y", "one part": parts[0], "dots": "..", "blank": " ",
		// T-02
		"r and s are zero":     parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
		"no signature at all":  parts[0] + "." + parts[1] + "." + strings.Repeat("A", 86),
		"another one's claims": parts[0] + "." + strings.Split(victim.token, ".")[1] + "." + parts[2],
		// T-06
		"expired": f.with(map[string]any{"iat": now - 1000, "exp": now - 1}), "no exp": f.with(map[string]any{"exp": nil}), "exp as text": f.with(map[string]any{"exp": "9999999999"}),
		"exp beyond all": f.with(map[string]any{"exp": 1e308}), "exp negative": f.with(map[string]any{"exp": -1}), "exp 2^63": f.with(map[string]any{"exp": uint64(math.MaxInt64) + 1}),
		"longer than allowed": f.with(map[string]any{"exp": now + 3600}), "from the future": f.with(map[string]any{"iat": now + 60, "exp": now + 600}), "not yet": f.with(map[string]any{"nbf": now + 60}),
		// T-07
		"another issuer": f.with(map[string]any{"iss": "https://evil.example.com"}), "issuer in upper case": f.with(map[string]any{"iss": strings.ToUpper(f.claims["iss"].(string))}),
		"issuer with a slash": f.with(map[string]any{"iss": f.claims["iss"].(string) + "/"}), "no issuer": f.with(map[string]any{"iss": nil}),
		"another audience": f.with(map[string]any{"aud": "other"}), "audiences without us": f.with(map[string]any{"aud": []string{"a", "b"}}), "no audience": f.with(map[string]any{"aud": nil}),
		// T-09
		"another subject": f.with(map[string]any{"sub": victim.id.String()}), "no subject": f.with(map[string]any{"sub": nil}), "no session": f.with(map[string]any{"sid": nil}),
		"a session that never was": f.with(map[string]any{"sid": uuid.NewString()}), "another one's session": f.with(map[string]any{"sid": tokenPart(f.t, victim.token, 1)["sid"]}),
		"session in upper case": f.with(map[string]any{"sid": strings.ToUpper(f.claims["sid"].(string))}), "session as SQL": f.with(map[string]any{"sid": "' OR 1=1--"}),
		"claims are no object": f.sign(f.header, encodeTokenPart(f.t, []int{1})), "claims are no JSON": f.sign(f.header, base64.RawURLEncoding.EncodeToString([]byte("{"))),
	}
	genuine := tokenPart(f.t, f.genuine, 0)
	header := func(name string, value any) map[string]any {
		h := maps.Clone(genuine)
		if h[name] = value; value == nil {
			delete(h, name)
		}
		return h
	}
	for _, alg := range []any{"none", "None", "NONE", "nOnE", "", "ES256 ", "RS256", "PS256", "EdDSA", "HS256", 1, []string{"ES256"}, nil} { // T-01
		h := header("alg", alg)
		tokens[fmt.Sprintf("alg %q", alg)] = f.headed(h)
		tokens[fmt.Sprintf("unsigned, alg %q", alg)] = encodeTokenPart(f.t, h) + "." + parts[1] + "."
	}
	for _, kid := range []any{"unknown", "", "../../dev/null", "' OR 1=1--", []string{f.kid}, nil, strings.Repeat("k", 5000), f.kid + " "} { // T-03
		tokens[fmt.Sprintf("kid %.20v", kid)] = f.headed(header("kid", kid))
	}
	for _, typ := range []any{"JWT", "AT+JWT", "application/at+jwt", nil} { // T-08
		tokens[fmt.Sprintf("typ %q", typ)] = f.headed(header("typ", typ))
	}
	maps.Copy(tokens, hmacTokens(f, parts[1]))
	return tokens
}

// hmacTokens are signed with what everyone knows: the public key in its many forms (T-02).
func hmacTokens(f tokenForge, payload string) map[string]string {
	der, err := x509.MarshalPKIXPublicKey(&f.key.PublicKey)
	if err != nil {
		f.t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	tokens := map[string]string{}
	for name, key := range map[string]string{"PEM": text, "trimmed PEM": strings.TrimSpace(text), "DER": string(der), "kid": f.kid, "nothing": ""} {
		for alg, sum := range map[string]func() hash.Hash{"HS256": sha256.New, "HS384": sha512.New384, "HS512": sha512.New} {
			for _, header := range []string{f.header, encodeTokenPart(f.t, map[string]any{"alg": alg, "kid": f.kid, "typ": "at+jwt"})} {
				mac := hmac.New(sum, []byte(key))
				mac.Write([]byte(header + "." + payload))
				tokens[alg+" with "+name+" "+header[:8]] = header + "." + payload + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
			}
		}
	}
	return tokens
}

// alteredTokens are a genuine one with a character changed here and there, and cut off (T-09).
func alteredTokens(token string) map[string]string {
	tokens := map[string]string{}
	for at := 0; at < len(token); at += 7 {
		other := byte('A')
		if token[at] == 'A' {
			other = 'B'
		}
		tokens["changed at "+token[:at]] = token[:at] + string(other) + token[at+1:]
		if at > 0 {
			tokens["cut at "+token[:at]] = token[:at]
		}
	}
	// The last character of a signature has bits that mean nothing; they must not be free.
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	for bit := range 6 {
		tokens["last character "+string(rune('0'+bit))] = token[:len(token)-1] + string(alphabet[last^1<<bit])
	}
	return tokens
}

// T-04: nothing that a token says makes the server call somebody.
func TestTokensNeverMakeTheServerCallOut(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	forge := newTokenForge(s, s.signedIn(query.UserRoleAUTHENTICATED).token)
	sink, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int32
	accepting := make(chan struct{})
	go func() {
		defer close(accepting)
		for {
			conn, err := sink.Accept()
			if err != nil {
				return
			}
			calls.Add(1)
			_ = conn.Close()
		}
	}()
	url := "http://" + sink.Addr().String() + "/keys"
	for name, value := range map[string]any{
		"jku": url, "x5u": url, "jwk": map[string]any{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}, "x5c": []string{"MII="}, "kid": url, "crit": []string{"jku"},
	} {
		header := tokenPart(t, forge.genuine, 0)
		header[name] = value
		s.call(http.MethodGet, "/users/me", forge.headed(header), nil).problem(t, api.ProblemCodeInvalidAccessToken)
	}
	s.call(http.MethodGet, "/users/me", forge.with(map[string]any{"iss": url}), nil).problem(t, api.ProblemCodeInvalidAccessToken)
	_ = sink.Close()
	if <-accepting; calls.Load() != 0 {
		t.Errorf("got %d connections, want none", calls.Load())
	}
}

// T-11
func TestOversizedTokensAreRefusedAtOnce(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	for name, token := range map[string]string{
		"12 KB": strings.Repeat("x", 12_000), "12 KB of dots": strings.Repeat(".", 12_000), "a large claim": strings.Repeat("A", 9000) + "." + strings.Repeat("B", 86),
	} {
		if got := s.call(http.MethodGet, "/users/me", token, nil); got.status != http.StatusUnauthorized {
			t.Errorf("%s: got %d, want 401", name, got.status)
		}
	}
	got := uncheckedGet(t, s.url+"/users/me", "Authorization", "Bearer "+strings.Repeat("x", 1<<20))
	if got.status != http.StatusRequestHeaderFieldsTooLarge { // I-04
		t.Errorf("1 MiB: got %d, want 431", got.status)
	}
}

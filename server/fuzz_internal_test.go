package server

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/text/language"

	"usermanager/gen/api"
	"usermanager/server/secret"
)

// Fuzz targets (H-17). Their seeds run as ordinary tests; `task fuzz` works on each for longer.

func FuzzParseJSON(f *testing.F) { // I-01, I-02, I-03
	for _, seed := range []string{
		`{}`, `{"a":1}`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"A":1,"a":2}`, `{"a":"\ud800"}`, `{"a":"\u0000"}`, "{\"a\":\"\xff\"}", `{} {}`, `null`, `[]`, `"x"`, ``, `{"a":1e999}`,
		`{"a":{"b":{"c":[1,2,{"d":null}]}}}`, "\ufeff{}", `{"a":9007199254740993}`, `{"a":-0}`, strings.Repeat("[", 20_000), `{"` + strings.Repeat("k", 2_000) + `":1,"` + strings.Repeat("k", 2_000) + `":1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		body, err := parseJSON(data)
		if err != nil {
			problem := asProblem(err)
			if problem.Code != api.ProblemCodeMalformedRequest || len(problem.Errors) != 1 {
				t.Fatalf("got %+v, want malformed_request with one error", problem)
			}
			if p := problem.Errors[0].Pointer; !utf8.ValidString(p) || utf8.RuneCountInString(p) > maxPointer {
				t.Fatalf("got the pointer %q", p)
			}
			return
		}
		if !utf8.Valid(data) || !json.Valid(data) {
			t.Fatalf("%q was taken, but is no JSON", data)
		}
		var lenient map[string]any // what the strict parser takes, every parser reads the same way
		if err := json.Unmarshal(data, &lenient); err != nil || len(lenient) != len(body) {
			t.Fatalf("%q: got %d members, others read %d (%v)", data, len(body), len(lenient), err)
		}
		for name := range body {
			if _, ok := lenient[name]; !ok {
				t.Fatalf("%q: others do not find member %q", data, name)
			}
		}
	})
}

func FuzzParseEmail(f *testing.F) {
	for _, seed := range []string{
		"ada@example.com", " Ada@EXAMPLE.com ", "a+b.c@example.com", "ada@bücher.example", "ada@xn--bcher-kva.example", "ADA@BÜCHER.example", "ada@exam\u00adple.com", "ada@ｅxample.com", "ada@example。com", "ada@lin\u212aedin.com", "a@b",
		"@", "a@", "@b.c", "a@b@c.de", "a@x.example,b@y.example", "<a@x.example>", `"a b"@x.example`, "a@[127.0.0.1]", "a@127.0.0.1", "a@x\r\nBcc:b@y.example", "a..b@x.example", ".a@x.example", "аda@example.com", "ada@еxample.com",
		"ada@localhost", "ada@host.test", "ada@example.com.", "a@-x.example", "a@x-.example", "a@" + strings.Repeat("a", 64) + ".example", strings.Repeat("a", 65) + "@x.example", "a@x\x00.example", "a\u200b@x.example", "a@ß.example", "a@faß.example", "a@x..example",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		address, err := parseEmail(text)
		if err != nil {
			return
		}
		for _, form := range []string{address.display, address.canonical} {
			again, err := parseEmail(form)
			if err != nil || again.canonical != address.canonical {
				t.Fatalf("%q: %q becomes %q (%v), want %q", text, form, again.canonical, err, address.canonical)
			}
			if len(form) > 254 || strings.Count(form, "@") != 1 || !isASCIILine(form) {
				t.Fatalf("%q: got %q, which no mail may be sent to", text, form)
			}
		}
		if again, _ := parseEmail(address.display); again.display != address.display {
			t.Fatalf("%q: %q becomes %q when read again", text, address.display, again.display)
		}
		if strings.ToLower(address.canonical) != address.canonical {
			t.Fatalf("%q: got %q, want it in lower case", text, address.canonical)
		}
		if variant, err := parseEmail(" " + strings.ToUpper(address.display) + "\t"); err != nil || variant.canonical != address.canonical {
			t.Fatalf("%q: in capitals it is %q (%v), want %q", text, variant.canonical, err, address.canonical)
		}
	})
}

func isASCIILine(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`,;:<>()[]"\`, r) })
}

func FuzzCheckURL(f *testing.F) { // I-14
	for _, seed := range []string{
		"https://github.com/ada", "http://www.github.com", "https://github.com:443/", "https://github.com.evil.example", "https://evil.example/github.com", "https://a@github.com", "https:github.com", "//github.com", "javascript:alert(1)",
		"HTTPS://github.com", "https://GitHub.com", "https://github.com\\@evil.example", "https://github。com", "https://gıthub.com", "https://[::1]", "https://github.com/%zz", "https://github.com#@evil.example", "https://github.com?@evil.example", "https://.github.com", "https://github.com.",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !isText(text, false) {
			return // refused before
		}
		if checkURL(text, nil) != "" {
			if checkURL(text, []string{"github.com"}) == "" {
				t.Fatalf("%q is good for one site, but for none in general", text)
			}
			return
		}
		u, err := url.Parse(text)
		if err != nil || u.User != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || !strings.HasPrefix(text, u.Scheme+"://") {
			t.Fatalf("%q was taken: %+v (%v)", text, u, err)
		}
		if strings.ContainsAny(text, " \t\r\n\"<>\\`") {
			t.Fatalf("%q was taken", text)
		}
		if checkURL(text, []string{"github.com"}) == "" {
			if host := strings.ToLower(u.Host); host != "github.com" && !strings.HasSuffix(host, ".github.com") {
				t.Fatalf("%q was taken as a URL of the site", text)
			}
		}
	})
}

func FuzzDecodeCursor(f *testing.F) { // I-13
	root, err := secret.NewRoot([]byte("tests only: 0123456789abcdef0123456789abcdef"), nil)
	if err != nil {
		f.Fatal(err)
	}
	s := &Server{Options: Options{Secret: root}}
	place := cursor{isBackward: true, at: time.UnixMicro(1_700_000_000_123_456), id: uuid.MustParse("01981d5c-7a00-7000-8000-000000000001")}
	valid := s.encodeCursor(place, "role=ADMIN")
	for _, seed := range []string{valid, valid + "A", valid[1:], valid[:len(valid)-1], strings.ToUpper(valid), valid + "=", valid + "\n", "", "AQ", "A", "!", strings.Repeat("A", 4096), "\x00"} {
		f.Add(seed, "role=ADMIN")
	}
	f.Add(valid, "role=MANAGER")
	f.Add(valid, "")
	f.Fuzz(func(t *testing.T, text, filters string) {
		got, err := s.decodeCursor(text, filters)
		if err != nil || !isText(text, false) {
			return // the contract refuses line breaks, which base64 passes over
		}
		if filters != "role=ADMIN" || got.id != place.id || !got.at.Equal(place.at) || got.isBackward != place.isBackward {
			t.Fatalf("%q with filters %q was taken as the cursor %+v", text, filters, got)
		}
		for i := range text { // no letter of a good one can be another
			for _, letter := range "AQgwZ_" {
				changed := text[:i] + string(letter) + text[i+1:]
				if _, err := s.decodeCursor(changed, filters); err == nil && changed != text {
					t.Fatalf("%q was taken like %q", changed, text)
				}
			}
		}
	})
}

func FuzzClientAddress(f *testing.F) {
	for _, seed := range []string{
		"", "203.0.113.9", "203.0.113.9, 10.0.0.2", "10.0.0.3, 203.0.113.9,10.0.0.2", "garbage", "203.0.113.9, garbage", "garbage, 203.0.113.9", ",", " , ,", "2001:db8::1", "[2001:db8::1]:443", "fe80::1%eth0", "::ffff:203.0.113.9", "203.0.113.9:1234",
		"unknown", "_hidden", "127.0.0.1", "0x7f.1", "1.2.3", "1.2.3.4.5", "203.0.113.9\x00", "203.0.113.9;10.0.0.1", `"203.0.113.9"`, "[[2001:db8::1]]", "999.1.1.1", strings.Repeat("10.0.0.1,", 500),
	} {
		f.Add("203.0.113.7:4711", seed)
		f.Add("10.0.0.1:4711", seed)
	}
	f.Add("", "203.0.113.9")
	f.Add("@", "203.0.113.9")
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	isTrusted := func(a netip.Addr) bool {
		return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	f.Fuzz(func(t *testing.T, peer, forwarded string) {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.RemoteAddr = peer
		r.Header.Set("X-Forwarded-For", forwarded)
		for _, name := range []string{"X-Real-Ip", "Forwarded", "True-Client-Ip", "X_Forwarded_For", "Cf-Connecting-Ip", "X-Client-Ip"} {
			r.Header.Set(name, "198.51.100.66")
		}
		got := clientAddress(r, trusted)
		direct := clientAddress(r, nil)
		if got.Zone() != "" || got.Is4In6() {
			t.Fatalf("got %s, want neither a zone nor a mapped address: two spellings would be two sources", got)
		}
		if !isTrusted(direct) && got != direct {
			t.Fatalf("an untrusted peer %s passes for %s", direct, got)
		}
		if got == netip.MustParseAddr("198.51.100.66") && !strings.Contains(peer+forwarded, "198.51.100.66") && !strings.Contains(strings.ToLower(peer+forwarded), "c633:6442") {
			t.Fatalf("another header was believed: got %s", got)
		}
		// Whoever speaks to a trusted proxy can only put hops in front of the one that the proxy adds.
		r.RemoteAddr = "10.0.0.1:1"
		r.Header.Set("X-Forwarded-For", forwarded+", 203.0.113.9")
		if got := clientAddress(r, trusted); got != netip.MustParseAddr("203.0.113.9") {
			t.Fatalf("behind the proxy: got %s, want the hop that the proxy saw", got)
		}
	})
}

func FuzzAcceptLanguage(f *testing.F) { // I-03
	for _, seed := range []string{
		"en", "de-CH, de;q=0.9", "*", "", ";", "q=1", "en;q=nan", "en;q=-1", "en;q=1e9", "x-private", "i-klingon", "zh-Hant-TW", "en-US-u-ca-gregory", "und", "sl-rozaj-biske-1994", "\xff", "en\x00", "a-b-c-d", strings.Repeat("en,", 300),
		"en-x-" + strings.Repeat("a", 8) + strings.Repeat("-aaaaaaaa", 10), "EN_us", "c", "mul", "root", "de-DE-1901, en",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if utf8.RuneCountInString(header) > 1000 {
			return // refused before
		}
		got := preferredLanguage(nil, &header)
		if got == "" || len(got) > maxLanguage || !isText(got, false) {
			t.Fatalf("%q: got %q, which the column cannot hold", header, got)
		}
		if _, err := language.Parse(got); err != nil {
			t.Fatalf("%q: got %q, which is no language tag: %v", header, got, err)
		}
		if again := preferredLanguage(&got, nil); again != got {
			t.Fatalf("%q: %q becomes %q when given again", header, got, again)
		}
		if chosen := preferredLanguage(&got, &header); chosen != got {
			t.Fatalf("what was asked for gives way to the header: got %q, want %q", chosen, got)
		}
	})
}

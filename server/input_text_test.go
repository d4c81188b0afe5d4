package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"usermanager/gen/api"
	"usermanager/server"
)

// inputUnreadable cannot be read as text at all: JSON strings, or their bytes, that hold no Unicode.
var inputUnreadable = []string{
	`\ud800`, `\udfff`, `\udc00\ud800`, `\ud83dx`, `\ud83d\u0041`, `\uDBFF`, // lone surrogates
	"\xff\xfe", "\x80", "\xe2\x82", // bytes that are no UTF-8
	"\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", // overlong forms of NUL
	"\xed\xa0\x80", "\xed\xa0\xbd\xed\xb8\x80", "\xf4\x90\x80\x80", // surrogates in UTF-8, beyond Unicode
	"\x00", "\x01", "\x1f", "\n", "\r\n", // controls have to be escaped in JSON
}

// inputUnfit is Unicode that has no place in a line of text.
var inputUnfit = []string{
	`\u0000`, `\u0001`, `\u0007`, `\u001b[31m`, `\u001f`, `\u007f`, `\u0080`, `\u0085`, `\u009f`, // controls
	`\uffff`, `\ufffe`, `\ufdd0`, `\ufdef`, `\ud83f\udffe`, `\udbff\udfff`, // noncharacters
	`\ufeff`, "\ufeff", `\ufffd`, `\u2028`, `\u2029`, `\u202e`, `\u2066`, `\u2069`, "\u202a",
}

func TestTextThatIsNoUnicodeIsMalformedInEveryField(t *testing.T) { // I-03, A-13
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	w.storesNothing(func() {
		for _, f := range inputFields() {
			for _, text := range inputUnreadable {
				what := fmt.Sprintf("%s with %q", f, text)
				got := w.send(w.request(f.op).raw(inputJSON(f.rest(), `"`+f.name+`"`, `"`+inputCanary+text+`x"`)))
				w.refused(what, got, http.StatusBadRequest, api.ProblemCodeMalformedRequest)
				w.hasNoCanary(what, got)
			}
			what := f.String() + " as a key of no Unicode"
			got := w.send(w.request(f.op).raw(inputJSON(f.rest(), `"`+f.name+`\ud800"`, `"x"`)))
			w.refused(what, got, http.StatusBadRequest, api.ProblemCodeMalformedRequest)
		}
	})
}

func TestCharactersThatHaveNoPlaceInALineAreRefusedInEveryField(t *testing.T) { // I-03, A-13
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	w.storesNothing(func() {
		for _, f := range inputFields() {
			for _, text := range inputUnfit {
				if f.String() == "resendVerification.token" {
					continue // below: every token gets the same answer there, unless it is no text
				}
				what := fmt.Sprintf("%s with %q", f, text)
				got := w.send(w.request(f.op).raw(inputJSON(f.rest(), `"`+f.name+`"`, `"`+inputPrefix(f)+text+inputCanary+`9"`)))
				p := w.refused(what, got, http.StatusUnprocessableEntity, api.ProblemCodeValidationFailed)
				if len(fieldCodes(p)["/"+f.name]) == 0 {
					t.Errorf("%s: got errors %+v, want one at the field", what, p.Errors)
				}
				w.hasNoCanary(what, got)
			}
		}
		for _, text := range inputUnfit {
			op := contractOperationOf(t, "resendVerification")
			got := w.send(w.request(op).raw(`{"token":"` + contractMailedToken + text + `"}`))
			w.names("a token with "+text, w.refused("a token with "+text, got, 422, api.ProblemCodeValidationFailed), "/token", api.FieldCodeInvalidCharacters)
		}
	})
}

// inputPrefix makes the rest of the value one that would be taken.
func inputPrefix(f inputField) string {
	switch f.name {
	case "password":
		return "Analytic*1843"
	case "profile_picture_url", "github_profile_url", "linkedin_profile_url":
		example, _ := f.schema.Example.(string)
		return example
	}
	return "a"
}

func TestLineBreaksAreKeptWhereThereAreLinesAndRefusedElsewhere(t *testing.T) { // I-03
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	own := contractOperationOf(t, "updateOwnProfile")
	for _, lines := range []string{"one\ntwo", "one\r\ntwo", "one\n\n\ttwo"} {
		got := w.send(w.request(own).with("bio", lines))
		var profile api.OwnProfile
		if err := json.Unmarshal(got.body, &profile); err != nil || profile.Bio.MustGet() != lines {
			t.Errorf("got %d %s, want the bio %q as it was sent", got.status, got.body, lines)
		}
		for _, name := range []string{"first_name", "last_name", "nickname", "preferred_language"} {
			p := w.refused(name, w.send(w.request(own).with(name, lines)), 422, api.ProblemCodeValidationFailed)
			if len(fieldCodes(p)["/"+name]) == 0 {
				t.Errorf("%s with line breaks: got %+v, want an error", name, p.Errors)
			}
		}
	}
	for _, blank := range []string{" ", "\t", "\n", "\u00a0", "\u3000 "} {
		w.refused("a blank bio", w.send(w.request(own).with("bio", blank)), 422, api.ProblemCodeValidationFailed)
	}
}

func TestEveryScriptIsTakenAndComesBackAsItWas(t *testing.T) { // I-03
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	own := contractOperationOf(t, "updateOwnProfile")
	for _, name := range []string{
		"Zoë", "Zoe\u0308", "Łukasz", "Πυθαγόρας", "Ольга", "محمد", "שרה", "अनिल", "தமிழ்", "美玲", "さくら", "김철수", "👩‍👩‍👧", "𐐷", "O'Brien", "Jean-Luc", "X Æ A-12", "a\u200db", "1", ".", "-",
	} {
		got := w.send(w.request(own).with("first_name", name))
		var profile api.OwnProfile
		if err := json.Unmarshal(got.body, &profile); err != nil || profile.FirstName.MustGet() != name {
			t.Errorf("got %d %s, want the name %q as it was sent", got.status, got.body, name)
		}
		var stored string
		w.scan("SELECT first_name FROM users WHERE id = $1", []any{w.callers["ADMIN"].id}, &stored)
		if stored != name || !utf8.ValidString(stored) {
			t.Errorf("stored %q, want %q", stored, name)
		}
	}
}

func TestAPasswordThatIsNoTextIsNeverStored(t *testing.T) {
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	register, login := contractOperationOf(t, "register"), contractOperationOf(t, "login")
	for _, bad := range []string{`\u0000`, `\ud800`, `\udc00\ud800`, "\xff", "\xed\xa0\x80", `\ufffd`, `\u0007`, `\uffff`, `\ufeff`, `\u202e`} {
		email := uniqueEmail()
		got := w.send(w.request(register).raw(`{"email":"` + email + `","password":"Analytic*` + bad + `1843"}`))
		if got.status != 400 && got.status != 422 {
			t.Errorf("a password with %q: got %d %s, want 400 or 422", bad, got.status, got.body)
		}
		if n := w.count("SELECT count(*) FROM users WHERE email = $1", email); n != 0 {
			t.Errorf("a password with %q: got %d accounts, want none", bad, n)
		}
	}
	// U+FFFD is what decoders put in place of what they cannot read: two such passwords would be one.
	a := w.account(server.NewAccount{EmailVerified: true})
	for _, form := range []string{"%EF%BF%BD", "%ED%A0%80", "%FF", "%00", "%C0%80"} {
		got := w.send(w.request(login).raw("username=" + a.email + "&password=Analytic*1843" + form))
		if got.status != 400 && got.status != 422 {
			t.Errorf("signing in with %s: got %d %s, want 400 or 422", form, got.status, got.body)
		}
	}
}

// inputEncoded are the same troubles in an address or a query.
var inputEncoded = []string{
	"%00", "a%00b", "%01", "%0a", "%0d%0a", "%1b%5b31m", "%7f", "%c2%85", "%ff", "%c0%80", "%e0%80%80", "%ed%a0%80", "%ed%b0%80", "%f4%90%80%80", "%e2%82",
	"%ef%bf%bf", "%ef%bf%be", "%ef%b7%90", "%ef%bb%bf", "%ef%bf%bd", "%e2%80%a8", "%e2%80%ae", "%e2%81%a6", "%25%30%30", "%u0000",
}

func TestOddTextInAQueryIsRefused(t *testing.T) { // I-03, I-12
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	list := contractOperationOf(t, "listUsers")
	for _, name := range []string{"email", "nickname", "cursor", "role", "limit", "skip", "is_locked", "%00", "e%ffmail"} {
		for _, text := range inputEncoded {
			if text == "%25%30%30" && (name == "email" || name == "nickname") {
				continue // the three characters %00: text like any other
			}
			r := w.request(list)
			r.path += "?" + name + "=" + text
			got := w.send(r)
			if got.status != http.StatusUnprocessableEntity && got.status != http.StatusBadRequest {
				t.Errorf("GET %s: got %d %.80s, want it refused", r.path, got.status, got.body)
			}
		}
	}
	for _, query := range []string{"nickname=%zz", "nickname=%", "nickname=a;role=ADMIN", "role=ADMIN;", "%zz=1", "&%=&"} {
		r := w.request(list)
		r.path += "?" + query
		got := w.send(r)
		w.refused("GET "+r.path+": a filter that gets lost would list everyone", got, http.StatusUnprocessableEntity, api.ProblemCodeValidationFailed)
	}
}

func TestOddTextInAPathIsAnsweredAsDeclared(t *testing.T) { // I-03
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	texts := append([]string{strings.Repeat("a", 256), strings.Repeat("%F0%90%90%B7", 300), strings.Repeat("a", 4000)}, inputEncoded...)
	for _, text := range texts {
		if text == "%u0000" {
			continue // no request target: net/http answers 400
		}
		got := w.call(http.MethodGet, "/nicknames/"+text, "", nil)
		var answer api.NicknameAvailability
		if err := json.Unmarshal(got.body, &answer); err != nil || got.status != http.StatusOK || answer.Reason != api.NicknameReasonMalformed {
			t.Errorf("/nicknames/%.40s: got %d %.200s, want malformed", text, got.status, got.body)
		}
		for _, path := range []string{"/verify-email/" + w.target.id.String() + "/" + text, "/verify-email/" + w.target.id.String() + "/" + contractMailedToken + text} {
			r := contractRequest{method: http.MethodPost, path: path, header: http.Header{}}
			w.refused("POST "+path, w.send(r), http.StatusUnprocessableEntity, api.ProblemCodeTokenInvalid)
			if got := w.call(http.MethodGet, path, "", nil); got.status != http.StatusOK || strings.Contains(string(got.body), text) {
				t.Errorf("GET %.60s: got status %d, want the page without what the address says", path, got.status)
			}
		}
		if got := w.call(http.MethodGet, "/invitations/"+text, "", nil); got.status != http.StatusOK || strings.Contains(string(got.body), text) {
			t.Errorf("/invitations/%.40s: got status %d, want the page without what the address says", text, got.status)
		}
	}
}

func TestOddTextInHeadersIsHarmless(t *testing.T) { // I-03
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	register, login := contractOperationOf(t, "register"), contractOperationOf(t, "login")
	a := w.account(server.NewAccount{EmailVerified: true})
	odd := []string{"\xff\xfe", "\xc0\x80", "\xed\xa0\x80", "\ufffe", "\u202e", "\u0085", "\ufeff", "{}", `"`, "'; DROP TABLE users; --", strings.Repeat("a,", 400), strings.Repeat("é", 600), "*", "en;q=nan", "x-" + strings.Repeat("a", 60)}
	for _, text := range odd {
		email := uniqueEmail()
		r := w.request(register).raw(`{"email":"`+email+`","password":"`+goodPassword+`"}`).set("Accept-Language", text)
		if got := w.send(r); got.status != http.StatusCreated && (got.status != 422 || utf8.RuneCountInString(text) < 1000) {
			t.Errorf("Accept-Language %.20q: got %d %s, want an account", text, got.status, got.body)
			continue
		}
		var tag string
		w.scan("SELECT preferred_language FROM users WHERE email = $1", []any{email}, &tag)
		if tag != "en" {
			t.Errorf("Accept-Language %.20q: got %q, want English", text, tag)
		}
		in := w.request(login).with("username", a.email).with("password", goodPassword)
		in = in.raw("username="+a.email+"&password="+goodPassword).set("User-Agent", text)
		if got := w.send(in); got.status != http.StatusOK {
			t.Errorf("User-Agent %.20q: got %d %s, want a token", text, got.status, got.body)
		}
		for _, name := range []string{"X-Request-Id", "Cookie", "Accept", "Referer", "If-None-Match", "Range", "Traceparent"} {
			own := w.request(contractOperationOf(t, "getOwnProfile")).set(name, text)
			if got := w.send(own); got.status != http.StatusOK || got.header.Get("X-Request-Id") == text {
				t.Errorf("%s %.20q: got %d %s, want the profile", name, text, got.status, got.body)
			}
		}
		edit := w.request(contractOperationOf(t, "updateUser")).set("If-Match", text)
		if got := w.send(edit); text != "*" && got.status != http.StatusPreconditionFailed && got.status != http.StatusUnprocessableEntity {
			t.Errorf("If-Match %.20q: got %d %s, want 412 or 422", text, got.status, got.body)
		}
	}
	var longest int
	if err := w.pool.QueryRow(context.Background(), "SELECT max(char_length(user_agent)) FROM sessions").Scan(&longest); err != nil || longest > 255 {
		t.Errorf("got a stored user agent of %d characters, want at most 255", longest)
	}
}

package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"usermanager/gen/api"
)

// inputCanary stands in submitted values: no answer may repeat it.
const inputCanary = "CaNaRy7"

// inputField is one field of one JSON body.
type inputField struct {
	op     contractOperation
	name   string
	schema *openapi3.Schema
}

func (f inputField) String() string { return f.op.OperationID + "." + f.name }

// codeOr is what a value of another type earns: one that has to be in a list is told the list.
func (f inputField) codeOr(code api.FieldCode) api.FieldCode {
	if len(f.schema.Enum) > 0 {
		return api.FieldCodeNotInEnum
	}
	return code
}

// inputFields are all fields of text of all JSON bodies of the contract.
func inputFields() []inputField {
	var all []inputField
	for _, op := range inputOperations() {
		content := op.RequestBody.Value.Content.Get("application/json")
		for _, name := range op.fields() {
			if content.Schema.Value.Properties[name].Value.Type.Is("boolean") {
				continue // see TestEveryFlagIsTrueOrFalse
			}
			all = append(all, inputField{op: op, name: name, schema: content.Schema.Value.Properties[name].Value})
		}
	}
	return all
}

// inputOperations are those that take JSON.
func inputOperations() []contractOperation {
	return slices.DeleteFunc(contractOperations(), func(op contractOperation) bool {
		return op.RequestBody == nil || op.RequestBody.Value.Content.Get("application/json") == nil
	})
}

// rest is the example without the field, and without what the field excludes.
func (f inputField) rest() map[string]any {
	_, rest := f.op.example()
	delete(rest, f.name)
	if f.op.OperationID == "resendVerification" {
		delete(rest, "email")
	}
	return rest
}

// inputJSON is the rest with members of any spelling: keys and values are JSON text already.
func inputJSON(rest map[string]any, members ...string) string {
	var text []string
	for name, value := range rest {
		data, err := json.Marshal(value)
		if err != nil {
			panic(err) // the document's own example
		}
		text = append(text, fmt.Sprintf("%q:%s", name, data))
	}
	for i := 0; i+1 < len(members); i += 2 {
		text = append(text, members[i]+":"+members[i+1])
	}
	return "{" + strings.Join(text, ",") + "}"
}

// escaped spells a key with a JSON escape: the same key, spelled differently.
func inputEscaped(name string) string {
	return fmt.Sprintf(`"\u%04x%s"`, name[0], name[1:])
}

// hasNoCanary fails when an answer repeats a submitted value.
func (w *contractWorld) hasNoCanary(what string, got response) {
	w.t.Helper()
	if bytes.Contains(bytes.ToLower(got.body), bytes.ToLower([]byte(inputCanary))) {
		w.t.Errorf("%s: the answer repeats what was submitted: %s", what, got.body)
	}
}

// names fails unless the problem names a field with a code.
func (w *contractWorld) names(what string, p api.Problem, pointer string, code api.FieldCode) {
	w.t.Helper()
	if !slices.Contains(fieldCodes(p)[pointer], code) {
		w.t.Errorf("%s: got errors %+v, want %s at %s", what, p.Errors, code, pointer)
	}
}

func TestEveryOtherSpellingOfAFieldIsAnUnknownField(t *testing.T) { // I-01
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	value := `"` + inputCanary + `"`
	w.storesNothing(func() {
		for _, f := range inputFields() {
			spellings := []string{
				strings.ToUpper(f.name), strings.ToUpper(f.name[:1]) + f.name[1:], f.name + " ", " " + f.name, f.name + "[]", "/" + f.name + "~",
				"user." + f.name, f.name + "\u200b",
			}
			if first, second, isTwo := strings.Cut(f.name, "_"); isTwo {
				spellings = append(spellings, first+strings.ToUpper(second[:1])+second[1:], strings.ReplaceAll(f.name, "_", "-"))
			}
			for _, spelling := range spellings {
				key, err := json.Marshal(spelling)
				if err != nil {
					t.Fatal(err)
				}
				what := f.String() + " as " + spelling
				got := w.send(w.request(f.op).raw(inputJSON(f.rest(), string(key), value)))
				p := w.refused(what, got, http.StatusUnprocessableEntity, api.ProblemCodeValidationFailed)
				w.names(what, p, "/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(spelling), api.FieldCodeUnknownField)
				w.hasNoCanary(what, got)
			}
			nested := w.send(w.request(f.op).raw(inputJSON(f.rest(), `"user"`, "{"+`"`+f.name+`":`+value+"}")))
			w.names(f.String()+" nested", w.refused(f.String()+" nested", nested, http.StatusUnprocessableEntity, api.ProblemCodeValidationFailed), "/user", api.FieldCodeUnknownField)
		}
	})
}

func TestAFieldThatStandsTwiceIsRefusedHoweverItIsSpelled(t *testing.T) { // I-01
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	value := `"` + inputCanary + `"`
	w.storesNothing(func() {
		for _, f := range inputFields() {
			for _, second := range []string{`"` + f.name + `"`, inputEscaped(f.name)} {
				what := f.String() + " again as " + second
				got := w.send(w.request(f.op).raw(inputJSON(f.rest(), `"`+f.name+`"`, value, second, value)))
				p := w.refused(what, got, http.StatusBadRequest, api.ProblemCodeMalformedRequest)
				w.names(what, p, "/"+f.name, api.FieldCodeDuplicateKey)
				w.hasNoCanary(what, got)
			}
			// Escaped, it is the same field: what is checked is what would be stored.
			what := f.String() + " escaped"
			got := w.send(w.request(f.op).raw(inputJSON(f.rest(), inputEscaped(f.name), "17")))
			w.names(what, w.refused(what, got, http.StatusUnprocessableEntity, api.ProblemCodeValidationFailed), "/"+f.name, f.codeOr(api.FieldCodeWrongType))
		}
	})
}

func TestEveryWrongTypeOfEveryFieldIsRefused(t *testing.T) { // I-02
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	wrong := []string{
		"true", "false", "0", "-1", "1.5", "1e3", "9007199254740993", "[]", "{}", `["` + inputCanary + `"]`, `[[[["` + inputCanary + `"]]]]`,
		`{"` + inputCanary + `":{"a":{"b":1}}}`,
	}
	w.storesNothing(func() {
		for _, f := range inputFields() {
			for _, value := range wrong {
				what := f.String() + " as " + value
				got := w.send(w.request(f.op).raw(inputJSON(f.rest(), `"`+f.name+`"`, value)))
				p := w.refused(what, got, http.StatusUnprocessableEntity, api.ProblemCodeValidationFailed)
				w.names(what, p, "/"+f.name, f.codeOr(api.FieldCodeWrongType))
				w.hasNoCanary(what, got)
			}
			if !f.schema.Nullable {
				got := w.send(w.request(f.op).raw(inputJSON(f.rest(), `"`+f.name+`"`, "null")))
				p := w.refused(f.String()+" as null", got, http.StatusUnprocessableEntity, api.ProblemCodeValidationFailed)
				w.names(f.String()+" as null", p, "/"+f.name, f.codeOr(api.FieldCodeNullNotAllowed))
			}
			if got := w.send(w.request(f.op).raw(inputJSON(f.rest(), `"`+f.name+`"`, "1e999"))); got.status != http.StatusBadRequest && got.status != http.StatusUnprocessableEntity {
				t.Errorf("%s as 1e999: got %d %s, want it refused", f, got.status, got.body)
			}
			if f.String() == "resendVerification.token" {
				continue // every token gets the same answer there
			}
			got := w.send(w.request(f.op).raw(inputJSON(f.rest(), `"`+f.name+`"`, `""`)))
			var p api.Problem
			if err := json.Unmarshal(got.body, &p); err != nil || got.status != http.StatusUnprocessableEntity || len(fieldCodes(p)["/"+f.name]) == 0 {
				t.Errorf("%s empty: got %d %s, want 422 at the field", f, got.status, got.body)
			}
		}
	})
}

func TestEveryFlagIsTrueOrFalse(t *testing.T) { // I-02
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	flags := 0
	w.storesNothing(func() {
		for _, op := range inputOperations() {
			for name, property := range op.RequestBody.Value.Content.Get("application/json").Schema.Value.Properties {
				if !property.Value.Type.Is("boolean") {
					continue
				}
				flags++
				for _, value := range []any{"true", "", 0, 1, []bool{true}, map[string]bool{}, nil} {
					code := api.FieldCodeWrongType
					if value == nil {
						code = api.FieldCodeNullNotAllowed
					}
					what := fmt.Sprintf("%s.%s as %v", op.OperationID, name, value)
					got := w.send(w.request(op).with(name, value))
					w.names(what, w.refused(what, got, http.StatusUnprocessableEntity, api.ProblemCodeValidationFailed), "/"+name, code)
				}
			}
		}
	})
	if flags == 0 {
		t.Error("the contract has no flags: this test proves nothing")
	}
}

func TestABodyThatIsNoObjectIsMalformed(t *testing.T) { // I-02, I-03
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	bodies := []string{
		"", " ", "\n", "null", "true", "1", "[]", `"x"`, `[{"a":1}]`, "{", "}", `{"a"}`, `{"a":}`, `{"a":1,}`, `{'a':1}`, `{a:1}`, `{"a":01}`,
		`{"a":.5}`, `{"a":NaN}`, `{"a":Infinity}`, `{"a":+1}`, `{"a":0x10}`, `{"a":"` + "\t" + `"}`, `{"a":"\x41"}`, `{"a":"\u12"}`, `{"a":undefined}`,
		"/* a */{}", "{} // b", "{} {}", "{}{}", "{},", "{}\x00", "{}x", "\ufeff{}", "\xef\xbb\xbf{}", "\x1e{}", "<user/>", "email=a&password=b", "\xff\xfe{\x00}\x00",
	}
	w.storesNothing(func() {
		for _, op := range inputOperations() {
			for _, body := range bodies {
				what := fmt.Sprintf("%s with %q", op.OperationID, body)
				w.refused(what, w.send(w.request(op).raw(body)), http.StatusBadRequest, api.ProblemCodeMalformedRequest)
			}
			valid := string(w.request(op).body)
			for _, trailing := range []string{valid, " null", ",", "]", "\x00", " x"} {
				what := fmt.Sprintf("%s followed by %q", op.OperationID, trailing)
				w.refused(what, w.send(w.request(op).raw(valid+trailing)), http.StatusBadRequest, api.ProblemCodeMalformedRequest)
			}
		}
	})
}

func TestTheSignInFormIsAsStrictAsJSON(t *testing.T) { // I-01, I-02, I-03
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	op := contractOperationOf(t, "login")
	for _, c := range []struct {
		body, pointer string
		status        int
		code          api.FieldCode
	}{
		{"", "/username", 422, api.FieldCodeRequired},
		{"username=a", "/password", 422, api.FieldCodeRequired},
		{"USERNAME=a&password=b", "/USERNAME", 422, api.FieldCodeUnknownField},
		{"username=a&password=b&role=ADMIN", "/role", 422, api.FieldCodeUnknownField},
		{"username=a&password=b&grant_type=refresh_token", "/grant_type", 422, api.FieldCodeInvalidFormat},
		{"username=a&username=b&password=c", "/username", 400, api.FieldCodeDuplicateKey},
		{"username=a&password=b&password=" + inputCanary, "/password", 400, api.FieldCodeDuplicateKey},
		{"username=a&%70assword=b&password=c", "/password", 400, api.FieldCodeDuplicateKey},
		{"username=a%00&password=b", "/username", 422, api.FieldCodeInvalidCharacters},
		{"username=a&password=b%00" + inputCanary, "/password", 422, api.FieldCodeInvalidCharacters},
		{"username=%ff&password=b", "/username", 400, api.FieldCodeInvalidCharacters},
		{"username=%ed%a0%80&password=b", "/username", 400, api.FieldCodeInvalidCharacters},
		{"username=\xff&password=b", "", 400, api.FieldCodeMalformed},
		{"username=%zz&password=b", "", 400, api.FieldCodeMalformed},
		{"username=a;password=b", "", 400, api.FieldCodeMalformed},
		{"username=" + strings.Repeat("a", 1025) + "&password=b", "/username", 422, api.FieldCodeTooLong},
		{"username=a&password=" + strings.Repeat("%F0%90%90%B7", 1025), "/password", 422, api.FieldCodeTooLong},
		{`{"username":"a","password":"b"}`, "/username", 422, api.FieldCodeRequired},
	} {
		code := api.ProblemCodeValidationFailed
		if c.status == http.StatusBadRequest {
			code = api.ProblemCodeMalformedRequest
		}
		what := fmt.Sprintf("login with %.60q", c.body)
		got := w.send(w.request(op).raw(c.body))
		w.names(what, w.refused(what, got, c.status, code), c.pointer, c.code)
		w.hasNoCanary(what, got)
	}
	if got := w.count("SELECT count(*) FROM login_failures"); got != 0 {
		t.Errorf("got %d counted failures, want none: nothing was tried", got)
	}
}

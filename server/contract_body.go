package server

import (
	"errors"
	"net/url"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"usermanager/gen/api"
)

// parseJSON reads one JSON object, strictly (RFC 7493): duplicate keys, invalid UTF-8, lone surrogates and
// anything behind the document are refused. encoding/json accepts all four, and then the validator and the
// handler could see different things (I-01, I-02, I-03).
func parseJSON(data []byte) (map[string]any, error) {
	var value any
	if err := json.Unmarshal(data, &value, jsontext.AllowDuplicateNames(false), jsontext.AllowInvalidUTF8(false)); err != nil {
		return nil, malformedJSON(err)
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, malformed(fieldError(api.FieldLocationBody, "", api.FieldCodeMalformed, nil))
	}
	return object, nil
}

func malformedJSON(err error) error {
	pointer, code := "", api.FieldCodeMalformed
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		pointer = string(syntax.JSONPointer)
	}
	if errors.Is(err, jsontext.ErrDuplicateName) {
		code = api.FieldCodeDuplicateKey
	}
	if len(pointer) > maxPointer || !utf8.ValidString(pointer) {
		pointer = ""
	}
	return malformed(fieldError(api.FieldLocationBody, pointer, code, nil))
}

// parseForm reads a form, in which each field stands once.
func parseForm(data []byte) (map[string]any, error) {
	if !utf8.Valid(data) {
		return nil, malformed(fieldError(api.FieldLocationBody, "", api.FieldCodeMalformed, nil))
	}
	values, err := url.ParseQuery(string(data))
	if err != nil {
		return nil, malformed(fieldError(api.FieldLocationBody, "", api.FieldCodeMalformed, nil))
	}
	fields := make(map[string]any, len(values))
	for name, given := range values {
		if len(given) > 1 {
			return nil, malformed(fieldError(api.FieldLocationBody, pointerTo(name), api.FieldCodeDuplicateKey, nil))
		}
		if !utf8.ValidString(given[0]) {
			return nil, malformed(fieldError(api.FieldLocationBody, pointerTo(name), api.FieldCodeInvalidCharacters, nil))
		}
		fields[name] = given[0]
	}
	return fields, nil
}

func malformed(broken api.FieldError) error {
	return &Problem{Code: api.ProblemCodeMalformedRequest, Errors: []api.FieldError{broken}}
}

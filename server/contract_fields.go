package server

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/labstack/echo/v4"

	"usermanager/gen/api"
)

const maxPointer = 1000 // of the contract; only a client's own unknown key can be longer

// fieldDetails are the sentences for a person; none repeats a submitted value.
var fieldDetails = map[api.FieldCode]string{
	api.FieldCodeRequired:          "This field is missing.",
	api.FieldCodeUnknownField:      "There is no such field.",
	api.FieldCodeWrongType:         "This field has another type.",
	api.FieldCodeNullNotAllowed:    "This field cannot be null.",
	api.FieldCodeTooShort:          "This is too short.",
	api.FieldCodeTooLong:           "This is too long.",
	api.FieldCodeTooSmall:          "This number is too small.",
	api.FieldCodeTooLarge:          "This number is too large.",
	api.FieldCodeTooFewFields:      "Give at least one field.",
	api.FieldCodeNotInEnum:         "This is not one of the allowed values.",
	api.FieldCodeInvalidFormat:     "This is not in the expected form.",
	api.FieldCodeInvalidEmail:      "This is not an e-mail address that can be used.",
	api.FieldCodeInvalidURL:        "This is not an http or https URL.",
	api.FieldCodeHostNotAllowed:    "This URL leads to another site.",
	api.FieldCodeInvalidLanguage:   "This is not a language tag such as en or pt-BR.",
	api.FieldCodeInvalidNickname:   "Use 3 to 30 letters, digits, _ or -, and begin with a letter or digit.",
	api.FieldCodeReserved:          "This name is reserved.",
	api.FieldCodeInvalidCharacters: "This has characters that cannot be used.",
	api.FieldCodeMissingUppercase:  "An upper-case letter is missing.",
	api.FieldCodeMissingLowercase:  "A lower-case letter is missing.",
	api.FieldCodeMissingDigit:      "A digit is missing.",
	api.FieldCodeMissingSpecial:    "A special character is missing.",
	api.FieldCodeTooCommon:         "Many people use this password. Choose another.",
	api.FieldCodeTooPersonal:       "This is made of your own name, nickname or address. Choose another.",
	api.FieldCodeMutuallyExclusive: "This cannot be combined with another field.",
	api.FieldCodeRepeated:          "Give this once.",
	api.FieldCodeUnknownClient:     "There is no such client.",
	api.FieldCodeTaken:             "This belongs to another account.",
	api.FieldCodeMismatch:          "This is not the current one.",
	api.FieldCodeUnchanged:         "This is the same as the current one.",
	api.FieldCodeDuplicateKey:      "This key appears twice.",
	api.FieldCodeMalformed:         "This cannot be read.",
}

func fieldError(location api.FieldLocation, pointer string, code api.FieldCode, params map[string]string) api.FieldError {
	if params == nil {
		params = map[string]string{}
	}
	return api.FieldError{Location: location, Pointer: pointer, Code: code, Detail: fieldDetails[code], Params: params}
}

// pointerTo is the RFC 6901 pointer to a member of the top level.
func pointerTo(name string) string {
	pointer := "/" + strings.ReplaceAll(strings.ReplaceAll(strings.ToValidUTF8(name, "\uFFFD"), "~", "~0"), "/", "~1")
	if utf8.RuneCountInString(pointer) > maxPointer {
		pointer = string([]rune(pointer)[:maxPointer])
	}
	return pointer
}

// checkParameters checks query and header parameters. An unknown query parameter of an operation that has
// some is a misspelt filter, so it is refused; elsewhere the query is ignored.
func (op *operation) checkParameters(c echo.Context) []api.FieldError {
	var broken []api.FieldError
	given := c.QueryParams()
	if len(op.query) > 0 {
		// Go leaves out what it cannot parse; a filter that is left out would list everyone.
		if _, err := url.ParseQuery(c.Request().URL.RawQuery); err != nil {
			return []api.FieldError{fieldError(api.FieldLocationQuery, "", api.FieldCodeMalformed, nil)}
		}
		for _, name := range slices.Sorted(maps.Keys(given)) {
			pointer := pointerTo(name)
			switch {
			case op.query[name] == nil:
				broken = append(broken, fieldError(api.FieldLocationQuery, pointer, api.FieldCodeUnknownField, nil))
			case len(given[name]) > 1:
				broken = append(broken, fieldError(api.FieldLocationQuery, pointer, api.FieldCodeRepeated, nil))
			case !isText(given[name][0], false):
				broken = append(broken, fieldError(api.FieldLocationQuery, pointer, api.FieldCodeInvalidCharacters, nil))
			}
		}
	}
	if len(broken) > 0 {
		return broken
	}
	input := &openapi3filter.RequestValidationInput{
		Request: c.Request(), QueryParams: given, Route: &routers.Route{Operation: op.spec},
		Options: &openapi3filter.Options{MultiError: true, SkipSettingDefaults: true},
	}
	for _, parameter := range op.spec.Parameters {
		switch parameter.Value.In {
		case openapi3.ParameterInPath:
			continue // ids are checked before, and everything else may be anything
		case openapi3.ParameterInHeader:
			joinLines(c.Request().Header, parameter.Value.Name)
		}
		if err := openapi3filter.ValidateParameter(c.Request().Context(), input, parameter.Value); err != nil {
			broken = append(broken, parameterErrors(parameter.Value, err)...)
		}
	}
	return broken
}

// joinLines makes one line of a header that came in several (RFC 9110, 5.3): ours are lists, and the generated
// code takes one line only.
func joinLines(header http.Header, name string) {
	if lines := header.Values(name); len(lines) > 1 {
		header.Set(name, strings.Join(lines, ", "))
	}
}

func parameterErrors(parameter *openapi3.Parameter, err error) []api.FieldError {
	location, pointer := api.FieldLocation(parameter.In), pointerTo(parameter.Name)
	broken := schemaErrors(err, location, pointer)
	if len(broken) == 0 {
		broken = []api.FieldError{fieldError(location, pointer, api.FieldCodeWrongType, nil)} // could not be parsed as its type
	}
	return broken
}

// checkBody checks the body against its schema and, beyond what a schema can say, by the x-check of each
// property; all at once, so that one answer names everything.
func (s *Server) checkBody(op *operation, body map[string]any) []api.FieldError {
	var broken []api.FieldError
	for _, name := range slices.Sorted(maps.Keys(body)) {
		if op.body.Properties[name] == nil {
			broken = append(broken, fieldError(api.FieldLocationBody, pointerTo(name), api.FieldCodeUnknownField, nil))
		}
	}
	if len(broken) > maxFieldErrors {
		return broken // nobody's mistake, and the validator would take long over so many (I-05)
	}
	err := op.body.VisitJSON(body, openapi3.MultiErrors(), openapi3.VisitAsRequest())
	broken = append(broken, schemaErrors(err, api.FieldLocationBody, "")...)
	isBroken := map[string]bool{}
	for _, e := range broken {
		isBroken[e.Pointer] = true
	}
	for _, name := range slices.Sorted(maps.Keys(op.body.Properties)) {
		text, isString := body[name].(string)
		// Both would say the same about a value that is broken already, but a password lists every unmet rule.
		if isString && !isBroken[pointerTo(name)] {
			broken = append(broken, s.checkString(op.body.Properties[name].Value, pointerTo(name), text, body)...)
		}
	}
	return broken
}

// schemaErrors translates the validator's errors, whose own messages repeat the value.
func schemaErrors(err error, location api.FieldLocation, base string) []api.FieldError {
	if err == nil {
		return nil
	}
	if multi, ok := errors.AsType[openapi3.MultiError](err); ok {
		var all []api.FieldError
		for _, e := range multi {
			all = append(all, schemaErrors(e, location, base)...)
		}
		return all
	}
	schemaErr, ok := errors.AsType[*openapi3.SchemaError](err)
	if !ok {
		return nil
	}
	pointer := base
	if path := schemaErr.JSONPointer(); len(path) > 0 {
		pointer = pointerTo(path[0]) // objects are flat: a rule of the contract
	}
	code, params := schemaCode(schemaErr)
	if code == "" {
		return nil // unknown properties: named by checkBody, with their pointer
	}
	return []api.FieldError{fieldError(location, pointer, code, params)}
}

func schemaCode(err *openapi3.SchemaError) (api.FieldCode, map[string]string) {
	switch err.SchemaField {
	case "properties":
		return "", nil
	case "required":
		return api.FieldCodeRequired, nil
	case "nullable":
		return api.FieldCodeNullNotAllowed, nil
	case "type":
		if err.Value == nil {
			return api.FieldCodeNullNotAllowed, nil
		}
		return api.FieldCodeWrongType, nil
	case "minLength":
		return api.FieldCodeTooShort, map[string]string{"min": strconv.FormatUint(err.Schema.MinLength, 10)}
	case "maxLength":
		return api.FieldCodeTooLong, map[string]string{"max": strconv.FormatUint(*err.Schema.MaxLength, 10)}
	case "minimum":
		return api.FieldCodeTooSmall, map[string]string{"min": formatNumber(*err.Schema.Min)}
	case "maximum":
		return api.FieldCodeTooLarge, map[string]string{"max": formatNumber(*err.Schema.Max)}
	case "minProperties":
		return api.FieldCodeTooFewFields, map[string]string{"min": strconv.FormatUint(err.Schema.MinProps, 10)}
	case "enum":
		allowed := make([]string, len(err.Schema.Enum))
		for i, v := range err.Schema.Enum {
			allowed[i] = fmt.Sprint(v)
		}
		return api.FieldCodeNotInEnum, map[string]string{"allowed": strings.Join(allowed, ", ")}
	}
	return api.FieldCodeInvalidFormat, nil
}

func formatNumber(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// isText refuses what has no place in a field: control characters, noncharacters, byte order marks and the
// controls that turn the direction of text (I-03). Line breaks and tabs only where they belong.
func isText(text string, hasLines bool) bool {
	for _, r := range text {
		switch {
		case r == utf8.RuneError, r == '\uFEFF', r == '\u2028', r == '\u2029':
			return false
		case hasLines && (r == '\n' || r == '\r' || r == '\t'):
		case unicode.IsControl(r), r&0xFFFE == 0xFFFE, r >= 0xFDD0 && r <= 0xFDEF:
			return false
		case r >= '\u202A' && r <= '\u202E', r >= '\u2066' && r <= '\u2069':
			return false
		}
	}
	return true
}

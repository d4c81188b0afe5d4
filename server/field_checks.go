package server

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/getkin/kin-openapi/openapi3"
	"golang.org/x/net/idna"
	"golang.org/x/text/language"

	"usermanager/gen/api"
)

// checkString applies the x-check or format of a property in openapi.yaml to a submitted string.
func (s *Server) checkString(schema *openapi3.Schema, pointer, text string, body map[string]any) []api.FieldError {
	check, _ := schema.Extensions["x-check"].(string)
	refuse := func(code api.FieldCode) []api.FieldError {
		return []api.FieldError{fieldError(api.FieldLocationBody, pointer, code, nil)}
	}
	if check != "new_password" && !isText(text, check == "text") {
		return refuse(api.FieldCodeInvalidCharacters)
	}
	switch check {
	case "new_password":
		return s.checkNewPassword(pointer, text, accountWords(body))
	case "nickname":
		if code := checkNickname(text); code != "" {
			return refuse(code)
		}
	case "line", "text":
		if strings.TrimSpace(text) == "" {
			return refuse(api.FieldCodeRequired)
		}
	case "language":
		if _, err := parseLanguage(text); err != nil {
			return refuse(api.FieldCodeInvalidLanguage)
		}
	case "url":
		if code := checkURL(text, hostsOf(schema)); code != "" {
			return refuse(code)
		}
	case "client":
		if _, ok := s.Links[text]; !ok {
			return refuse(api.FieldCodeUnknownClient)
		}
	}
	if schema.Format == "email" {
		if _, err := parseEmail(text); err != nil {
			return refuse(api.FieldCodeInvalidEmail)
		}
	}
	return nil
}

// checkNewPassword names every unmet rule of the password policy at once.
func (s *Server) checkNewPassword(pointer, password string, words []string) []api.FieldError {
	var broken []api.FieldError
	for _, violation := range s.PasswordPolicy.Check(password, append(words, s.Product.Name)...) {
		broken = append(broken, fieldError(api.FieldLocationBody, pointer, api.FieldCode(violation.Rule), violation.Params))
	}
	hasCode := func(e api.FieldError) bool { return e.Code == api.FieldCodeInvalidCharacters }
	if !isText(password, false) && !slices.ContainsFunc(broken, hasCode) {
		// Signing in refuses these, too: who set such a password could never use it.
		broken = append(broken, fieldError(api.FieldLocationBody, pointer, api.FieldCodeInvalidCharacters, nil))
	}
	return broken
}

// accountWords are the words that a password must not be made of.
func accountWords(body map[string]any) []string {
	var words []string
	for _, name := range []string{"email", "nickname", "first_name", "last_name"} {
		if word, ok := body[name].(string); ok {
			words = append(words, word)
		}
	}
	return words
}

func hostsOf(schema *openapi3.Schema) []string {
	list, _ := schema.Extensions["x-hosts"].([]any)
	hosts := make([]string, 0, len(list))
	for _, host := range list {
		if name, ok := host.(string); ok {
			hosts = append(hosts, name)
		}
	}
	return hosts
}

// checkURL takes absolute http and https URLs with a host that could be on the internet and no user info
// (I-14). The server never fetches them (I-15).
func checkURL(text string, hosts []string) api.FieldCode {
	const invalid = api.FieldCodeInvalidURL
	if strings.ContainsAny(text, " \\\"<>^`{|}") {
		return invalid
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Opaque != "" || u.User != nil || u.Host == "" {
		return invalid
	}
	// url.Parse takes the scheme in any case; what was typed has to be a plain one.
	if !strings.HasPrefix(text, u.Scheme+"://") {
		return invalid
	}
	host, err := idna.Lookup.ToASCII(u.Hostname())
	if err != nil || !isDomainName(strings.TrimSuffix(host, ".")) {
		return invalid
	}
	if len(hosts) == 0 {
		return ""
	}
	// IDNA maps many letters to ASCII ones; a name that only looks like the site's is not taken.
	if u.Port() != "" || strings.ContainsFunc(u.Hostname(), func(r rune) bool { return r > unicode.MaxASCII }) {
		return api.FieldCodeHostNotAllowed
	}
	for _, allowed := range hosts {
		if host == allowed || strings.HasSuffix(host, "."+allowed) {
			return ""
		}
	}
	return api.FieldCodeHostNotAllowed
}

const maxLanguage = 50 // of the column

var errLanguage = errors.New("not a language tag that can be used")

// parseLanguage returns the canonical form of a BCP 47 tag.
func parseLanguage(text string) (string, error) {
	tag, err := language.Parse(text)
	if err != nil {
		return "", err
	}
	canonical := tag.String()
	if tag == language.Und || len(canonical) > maxLanguage {
		return "", errLanguage
	}
	return canonical, nil
}

const (
	defaultLanguage = "en"  // what mails are written in when nobody said anything
	anyLanguage     = "mul" // what the parser makes of *, which Node sends when nobody chose
)

// preferredLanguage is what was asked for, else the first of Accept-Language, else English.
func preferredLanguage(given, acceptLanguage *string) string {
	if given != nil {
		if tag, err := parseLanguage(*given); err == nil {
			return tag
		}
	}
	if acceptLanguage != nil {
		tags, _, _ := language.ParseAcceptLanguage(*acceptLanguage) // none when it is malformed
		for _, accepted := range tags {
			if tag, err := parseLanguage(accepted.String()); err == nil && tag != anyLanguage {
				return tag
			}
		}
	}
	return defaultLanguage
}

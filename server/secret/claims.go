package secret

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/google/uuid"
)

// maxNumericDate is in the year 36812: a larger number is a mistake or an
// attempt to overflow.
const maxNumericDate = 1 << 40

// claimReader takes typed members out of a claims object and remembers the
// first one that is wrong, so that reading is one line per claim.
type claimReader struct {
	members map[string]json.RawMessage
	wrong   string
}

// decodeClaims reads a signed payload. Names match exactly (encoding/json alone
// would take "EXP" for "exp"), a repeated name is refused, and unknown claims
// are ignored (RFC 7519 section 4), so that a newer server may add some.
func decodeClaims(payload []byte, audience string, now time.Time) (Claims, error) {
	members, err := decodeObject(payload)
	if err != nil {
		return Claims{}, invalid("claims")
	}
	read := &claimReader{members: members}
	claims := Claims{
		Subject:   read.id("sub"),
		SessionID: read.id("sid"),
		Issuer:    read.text("iss"),
		Audience:  read.audience(audience),
		IssuedAt:  read.date("iat"),
		ExpiresAt: read.date("exp"),
		JWTID:     read.text("jti"),
	}
	if _, present := members["scope"]; present {
		claims.Scope = read.text("scope")
	}
	if _, present := members["nbf"]; present && read.date("nbf").After(now.Add(ClockLeeway)) {
		read.fail("nbf")
	}
	if read.wrong != "" {
		return Claims{}, invalid(read.wrong)
	}
	return claims, nil
}

// decodeObject splits a JSON object into its members.
func decodeObject(text []byte) (map[string]json.RawMessage, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return nil, errors.New("not an object")
	}
	members := map[string]json.RawMessage{}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string) // the decoder lets nothing else stand here
		if _, repeated := members[name]; repeated {
			return nil, errors.New("repeated name")
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, err
		}
		members[name] = value
	}
	if _, err := decoder.Token(); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("text after the object")
	}
	return members, nil
}

func (r *claimReader) fail(name string) {
	if r.wrong == "" {
		r.wrong = name
	}
}

// value decodes one member. encoding/json leaves the target alone for null, so
// null is refused first.
func (r *claimReader) value(name string, target any) {
	raw, present := r.members[name]
	if !present || string(raw) == "null" || json.Unmarshal(raw, target) != nil {
		r.fail(name)
	}
}

func (r *claimReader) text(name string) (text string) {
	r.value(name, &text)
	return text
}

// id accepts only the canonical form; uuid.Parse also takes braces, "urn:" and capitals.
func (r *claimReader) id(name string) uuid.UUID {
	text := r.text(name)
	id, err := uuid.Parse(text)
	if err != nil || id.String() != text {
		r.fail(name)
	}
	return id
}

// date reads whole seconds. Fractions and exponents are refused with the
// strings: this server never writes them, and 1e308 overflows.
func (r *claimReader) date(name string) time.Time {
	var seconds int64
	r.value(name, &seconds)
	if seconds <= 0 || seconds > maxNumericDate {
		r.fail(name)
	}
	return time.Unix(seconds, 0).UTC()
}

// audience reads a string, or an array that must name us (RFC 7519 section 4.1.3).
func (r *claimReader) audience(want string) string {
	raw := r.members["aud"]
	if len(raw) == 0 || raw[0] != '[' {
		return r.text("aud")
	}
	var all []string
	r.value("aud", &all)
	if !slices.Contains(all, want) {
		r.fail("aud")
	}
	return want
}

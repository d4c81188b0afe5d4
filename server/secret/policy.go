package secret

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Policy decides which passwords may be set. Both policies ask for 8 to 256
// code points after NFKC and refuse control characters, common passwords and
// the account's own words.
//
// The minimum is 8 in both, the lower bound of OWASP ASVS 5.0 section 6.2.1.
// NIST SP 800-63B-4 section 3.1.1.2 asks for 15 where a password is the only
// factor and 8 beside a second one; this server leaves second factors to a
// proxy or a later version, and the system it replaces has passwords of 8.
type Policy string

// The policies.
const (
	// PolicyComposition also asks for an upper-case letter (Unicode Lu), a
	// lower-case letter (Ll), a digit (Nd) and one of SpecialCharacters.
	PolicyComposition Policy = "composition"
	// PolicyNIST asks for no character classes (NIST SP 800-63B-4 section 3.1.1.2 (5)).
	PolicyNIST Policy = "nist"
)

// Limits of a password, in code points after NFKC.
const (
	MinPasswordLength = 8
	MaxPasswordLength = 256
)

// SpecialCharacters is the set that counts as special. It is ASCII and exact:
// other symbols may be used and do not count.
const SpecialCharacters = `!@#$%^&*(),.?":{}|<>`

// Rules of PolicyViolation. They are codes of the contract.
const (
	RuleTooShort          = "too_short"          // params: min
	RuleTooLong           = "too_long"           // params: max
	RuleMissingUppercase  = "missing_uppercase"  //
	RuleMissingLowercase  = "missing_lowercase"  //
	RuleMissingDigit      = "missing_digit"      //
	RuleMissingSpecial    = "missing_special"    // params: allowed
	RuleTooCommon         = "too_common"         //
	RuleTooPersonal       = "too_personal"       //
	RuleInvalidCharacters = "invalid_characters" // control characters or broken text
)

// PolicyViolation is one rule that a password does not meet. It never contains
// any of the password.
type PolicyViolation struct {
	Rule   string
	Params map[string]string // nil for rules without parameters
}

// ParsePolicy reads a policy's name.
func ParsePolicy(name string) (Policy, error) {
	switch policy := Policy(name); policy {
	case PolicyComposition, PolicyNIST:
		return policy, nil
	}
	return "", fmt.Errorf("password policy must be %q or %q", PolicyComposition, PolicyNIST)
}

// Check returns every rule that the password does not meet, in the order of the
// Rule constants, or nil when it may be used. Words are the account's own:
// e-mail address, nickname, names and the product's name; empty ones are
// ignored. Any policy but PolicyNIST is checked as PolicyComposition.
func (p Policy) Check(password string, words ...string) []PolicyViolation {
	if len(password) > MaxPasswordBytes { // more than 256 code points however it normalises
		return []PolicyViolation{tooLong()}
	}
	var broken []PolicyViolation
	add := func(unmet bool, rule string) {
		if unmet {
			broken = append(broken, PolicyViolation{Rule: rule})
		}
	}
	normal := norm.NFKC.String(password)
	length := utf8.RuneCountInString(normal)
	if length < MinPasswordLength {
		broken = append(broken, PolicyViolation{
			Rule: RuleTooShort, Params: map[string]string{"min": strconv.Itoa(MinPasswordLength)},
		})
	}
	if length > MaxPasswordLength {
		broken = append(broken, tooLong())
	}
	if p != PolicyNIST {
		add(!strings.ContainsFunc(normal, unicode.IsUpper), RuleMissingUppercase)
		add(!strings.ContainsFunc(normal, unicode.IsLower), RuleMissingLowercase)
		add(!strings.ContainsFunc(normal, unicode.IsDigit), RuleMissingDigit)
		if !strings.ContainsAny(normal, SpecialCharacters) {
			broken = append(broken, PolicyViolation{
				Rule: RuleMissingSpecial, Params: map[string]string{"allowed": SpecialCharacters},
			})
		}
	}
	if length <= MaxPasswordLength {
		folded := strings.ToLower(normal)
		add(isCommon(folded), RuleTooCommon)
		add(isPersonal(folded, words), RuleTooPersonal)
	}
	add(hasInvalidCharacters(password), RuleInvalidCharacters)
	return broken
}

func tooLong() PolicyViolation {
	return PolicyViolation{Rule: RuleTooLong, Params: map[string]string{"max": strconv.Itoa(MaxPasswordLength)}}
}

// hasInvalidCharacters finds what cannot be typed again reliably. U+FFFD is
// refused because decoders put it in place of whatever they could not read, so
// that two different inputs would share one hash.
func hasInvalidCharacters(password string) bool {
	return !utf8.ValidString(password) || strings.ContainsFunc(password, func(r rune) bool {
		return r == utf8.RuneError || unicode.IsControl(r)
	})
}

package mail

import (
	"errors"
	"fmt"
	netmail "net/mail"
	"strings"

	"github.com/google/uuid"
)

const (
	maxAddress   = 254 // bytes, RFC 5321 section 4.5.3.1.3 less the two angle brackets
	maxLocalPart = 64  // bytes, RFC 5321 section 4.5.3.1.1
	maxLabel     = 63  // bytes, RFC 1035 section 2.3.4
)

// CheckAddress accepts exactly one plain address (the addr-spec of RFC 5322
// section 3.4.1 with a dot-atom local part) and nothing around it: no name, no
// angle brackets, no list, no comment, no quoted local part, no IP literal. The
// address is ASCII, so an international domain is written as its A-label
// (xn--...), because not every relay speaks SMTPUTF8.
//
// Both senders refuse what it refuses. The error names the rule, not the
// address.
func CheckAddress(address string) error {
	if len(address) > maxAddress {
		return fmt.Errorf("longer than %d bytes", maxAddress)
	}
	local, domain, found := strings.Cut(address, "@")
	if !found {
		return errors.New("no @")
	}
	if len(local) > maxLocalPart {
		return fmt.Errorf("local part longer than %d bytes", maxLocalPart)
	}
	for atom := range strings.SplitSeq(local, ".") {
		if atom == "" {
			return errors.New("empty atom in the local part")
		}
		if strings.ContainsFunc(atom, isNotAtext) {
			return errors.New("character not allowed in the local part")
		}
	}
	return checkDomain(domain)
}

func checkDomain(domain string) error {
	for label := range strings.SplitSeq(domain, ".") {
		switch {
		case label == "":
			return errors.New("empty label in the domain")
		case len(label) > maxLabel:
			return fmt.Errorf("domain label longer than %d bytes", maxLabel)
		case strings.HasPrefix(label, "-"), strings.HasSuffix(label, "-"):
			return errors.New("domain label starts or ends with a hyphen")
		case strings.ContainsFunc(label, func(r rune) bool { return !isASCIIAlnum(r) && r != '-' }):
			return errors.New("character not allowed in the domain")
		}
	}
	return nil
}

// isNotAtext is the complement of atext, RFC 5322 section 3.2.3.
func isNotAtext(r rune) bool {
	return !isASCIIAlnum(r) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r)
}

func isASCIIAlnum(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

// From is the sender of every mail. Make it with ParseFrom.
type From struct {
	address netmail.Address
	domain  string
}

// ParseFrom reads MAIL_FROM: "noreply@example.com" or
// "Example <noreply@example.com>". The address must pass CheckAddress.
func ParseFrom(mailFrom string) (From, error) {
	parsed, err := netmail.ParseAddress(mailFrom)
	if err != nil {
		return From{}, fmt.Errorf("parse sender address: %w", err)
	}
	if err := CheckAddress(parsed.Address); err != nil {
		return From{}, fmt.Errorf("parse sender address: %w", err)
	}
	// net/mail decodes encoded words, so a line break can hide in one.
	if strings.ContainsFunc(parsed.Name, isUnsafeInLine) {
		return From{}, errors.New("parse sender address: control character in the name")
	}
	_, domain, _ := strings.Cut(parsed.Address, "@")
	return From{address: *parsed, domain: domain}, nil
}

// String returns the sender as the From header shows it (RFC 2047 encoded).
func (f From) String() string { return f.address.String() }

// MessageID returns the Message-ID of the mail with this id, angle brackets
// included. It is a pure function: the same mail has the same one for ever.
func (f From) MessageID(id uuid.UUID) string {
	return "<" + id.String() + "@" + f.domain + ">"
}

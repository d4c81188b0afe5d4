package server

import (
	"errors"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// emailAddress is an address twice: as it is shown and mailed to, and as it is compared.
type emailAddress struct {
	display   string // the local part as typed, the domain as an A-label in lower case
	canonical string // all in lower case
}

var errEmail = errors.New("not an e-mail address that can be used")

// Mail to these never arrives anywhere (RFC 6761, RFC 7686, RFC 6762).
var refusedTLDs = []string{"localhost", "local", "invalid", "test", "onion"}

// parseEmail takes a plain addr-spec (RFC 5321, 4.1.2: a dot-atom at a domain name), with blanks around it
// removed. Local parts are ASCII: most mail servers refuse others, and look-alike letters cannot pose as
// someone else. Plus tags and dots are kept distinct, because only some providers ignore them.
func parseEmail(text string) (emailAddress, error) {
	text = norm.NFC.String(strings.TrimSpace(text))
	at := strings.LastIndexByte(text, '@')
	if at < 1 {
		return emailAddress{}, errEmail
	}
	local := text[:at]
	domain, err := idna.Lookup.ToASCII(text[at+1:])
	if err != nil || !isDotAtom(local) || !isMailDomain(domain) {
		return emailAddress{}, errEmail
	}
	// Of some broken text the library makes a label that it does not take itself: nobody could type it again.
	if again, err := idna.Lookup.ToASCII(domain); err != nil || again != domain {
		return emailAddress{}, errEmail
	}
	address := emailAddress{display: local + "@" + domain, canonical: strings.ToLower(local) + "@" + domain}
	if len(local) > 64 || len(address.display) > 254 {
		return emailAddress{}, errEmail
	}
	return address, nil
}

func isDotAtom(local string) bool {
	for atom := range strings.SplitSeq(local, ".") {
		if atom == "" {
			return false
		}
		for _, r := range atom {
			isAlnum := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
			if !isAlnum && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r) {
				return false
			}
		}
	}
	return true
}

func isMailDomain(domain string) bool {
	last := domain[strings.LastIndexByte(domain, '.')+1:]
	if !isDomainName(domain) || slices.Contains(refusedTLDs, last) {
		return false
	}
	_, err := netip.ParseAddr(domain)
	return err != nil && strings.Trim(last, "0123456789") != ""
}

// isDomainName takes two labels or more, within the limits of RFC 1035, 2.3.4.
func isDomainName(name string) bool {
	labels := strings.Split(name, ".")
	return len(name) <= 253 && len(labels) > 1 && !slices.ContainsFunc(labels, func(label string) bool {
		return label == "" || len(label) > 63 || strings.Trim(label, "-") != label
	})
}

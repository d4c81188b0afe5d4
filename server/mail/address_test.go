package mail

import (
	"strings"
	"testing"

	"github.com/google/uuid"
)

func plainAddresses() []string {
	return []string{
		"ada@example.com", "Ada.Lovelace@Example.COM", "ada+tag@example.com", "o'brien@example.com", "a/b=c{d}|e@example.com", "!#$%&'*+-/=?^_`{|}~@example.com",
		"noreply@localhost", "a@xn--bcher-kva.example", "a@1.example", strings.Repeat("a", 64) + "@example.com", "a@" + strings.Repeat("b", 63) + ".example",
	}
}

func refusedAddresses() map[string]string {
	return map[string]string{
		"empty":             "",
		"no @":              "ada",
		"no local part":     "@example.com",
		"no domain":         "ada@",
		"two @":             "ada@example.com@example.org",
		"list":              "a@x.example.com,b@y.example.com",
		"list with space":   "a@x.example.com, b@y.example.com",
		"semicolon":         "a@x.example.com;b@y.example.com",
		"quoted local part": `"a b"@example.com`,
		"CRLF":              "a@example.com\r\nBcc: v@example.com",
		"LF in local part":  "a\nb@example.com",
		"NUL":               "a\x00@example.com",
		"trailing newline":  "a@example.com\n",
		"leading space":     " a@example.com",
		"trailing space":    "a@example.com ",
		"angle brackets":    "<a@example.com>",
		"name":              "Ada <a@example.com>",
		"comment":           "a(x)@example.com",
		"route":             "@relay.example:a@example.com",
		"group":             "friends:a@example.com;",
		"IP literal":        "a@[127.0.0.1]",
		"SMTP parameter":    "a@example.com> SIZE=1",
		"leading dot":       ".a@example.com",
		"trailing dot":      "a.@example.com",
		"double dot":        "a..b@example.com",
		"domain dot":        "a@example.com.",
		"domain double dot": "a@example..com",
		"label hyphen":      "a@-example.com",
		"label hyphen end":  "a@example-.com",
		"underscore domain": "a@ex_ample.com",
		"port":              "a@example.com:25",
		"local too long":    strings.Repeat("a", 65) + "@example.com",
		"label too long":    "a@" + strings.Repeat("b", 64) + ".example",
		"too long":          "a@" + strings.Repeat("b.", 126) + "co",
		"not ASCII local":   "ädä@example.com",
		"not ASCII domain":  "ada@bücher.example",
		"dotless i":         "ına@example.com",
		"kelvin":            "\u212a@example.com",
		"zero width":        "a\u200b@example.com",
		"bidi":              "a\u202e@example.com",
		"full-width @":      "a＠example.com",
		"percent-encoded":   "a%0d%0a@exam%ple.com",
	}
}

func TestPlainAddressesAreAccepted(t *testing.T) {
	t.Parallel()
	for _, address := range plainAddresses() {
		if err := CheckAddress(address); err != nil {
			t.Errorf("CheckAddress(%q): %v", address, err)
		}
	}
}

func TestAnythingButOnePlainAddressIsRefused(t *testing.T) { // I-18
	t.Parallel()
	for name, address := range refusedAddresses() {
		err := CheckAddress(address)
		if err == nil {
			t.Errorf("%s: CheckAddress(%q) accepted it", name, address)
		} else if address != "" && strings.Contains(err.Error(), address) {
			t.Errorf("%s: error %q repeats the address", name, err) // H-10
		}
	}
}

func TestTheSenderMayHaveAName(t *testing.T) {
	t.Parallel()
	for mailFrom, want := range map[string]string{
		"noreply@example.com":                 `<noreply@example.com>`,
		"Acme Users <noreply@example.com>":    `"Acme Users" <noreply@example.com>`,
		"Bücher <noreply@example.com>":        `=?utf-8?q?B=C3=BCcher?= <noreply@example.com>`,
		`"Users, Acme" <noreply@example.com>`: `"Users, Acme" <noreply@example.com>`,
	} {
		from, err := ParseFrom(mailFrom)
		if err != nil {
			t.Errorf("ParseFrom(%q): %v", mailFrom, err)
		} else if from.String() != want {
			t.Errorf("ParseFrom(%q) = %s, want %s", mailFrom, from, want)
		}
	}
}

func TestABadSenderIsRefused(t *testing.T) {
	t.Parallel()
	for _, mailFrom := range []string{
		"", "Acme", "Acme <>", "a@example.com, b@example.com", "a@example.com\r\nBcc: b@example.com", "a@[127.0.0.1]", `"a b"@example.com`,
		"a@bücher.example", "=?utf-8?q?Acme=0D=0ABcc:_x?= <a@example.com>", "Acme\x00 <a@example.com>",
	} {
		if from, err := ParseFrom(mailFrom); err == nil {
			t.Errorf("ParseFrom(%q) = %s, want an error", mailFrom, from)
		}
	}
}

func TestTheMessageIDIsAFunctionOfTheMail(t *testing.T) { // F-02
	t.Parallel()
	from, err := ParseFrom("Acme <noreply@mail.example.com>")
	if err != nil {
		t.Fatal(err)
	}
	id := uuid.MustParse("0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b")
	if got, want := from.MessageID(id), "<0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b@mail.example.com>"; got != want {
		t.Errorf("MessageID = %s, want %s", got, want)
	}
}

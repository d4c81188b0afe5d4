package server

import (
	"strings"
	"testing"

	"usermanager/server/mail"
)

// FuzzEmailCanBeMailedTo holds every accepted address to what sending relies on (H-17): the mail server's own
// check takes it, and what is stored can be typed again.
func FuzzEmailCanBeMailedTo(f *testing.F) {
	for _, seed := range []string{
		"ada@example.com", " Ada@EXAMPLE.com ", "ada@bücher.example", "ada@xn--bcher-kva.example", "\u212aim@example.com", "a@1.2.3.4",
		"a@-.example", "a@xn--.example", "a@x。example", "a@ﬁ.example", "@", "a@", "!#$%&'*+-/=?^_`{|}~@example.com",
		strings.Repeat("a", 64) + "@" + strings.Repeat("b", 63) + ".example.com", "a@\u00ad.example", "a@\u200d.example", "a@x\u0338.example",
		"a@\u1fef.example", "\u1fef@example.com", "a@xn--a-ecp.ru", "a@b.\xff", "a@b.\ufffd",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		email, err := parseEmail(text)
		if err != nil {
			if email != (emailAddress{}) {
				t.Errorf("%q: refused, and %+v all the same", text, email)
			}
			return
		}
		for _, form := range []string{email.display, email.canonical} {
			if err := mail.CheckAddress(form); err != nil {
				t.Errorf("%q: no mail goes to %q: %v", text, form, err)
			}
			if again, err := parseEmail(form); err != nil || again.canonical != email.canonical {
				t.Errorf("%q: %q becomes %+v, %v", text, form, again, err)
			}
		}
	})
}

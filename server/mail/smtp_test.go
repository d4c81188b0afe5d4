package mail

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"usermanager/server/mail/mailtest"
)

func testSMTP(t testing.TB, rawURL string) *SMTP {
	t.Helper()
	u, err := ParseURL(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	from, err := ParseFrom("Acme Users <noreply@acme.example.com>")
	if err != nil {
		t.Fatal(err)
	}
	return NewSMTP(u, from)
}

func testMessage() Message {
	return Message{
		ID:   uuid.MustParse("0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"),
		Kind: KindVerifyEmail,
		To:   "ada@example.com",
		Content: Content{
			Subject: "Confirm your e-mail address",
			Text:    "Hello,\n\nplain text\n",
			HTML:    "<p>Hello</p>\n",
		},
	}
}

// checkHeaders holds a received message to RFC 5322: each header once, one
// recipient, no long line.
func checkHeaders(t *testing.T, m mailtest.Message) {
	t.Helper()
	want := []string{"Auto-Submitted", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Subject", "To"}
	var got []string
	for name, values := range m.Header {
		got = append(got, name)
		if len(values) != 1 {
			t.Errorf("header %s is there %d times", name, len(values))
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("headers = %q, want %q", got, want)
	}
	if len(m.To) != 1 {
		t.Errorf("recipients = %q, want one", m.To)
	}
	for line := range bytes.SplitSeq(m.Raw, []byte("\r\n")) {
		if len(line) > 998 {
			t.Errorf("a line has %d bytes, want at most 998", len(line))
		}
		if bytes.ContainsAny(line, "\r\n") {
			t.Errorf("line %q has a bare CR or LF", line)
		}
	}
}

func TestAMailArrivesWhateverTheProtection(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		options  []mailtest.Option
		tls      bool
		signedIn string
	}{
		"plain":                 {nil, false, ""},
		"STARTTLS":              {[]mailtest.Option{mailtest.STARTTLS()}, true, ""},
		"implicit TLS":          {[]mailtest.Option{mailtest.TLS()}, true, ""},
		"STARTTLS and PLAIN":    {[]mailtest.Option{mailtest.STARTTLS(), mailtest.Login("u@x", "p:/ä", "PLAIN")}, true, "u@x"},
		"STARTTLS and LOGIN":    {[]mailtest.Option{mailtest.STARTTLS(), mailtest.Login("u@x", "p:/ä", "LOGIN")}, true, "u@x"},
		"implicit TLS and both": {[]mailtest.Option{mailtest.TLS(), mailtest.Login("u@x", "p:/ä")}, true, "u@x"},
		"plain to the loopback": {[]mailtest.Option{mailtest.Login("u@x", "p:/ä")}, false, "u@x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := mailtest.Start(t, test.options...)
			if err := testSMTP(t, server.URL()).Send(t.Context(), testMessage()); err != nil {
				t.Fatal(err)
			}
			messages := server.Messages()
			if len(messages) != 1 {
				t.Fatalf("%d messages arrived, want 1", len(messages))
			}
			if m := messages[0]; m.TLS != test.tls || m.User != test.signedIn || m.Hello != "acme.example.com" {
				t.Errorf("TLS %t, user %q, hello %q; want %t, %q, acme.example.com", m.TLS, m.User, m.Hello, test.tls, test.signedIn)
			}
		})
	}
}

func TestAMailHasEachHeaderOnce(t *testing.T) { // I-18, F-02
	t.Parallel()
	server := mailtest.Start(t)
	message := testMessage()
	message.Content.Subject = "Bücher: " + strings.Repeat("ein langer Betreff ", 20) + "🎉"
	if err := testSMTP(t, server.URL()).Send(t.Context(), message); err != nil {
		t.Fatal(err)
	}
	m := server.Wait(1)[0]
	checkHeaders(t, m)
	for header, want := range map[string]string{
		"From":           `"Acme Users" <noreply@acme.example.com>`,
		"To":             "<ada@example.com>",
		"Message-Id":     "<0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b@acme.example.com>",
		"Auto-Submitted": "auto-generated",
		"Mime-Version":   "1.0",
	} {
		if got := m.Header.Get(header); got != want {
			t.Errorf("%s = %q, want %q", header, got, want)
		}
	}
	if _, err := m.Header.Date(); err != nil {
		t.Errorf("Date: %v", err)
	}
	raw := m.Header.Get("Subject")
	if !strings.HasPrefix(raw, "=?UTF-8?") || strings.ContainsFunc(raw, func(r rune) bool { return r > '~' }) {
		t.Errorf("Subject = %q, want RFC 2047 words", raw)
	}
	if m.Subject() != message.Content.Subject {
		t.Errorf("decoded subject = %q, want %q", m.Subject(), message.Content.Subject)
	}
	if m.From != "noreply@acme.example.com" {
		t.Errorf("envelope sender = %q", m.From)
	}
}

// Even a Content that did not come from Render cannot add a header.
func TestALineBreakInTheSubjectAddsNoHeader(t *testing.T) { // I-18
	t.Parallel()
	server := mailtest.Start(t)
	sender := testSMTP(t, server.URL())
	subjects := []string{
		"a\r\nBcc: v@example.com", "a\nX: y", "a\rX: y", "a\r\n\r\nbody", "a\x00b", "a\u2028b", "=?utf-8?q?a=0D=0AX:_y?=",
		strings.Repeat("x", 10_000), strings.Repeat("ä", 5_000), " leading", "trailing ", "a  b", "",
	}
	for _, subject := range subjects {
		m := testMessage()
		m.Content.Subject = subject
		err := sender.Send(t.Context(), m)
		// A line that RFC 5322 does not allow may be refused, but never sent.
		if err != nil && len(subject) < 998 {
			t.Errorf("subject %.40q: %v", subject, err)
		}
	}
	for _, m := range server.Messages() {
		checkHeaders(t, m)
	}
}

func TestTheStoredAddressIsTheOneRecipientByteForByte(t *testing.T) {
	t.Parallel()
	server := mailtest.Start(t)
	sender := testSMTP(t, server.URL())
	for _, address := range plainAddresses() {
		m := testMessage()
		m.To = address
		if err := sender.Send(t.Context(), m); err != nil {
			t.Fatalf("to %q: %v", address, err)
		}
	}
	for i, m := range server.Wait(len(plainAddresses())) {
		want := plainAddresses()[i]
		if !slices.Equal(m.To, []string{want}) {
			t.Errorf("recipients = %q, want only %q", m.To, want)
		}
		if got := m.Header.Get("To"); got != "<"+want+">" {
			t.Errorf("To = %q, want <%s>", got, want)
		}
	}
}

func TestBodiesArriveAsTheyWere(t *testing.T) { // I-18
	t.Parallel()
	server := mailtest.Start(t)
	sender := testSMTP(t, server.URL())
	bodies := map[string]string{
		"dots":             ".\n..\n.leading\nQUIT\n.\n",
		"long line":        strings.Repeat("x", 5_000) + "\n",
		"long line, UTF-8": strings.Repeat("ä", 5_000) + "\n",
		"quoted-printable": "a=3Db =\nÄ€😀\ttab \n trailing \n",
		"From line":        "From somebody\n>From\n",
		"boundary":         "--\n--boundary--\n",
		"control":          "bell \a and \x7f\n",
		"no last newline":  "the end",
		"one long link":    testLink + strings.Repeat("A", 1800) + "\n",
	}
	ids := map[string]string{}
	for name, body := range bodies {
		m := testMessage()
		m.ID = uuid.New()
		m.Content.Text, m.Content.HTML = body, "<pre>"+body+"</pre>"
		if err := sender.Send(t.Context(), m); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		ids[sender.from.MessageID(m.ID)] = name
	}
	for _, m := range server.Wait(len(bodies)) {
		name := ids[m.ID()]
		checkHeaders(t, m)
		if want := bodies[name]; m.Text != want || m.HTML != "<pre>"+want+"</pre>" {
			t.Errorf("%s: text arrived as %.100q, want %.100q", name, m.Text, want)
		}
		for line := range bytes.SplitSeq(m.Raw, []byte("\r\n")) {
			if len(line) > 76 && !bytes.HasPrefix(line, []byte("Content-Type")) {
				t.Errorf("%s: a line has %d bytes, want at most 76", name, len(line))
			}
		}
	}
}

func TestMailsAreSentConcurrently(t *testing.T) {
	t.Parallel()
	server := mailtest.Start(t, mailtest.STARTTLS())
	sender := testSMTP(t, server.URL())
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			m := testMessage()
			m.To = fmt.Sprintf("user%d@example.com", i)
			if err := sender.Send(t.Context(), m); err != nil {
				t.Errorf("%s: %v", m.To, err)
			}
		})
	}
	wg.Wait()
	for i := range 20 {
		to := fmt.Sprintf("user%d@example.com", i)
		if n := len(server.MessagesTo(to)); n != 1 {
			t.Errorf("%s got %d mails, want 1", to, n)
		}
	}
}

package mailtest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/smtp"
	"net/textproto"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
)

const sample = "From: a@example.com\r\nSubject: =?utf-8?q?B=C3=BCcher?=\r\nMessage-ID: <1@example.com>\r\n" +
	"Content-Type: multipart/alternative; boundary=b\r\n\r\n" +
	"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n.dot\r\n\r\n" +
	"--b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<p>=C3=A4</p>\r\n--b--\r\n"

// send speaks to the server with the standard library's client.
func send(s *Server, body string, to ...string) error {
	return smtp.SendMail(s.Addr(), nil, "a@example.com", to, []byte(body))
}

func code(err error) int {
	if answer, ok := errors.AsType[*textproto.Error](err); ok {
		return answer.Code
	}
	return 0
}

func TestAMessageIsRecordedDecoded(t *testing.T) {
	t.Parallel()
	s := Start(t)
	if err := send(s, sample, "x@example.com", "y@example.com"); err != nil {
		t.Fatal(err)
	}
	m := s.Wait(1)[0]
	if m.From != "a@example.com" || !slices.Equal(m.To, []string{"x@example.com", "y@example.com"}) || m.TLS || m.User != "" {
		t.Errorf("envelope: from %q to %q, TLS %t, user %q", m.From, m.To, m.TLS, m.User)
	}
	if m.Subject() != "Bücher" || m.ID() != "<1@example.com>" {
		t.Errorf("subject %q, id %q", m.Subject(), m.ID())
	}
	if m.Text != ".dot\n" || m.HTML != "<p>ä</p>" || string(m.Raw) != sample {
		t.Errorf("text %q, HTML %q, raw %q", m.Text, m.HTML, m.Raw)
	}
	if n := len(s.MessagesTo("y@example.com")); n != 1 {
		t.Errorf("%d messages to y, want 1", n)
	}
	if n := len(s.MessagesTo("z@example.com")); n != 0 {
		t.Errorf("%d messages to z, want 0", n)
	}
}

func TestASubjectThatCannotBeDecodedIsShownRaw(t *testing.T) {
	t.Parallel()
	m := Message{Header: map[string][]string{"Subject": {"=?klingon?q?x?="}}}
	if got := m.Subject(); got != "=?klingon?q?x?=" {
		t.Errorf("Subject() = %q", got)
	}
}

func TestAMessageThatIsNotTextAndHTMLIsRefused(t *testing.T) {
	t.Parallel()
	s := Start(t)
	for name, body := range map[string]string{
		"no header":       "no header",
		"no content type": "Subject: x\r\n\r\nbody\r\n",
		"text only":       "Content-Type: text/plain\r\n\r\nbody\r\n",
		"no closing part": strings.Replace(sample, "--b--", "", 1),
		"broken encoding": strings.Replace(sample, "=C3=A4", "\x01", 1),
		"line of 999":     strings.Replace(sample, ".dot", strings.Repeat("x", 1001), 1),
	} {
		if err := send(s, body, "x@example.com"); code(err)/100 != 5 {
			t.Errorf("%s: %v, want a 5xx", name, err)
		}
	}
	if n := len(s.Messages()); n != 0 {
		t.Errorf("%d messages, want none", n)
	}
}

func TestARefusalHoldsUntilAccept(t *testing.T) {
	t.Parallel()
	for _, at := range []Step{AtHello, AtMail, AtRcpt, AtData} {
		s := Start(t)
		s.Refuse(at, 451)
		for range 2 {
			// The standard client falls back to HELO, which is refused alike.
			if err := send(s, sample, "x@example.com"); code(err) != 451 {
				t.Errorf("refused at %s: %v, want 451", at, err)
			}
		}
		s.Accept()
		if err := send(s, sample, "x@example.com"); err != nil {
			t.Errorf("refused at %s, after Accept: %v", at, err)
		}
		if want := map[bool]int{true: 1, false: 3}[at == AtHello]; s.Attempts() != want {
			t.Errorf("refused at %s: %d attempts, want %d", at, s.Attempts(), want)
		}
	}
}

func TestARefusalCanBeForOneRecipient(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.Refuse(AtRcpt, 550, "gone@example.com")
	s.Refuse(AtData, 554, "spam@example.com")
	for to, want := range map[string]int{"gone@example.com": 550, "spam@example.com": 554, "x@example.com": 0} {
		if err := send(s, sample, to); code(err) != want {
			t.Errorf("to %s: %v, want %d", to, err, want)
		}
	}
}

func TestAHangEndsWithAcceptAndWithStop(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*Server){"Accept": (*Server).Accept, "Stop": (*Server).Stop} {
		s := Start(t)
		s.Hang(AtMail)
		conn, err := smtp.Dial(s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Hello("test"); err != nil {
			t.Fatal(err)
		}
		result := make(chan error)
		go func() { result <- conn.Mail("a@example.com") }()
		end(s)
		// Accept may come first: then nothing hung. Either way it must end.
		if err := <-result; name == "Stop" && err == nil {
			t.Errorf("%s: MAIL was accepted", name)
		}
		_ = conn.Close()
	}
}

func TestALostAnswerStillRecordsTheMessage(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.LoseAnswers()
	if err := send(s, sample, "x@example.com"); err == nil {
		t.Error("the answer arrived")
	}
	if n := len(s.Wait(1)); n != 1 {
		t.Errorf("%d messages, want 1", n)
	}
}

func TestAStoppedServerRefusesConnectionsAndComesBackOnItsPort(t *testing.T) {
	t.Parallel()
	s := Start(t)
	before := s.URL()
	s.Stop()
	s.Stop()
	if conn, err := net.Dial("tcp", s.Addr()); err == nil {
		_ = conn.Close()
		t.Error("a stopped server accepts connections")
	}
	s.Restart()
	if s.URL() != before {
		t.Errorf("URL = %s after the restart, want %s", s.URL(), before)
	}
	if err := send(s, sample, "x@example.com"); err != nil {
		t.Errorf("after the restart: %v", err)
	}
}

func TestTheURLNamesCredentialsAndCA(t *testing.T) {
	t.Parallel()
	for scheme, option := range map[string]Option{"smtp": STARTTLS(), "smtps": TLS()} {
		s := Start(t, option, Login("u@x", "p/:"))
		u, err := url.Parse(s.URL())
		if err != nil {
			t.Fatal(err)
		}
		password, _ := u.User.Password()
		if u.Scheme != scheme || u.Host != s.Addr() || u.User.Username() != "u@x" || password != "p/:" || u.Query().Get("ca") != s.CAFile() {
			t.Errorf("URL = %s", s.URL())
		}
	}
}

func TestTheCertificateIsGoodForTheLoopbackAndItsOwnCAOnly(t *testing.T) {
	t.Parallel()
	s, other := Start(t, TLS()), Start(t, TLS())
	for name, test := range map[string]struct {
		ca, host string
		good     bool
	}{
		"IP address": {s.CAFile(), "127.0.0.1", true},
		"localhost":  {s.CAFile(), "localhost", true},
		"other host": {s.CAFile(), "mail.example.com", false},
		"other CA":   {other.CAFile(), "127.0.0.1", false},
	} {
		pem, err := os.ReadFile(test.ca)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		conn, err := tls.Dial("tcp", s.Addr(), &tls.Config{RootCAs: roots, ServerName: test.host})
		if (err == nil) != test.good {
			t.Errorf("%s: %v, want success: %t", name, err, test.good)
		}
		if err == nil {
			_ = conn.Close()
		}
	}
}

func TestOnlyTheRightPasswordGetsIn(t *testing.T) {
	t.Parallel()
	s := Start(t, Login("user", "right"))
	if err := send(s, sample, "x@example.com"); code(err) != 530 {
		t.Errorf("without signing in: %v, want 530", err)
	}
	for password, want := range map[string]int{"wrong": 535, "right": 0} {
		auth := smtp.PlainAuth("", "user", password, "127.0.0.1")
		if err := smtp.SendMail(s.Addr(), auth, "a@example.com", []string{"x@example.com"}, []byte(sample)); code(err) != want {
			t.Errorf("password %s: %v, want %d", password, err, want)
		}
	}
	if s.Logins() != 2 || len(s.Messages()) != 1 || s.Messages()[0].User != "user" {
		t.Errorf("%d logins, messages %+v; want 2 and one of user", s.Logins(), s.Messages())
	}
}

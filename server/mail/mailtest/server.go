// Package mailtest is a real SMTP server for tests. It records what it
// accepts, and it can be told to refuse, to hang, to lose its answer, to stop
// and to come back.
package mailtest

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// waitLimit is how long Wait waits: far beyond any test's need, short of the
// whole run's time-out.
const waitLimit = 60 * time.Second

// Server is an SMTP server on a loopback port. Its methods are safe for
// concurrent use, except Stop and Restart, which belong to the test's own
// goroutine.
type Server struct {
	t          testing.TB
	scheme     string
	addr       string
	ca         string // file name; "" without TLS
	tlsConfig  *tls.Config
	user       string
	password   string
	mechanisms []string
	running    *smtp.Server
	listener   net.Listener
	served     chan struct{} // closed when running has ended

	mu         sync.Mutex
	released   chan struct{} // closed by Accept and Stop: ends every hang
	changed    chan struct{} // closed and replaced with every accepted message
	messages   []Message
	attempts   int
	logins     int
	rules      []rule
	loseAnswer bool
}

// Step is a command of the SMTP dialogue that can be refused or left hanging.
type Step string

// The steps, in the order of the dialogue.
const (
	AtHello Step = "EHLO"
	AtMail  Step = "MAIL"
	AtRcpt  Step = "RCPT"
	AtData  Step = "DATA" // after the message was received, before the answer
)

// rule makes the server misbehave at one step.
type rule struct {
	at   Step
	code int      // 0 hangs
	to   []string // only for these recipients; all if empty; not for AtHello and AtMail
}

// Option changes how a Server starts.
type Option func(*Server)

// STARTTLS makes the server offer STARTTLS, with a certificate of a CA made
// for this server.
func STARTTLS() Option {
	return func(s *Server) { s.scheme = "smtp"; s.makeCertificate() }
}

// TLS makes the server speak TLS from the first byte.
func TLS() Option {
	return func(s *Server) { s.scheme = "smtps"; s.makeCertificate() }
}

// Login makes the server ask for this user and password, by the mechanisms
// given (PLAIN, LOGIN), or by both.
func Login(user, password string, mechanisms ...string) Option {
	return func(s *Server) {
		s.user, s.password, s.mechanisms = user, password, mechanisms
		if len(mechanisms) == 0 {
			s.mechanisms = []string{"PLAIN", "LOGIN"}
		}
	}
}

// Start returns a running server that stops when the test ends. Without
// options it speaks plain SMTP and lets everybody in.
func Start(t testing.TB, options ...Option) *Server {
	t.Helper()
	s := &Server{t: t, scheme: "smtp+plain", addr: "127.0.0.1:0", changed: make(chan struct{})}
	for _, option := range options {
		option(s)
	}
	s.Restart()
	t.Cleanup(s.Stop)
	return s
}

// Restart starts a stopped server on its old port. Its messages and rules are
// still there.
func (s *Server) Restart() {
	s.t.Helper()
	listener, err := net.Listen("tcp", s.addr)
	if err != nil {
		s.t.Fatalf("start SMTP server: %v", err)
	}
	s.addr = listener.Addr().String()
	s.mu.Lock()
	s.released = make(chan struct{})
	s.mu.Unlock()

	server := smtp.NewServer(smtp.BackendFunc(s.newSession))
	server.Domain = "mailtest.example"
	server.AllowInsecureAuth = true
	server.MaxRecipients = 10
	server.MaxLineLength = 1000 // 998 and CRLF, RFC 5322 section 2.1.1
	server.ErrorLog = log.New(io.Discard, "", 0)
	server.TLSConfig = s.tlsConfig
	if s.scheme == "smtps" {
		listener = tls.NewListener(listener, s.tlsConfig)
	}
	served := make(chan struct{})
	s.running, s.listener, s.served = server, listener, served
	go func() {
		defer close(served)
		_ = server.Serve(listener) // ends with Stop
	}()
}

// Stop closes the port and breaks every connection. Stopping twice is fine.
func (s *Server) Stop() {
	if s.running == nil {
		return
	}
	_ = s.running.Close()
	_ = s.listener.Close() // go-smtp knows it only once Serve has begun
	s.release()
	<-s.served
	s.running = nil
}

// URL is the SMTP_URL of the server, with its credentials and its CA.
func (s *Server) URL() string {
	u := url.URL{Scheme: s.scheme, Host: s.addr}
	if s.ca != "" {
		u.RawQuery = url.Values{"ca": {s.ca}}.Encode()
	}
	if s.user != "" {
		u.User = url.UserPassword(s.user, s.password)
	}
	return u.String()
}

// Addr is the server's host:port. It survives Restart.
func (s *Server) Addr() string { return s.addr }

// CAFile is the PEM file of the CA that signed the server's certificate.
func (s *Server) CAFile() string { return s.ca }

// Refuse makes the server answer code at this step from now on: to every mail,
// or only to mails for these recipients (AtRcpt and AtData know them).
func (s *Server) Refuse(at Step, code int, to ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = append(s.rules, rule{at: at, code: code, to: to})
}

// Hang makes the server fall silent at this step, until Accept or Stop.
func (s *Server) Hang(at Step) {
	s.Refuse(at, 0)
}

// LoseAnswers makes the server record messages and then break the connection
// instead of answering, as if it had crashed between the two.
func (s *Server) LoseAnswers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loseAnswer = true
}

// Accept ends every refusal, hang and loss.
func (s *Server) Accept() {
	s.release()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules, s.loseAnswer, s.released = nil, false, make(chan struct{})
}

func (s *Server) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.released:
	default:
		close(s.released)
	}
}

// Messages returns the accepted messages, oldest first.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// MessagesTo returns the accepted messages for one recipient, oldest first.
func (s *Server) MessagesTo(to string) []Message {
	return slices.DeleteFunc(s.Messages(), func(m Message) bool { return !slices.Contains(m.To, to) })
}

// Wait returns the messages as soon as there are at least n, and fails the
// test after a minute. Call it from the test's own goroutine.
func (s *Server) Wait(n int) []Message {
	s.t.Helper()
	expired := time.After(waitLimit)
	for {
		s.mu.Lock()
		messages, changed := slices.Clone(s.messages), s.changed
		s.mu.Unlock()
		if len(messages) >= n {
			return messages
		}
		select {
		case <-changed:
		case <-expired:
			s.t.Fatalf("SMTP server has %d messages after %s, want %d", len(messages), waitLimit, n)
		}
	}
}

// Attempts counts the MAIL commands, refused ones included: how often somebody
// tried to send something.
func (s *Server) Attempts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.attempts
}

// Logins counts how often a password arrived, right or wrong.
func (s *Server) Logins() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins
}

// obey applies the first rule for this step.
func (s *Server) obey(at Step, to ...string) error {
	s.mu.Lock()
	released := s.released
	i := slices.IndexFunc(s.rules, func(r rule) bool {
		return r.at == at && (len(r.to) == 0 || slices.ContainsFunc(to, func(t string) bool { return slices.Contains(r.to, t) }))
	})
	var found rule
	if i >= 0 {
		found = s.rules[i]
	}
	s.mu.Unlock()
	if i < 0 {
		return nil
	}
	if found.code == 0 {
		<-released
		return errors.New("hung")
	}
	return &smtp.SMTPError{
		Code:         found.code,
		EnhancedCode: smtp.EnhancedCode{found.code / 100, 1, 1},
		// As real servers do, repeat the address.
		Message: "told to refuse " + strings.Join(to, " "),
	}
}

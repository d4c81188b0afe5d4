package mailtest

import (
	"crypto/subtle"
	"fmt"
	"io"
	"slices"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// session is one connection: what go-smtp calls for each command.
type session struct {
	server *Server
	conn   *smtp.Conn
	user   string // "" until signed in
	from   string
	to     []string
}

func (s *Server) newSession(conn *smtp.Conn) (smtp.Session, error) {
	if err := s.obey(AtHello); err != nil {
		return nil, err
	}
	return &session{server: s, conn: conn}, nil
}

func (c *session) AuthMechanisms() []string { return c.server.mechanisms }

func (c *session) Auth(mechanism string) (sasl.Server, error) {
	if !slices.Contains(c.server.mechanisms, mechanism) {
		return nil, smtp.ErrAuthUnknownMechanism
	}
	if mechanism == sasl.Login {
		return &loginServer{check: c.signIn}, nil
	}
	return sasl.NewPlainServer(func(_, user, password string) error { return c.signIn(user, password) }), nil
}

func (c *session) signIn(user, password string) error {
	c.server.mu.Lock()
	c.server.logins++
	c.server.mu.Unlock()
	if user != c.server.user || subtle.ConstantTimeCompare([]byte(password), []byte(c.server.password)) == 0 {
		// A careless server repeats what it got; clients must not pass it on.
		return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: fmt.Sprintf("%s is not %s's password", password, user)}
	}
	c.user = user
	return nil
}

func (c *session) Mail(from string, _ *smtp.MailOptions) error {
	c.server.mu.Lock()
	c.server.attempts++
	c.server.mu.Unlock()
	if c.server.user != "" && c.user == "" {
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Authentication required"}
	}
	c.from = from
	return c.server.obey(AtMail)
}

func (c *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	c.to = append(c.to, to)
	return c.server.obey(AtRcpt, to)
}

func (c *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := c.server.obey(AtData, c.to...); err != nil {
		return err
	}
	_, secure := c.conn.TLSConnectionState()
	message, err := parse(raw)
	if err != nil {
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: err.Error()}
	}
	message.From, message.To = c.from, slices.Clone(c.to)
	message.Hello, message.TLS, message.User = c.conn.Hostname(), secure, c.user
	if c.server.record(message) {
		_ = c.conn.Conn().Close()
	}
	return nil
}

func (c *session) Reset() { c.from, c.to = "", nil }

func (c *session) Logout() error { return nil }

// record keeps the message and reports whether its answer is to be lost.
func (s *Server) record(m Message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, m)
	close(s.changed)
	s.changed = make(chan struct{})
	return s.loseAnswer
}

// loginServer is the server's half of AUTH LOGIN, which go-sasl lacks: it asks
// for the user, then for the password.
type loginServer struct {
	check func(user, password string) error
	asked int
	user  string
}

func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	l.asked++
	switch l.asked {
	case 1:
		return []byte("Username:"), false, nil
	case 2:
		l.user = string(response)
		return []byte("Password:"), false, nil
	default:
		return nil, true, l.check(l.user, string(response))
	}
}

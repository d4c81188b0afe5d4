package mail

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	netmail "net/mail"
	"net/textproto"
	"time"

	gomail "github.com/wneessen/go-mail"
)

const (
	dialTimeout = 10 * time.Second // TCP connection and implicit TLS handshake
	sendTimeout = 30 * time.Second // everything, from dialing to the answer to DATA
	quitTimeout = time.Second      // the mail is delivered; goodbye is a courtesy

	// socketTimeout is go-mail's own limit. It is longer than any send, so that
	// the context always ends one and the error says so.
	socketTimeout = 2 * sendTimeout
)

// SMTP sends every mail over a connection of its own. It is safe for
// concurrent use.
type SMTP struct {
	server  *ServerURL
	from    From
	timeout time.Duration
}

// NewSMTP returns a Sender for this mail server. It does not dial.
func NewSMTP(server *ServerURL, from From) *SMTP {
	return &SMTP{server: server, from: from, timeout: sendTimeout}
}

// String names the server without the credentials.
func (s *SMTP) String() string { return s.server.String() }

// GoString is String, for %#v.
func (s *SMTP) GoString() string { return s.String() }

// LogValue is String, for slog.
func (s *SMTP) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Send delivers one mail to one recipient and returns once the server took it
// over. It dials for at most 10 s, takes at most 30 s in all, and ends as
// soon as ctx does. An address that CheckAddress refuses, and any 5xx to MAIL, RCPT
// or DATA, is a *PermanentError; all else, a failed sign-in included, is
// worth a retry. Errors hold neither recipient nor credentials.
//
// When the connection breaks after the mail was sent and before the answer
// came, the mail may have arrived: a retry repeats it with the same Message-ID.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	if err := CheckAddress(m.To); err != nil {
		return &PermanentError{Step: "address", Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if err := s.deliver(ctx, s.compose(m)); err != nil {
		if _, refused := errors.AsType[*PermanentError](err); !refused && ctx.Err() != nil {
			err = ctx.Err() // says more than "use of closed network connection"
		}
		return fmt.Errorf("send mail through %s: %w", s.server, err)
	}
	return nil
}

// compose builds the message: text first, then HTML, both quoted-printable so
// that no line is longer than 76 bytes whatever the content.
func (s *SMTP) compose(m Message) *gomail.Msg {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent(), gomail.WithEncoding(gomail.EncodingQP))
	msg.FromMailAddress(&s.from.address)
	msg.SetAddrHeaderFromMailAddress(gomail.HeaderTo, recipient(m.To))
	msg.Subject(m.Content.Subject)
	msg.SetDateWithValue(time.Now())
	msg.SetGenHeader(gomail.HeaderMessageID, s.from.MessageID(m.ID))
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // no vacation replies, RFC 3834 section 5
	msg.SetBodyString(gomail.TypeTextPlain, m.Content.Text)
	msg.AddAlternativeString(gomail.TypeTextHTML, m.Content.HTML)
	return msg
}

// deliver talks to the server. go-mail obeys ctx only until it is connected,
// and leaves the connection open after some errors, so both are done here.
func (s *SMTP) deliver(ctx context.Context, msg *gomail.Msg) error {
	var opened net.Conn
	defer func() {
		if opened != nil {
			_ = opened.Close()
		}
	}()
	dial := func(ctxDial context.Context, _, _ string) (net.Conn, error) {
		conn, tcp, err := s.server.dial(ctxDial)
		if err != nil {
			return nil, err
		}
		opened = tcp
		context.AfterFunc(ctx, func() { _ = tcp.Close() }) // after the end it is closed once more, which is fine
		return conn, nil
	}

	var auth *credentials
	options := []gomail.Option{
		gomail.WithPort(s.server.port),
		gomail.WithDialContextFunc(dial),
		gomail.WithTimeout(socketTimeout),
		gomail.WithTLSConfig(s.server.tlsConfig()),
		gomail.WithTLSPolicy(gomail.TLSMandatory),
		// The domain, not the machine's name: that one is private, and some relays
		// let in only clients that introduce themselves with their domain.
		gomail.WithHELO(s.from.domain),
		// RSET after a delivered mail could only turn success into failure.
		gomail.WithoutNoop(), gomail.WithoutRset(),
	}
	switch s.server.scheme {
	case schemeTLS:
		options = append(options, gomail.WithSSL())
	case schemePlain:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	}
	if s.server.signIn != nil {
		auth = s.server.signIn()
		options = append(options, gomail.WithSMTPAuthCustom(auth))
	}
	client, err := gomail.NewClient(s.server.host, options...)
	if err != nil {
		return fmt.Errorf("set up the client: %w", err)
	}
	conn, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return connectError(err, auth)
	}
	if err := client.SendWithSMTPClient(conn, msg); err != nil && !msg.IsDelivered() {
		return deliveryError(err)
	}
	if conn.UpdateDeadline(quitTimeout) == nil {
		_ = conn.Quit()
	}
	return nil
}

// recipient wraps the address without parsing it: it was checked, and the
// bytes that leave are the bytes that are stored.
func recipient(address string) *netmail.Address { return &netmail.Address{Address: address} }

// connectError drops what the server said to AUTH: a broken or hostile one
// repeats the password. Signing in is the last step of connecting, so once a
// mechanism was chosen every error is about it.
func connectError(err error, auth *credentials) error {
	if auth == nil || auth.chosen == nil {
		return fmt.Errorf("connect: %w", err)
	}
	if answer, ok := errors.AsType[*textproto.Error](err); ok {
		return fmt.Errorf("sign in: %s", reply(answer.Code, ""))
	}
	return errors.New("sign in: no usable answer")
}

// deliveryError sorts the answers to MAIL, RCPT and DATA into permanent and
// temporary ones.
func deliveryError(err error) error {
	failed, ok := errors.AsType[*gomail.SendError](err)
	if !ok {
		return err
	}
	step := "DATA"
	switch failed.Reason {
	case gomail.ErrSMTPMailFrom:
		step = "MAIL"
	case gomail.ErrSMTPRcptTo:
		step = "RCPT"
	}
	code := failed.ErrorCode()
	switch {
	case code == 0:
		return fmt.Errorf("%s: connection lost", step) // go-mail's text would name the recipient
	case code < 500, isAboutSignIn(code):
		return fmt.Errorf("%s refused for now: %s", step, reply(code, failed.EnhancedStatusCode()))
	default:
		return &PermanentError{Step: step, Code: code, Enhanced: failed.EnhancedStatusCode()}
	}
}

// isAboutSignIn finds the 5xx codes of RFC 4954 section 6. They blame the
// configuration, not this mail: dropping the mails of an hour because a
// password had expired would be a pity.
func isAboutSignIn(code int) bool {
	return code == 530 || code == 534 || code == 535 || code == 538
}

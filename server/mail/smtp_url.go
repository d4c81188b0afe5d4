package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"

	"github.com/wneessen/go-mail/smtp"
)

// ServerURL is a parsed SMTP_URL: which mail server, how it is protected, and
// as whom to sign in. It prints without the credentials, whatever the verb.
type ServerURL struct {
	scheme string
	host   string
	port   int
	roots  *x509.CertPool // nil: the system's

	// signIn makes the credentials of one connection; nil without any. User
	// and password live in this closure only, so that no %+v of any struct that
	// holds a ServerURL can print them.
	signIn func() *credentials
}

// The schemes of SMTP_URL, with their default ports.
const (
	schemeSTARTTLS = "smtp"       // 587: starts plain, must become TLS before anything else is said
	schemeTLS      = "smtps"      // 465: TLS from the first byte (RFC 8314 section 3.3)
	schemePlain    = "smtp+plain" // 25: never encrypted, for a relay on the same machine or network
)

// ParseURL reads an SMTP_URL:
//
//	smtp://user:password@host:587    STARTTLS is required; the default port is 587
//	smtps://user:password@host:465   implicit TLS; the default port is 465
//	smtp+plain://host:25             no TLS, for local relays and Mailpit; the default port is 25
//
// Special characters in user and password are percent-encoded. Certificates
// are always verified; ?ca=/path/to/ca.pem names the only authorities to trust
// instead of the system's. A password over smtp+plain is refused unless the
// host is the loopback. ParseURL reads the CA file. No error repeats a part of
// the URL that could hold the password.
func ParseURL(raw string) (*ServerURL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		// net/url's error quotes the URL, and where the password was not encoded,
		// any part of it may be the password.
		return nil, errors.New("parse SMTP URL: not a URL; percent-encode special characters in user and password")
	}
	s := &ServerURL{scheme: u.Scheme, host: u.Hostname()}
	switch u.Scheme {
	case schemeSTARTTLS:
		s.port = 587
	case schemeTLS:
		s.port = 465
	case schemePlain:
		s.port = 25
	default:
		return nil, errors.New("parse SMTP URL: the scheme is smtp (STARTTLS), smtps (TLS) or smtp+plain (no TLS)")
	}
	if s.host == "" {
		return nil, errors.New("parse SMTP URL: no host")
	}
	if u.Port() != "" {
		if s.port, err = strconv.Atoi(u.Port()); err != nil || s.port < 1 || s.port > 65535 {
			return nil, errors.New("parse SMTP URL: the port is not between 1 and 65535")
		}
	}
	if u.Path != "" && u.Path != "/" || u.Fragment != "" {
		return nil, errors.New("parse SMTP URL: nothing may follow the port but ?ca=; percent-encode special characters in user and password")
	}
	if err := s.setRoots(u.RawQuery); err != nil {
		return nil, fmt.Errorf("parse SMTP URL: %w", err)
	}
	if err := s.setCredentials(u.User); err != nil {
		return nil, fmt.Errorf("parse SMTP URL: %w", err)
	}
	return s, nil
}

func (s *ServerURL) setRoots(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("the query is not well-formed")
	}
	for key, value := range values {
		if key != "ca" || len(value) != 1 || value[0] == "" {
			return errors.New("the only parameter is ca, once")
		}
	}
	file := values.Get("ca")
	if file == "" {
		return nil
	}
	if s.scheme == schemePlain {
		return errors.New("ca makes no sense without TLS")
	}
	pem, err := os.ReadFile(file) // #nosec G304 -- the operator names the file
	if err != nil {
		return fmt.Errorf("read CA file: %w", err)
	}
	s.roots = x509.NewCertPool()
	if !s.roots.AppendCertsFromPEM(pem) {
		return errors.New("read CA file: no certificate in it")
	}
	return nil
}

func (s *ServerURL) setCredentials(info *url.Userinfo) error {
	if info == nil {
		return nil
	}
	user, host := info.Username(), s.host
	password, ok := info.Password()
	if user == "" || !ok || password == "" {
		return errors.New("user and password are given together or not at all")
	}
	if s.scheme == schemePlain && !isLoopback(host) {
		return errors.New("a password needs TLS: use smtp or smtps, or leave the password out")
	}
	s.signIn = func() *credentials { return &credentials{user: user, password: password, host: host} }
	return nil
}

// Addr returns host:port.
func (s *ServerURL) Addr() string { return net.JoinHostPort(s.host, strconv.Itoa(s.port)) }

// String returns the URL without user and password: some providers use one
// secret as both.
func (s *ServerURL) String() string { return s.scheme + "://" + s.Addr() }

// GoString is String, for %#v.
func (s *ServerURL) GoString() string { return s.String() }

// LogValue is String, for slog.
func (s *ServerURL) LogValue() slog.Value { return slog.StringValue(s.String()) }

func (s *ServerURL) tlsConfig() *tls.Config {
	return &tls.Config{ServerName: s.host, RootCAs: s.roots, MinVersion: tls.VersionTLS12} // ASVS 12.1.1
}

// dial opens the connection, including the handshake when TLS comes first. It
// returns the TCP connection too: closing that one interrupts everything at
// once, while closing a TLS connection may wait to say goodbye.
func (s *ServerURL) dial(ctx context.Context) (conn, tcp net.Conn, err error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	tcp, err = (&net.Dialer{}).DialContext(ctx, "tcp", s.Addr())
	if err != nil || s.scheme != schemeTLS {
		return tcp, tcp, err
	}
	secure := tls.Client(tcp, s.tlsConfig())
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = tcp.Close()
		return nil, nil, err
	}
	return secure, tcp, nil
}

// credentials sign in with PLAIN (RFC 4616), or with LOGIN where the server
// knows only that. Both send the password, which is why they need TLS.
type credentials struct {
	user, password, host string
	chosen               smtp.Auth
}

// Start picks the mechanism out of what the server offers.
func (c *credentials) Start(server *smtp.ServerInfo) (string, []byte, error) {
	if !server.TLS && !isLoopback(c.host) {
		return "", nil, errors.New("no TLS, so the password stays here")
	}
	for _, mechanism := range server.Auth {
		switch mechanism {
		case "PLAIN":
			c.chosen = smtp.PlainAuth("", c.user, c.password, c.host, true)
			return c.chosen.Start(server)
		case "LOGIN":
			c.chosen = smtp.LoginAuth(c.user, c.password, c.host, true)
		}
	}
	if c.chosen == nil {
		return "", nil, errors.New("the server offers neither AUTH PLAIN nor AUTH LOGIN")
	}
	return c.chosen.Start(server)
}

// Next answers the server's challenge.
func (c *credentials) Next(challenge []byte, more bool) ([]byte, error) {
	return c.chosen.Next(challenge, more)
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

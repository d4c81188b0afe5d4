package mailtest

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"strings"
)

// Message is a mail that the server accepted.
type Message struct {
	From   string   // the envelope's sender
	To     []string // the envelope's recipients, byte for byte
	Hello  string   // how the client introduced itself
	User   string   // who signed in; "" for nobody
	TLS    bool     // whether it arrived encrypted
	Header netmail.Header
	Text   string // the text/plain part, decoded, with \n
	HTML   string // the text/html part, decoded, with \n
	Raw    []byte // header and body as received, dot-stuffing undone, with \r\n
}

// Subject returns the decoded subject.
func (m Message) Subject() string {
	decoded, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		return m.Header.Get("Subject")
	}
	return decoded
}

// ID returns the Message-ID with its angle brackets.
func (m Message) ID() string { return m.Header.Get("Message-Id") }

// parse reads a multipart/alternative message of text and HTML.
func parse(raw []byte) (Message, error) {
	parsed, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return Message{}, fmt.Errorf("read message: %w", err)
	}
	kind, parameters, err := mime.ParseMediaType(parsed.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		return Message{}, fmt.Errorf("content type is %q, want multipart/alternative", kind)
	}
	m := Message{Header: parsed.Header, Raw: raw}
	parts := multipart.NewReader(parsed.Body, parameters["boundary"])
	for {
		part, err := parts.NextRawPart()
		if err == io.EOF {
			return m, nil
		}
		if err != nil {
			return Message{}, fmt.Errorf("read part: %w", err)
		}
		var body io.Reader = part
		if part.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
			body = quotedprintable.NewReader(part)
		}
		decoded, err := io.ReadAll(body)
		if err != nil {
			return Message{}, fmt.Errorf("decode part: %w", err)
		}
		content := strings.ReplaceAll(string(decoded), "\r\n", "\n")
		switch kind, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type")); kind {
		case "text/plain":
			m.Text = content
		case "text/html":
			m.HTML = content
		}
	}
}

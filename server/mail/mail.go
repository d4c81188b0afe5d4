// Package mail writes the server's mails and delivers them.
//
// A Renderer turns a Kind and its Data into a Content (subject, HTML, plain
// text). A Sender delivers it: SMTP to a mail server, Inbox to a page that
// developers read instead. Nothing here knows the database; the job that
// calls this package does.
//
// Names come from whoever filled in a registration form, so they are inert:
// see greetable for what a mail is willing to repeat.
package mail

import (
	"context"
	"fmt"

	"github.com/google/uuid"
)

// Kind says what a mail is about. The values are part of the contract
// (openapi.yaml lists them as an enum) and never change.
type Kind string

// The kinds of mail, with who gets them.
const (
	KindVerifyEmail         Kind = "verify_email"         // a new account: prove that the address is yours
	KindInvitation          Kind = "invitation"           // an account made by staff: set a password
	KindRegistrationAttempt Kind = "registration_attempt" // somebody registered with your address
	KindUpgraded            Kind = "upgraded"             // you are a professional now
	KindRoleChanged         Kind = "role_changed"         // staff gave you another role
	KindLocked              Kind = "locked"               // staff locked the account
	KindUnlocked            Kind = "unlocked"             // staff unlocked the account
	KindSignInFailures      Kind = "sign_in_failures"     // somebody keeps guessing your password
	KindSessionReplayed     Kind = "session_replayed"     // somebody may have copied your refresh token
)

// Kinds returns every kind, in the order of the contract.
func Kinds() []Kind {
	return []Kind{
		KindVerifyEmail, KindInvitation, KindRegistrationAttempt, KindUpgraded,
		KindRoleChanged, KindLocked, KindUnlocked, KindSignInFailures, KindSessionReplayed,
	}
}

// Content is a rendered mail. Subject is one line and holds nothing that a
// user typed.
type Content struct {
	Subject string
	HTML    string
	Text    string
}

// Message is a mail on its way to one address.
type Message struct {
	// ID is the id of the mail's row. The Message-ID header is made of it, so
	// that a mail sent twice can be recognised (RFC 5322 section 3.6.4).
	ID      uuid.UUID
	Kind    Kind
	To      string // one address as CheckAddress accepts it, used byte for byte
	Content Content
}

// Sender delivers mails. SMTP and Inbox are the two of them.
type Sender interface {
	// Send returns nil once the mail was taken over. A *PermanentError means
	// that this mail will never be taken; after any other error it is worth
	// trying again, and the mail may already have arrived.
	Send(ctx context.Context, m Message) error
}

// PermanentError is a refusal that another try does not change: the address
// is not one, or the mail server answered 5xx to it (RFC 5321 section 4.2.1).
type PermanentError struct {
	Step     string // what was refused: "address", "MAIL", "RCPT" or "DATA"
	Code     int    // the SMTP reply code; 0 if the mail was refused before dialing
	Enhanced string // the enhanced status code, such as 5.1.1 (RFC 3463), if the server gave one
	Err      error  // why, for refusals without a reply
}

// Error says what was refused and how. The server's own words are left out:
// they usually repeat the address, which logs must not hold.
func (e *PermanentError) Error() string {
	if e.Err != nil {
		return e.Step + " refused: " + e.Err.Error()
	}
	return e.Step + " refused for good: " + reply(e.Code, e.Enhanced)
}

// Unwrap returns the reason of a refusal before dialing, else nil.
func (e *PermanentError) Unwrap() error { return e.Err }

// reply writes an SMTP reply code and, if known, its enhanced status code.
func reply(code int, enhanced string) string {
	if enhanced == "" {
		return fmt.Sprintf("answer %d", code)
	}
	return fmt.Sprintf("answer %d %s", code, enhanced)
}

package mail

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxInbox bounds what an Inbox keeps: about 20 MB of the newest mails.
const maxInbox = 1000

// InboxMail is a mail as the development inbox shows it.
type InboxMail struct {
	To         string    `json:"to"`
	Subject    string    `json:"subject"`
	Text       string    `json:"text"`
	HTML       string    `json:"html"`
	MessageID  string    `json:"message_id"` // as in the header, with angle brackets
	ReceivedAt time.Time `json:"received_at"`
}

// Inbox is a Sender that keeps the mails instead of sending them, for
// development. It keeps the newest 1000 and is safe for concurrent use, but
// only one process may use its folder.
type Inbox struct {
	from   From
	folder string // "" keeps mails in memory only

	mu    sync.Mutex
	next  uint64      // sequence number of the next mail, and its file's name
	mails []inboxFile // oldest first
}

type inboxFile struct {
	sequence uint64
	mail     InboxMail
}

// OpenInbox returns an Inbox that keeps each mail as a JSON file (mode 0600:
// mails hold tokens) in folder, and brings back those already there. It makes
// the folder if needed. With folder "" the mails live in memory.
func OpenInbox(folder string, from From) (*Inbox, error) {
	in := &Inbox{from: from, folder: folder}
	if folder == "" {
		return in, nil
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("make inbox folder: %w", err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("read inbox folder: %w", err)
	}
	for _, entry := range entries {
		if err := in.load(entry.Name()); err != nil {
			return nil, fmt.Errorf("load inbox file %s: %w", entry.Name(), err)
		}
	}
	slices.SortFunc(in.mails, func(a, b inboxFile) int { return cmp.Compare(a.sequence, b.sequence) })
	if n := len(in.mails); n > 0 {
		in.next = in.mails[n-1].sequence + 1
	}
	if err := in.trim(); err != nil {
		return nil, err
	}
	return in, nil
}

// load reads one file; files that an Inbox did not write are left alone.
func (in *Inbox) load(name string) error {
	sequence, ok := sequenceOf(name)
	if !ok {
		return nil
	}
	raw, err := os.ReadFile(filepath.Join(in.folder, name)) // #nosec G304 -- a name that ReadDir gave
	if err != nil {
		return err
	}
	file := inboxFile{sequence: sequence}
	if err := json.Unmarshal(raw, &file.mail); err != nil {
		return err
	}
	in.mails = append(in.mails, file)
	return nil
}

// Send keeps the mail. It refuses the addresses that SMTP refuses, so that
// development shows what production does.
func (in *Inbox) Send(ctx context.Context, m Message) error {
	if err := CheckAddress(m.To); err != nil {
		return &PermanentError{Step: "address", Err: err}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("keep mail: %w", err)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	file := inboxFile{sequence: in.next, mail: InboxMail{
		To:         m.To,
		Subject:    m.Content.Subject,
		Text:       m.Content.Text,
		HTML:       m.Content.HTML,
		MessageID:  in.from.MessageID(m.ID),
		ReceivedAt: time.Now().UTC(),
	}}
	if err := in.write(file); err != nil {
		return fmt.Errorf("keep mail: %w", err)
	}
	in.next++
	in.mails = append(in.mails, file)
	return in.trim()
}

// Mails returns the mails to one address (whatever its case), or all of them
// if to is "", newest first.
func (in *Inbox) Mails(to string) []InboxMail {
	in.mu.Lock()
	defer in.mu.Unlock()
	found := []InboxMail{} // an empty list is [] in JSON, not null
	for _, file := range slices.Backward(in.mails) {
		if to == "" || strings.EqualFold(file.mail.To, to) {
			found = append(found, file.mail)
		}
	}
	return found
}

// DeleteAll empties the inbox and its folder. Foreign files stay.
func (in *Inbox) DeleteAll() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.dropOldest(len(in.mails))
}

func (in *Inbox) trim() error {
	return in.dropOldest(len(in.mails) - maxInbox)
}

func (in *Inbox) dropOldest(n int) error {
	for ; n > 0; n-- {
		if in.folder != "" {
			err := os.Remove(in.path(in.mails[0].sequence))
			if err != nil && !errors.Is(err, fs.ErrNotExist) { // somebody tidied up by hand
				return fmt.Errorf("delete from inbox: %w", err)
			}
		}
		in.mails = slices.Delete(in.mails, 0, 1)
	}
	return nil
}

// write goes through a temporary file, so that a crash leaves a whole mail or
// none.
func (in *Inbox) write(file inboxFile) error {
	if in.folder == "" {
		return nil
	}
	raw, err := json.MarshalIndent(file.mail, "", "  ")
	if err != nil {
		return err
	}
	temporary := filepath.Join(in.folder, "incoming.tmp")
	if err := os.WriteFile(temporary, raw, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, in.path(file.sequence))
}

func (in *Inbox) path(sequence uint64) string {
	return filepath.Join(in.folder, inboxFileName(sequence))
}

// inboxFileName has as many digits as the greatest number, so that names sort like numbers.
func inboxFileName(sequence uint64) string { return fmt.Sprintf("%020d.json", sequence) }

// sequenceOf reads what inboxFileName wrote. A name that it would write otherwise, like 7.json, is somebody
// else's: it could be no mail, and path would not find it again.
func sequenceOf(name string) (sequence uint64, ok bool) {
	digits, _ := strings.CutSuffix(name, ".json")
	sequence, err := strconv.ParseUint(digits, 10, 64)
	return sequence, err == nil && inboxFileName(sequence) == name
}

package mail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

func openInbox(t *testing.T, folder string) *Inbox {
	t.Helper()
	from, err := ParseFrom("noreply@acme.example.com")
	if err != nil {
		t.Fatal(err)
	}
	inbox, err := OpenInbox(folder, from)
	if err != nil {
		t.Fatal(err)
	}
	return inbox
}

// fill sends n mails with the subjects 0, 1, 2 ...
func fill(t *testing.T, inbox *Inbox, n int) {
	t.Helper()
	for i := range n {
		m := testMessage()
		m.ID = uuid.New()
		m.Content.Subject = fmt.Sprint(i)
		if err := inbox.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
}

func subjects(mails []InboxMail) []string {
	var all []string
	for _, m := range mails {
		all = append(all, m.Subject)
	}
	return all
}

func TestTheInboxShowsTheNewestMailFirst(t *testing.T) {
	t.Parallel()
	for name, folder := range map[string]string{"in memory": "", "on disk": filepath.Join(t.TempDir(), "made", "inbox")} {
		inbox := openInbox(t, folder)
		fill(t, inbox, 3)
		if got, want := subjects(inbox.Mails("")), []string{"2", "1", "0"}; !slices.Equal(got, want) {
			t.Errorf("%s: subjects = %q, want %q", name, got, want)
		}
	}
}

func TestTheInboxKeepsTheWholeMail(t *testing.T) {
	t.Parallel()
	inbox := openInbox(t, "")
	before := time.Now()
	sent := testMessage()
	if err := inbox.Send(t.Context(), sent); err != nil {
		t.Fatal(err)
	}
	got := inbox.Mails("")[0]
	if got.ReceivedAt.Before(before.Add(-time.Second)) || got.ReceivedAt.After(time.Now().Add(time.Second)) || got.ReceivedAt.Location() != time.UTC {
		t.Errorf("received at %s, want now in UTC", got.ReceivedAt)
	}
	got.ReceivedAt = time.Time{}
	want := InboxMail{
		To: sent.To, Subject: sent.Content.Subject, Text: sent.Content.Text, HTML: sent.Content.HTML,
		MessageID: "<0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b@acme.example.com>",
	}
	if got != want {
		t.Errorf("kept %+v, want %+v", got, want)
	}
}

func TestAnInboxMailHasTheFieldsOfTheContract(t *testing.T) {
	t.Parallel()
	inbox := openInbox(t, "")
	fill(t, inbox, 1)
	raw, err := json.Marshal(inbox.Mails("")[0])
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]string
	if err := json.Unmarshal(raw, &fields); err != nil {
		t.Fatal(err)
	}
	want := []string{"html", "message_id", "received_at", "subject", "text", "to"}
	if got := slices.Sorted(maps.Keys(fields)); !slices.Equal(got, want) {
		t.Errorf("fields = %q, want %q", got, want)
	}
	if raw, err := json.Marshal(inbox.Mails("nobody@example.com")); err != nil || string(raw) != "[]" {
		t.Errorf("no mails are %s (%v), want []", raw, err)
	}
}

func TestTheInboxFindsTheMailsOfOneAddress(t *testing.T) {
	t.Parallel()
	inbox := openInbox(t, "")
	for i, to := range []string{"ada@example.com", "bob@example.com", "Ada@Example.com", "ada@example.com.evil.example"} {
		m := testMessage()
		m.To, m.Content.Subject = to, fmt.Sprint(i)
		if err := inbox.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := subjects(inbox.Mails("ADA@example.com")), []string{"2", "0"}; !slices.Equal(got, want) {
		t.Errorf("subjects = %q, want %q", got, want)
	}
}

func TestTheInboxSurvivesARestart(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	inbox := openInbox(t, folder)
	fill(t, inbox, 12) // more than 9: file names must sort like numbers
	want := inbox.Mails("")

	reopened := openInbox(t, folder)
	if got := reopened.Mails(""); !slices.Equal(got, want) {
		t.Errorf("after a restart: %q, want %q", subjects(got), subjects(want))
	}
	fill(t, reopened, 1)
	if got := openInbox(t, folder).Mails(""); len(got) != 13 || got[0].Subject != "0" {
		t.Errorf("a mail after the restart replaced another: %q", subjects(got))
	}
}

func TestInboxFilesAreForTheirOwnerOnly(t *testing.T) { // mails hold tokens
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "inbox")
	fill(t, openInbox(t, folder), 2)
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 {
		t.Errorf("%d files, want 2: temporary ones must be gone", len(entries))
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o, want 600", entry.Name(), info.Mode().Perm())
		}
	}
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v, %v; want mode 700", info.Mode(), err)
	}
}

func TestTheInboxKeepsTheNewestThousand(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	inbox := openInbox(t, folder)
	fill(t, inbox, 1003)
	for name, in := range map[string]*Inbox{"running": inbox, "reopened": openInbox(t, folder)} {
		mails := in.Mails("")
		if len(mails) != 1000 || mails[0].Subject != "1002" || mails[999].Subject != "3" {
			t.Errorf("%s: %d mails from %q to %q, want 1000 from 1002 to 3", name, len(mails), mails[0].Subject, mails[len(mails)-1].Subject)
		}
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1000 {
		t.Errorf("%d files (%v), want 1000", len(entries), err)
	}
}

func TestDeletingAllLeavesAnEmptyInboxAndForeignFiles(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	foreign := []string{"notes.json", "1.json", "-1.json", "+0000000000000000001.json", "00000000000000000001", "00000000000000000001.txt"}
	for _, name := range foreign {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("not a mail"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	inbox := openInbox(t, folder)
	fill(t, inbox, 3)
	if err := os.Remove(inbox.path(1)); err != nil { // somebody tidied up by hand
		t.Fatal(err)
	}
	if err := inbox.DeleteAll(); err != nil {
		t.Fatal(err)
	}
	if n := len(inbox.Mails("")) + len(openInbox(t, folder).Mails("")); n != 0 {
		t.Errorf("%d mails are left, want none", n)
	}
	for _, name := range foreign {
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
			t.Errorf("the foreign file is gone: %v", err)
		}
	}
	fill(t, inbox, 1)
	if n := len(inbox.Mails("")); n != 1 {
		t.Errorf("%d mails after deleting and sending one, want 1", n)
	}
}

func TestTheInboxRefusesWhatSMTPRefuses(t *testing.T) {
	t.Parallel()
	inbox := openInbox(t, "")
	for name, address := range refusedAddresses() {
		m := testMessage()
		m.To = address
		if err := inbox.Send(t.Context(), m); !isPermanent(err) {
			t.Errorf("%s: %v, want a permanent error", name, err)
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := inbox.Send(cancelled, testMessage()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v, want context.Canceled", err)
	}
	if n := len(inbox.Mails("")); n != 0 {
		t.Errorf("%d mails were kept, want none", n)
	}
}

func TestABrokenInboxFolderIsAnError(t *testing.T) {
	t.Parallel()
	from, err := ParseFrom("noreply@acme.example.com")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	broken := t.TempDir()
	unreadable := t.TempDir()
	if err := errors.Join(
		os.WriteFile(file, nil, 0o600),
		os.WriteFile(filepath.Join(broken, inboxFileName(1)), []byte(`{"to":`), 0o600),
		os.Mkdir(filepath.Join(unreadable, inboxFileName(1)), 0o700),
	); err != nil {
		t.Fatal(err)
	}
	for name, folder := range map[string]string{"a file": file, "half a mail": broken, "a folder for a mail": unreadable} {
		if _, err := OpenInbox(folder, from); err == nil {
			t.Errorf("%s: opened, want an error", name)
		}
	}

	gone := t.TempDir()
	inbox := openInbox(t, gone)
	if err := os.RemoveAll(gone); err != nil {
		t.Fatal(err)
	}
	if err := inbox.Send(t.Context(), testMessage()); err == nil || isPermanent(err) {
		t.Errorf("Send into a folder that is gone: %v, want a temporary error", err)
	}
	if n := len(inbox.Mails("")); n != 0 {
		t.Errorf("the mail is shown although it was not kept")
	}
}

func TestTheInboxTakesMailsConcurrently(t *testing.T) {
	t.Parallel()
	inbox := openInbox(t, t.TempDir())
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := inbox.Send(t.Context(), testMessage()); err != nil {
				t.Error(err)
			}
			inbox.Mails("ada@example.com")
		})
	}
	wg.Wait()
	if n := len(openInbox(t, inbox.folder).Mails("")); n != 20 {
		t.Errorf("%d mails were kept, want 20", n)
	}
}

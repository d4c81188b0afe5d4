package mail

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"usermanager/server/mail/mailtest"
)

func isPermanent(err error) bool {
	return errors.As(err, new(*PermanentError))
}

func TestABadAddressIsRefusedBeforeDialing(t *testing.T) { // A-33, F-03
	t.Parallel()
	sender := testSMTP(t, "smtp+plain://127.0.0.1:1") // nobody listens: dialing would be another error
	for name, address := range refusedAddresses() {
		m := testMessage()
		m.To = address
		err := sender.Send(t.Context(), m)
		var permanent *PermanentError
		if !errors.As(err, &permanent) || permanent.Step != "address" || permanent.Code != 0 || errors.Unwrap(permanent) == nil {
			t.Errorf("%s: Send to %q: %v, want a permanent refusal of the address", name, address, err)
		}
	}
}

func TestAnAnswerDecidesWhetherToTryAgain(t *testing.T) { // F-03
	t.Parallel()
	for _, test := range []struct {
		at        mailtest.Step
		code      int
		permanent bool
	}{
		{mailtest.AtHello, 421, false},
		{mailtest.AtHello, 554, false}, // about us, not about this mail
		{mailtest.AtMail, 421, false},
		{mailtest.AtMail, 451, false},
		{mailtest.AtMail, 530, false}, // sign in first: a setting, not this mail
		{mailtest.AtMail, 535, false},
		{mailtest.AtMail, 550, true},
		{mailtest.AtRcpt, 450, false},
		{mailtest.AtRcpt, 452, false},
		{mailtest.AtRcpt, 550, true},
		{mailtest.AtRcpt, 553, true},
		{mailtest.AtData, 421, false},
		{mailtest.AtData, 451, false},
		{mailtest.AtData, 552, true},
		{mailtest.AtData, 554, true},
	} {
		t.Run(fmt.Sprintf("%s %d", test.at, test.code), func(t *testing.T) {
			t.Parallel()
			server := mailtest.Start(t)
			server.Refuse(test.at, test.code)
			sender := testSMTP(t, server.URL())
			err := sender.Send(t.Context(), testMessage())
			if err == nil || isPermanent(err) != test.permanent {
				t.Fatalf("Send: %v; want permanent: %t", err, test.permanent)
			}
			if strings.Contains(err.Error(), "ada@") {
				t.Errorf("error %q names the recipient", err) // H-10
			}
			if !strings.Contains(err.Error(), fmt.Sprint(test.code)) && test.at != mailtest.AtHello {
				t.Errorf("error %q lacks the code %d", err, test.code)
			}
			if permanent, ok := errors.AsType[*PermanentError](err); ok {
				want := PermanentError{Step: string(test.at), Code: test.code, Enhanced: fmt.Sprintf("%d.1.1", test.code/100)}
				if *permanent != want {
					t.Errorf("refusal = %+v, want %+v", *permanent, want)
				}
			}
			if n := len(server.Messages()); n != 0 {
				t.Errorf("%d messages arrived, want none", n)
			}

			server.Accept()
			if err := sender.Send(t.Context(), testMessage()); err != nil {
				t.Errorf("Send after the server recovered: %v", err)
			}
		})
	}
}

func TestARefusedRecipientDoesNotHoldUpOthers(t *testing.T) { // F-03
	t.Parallel()
	server := mailtest.Start(t)
	server.Refuse(mailtest.AtRcpt, 550, "gone@example.com")
	sender := testSMTP(t, server.URL())
	for to, permanent := range map[string]bool{"gone@example.com": true, "ada@example.com": false} {
		m := testMessage()
		m.To = to
		if err := sender.Send(t.Context(), m); isPermanent(err) != permanent {
			t.Errorf("Send to %s: %v; want permanent: %t", to, err, permanent)
		}
	}
	if n := len(server.MessagesTo("ada@example.com")); n != 1 {
		t.Errorf("ada got %d mails, want 1", n)
	}
}

func TestAServerThatIsDownIsWorthARetry(t *testing.T) { // F-01
	t.Parallel()
	server := mailtest.Start(t)
	sender := testSMTP(t, server.URL())
	server.Stop()
	if err := sender.Send(t.Context(), testMessage()); err == nil || isPermanent(err) {
		t.Fatalf("Send to a stopped server: %v, want a temporary error", err)
	}
	server.Restart()
	if err := sender.Send(t.Context(), testMessage()); err != nil {
		t.Errorf("Send to the restarted server: %v", err)
	}
}

func TestAHangingServerIsLeftInTime(t *testing.T) { // F-01
	t.Parallel()
	for _, option := range map[string][]mailtest.Option{"plain": nil, "implicit TLS": {mailtest.TLS()}, "STARTTLS": {mailtest.STARTTLS()}} {
		for _, at := range []mailtest.Step{mailtest.AtHello, mailtest.AtMail, mailtest.AtRcpt, mailtest.AtData} {
			server := mailtest.Start(t, option...)
			server.Hang(at)
			sender := testSMTP(t, server.URL())
			sender.timeout = 300 * time.Millisecond
			started := time.Now()
			err := sender.Send(t.Context(), testMessage())
			if !errors.Is(err, context.DeadlineExceeded) || isPermanent(err) {
				t.Errorf("%s, hung at %s: %v, want a time-out", server.URL(), at, err)
			}
			if took := time.Since(started); took > 10*time.Second {
				t.Errorf("hung at %s: left after %s", at, took)
			}
		}
	}
}

func TestCancellingTheContextEndsASend(t *testing.T) { // F-01
	t.Parallel()
	hung := make(chan struct{})
	addr := scriptedServer(t, func(line string) (string, bool) {
		if line == "DATA" {
			close(hung)
			return "", false // says nothing and keeps the connection
		}
		return "250 ok", false
	})
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	go func() { result <- testSMTP(t, "smtp+plain://"+addr).Send(ctx, testMessage()) }()
	<-hung
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) || isPermanent(err) {
		t.Errorf("Send: %v, want context.Canceled", err)
	}
	if err := testSMTP(t, "smtp+plain://"+addr).Send(ctx, testMessage()); !errors.Is(err, context.Canceled) {
		t.Errorf("Send with a cancelled context: %v, want context.Canceled", err)
	}
}

// A peer that accepts and never speaks: the banner must not be waited for.
func TestASilentPeerIsLeftInTime(t *testing.T) { // F-01
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() }) // the backlog accepts on its own
	for _, scheme := range []string{"smtp", "smtps", "smtp+plain"} {
		sender := testSMTP(t, scheme+"://"+listener.Addr().String())
		sender.timeout = 200 * time.Millisecond
		if err := sender.Send(t.Context(), testMessage()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, want a time-out", scheme, err)
		}
	}
}

func TestALostAnswerIsRetriedWithTheSameMessageID(t *testing.T) { // F-02
	t.Parallel()
	server := mailtest.Start(t)
	sender := testSMTP(t, server.URL())
	server.LoseAnswers()
	if err := sender.Send(t.Context(), testMessage()); err == nil || isPermanent(err) {
		t.Fatalf("Send without an answer: %v, want a temporary error", err)
	}
	server.Accept()
	if err := sender.Send(t.Context(), testMessage()); err != nil {
		t.Fatal(err)
	}
	messages := server.Wait(2)
	if len(messages) != 2 || messages[0].ID() != messages[1].ID() || messages[0].ID() == "" {
		t.Errorf("%d copies, ids %q and %q; want two of one id", len(messages), messages[0].ID(), messages[1].ID())
	}
}

// The mail was taken over: an error would send it a second time.
func TestADeliveredMailIsDeliveredEvenIfTheGoodbyeFails(t *testing.T) { // F-02
	t.Parallel()
	for name, goodbye := range map[string]string{"refused": "421 bye", "broken off": ""} {
		addr := scriptedServer(t, func(line string) (string, bool) {
			switch line {
			case "DATA":
				return "354 go", false
			case "QUIT":
				return goodbye, goodbye == ""
			}
			return "250 ok", false
		})
		if err := testSMTP(t, "smtp+plain://"+addr).Send(t.Context(), testMessage()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStrippedSTARTTLSIsRefused(t *testing.T) { // H-08
	t.Parallel()
	server := mailtest.Start(t, mailtest.Login("user", "hunter2"))
	for name, rawURL := range map[string]string{
		"without a password": "smtp://" + server.Addr(),
		"with a password":    "smtp://user:hunter2@" + server.Addr(),
		"implicit TLS":       "smtps://user:hunter2@" + server.Addr(),
	} {
		if err := testSMTP(t, rawURL).Send(t.Context(), testMessage()); err == nil || isPermanent(err) {
			t.Errorf("%s: %v, want a temporary error", name, err)
		}
	}
	if server.Attempts() != 0 || server.Logins() != 0 {
		t.Errorf("%d mails and %d passwords went out unprotected", server.Attempts(), server.Logins())
	}
}

// Somebody in the middle lets STARTTLS be offered and then refuses it.
func TestRefusedSTARTTLSSendsNothing(t *testing.T) { // H-08
	t.Parallel()
	var mu sync.Mutex
	var heard []string
	addr := scriptedServer(t, func(line string) (string, bool) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, line)
		switch {
		case strings.HasPrefix(line, "EHLO"):
			return "250-hi\r\n250-AUTH PLAIN LOGIN\r\n250 STARTTLS", false
		case line == "STARTTLS":
			return "454 not today", false
		}
		return "250 ok", false
	})
	err := testSMTP(t, "smtp://user:hunter2@"+addr).Send(t.Context(), testMessage())
	if err == nil || isPermanent(err) {
		t.Errorf("Send: %v, want a temporary error", err)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, line := range heard {
		if verb, _, _ := strings.Cut(line, " "); verb == "AUTH" || verb == "MAIL" {
			t.Errorf("the client said %q in the open", verb)
		}
	}
}

func TestACertificateOfAnotherAuthorityIsRefused(t *testing.T) { // H-08
	t.Parallel()
	for name, option := range map[string]mailtest.Option{"STARTTLS": mailtest.STARTTLS(), "implicit TLS": mailtest.TLS()} {
		server, other := mailtest.Start(t, option, mailtest.Login("user", "hunter2")), mailtest.Start(t, option)
		for ca, rawURL := range map[string]string{
			"another CA":   strings.Replace(server.URL(), strings.ReplaceAll(server.CAFile(), "/", "%2F"), other.CAFile(), 1),
			"the system's": strings.Split(server.URL(), "?")[0],
			"another host": strings.Replace(server.URL(), "127.0.0.1", "127.0.0.2", 1),
		} {
			if rawURL == server.URL() {
				t.Fatalf("%s: the URL was not changed", ca)
			}
			if err := testSMTP(t, rawURL).Send(t.Context(), testMessage()); err == nil || isPermanent(err) {
				t.Errorf("%s, trusting %s: %v, want a temporary error", name, ca, err)
			}
		}
		if server.Attempts() != 0 || server.Logins() != 0 {
			t.Errorf("%s: %d mails and %d passwords went to a stranger", name, server.Attempts(), server.Logins())
		}
	}
}

// The server of this test repeats the password in its refusal.
func TestAFailedSignInIsWorthARetryAndKeepsThePasswordSecret(t *testing.T) { // H-09
	t.Parallel()
	for _, mechanism := range []string{"PLAIN", "LOGIN"} {
		server := mailtest.Start(t, mailtest.STARTTLS(), mailtest.Login("user", "right", mechanism))
		rawURL := strings.Replace(server.URL(), "user:right", "user:hunter2", 1)
		err := testSMTP(t, rawURL).Send(t.Context(), testMessage())
		if err == nil || isPermanent(err) {
			t.Fatalf("%s: %v, want a temporary error", mechanism, err)
		}
		if strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "535") {
			t.Errorf("%s: error %q, want the code and not the password", mechanism, err)
		}
		if server.Attempts() != 0 || server.Logins() != 1 {
			t.Errorf("%s: %d mails and %d passwords, want 0 and 1", mechanism, server.Attempts(), server.Logins())
		}
	}
}

func TestAServerThatAsksForMorePasswordsLearnsNothingAndTellsNothing(t *testing.T) { // H-09
	t.Parallel()
	addr := scriptedServer(t, func(line string) (string, bool) {
		if strings.HasPrefix(line, "EHLO") {
			return "250-hi\r\n250 AUTH LOGIN", false
		}
		return "334 " + base64.StdEncoding.EncodeToString([]byte("hunter2?")), false // for ever
	})
	err := testSMTP(t, "smtp+plain://user:hunter2@"+addr).Send(t.Context(), testMessage())
	if err == nil || isPermanent(err) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("Send: %v, want a temporary error without the password", err)
	}
}

func TestAServerWithoutAKnownMechanismGetsNoPassword(t *testing.T) {
	t.Parallel()
	server := mailtest.Start(t, mailtest.STARTTLS(), mailtest.Login("user", "hunter2", "CRAM-MD5"))
	err := testSMTP(t, server.URL()).Send(t.Context(), testMessage())
	if err == nil || isPermanent(err) || !strings.Contains(err.Error(), "AUTH PLAIN") {
		t.Errorf("Send: %v, want an error that names the mechanisms", err)
	}
	if server.Attempts() != 0 || server.Logins() != 0 {
		t.Errorf("%d mails and %d passwords went out", server.Attempts(), server.Logins())
	}
}

// scriptedServer speaks one line for each line it hears, for what a proper
// server would not do. The answer "" says nothing; true hangs up.
func scriptedServer(t *testing.T, answer func(line string) (string, bool)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "220 scripted\r\n")
		inData := false
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			if inData && lines.Text() != "." {
				continue
			}
			reply, hangUp := answer(lines.Text())
			inData = strings.HasPrefix(reply, "354")
			if hangUp {
				return
			}
			if reply != "" {
				fmt.Fprint(conn, reply+"\r\n")
			}
		}
	}()
	return listener.Addr().String()
}

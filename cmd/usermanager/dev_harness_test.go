package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"usermanager/db/dbtest"
	"usermanager/db/localpg"
	"usermanager/server/mail"
)

// devDatabase is nothing where this machine can run a private PostgreSQL, which is what dev is about; elsewhere
// it is a DATABASE_URL, so that all the rest is tested all the same.
func devDatabase(t *testing.T) []string {
	t.Helper()
	if hasPostgres() {
		return nil
	}
	return []string{"DATABASE_URL=" + dbtest.URL(t)}
}

var hasPostgres = sync.OnceValue(func() bool {
	dir, err := os.MkdirTemp("", "usermanager-cmd-")
	if err != nil {
		return false
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cluster, err := localpg.Start(ctx, localpg.Options{Dir: filepath.Join(dir, "closed")})
	if err == nil {
		err = cluster.Stop(ctx)
	}
	return !errors.Is(err, localpg.ErrNoBinaries)
})

// startDev runs dev on the folder and returns it with its address once it is ready.
func startDev(t *testing.T, dir string, env []string, args ...string) (dev *running, base string) {
	t.Helper()
	dev = start(t, withEnv(env...), append([]string{"dev", "--listen", "localhost:0", "--data-dir", dir}, args...)...)
	ready := dev.stdout.wait(`(?s)Ready in \d+\.\d s\n.*API +(http://localhost:\d+)\n.*Ctrl-C`, dev.done)
	if ready == nil {
		t.Fatalf("not ready:\n%s%s", dev.stdout, dev.stderr)
	}
	return dev, ready[1]
}

// call sends a request and returns the status with the answer's JSON.
func call(t *testing.T, method, address, token string, body any) (status int, answer map[string]any) {
	t.Helper()
	var content io.Reader
	contentType := "application/json"
	switch body := body.(type) {
	case url.Values:
		content, contentType = strings.NewReader(body.Encode()), "application/x-www-form-urlencoded"
	case map[string]any:
		encoded, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, address, content)
	if err != nil {
		t.Fatal(err)
	}
	if content != nil {
		request.Header.Set("Content-Type", contentType)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := (&http.Client{Timeout: patience}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = json.Unmarshal(text, &answer) // pages are not JSON
	return response.StatusCode, answer
}

// signIn returns an access token.
func signIn(t *testing.T, base, email, password string) string {
	t.Helper()
	status, answer := call(t, http.MethodPost, base+"/login", "", url.Values{"username": {email}, "password": {password}})
	token, _ := answer["access_token"].(string)
	if status != 200 || token == "" {
		t.Fatalf("%s cannot sign in: %d %v", email, status, answer)
	}
	return token
}

// mailTo waits for a mail in the folder of a running dev.
func mailTo(t *testing.T, dir, address string) mail.InboxMail {
	t.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	timeout := time.After(patience)
	for {
		files, err := filepath.Glob(filepath.Join(dir, "inbox", "*.json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			var found mail.InboxMail
			content, err := os.ReadFile(file)
			if err == nil && json.Unmarshal(content, &found) == nil && found.To == address {
				return found
			}
		}
		select {
		case <-again.C:
		case <-timeout:
			t.Fatalf("no mail to %s", address)
		}
	}
}

// postgresRuns tells whether a server answers at the URL that dev has printed.
func postgresRuns(databaseURL string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return false
	}
	conn.Close(ctx)
	return true
}

func databaseOf(t *testing.T, dir string) string {
	t.Helper()
	state, err := runningState(dir)
	if err != nil {
		t.Fatal(err)
	}
	return state.DatabaseURL
}

// isGone waits for the end of a server, which after a kill -9 of dev has to notice first.
func isGone(databaseURL string) bool {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	timeout := time.After(patience)
	for postgresRuns(databaseURL) {
		select {
		case <-again.C:
		case <-timeout:
			return false
		}
	}
	return true
}

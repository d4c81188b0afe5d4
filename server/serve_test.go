package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"usermanager/db/dbtest"
	"usermanager/gen/api"
)

// F-30
func TestStoppingRefusesReadinessFirstAndFinishesRequests(t *testing.T) {
	t.Parallel()
	s, err := bareServer(t, dbtest.Pool(t), rootOfKeys(t, testKey, nil))
	if err != nil {
		t.Fatal(err)
	}
	began, finish := make(chan struct{}), make(chan struct{})
	s.AddRoute("/slow", func(c echo.Context) error {
		close(began)
		<-finish
		return c.String(http.StatusOK, "finished")
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + listener.Addr().String()
	const drain = 700 * time.Millisecond
	ctx, signal := context.WithCancel(t.Context())
	served, slow := make(chan error, 1), make(chan response, 1)
	go func() { served <- s.Serve(ctx, listener, drain) }()
	go func() { slow <- uncheckedGet(t, url+"/slow") }()
	<-began
	if got := uncheckedGet(t, url+"/readyz"); got.status != http.StatusOK {
		t.Fatalf("before: got %d %s", got.status, got.body)
	}

	signalled := time.Now()
	signal()
	var got response
	for got.status != http.StatusServiceUnavailable && time.Since(signalled) < drain {
		got = checkedGet(t, url+"/readyz")
	}
	got.problem(t, api.ProblemCodeShuttingDown)
	if got.header.Get("Retry-After") == "" {
		t.Error("the refusal has no Retry-After")
	}
	if alive := uncheckedGet(t, url+"/livez"); alive.status != http.StatusOK { // balancers that have not noticed yet
		t.Errorf("while draining: got %d, want 200", alive.status)
	}
	for err == nil { // until the listener is closed
		var conn net.Conn
		if conn, err = net.Dial("tcp", listener.Addr().String()); err == nil {
			_ = conn.Close()
		}
	}
	if took := time.Since(signalled); took < drain {
		t.Errorf("the listener closed after %s, want the %s of draining", took, drain)
	}
	select {
	case err := <-served:
		t.Fatalf("stopped with a request under way: %v", err)
	default:
	}
	close(finish)
	if got := <-slow; got.status != http.StatusOK || string(got.body) != "finished" {
		t.Errorf("the request under way: got %d %q", got.status, got.body)
	}
	if err := <-served; err != nil {
		t.Errorf("got %v, want nil", err)
	}
}

func TestServeSaysWhenItCannotListen(t *testing.T) {
	t.Parallel()
	s, err := bareServer(t, dbtest.Pool(t), rootOfKeys(t, testKey, nil))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	if err := s.Serve(t.Context(), listener, 0); err == nil || !strings.Contains(err.Error(), "serve: ") {
		t.Errorf("got %v, want an error of serving", err)
	}
}

// I-22, I-04: what net/http is told to bear. The slow clients wait side by side.
func TestSlowAndOversizedRequestsAreCutOff(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	address := strings.TrimPrefix(s.url, "http://")
	type closing struct {
		name string
		took time.Duration
	}
	closed := make(chan closing)
	for name, begin := range map[string]string{
		"nothing": "", "half a request line": "GET /liv", "headers without end": "GET /livez HTTP/1.1\r\nHost: x\r\nX-A: ",
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := io.WriteString(conn, begin); err != nil {
			t.Fatal(err)
		}
		opened := time.Now()
		go func() {
			_ = conn.SetReadDeadline(opened.Add(20 * time.Second))
			_, err := io.Copy(io.Discard, conn)
			if err != nil && strings.Contains(err.Error(), "i/o timeout") {
				t.Errorf("%s: not closed within 20 seconds", name)
			}
			closed <- closing{name, time.Since(opened)}
		}()
	}
	for name, header := range map[string]string{"one long": "X-A: " + strings.Repeat("x", 40_000), "many": strings.Repeat("X-A: x\r\n", 10_000) + "X-B: y"} {
		if got := rawRequest(t, address, "GET /livez HTTP/1.1\r\nHost: x\r\n"+header+"\r\n\r\n"); got != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s header: got %d, want 431", name, got)
		}
	}
	if got := rawRequest(t, address, "GET /livez HTTP/1.1\r\nHost: x\r\nX-A: "+strings.Repeat("x", 8000)+"\r\n\r\n"); got != http.StatusOK {
		t.Errorf("8 KB of header: got %d, want 200", got)
	}
	for range 3 {
		if c := <-closed; c.took < 3*time.Second || c.took > 15*time.Second { // five, on a busy machine
			t.Errorf("%s: closed after %s, want about 5 s", c.name, c.took)
		}
	}
}

// rawRequest sends bytes and returns the status of the answer.
func rawRequest(t testing.TB, address, request string) int {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	go func() { _, _ = io.WriteString(conn, request) }() // the server may answer before it has read all
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatalf("read status line: %v", err)
	}
	var version string
	var status int
	if _, err := fmt.Sscan(line, &version, &status); err != nil {
		t.Fatalf("got %q, want a status line", line)
	}
	return status
}

package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHealthcheckTellsReadyFromNot(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]int{200: 0, 503: 1, 404: 1, 302: 1} {
		asked := ""
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked = r.Method + " " + r.URL.Path
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
		}))
		_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
		got := runCommand(t, withEnv("LISTEN_ADDR=:"+port, "HTTP_PROXY=http://127.0.0.1:1"), "healthcheck")
		if got.code != want || asked != "GET /readyz" {
			t.Errorf("%d: asked %q, exit code %d, want %d: %s", status, asked, got.code, want, got.stderr)
		}
		if got := runCommand(t, nil, "healthcheck", "--listen", "127.0.0.1:"+port); got.code != want {
			t.Errorf("%d by flag: exit code %d, want %d: %s", status, got.code, want, got.stderr)
		}
		server.Close()
		got = runCommand(t, withEnv("LISTEN_ADDR=:"+port), "healthcheck")
		if got.code != 1 || !strings.Contains(got.stderr, "does not answer") {
			t.Errorf("nobody listens: exit code %d with %q", got.code, got.stderr)
		}
	}
}

func TestHealthcheckMindsItsOwnSettingOnly(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	addr := server.Listener.Addr().String()
	if got := runCommand(t, withEnv("DOCS=perhaps", "LISTEN_ADDR="+addr), "healthcheck"); got.code != 0 {
		t.Errorf("another setting is bad: exit code %d with %q", got.code, got.stderr)
	}
	if got := runCommand(t, withEnv("LISTEN_ADDR=nowhere"), "healthcheck"); got.code != 1 || !strings.Contains(got.stderr, "LISTEN_ADDR") {
		t.Errorf("its own is bad: exit code %d with %q", got.code, got.stderr)
	}
}

func TestAServerOnEveryAddressIsAskedOnLoopback(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		":8080": "127.0.0.1:8080", "0.0.0.0:80": "127.0.0.1:80", "[::]:80": "[::1]:80",
		"192.0.2.7:80": "192.0.2.7:80", "localhost:1": "localhost:1", "[::1]:1": "[::1]:1",
	} {
		if got := localAddr(addr); got != want {
			t.Errorf("%s is asked at %s, want %s", addr, got, want)
		}
	}
}

func TestAHealthcheckOfANonsenseAddressIsAnError(t *testing.T) {
	t.Parallel()
	if err := checkHealth(t.Context(), "a b:1"); err == nil {
		t.Error("no error")
	}
}

package server_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"usermanager/server"
)

func TestTheContractIsServedAsItIsWritten(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(o *server.Options) { o.Docs = false }) // whether or not there is a page
	written, err := os.ReadFile("../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got := s.call(http.MethodGet, "/openapi.yaml", "", nil)
	if !bytes.Equal(got.body, written) || got.header.Get("Content-Type") != "application/yaml" {
		t.Errorf("got %d bytes of %s, want the %d bytes of the repository's file", len(got.body), got.header.Get("Content-Type"), len(written))
	}
	asJSON := s.call(http.MethodGet, "/openapi.json", "", nil)
	documents := make([]any, 2)
	for i, text := range [][]byte{written, asJSON.body} {
		doc, err := openapi3.NewLoader().LoadFromData(text)
		if err != nil {
			t.Fatal(err)
		}
		data, err := doc.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &documents[i]); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(documents[0], documents[1]) {
		t.Error("openapi.json is another document than openapi.yaml")
	}
	if got := asJSON.header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		t.Errorf("got %s of openapi.json", got)
	}
	for _, path := range []string{"/openapi.yaml", "/openapi.json"} {
		head := s.call(http.MethodHead, path, "", nil)
		if head.status != http.StatusOK || len(head.body) != 0 {
			t.Errorf("HEAD %s: got %d and %d bytes", path, head.status, len(head.body))
		}
	}
}

// policyOf reads a Content-Security-Policy.
func policyOf(t testing.TB, header http.Header) map[string][]string {
	t.Helper()
	policy := map[string][]string{}
	for directive := range strings.SplitSeq(header.Get("Content-Security-Policy"), ";") {
		words := strings.Fields(directive)
		if len(words) == 0 || policy[words[0]] != nil {
			t.Fatalf("got policy %q", header.Get("Content-Security-Policy"))
		}
		policy[words[0]] = words[1:]
	}
	return policy
}

// H-06: nothing on the page comes from elsewhere, and what is injected does not run.
func TestTheDocsPageRunsItsOwnScriptsOnly(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	page := s.call(http.MethodGet, "/docs", "", nil)
	policy := policyOf(t, page.header)
	if page.status != http.StatusOK || !slices.Equal(policy["default-src"], []string{"'none'"}) || !slices.Equal(policy["frame-ancestors"], []string{"'none'"}) {
		t.Fatalf("got %d with policy %v", page.status, policy)
	}
	for directive, sources := range policy {
		for _, source := range sources {
			isOwn := source == "'self'" || source == "'none'" || source == "data:" || strings.HasPrefix(source, "'sha256-")
			if !isOwn {
				t.Errorf("%s allows %s", directive, source)
			}
		}
	}
	for element, directive := range map[string]string{"script": "script-src", "style": "style-src"} {
		for _, match := range regexp.MustCompile(`(?s)<`+element+`>(.*?)</`+element+`>`).FindAllSubmatch(page.body, -1) {
			sum := sha256.Sum256(match[1])
			if want := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !slices.Contains(policy[directive], want) {
				t.Errorf("the page's own %s is not allowed by %v", element, policy[directive])
			}
		}
	}
	links := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllSubmatch(page.body, -1)
	if len(links) < 3 {
		t.Fatalf("got %d files on the page: %s", len(links), page.body)
	}
	for _, link := range links {
		path := string(link[1])
		if strings.Contains(path, "//") {
			t.Errorf("%s comes from elsewhere", path)
			continue
		}
		if strings.HasPrefix(path, "data:") {
			continue
		}
		file := s.call(http.MethodGet, "/"+strings.TrimPrefix(path, "/"), "", nil)
		if file.status != http.StatusOK || len(file.body) == 0 || file.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: got %d, %d bytes, %v", path, file.status, len(file.body), file.header)
		}
	}
	if got := s.call(http.MethodGet, "/docs/", "", nil); got.status != http.StatusOK {
		t.Errorf("with a slash at the end: got %d, want the page", got.status)
	}
}

func TestTheDocsPageCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(o *server.Options) { o.Docs = false })
	for _, path := range []string{"/docs", "/docs/", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js", "/docs/index.html"} {
		if got := s.call(http.MethodGet, path, "", nil); got.status != http.StatusNotFound {
			t.Errorf("%s: got %d, want 404", path, got.status)
		}
	}
}

// I-09
func TestTheDocsFilesLeadNowhereElse(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	for _, path := range []string{"/docs/../openapi.yaml", "/docs/%2e%2e/%2e%2e/etc/passwd", "/docs/..%2f..%2fgo.mod", "/docs/nothing.js", "/docs/%5c..%5cgo.mod", "/docs//evil.example.com"} {
		got := uncheckedGet(t, s.url+path)
		isPage := bytes.Contains(got.body, []byte("swagger-ui"))
		if got.status < 400 && !isPage || bytes.Contains(got.body, []byte("root:")) || bytes.Contains(got.body, []byte("module usermanager")) || got.header.Get("Location") != "" {
			t.Errorf("%s: got %d %s", path, got.status, got.header.Get("Location"))
		}
	}
}

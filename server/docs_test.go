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

	"usermanager/gen/api"
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

// RFC 9110, 8.8 and 13.1.2: who has the document is told so without it.
func TestTheContractIsSentOnceToWhoKeepsIt(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	client := s.client("")
	asYAML, err := client.GetOpenapiYaml(t.Context(), nil) // the generated reading of YAML cannot give the text
	if err != nil {
		t.Fatal(err)
	}
	_ = asYAML.Body.Close()
	asJSON, err := client.GetOpenapiJSONWithResponse(t.Context(), nil)
	if err != nil || asJSON.Headers200 == nil {
		t.Fatalf("got %+v, %v", asJSON, err)
	}
	yamlTag, jsonTag := asYAML.Header.Get("ETag"), asJSON.Headers200.ETag
	if !regexp.MustCompile(`^"[\w-]{22}"$`).MatchString(yamlTag) || yamlTag == jsonTag {
		t.Errorf("got the tags %s and %s, want a strong one for each", yamlTag, jsonTag)
	}
	again, err := client.GetOpenapiYamlWithResponse(t.Context(), &api.GetOpenapiYamlParams{IfNoneMatch: &yamlTag})
	if err != nil || again.Headers304 == nil || again.Headers304.ETag != yamlTag || len(again.Body) != 0 {
		t.Errorf("with its tag: got %+v, %v, want 304", again, err)
	}
	againJSON, err := client.GetOpenapiJSONWithResponse(t.Context(), &api.GetOpenapiJSONParams{IfNoneMatch: &jsonTag})
	if err != nil || againJSON.Headers304 == nil || againJSON.Headers304.ETag != jsonTag {
		t.Errorf("JSON with its tag: got %+v, %v, want 304", againJSON, err)
	}
	for _, path := range []string{"/openapi.yaml", "/openapi.json"} {
		tag, other := yamlTag, jsonTag
		if path == "/openapi.json" {
			tag, other = jsonTag, yamlTag
		}
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			for sent, want := range map[string]int{
				tag: 304, "W/" + tag: 304, "*": 304, `"a", ` + tag: 304, `"a",W/` + tag + ` , "b"`: 304,
				"": 200, `""`: 200, other: 200, strings.Trim(tag, `"`): 200, `"` + tag: 200, "w/" + tag: 200, ",": 200, strings.Repeat(`"a",`, 4<<10): 200,
			} {
				got := s.call(method, path, "", nil, "If-None-Match", sent)
				if got.status != want || got.header.Get("ETag") != tag || got.header.Get("Cache-Control") != "public, max-age=60" {
					t.Errorf("%s %s with %.40s: got %d %v, want %d", method, path, sent, got.status, got.header, want)
				}
				if isEmpty := len(got.body) == 0; isEmpty != (want == 304 || method == http.MethodHead) || want == 304 && got.header.Get("Content-Type") != "" {
					t.Errorf("%s %s with %.40s: got %d bytes, %v", method, path, sent, len(got.body), got.header)
				}
			}
		}
		if got := staffRepeatHeader(s, http.MethodGet, path, "", "", "If-None-Match", []string{`"a"`, tag}); got != http.StatusNotModified {
			t.Errorf("%s with the tag in the second line: got %d, want 304", path, got)
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
		// Developer tools load these and report the missing ones.
		for _, sourceMap := range regexp.MustCompile(`sourceMappingURL=([\w.-]+)`).FindAllSubmatch(file.body, -1) {
			if got := s.call(http.MethodGet, "/docs/"+string(sourceMap[1]), "", nil); got.status != http.StatusOK || !json.Valid(got.body) {
				t.Errorf("%s names the source map %s: got %d", path, sourceMap[1], got.status)
			}
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

package secret_test

import (
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Code that touches key material imports neither the database nor HTTP.
func TestThePackageImportsNoDatabaseAndNoHTTP(t *testing.T) {
	t.Parallel()
	allowed := []string{ // of modules other than the standard library
		"github.com/google/uuid",
		"github.com/hashicorp/golang-lru/v2",
		"github.com/lestrrat-go/jwx/v2/jwa",
		"github.com/lestrrat-go/jwx/v2/jwk",
		"github.com/lestrrat-go/jwx/v2/jws",
		"golang.org/x/crypto/argon2",
		"golang.org/x/crypto/bcrypt",
		"golang.org/x/crypto/scrypt",
		"golang.org/x/text/unicode/norm",
	}
	banned := []string{"database/sql", "net", "os", "log", "math/rand", "unsafe"} // and what is below them, except log/slog

	seen := 0
	for name, imports := range importsOfSources(t) {
		for _, path := range imports {
			seen++
			if path == "log/slog" {
				continue
			}
			first, _, _ := strings.Cut(path, "/")
			if strings.Contains(first, ".") && !slices.Contains(allowed, path) {
				t.Errorf("%s imports %s, which is not on the list of allowed packages", name, path)
			}
			for _, ban := range banned { // H-15 bans math/rand
				if path == ban || strings.HasPrefix(path, ban+"/") {
					t.Errorf("%s imports %s, which is banned here", name, path)
				}
			}
		}
	}
	if seen < 20 {
		t.Fatalf("only %d imports seen; is the test looking at the right folder?", seen)
	}
}

// jwx is replaced one day; that day should touch only the files that sign.
func TestOnlyTheTokenFilesUseTheJOSELibrary(t *testing.T) {
	t.Parallel()
	for name, imports := range importsOfSources(t) {
		for _, path := range imports {
			if strings.Contains(path, "lestrrat-go") && name != "keys.go" && name != "jwt.go" {
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
}

// H-14: secrets are compared by crypto/subtle, never by bytes.Equal, which
// stops at the first difference.
func TestNoSourceComparesWithBytesEqual(t *testing.T) {
	t.Parallel()
	for name := range importsOfSources(t) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatalf("read %s: %v", name, err)
		}
		for _, call := range []string{"bytes.Equal", "bytes.Compare", "slices.Equal", "reflect.DeepEqual"} {
			if strings.Contains(string(text), call) {
				t.Errorf("%s uses %s", name, call)
			}
		}
	}
}

func importsOfSources(t *testing.T) map[string][]string {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatalf("list the package: %v", err)
	}
	imports := map[string][]string{}
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatalf("parse %s: %v", name, err)
		}
		imports[name] = nil
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatalf("%s: import path %s: %v", name, spec.Path.Value, err)
			}
			imports[name] = append(imports[name], path)
		}
	}
	return imports
}

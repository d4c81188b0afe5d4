package main

import (
	"errors"
	"os"
	"strings"
	"testing"
)

func TestConfigShowsValueSourceAndDefault(t *testing.T) {
	t.Parallel()
	got := runCommand(t, withEnv("PRODUCT_NAME=Acme   Users", "SECRET_KEY="+goodKey), "config", "--listen", ":9")
	rows := map[string]string{}
	for line := range strings.Lines(got.stdout) {
		fields := strings.Fields(line)
		if len(fields) > 0 {
			rows[fields[0]] = strings.Join(fields[1:], " ")
		}
	}
	for name, want := range map[string]string{
		"SETTING":                  "VALUE SOURCE DEFAULT",
		"LISTEN_ADDR":              ":9 flag :8080",
		"PRODUCT_NAME":             "Acme Users environment User Management System",
		"SECRET_KEY":               "(hidden) environment -",
		"SECRET_KEY_PREVIOUS":      "- - -",
		"DOCS":                     "true default true",
		"DATABASE_MAX_CONNECTIONS": "8 default 4 a core, at least 8",
	} {
		if rows[name] != want {
			t.Errorf("%s: %q, want %q", name, rows[name], want)
		}
	}
	if got.code != 0 || !strings.Contains(got.stdout, "serve would refuse to start:\nDATABASE_URL is not set") {
		t.Errorf("exit code %d with\n%s%s", got.code, got.stdout, got.stderr)
	}
}

func TestConfigOfAServerThatCanStartHasNoWarning(t *testing.T) {
	t.Parallel()
	got := runCommand(t, withEnv(serveEnv("postgres://u:p@127.0.0.1:1/d")...), "config")
	if got.code != 0 || strings.Contains(got.stdout, "refuse") || got.stderr != "" {
		t.Errorf("exit code %d with\n%s%s", got.code, got.stdout, got.stderr)
	}
}

func TestConfigFailsForABadSettingAndShowsTheRest(t *testing.T) {
	t.Parallel()
	got := runCommand(t, withEnv("DOCS=perhaps"), "config")
	if got.code != 1 || !strings.Contains(got.stderr, "DOCS") || !strings.Contains(got.stdout, "LISTEN_ADDR") {
		t.Errorf("exit code %d with\n%s%s", got.code, got.stdout, got.stderr)
	}
}

func TestMarkdownHasARowForEachSetting(t *testing.T) {
	t.Parallel()
	got := runCommand(t, nil, "config", "--markdown")
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	if want := len(allSettings()) + 2; got.code != 0 || len(lines) != want {
		t.Fatalf("exit code %d, %d lines, want %d", got.code, len(lines), want)
	}
	for _, line := range lines {
		if strings.Count(strings.ReplaceAll(line, `\|`, ""), "|") != 5 {
			t.Errorf("not four columns: %s", line)
		}
	}
	if want := "| `SECRET_KEY`, `SECRET_KEY_FILE` |  |  |"; !strings.Contains(got.stdout, want) {
		t.Errorf("%s is missing in\n%s", want, got.stdout)
	}
	if want := "| `LISTEN_ADDR` | `:8080` | `--listen` |"; !strings.Contains(got.stdout, want) {
		t.Errorf("%s is missing in\n%s", want, got.stdout)
	}
}

func TestTheReadmeHasTheTableOfSettings(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if errors.Is(err, os.ErrNotExist) {
		return // there is nothing that could be wrong
	}
	if err != nil {
		t.Fatal(err)
	}
	block, err := settingsBlock(string(readme))
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	if err := printMarkdown(&want); err != nil {
		t.Fatal(err)
	}
	if block != strings.TrimSpace(want.String()) {
		t.Errorf("README.md has another table: put the output of `go run ./cmd/usermanager config --markdown` between its markers")
	}
}

// settingsBlock is what a document has between its two settings markers.
func settingsBlock(document string) (string, error) {
	const marker = "<!-- settings -->"
	parts := strings.Split(strings.ReplaceAll(document, "\r\n", "\n"), marker)
	if len(parts) != 3 {
		return "", errors.New("README.md must have " + marker + " twice, around the table of settings")
	}
	return strings.TrimSpace(parts[1]), nil
}

func TestTheTableIsFoundBetweenItsMarkers(t *testing.T) {
	t.Parallel()
	got, err := settingsBlock("a\r\n<!-- settings -->\r\n| x |\r\n| y |\r\n<!-- settings -->\r\nb")
	if err != nil || got != "| x |\n| y |" {
		t.Errorf("got %q, error %v", got, err)
	}
	for _, document := range []string{"", "<!-- settings -->", "<!-- settings --> <!-- settings --> <!-- settings -->"} {
		if _, err := settingsBlock(document); err == nil {
			t.Errorf("%q has no table, and no error", document)
		}
	}
}

func TestPrintingToABrokenOutputIsAnError(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"config"}, {"config", "--markdown"}, {"version"}} {
		got := runCommand(t, func(p *process) { p.stdout = brokenWriter{} }, args...)
		if got.code != 1 || !strings.Contains(got.stderr, "output broke") {
			t.Errorf("%v: exit code %d with %q", args, got.code, got.stderr)
		}
	}
}

// brokenWriter is an output such as a pipe that nobody reads any more.
type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("output broke") }

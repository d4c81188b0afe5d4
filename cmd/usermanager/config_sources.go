package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"usermanager/server"
)

// defaultFile is read from the working directory when --config names no other.
const defaultFile = "usermanager.yaml"

// readEnvironment returns what the environment sets, by key. An empty variable is an unset one: compose files
// pass many of those.
func (p process) readEnvironment(l *loaded) map[string]any {
	variables := map[string]string{}
	for _, variable := range p.env {
		name, value, _ := strings.Cut(variable, "=")
		variables[name] = value
	}
	layer := map[string]any{}
	for _, s := range allSettings() {
		for _, name := range s.names() {
			if value := strings.TrimSpace(variables[name]); value != "" {
				layer[strings.ToLower(name)] = value
			}
		}
	}
	l.openSecretFiles(layer, "environment")
	return layer
}

// readFile returns what the configuration file sets, by key, and its clients. Keys that nobody reads are
// refused: a misspelt setting would be a default in silence.
func (p process) readFile(l *loaded, flags *pflag.FlagSet) (layer, clients map[string]any) {
	layer = map[string]any{}
	path, optional := filepath.Join(p.dir, defaultFile), true
	if flag := flags.Lookup("config"); flag != nil && flag.Changed {
		path, optional = flag.Value.String(), false
	}
	content, err := os.ReadFile(path) // #nosec G304 -- the operator names the file
	if errors.Is(err, fs.ErrNotExist) && optional {
		return layer, nil
	}
	if err != nil {
		l.refusef("The configuration file cannot be read: %v.", err)
		return layer, nil
	}
	var all map[string]any
	if err := yaml.Unmarshal(content, &all); err != nil {
		l.refusef("%s is not a YAML map of settings%s.", path, lineOf(err))
		return layer, nil
	}

	known := map[string]bool{}
	for _, s := range allSettings() {
		for _, name := range s.names() {
			known[strings.ToLower(name)] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		switch value := all[key]; {
		case key == "clients":
			sets, isMap := value.(map[string]any)
			if !isMap && value != nil {
				l.refusef("%s: clients must be a map of names to links.", path)
			}
			clients = sets
		case known[key]:
			if value != nil && value != "" {
				layer[key] = value
			}
		case known[strings.ToLower(key)]:
			l.refusef("%s: unknown key %s, keys are in lower case: %s.", path, key, strings.ToLower(key))
		default:
			l.refusef("%s: unknown key %s, `usermanager config` lists all.", path, key)
		}
	}
	l.openSecretFiles(layer, "file")
	return layer, clients
}

// names are the variables that may set it.
func (s setting) names() []string {
	if s.secret {
		return []string{s.name, s.name + "_FILE"}
	}
	return []string{s.name}
}

// openSecretFiles puts the content of NAME_FILE where the value of NAME would be. Neither the name of a file
// nor its content is repeated: a key that was put into the wrong variable would be printed.
func (l *loaded) openSecretFiles(layer map[string]any, source string) {
	for _, s := range allSettings() {
		path, isFile := layer[s.key+"_file"]
		if !s.secret || !isFile {
			continue
		}
		delete(layer, s.key+"_file")
		if _, both := layer[s.key]; both {
			l.refusef("%s and %s_FILE (%s) are both set: keep one.", s.name, s.name, source)
			continue
		}
		content, err := readSecretFile(fmt.Sprint(path))
		if err != nil {
			l.broken[s.name] = true // so that nobody says on top that it is missing
			l.refusef("%s_FILE (%s) %v.", s.name, source, err)
			continue
		}
		layer[s.key] = content
	}
}

// maxSecretFile bounds what a wrong path, such as a device, can make of a start. Bytes.
const maxSecretFile = 64 << 10

func readSecretFile(path string) (string, error) {
	file, err := os.Open(path) // #nosec G304 -- the operator names the file
	if err != nil {
		return "", unreadable(err)
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxSecretFile+1))
	text := strings.TrimSpace(string(content)) // editors and `echo` end files with a newline
	switch {
	case err != nil:
		return "", unreadable(err)
	case len(content) > maxSecretFile:
		return "", fmt.Errorf("names a file of more than %d KiB", maxSecretFile>>10)
	case text == "":
		return "", errors.New("names a file that is empty")
	}
	return text, nil
}

func unreadable(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err // without the path
	}
	return fmt.Errorf("names a file that cannot be read: %w", err)
}

// lineOf finds the line that YAML's error is about. The rest of it quotes the file.
func lineOf(err error) string {
	if line := regexp.MustCompile(`line \d+`).FindString(err.Error()); line != "" {
		return ", see " + line
	}
	return ""
}

// plainText is a value as the environment would have it: YAML has numbers, switches and lists besides.
func plainText(value any) (string, error) {
	switch value := value.(type) {
	case nil:
		return "", nil
	case string:
		return strings.TrimSpace(value), nil
	case bool, int, int64, uint64, float64:
		return fmt.Sprint(value), nil
	case []any:
		var parts []string
		for _, item := range value {
			part, err := plainText(item)
			if err != nil {
				return "", err
			}
			parts = append(parts, part)
		}
		return strings.Join(parts, ","), nil
	}
	return "", errors.New("must be a plain value")
}

// clientName is the contract's pattern for `client` in a request.
var clientName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,49}$`)

// readClients reads the named sets of mail links, one for each frontend.
func (l *loaded) readClients(clients map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(clients)) {
		if !clientName.MatchString(name) {
			l.refusef("clients: a name is up to 50 of a-z, 0-9, _ and -, unlike %q.", name)
			continue
		}
		links, isMap := clients[name].(map[string]any)
		if !isMap {
			l.refusef("clients.%s must be a map of link_* keys, such as link_verify_email.", name)
			continue
		}
		var set server.LinkTemplates
		targets := map[string]*string{
			"link_verify_email": &set.VerifyEmail, "link_invitation": &set.Invitation, "link_sign_in": &set.SignIn,
			"link_reset_password": &set.ResetPassword, "link_confirm_email_change": &set.ConfirmEmailChange,
			"link_revoke_email_change": &set.RevokeEmailChange, "link_cancel_deletion": &set.CancelDeletion,
		}
		for _, key := range slices.Sorted(maps.Keys(links)) {
			target, known := targets[key]
			if !known {
				l.refusef("clients.%s: unknown key %s.", name, key)
				continue
			}
			kind := "token link"
			if key == "link_sign_in" {
				kind = "plain link"
			}
			text, err := plainText(links[key])
			if err == nil && text != "" {
				_, err = parseKind(kind, text)
			}
			if err != nil {
				l.refusef("clients.%s.%s %v.", name, key, err)
				continue
			}
			*target = text
		}
		l.links[name] = set
	}
}

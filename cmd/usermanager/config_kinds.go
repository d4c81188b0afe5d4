package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/jackc/pgx/v5/pgxpool"

	"usermanager/server/mail"
	"usermanager/server/secret"
)

// hidden is text that must not be printed. It lives in a closure, so that no %+v of a struct around it, no
// dump and no encoder can reach it.
type hidden struct {
	text func() string
}

func hide(text string) hidden { return hidden{text: func() string { return text }} }

func (h hidden) reveal() string {
	if h.text == nil {
		return ""
	}
	return h.text()
}

// String hides the text from fmt and slog.
func (h hidden) String() string { return "[hidden]" }

// parseKind turns text into the value of a setting of that kind. Errors continue the sentence that begins with
// the setting's name, and never repeat the text.
func parseKind(kind, text string) (any, error) {
	switch kind {
	case "database":
		return parseDatabaseURL(text)
	case "key":
		return parseSecretKey(text)
	case "password":
		return hide(text), nil
	case "smtp":
		return parseSMTP(text)
	case "sender":
		return parseSender(text)
	case "mailbox":
		if mail.CheckAddress(text) != nil {
			return nil, errors.New("must be one plain e-mail address")
		}
		return text, nil
	case "address":
		return text, checkListenAddr(text)
	case "base":
		return parseBaseURL(text)
	case "page":
		if u, err := url.Parse(text); err != nil || !isWebURL(u) {
			return nil, errors.New("must be an absolute http or https URL")
		}
		return text, nil
	case "token link", "plain link":
		return text, checkLink(text, kind == "token link")
	case "origins":
		return parseOrigins(text)
	case "networks":
		return parseNetworks(text)
	case "line":
		return text, checkLine(text)
	}
	return parseScalar(kind, text)
}

// parseScalar knows the numbers, times and words.
func parseScalar(kind, text string) (any, error) {
	switch kind {
	case "connections":
		return parseCount(text, 2, 1000) // one less and a job that holds one waits for itself
	case "limit":
		return parseCount(text, 1, 1_000_000)
	case "attempts":
		return parseCount(text, 1, 100)
	case "wait":
		return parseDuration(text, time.Second, time.Hour)
	case "ttl":
		return parseDuration(text, time.Second, 30*24*time.Hour)
	case "idle":
		return parseDuration(text, time.Minute, 366*24*time.Hour)
	case "grace":
		return parseDuration(text, 10*time.Second, 10*time.Minute)
	case "rotation":
		return parseRotation(text)
	case "pause":
		return parseDuration(text, 0, 5*time.Minute)
	case "switch":
		return parseChoice(text, map[string]bool{"true": true, "false": false})
	case "registration":
		return parseChoice(text, map[string]bool{"open": true, "closed": false})
	case "format":
		return parseChoice(text, map[string]bool{"json": true, "text": false})
	case "policy":
		policies := map[string]secret.Policy{}
		for _, policy := range []secret.Policy{secret.PolicyComposition, secret.PolicyNIST} {
			policies[string(policy)] = policy
		}
		return parseChoice(text, policies)
	case "level":
		return parseChoice(text, map[string]slog.Level{
			"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
		})
	}
	return nil, fmt.Errorf("has no parser for its kind %q", kind)
}

func parseChoice[T any](text string, choices map[string]T) (any, error) {
	if value, known := choices[strings.ToLower(text)]; known {
		return value, nil
	}
	var names []string
	for name := range choices {
		names = append(names, name)
	}
	slices.Sort(names)
	return nil, fmt.Errorf("must be one of %s", strings.Join(names, ", "))
}

func parseCount(text string, least, most int) (any, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return nil, fmt.Errorf("must be a whole number from %d to %d", least, most)
	}
	return n, nil
}

func parseDuration(text string, least, most time.Duration) (any, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < least || d > most {
		return nil, fmt.Errorf("must be a time from %s to %s, such as 90s or 5m", least, most)
	}
	return d, nil
}

// parseRotation takes 0 for never. A day is far more than a rotation takes from end to end.
func parseRotation(text string) (any, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d != 0 && (d < 24*time.Hour || d > 10*365*24*time.Hour) {
		return nil, errors.New("must be 0 or a time from 24h to 87600h (ten years)")
	}
	return d, nil
}

// parseDatabaseURL leaves out what pgx says: its sentence quotes the URL, and finds passwords only in URLs
// that are well-formed.
func parseDatabaseURL(text string) (any, error) {
	_, err := pgxpool.ParseConfig(text)
	if file, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, fmt.Errorf("names a file that cannot be read: %w", file.Err)
	}
	if err != nil {
		return nil, errors.New("must be a PostgreSQL URL such as postgres://user:password@host:5432/database, " +
			"with special characters of the password percent-encoded")
	}
	return hide(text), nil
}

func parseSecretKey(text string) (any, error) {
	key, err := secret.ParseKey(text)
	if err != nil {
		return nil, fmt.Errorf("cannot be used: %w", err)
	}
	return hide(string(key)), nil
}

func parseSMTP(text string) (any, error) {
	server, err := mail.ParseURL(text)
	if file, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, fmt.Errorf("names a file that cannot be read: %w", file.Err)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot be used: %w", err)
	}
	return server, nil
}

func parseSender(text string) (any, error) {
	from, err := mail.ParseFrom(text)
	if err != nil {
		return nil, errors.New("must be an address such as Example <noreply@example.com>")
	}
	return from, nil
}

func checkListenAddr(text string) error {
	_, port, err := net.SplitHostPort(text)
	if n, portErr := strconv.ParseUint(port, 10, 16); err != nil || portErr != nil || n > 65535 {
		return errors.New("must be host:port, such as :8080 or 127.0.0.1:8080")
	}
	return nil
}

func isWebURL(u *url.URL) bool {
	return (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil
}

// parseBaseURL returns the URL without a slash at its end, because paths that begin with one are put after it.
func parseBaseURL(text string) (any, error) {
	u, err := url.Parse(strings.TrimRight(text, "/"))
	if err != nil || !isWebURL(u) || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("must be an absolute http or https URL without query, such as https://accounts.example.com")
	}
	return u, nil
}

// checkLink takes any absolute URL, schemes of apps included, but none that runs or holds a script.
func checkLink(text string, withToken bool) error {
	if n := strings.Count(text, "{token}"); withToken && n != 1 {
		return errors.New("must contain {token} once, where the token goes")
	} else if !withToken && n > 0 {
		return errors.New("must not contain {token}: this link carries none")
	}
	u, err := url.Parse(strings.ReplaceAll(text, "{token}", "token"))
	if err != nil || u.Scheme == "" || strings.ContainsAny(text, "<>\"' \t\r\n") || u.User != nil {
		return errors.New("must be an absolute URL, such as https://app.example.com/page")
	}
	switch u.Scheme {
	case "javascript", "data", "vbscript", "file", "blob":
		return errors.New("must not have a scheme that runs or opens something on the reader's machine")
	case "http", "https":
		if u.Hostname() == "" || strings.Contains(u.Host, "token") && strings.Contains(text, "://{token}") {
			return errors.New("must name a host, such as https://app.example.com/page")
		}
	}
	return nil
}

// parseOrigins reads exact origins as a browser sends them (RFC 6454, section 7): no path, no pattern.
func parseOrigins(text string) (any, error) {
	var origins []string
	for _, part := range splitList(text) {
		u, err := url.Parse(part)
		if err != nil || !isWebURL(u) || u.Scheme+"://"+u.Host != part || part != strings.ToLower(part) ||
			strings.Contains(part, "*") {
			return nil, errors.New("must be exact origins such as https://app.example.com, in lower case, " +
				"without path or pattern, separated by commas")
		}
		origins = append(origins, part)
	}
	return origins, nil
}

func parseNetworks(text string) (any, error) {
	var networks []netip.Prefix
	for _, part := range splitList(text) {
		network, err := netip.ParsePrefix(part)
		if err != nil {
			var address netip.Addr
			if address, err = netip.ParseAddr(part); err == nil && address.Zone() == "" {
				network = netip.PrefixFrom(address, address.BitLen())
			}
		}
		if err != nil || !network.IsValid() {
			return nil, errors.New("must be networks such as 10.0.0.0/8 or addresses, separated by commas")
		}
		networks = append(networks, network.Masked())
	}
	return networks, nil
}

func checkLine(text string) error {
	if len(text) > 100 || strings.ContainsFunc(text, unicode.IsControl) {
		return errors.New("must be one line of at most 100 bytes")
	}
	return nil
}

func splitList(text string) []string {
	var parts []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

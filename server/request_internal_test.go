package server

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

//
func TestClientAddressIsTheLastHopThatNoTrustedProxyVouchesFor(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for name, c := range map[string]struct {
		peer      string
		forwarded []string
		want      string
	}{
		"a client without a proxy":          {"198.51.100.1:1234", nil, "198.51.100.1"},
		"an untrusted peer's word":          {"198.51.100.1:1234", []string{"203.0.113.9"}, "198.51.100.1"},
		"an untrusted peer poses as inside": {"198.51.100.1:1234", []string{"10.0.0.1"}, "198.51.100.1"},
		"behind a proxy":                    {"10.0.0.1:1234", []string{"203.0.113.9"}, "203.0.113.9"},
		"behind two proxies":                {"10.0.0.1:1234", []string{"203.0.113.9, 10.2.2.2"}, "203.0.113.9"},
		"in two headers":                    {"10.0.0.1:1234", []string{"203.0.113.9", "10.2.2.2"}, "203.0.113.9"},
		"what the client wrote before":      {"10.0.0.1:1234", []string{"1.1.1.1, 203.0.113.9"}, "203.0.113.9"},
		"a trusted address written before":  {"10.0.0.1:1234", []string{"10.9.9.9, 203.0.113.9, 10.2.2.2"}, "203.0.113.9"},
		"no header at all":                  {"10.0.0.1:1234", nil, "10.0.0.1"},
		"an empty header":                   {"10.0.0.1:1234", []string{""}, "10.0.0.1"},
		"garbage":                           {"10.0.0.1:1234", []string{"unknown"}, "10.0.0.1"},
		"garbage before the last hop":       {"10.0.0.1:1234", []string{"203.0.113.9, <script>, 10.2.2.2"}, "10.2.2.2"},
		"a trailing comma":                  {"10.0.0.1:1234", []string{"203.0.113.9,"}, "10.0.0.1"},
		"only proxies":                      {"10.0.0.1:1234", []string{"10.3.3.3, 10.2.2.2"}, "10.3.3.3"},
		"with a port":                       {"10.0.0.1:1234", []string{"203.0.113.9:4711"}, "203.0.113.9"},
		"IPv6":                              {"[fd00::1]:1234", []string{"2001:db8::7"}, "2001:db8::7"},
		"IPv6 in brackets with a port":      {"[fd00::1]:1234", []string{"[2001:db8::7]:4711"}, "2001:db8::7"},
		"IPv6 in brackets":                  {"[fd00::1]:1234", []string{"[2001:db8::7]"}, "2001:db8::7"},
		"an IPv6 zone":                      {"[fe80::1%eth0]:1234", nil, "fe80::1"},
		"a zone in the header":              {"10.0.0.1:1234", []string{"fe80::1%evil"}, "fe80::1"},
		"IPv4 in IPv6":                      {"[::ffff:10.0.0.1]:1234", []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
		"a long list":                       {"10.0.0.1:1234", []string{strings.Repeat("1.1.1.1,", 1000) + "203.0.113.9"}, "203.0.113.9"},
		"an address of another notation":    {"10.0.0.1:1234", []string{"0xCB.0.113.9"}, "10.0.0.1"},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.forwarded}}
		for _, other := range []string{"X-Real-Ip", "Forwarded", "True-Client-Ip", "X_forwarded_for", "Cf-Connecting-Ip", "X-Client-Ip"} {
			r.Header.Set(other, "for=192.0.2.66")
		}
		if got := clientAddress(r, trusted).String(); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

//
func TestSourcesOfIPv6AreWholeNetworks(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"198.51.100.1": "198.51.100.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "2001:db8:1:2:ffff::": "2001:db8:1:2::/64", "2001:db8:1:3::": "2001:db8:1:3::/64", "::1": "::/64",
	} {
		r := &request{address: netip.MustParseAddr(address)}
		if got := r.source(); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}

func TestUserAgentsAreKeptAsFarAsTheyAreText(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"": "", "Mozilla/5.0": "Mozilla/5.0", strings.Repeat("ü", 256): strings.Repeat("ü", 255), "a\x00b": "", "a\tb": "", "\u202Eevil": "", "a\xffb": "ab",
	} {
		if got := cleanUserAgent(header); got != want {
			t.Errorf("%.20q: got %q, want %q", header, got, want)
		}
	}
}

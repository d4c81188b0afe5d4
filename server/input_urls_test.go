package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"usermanager/gen/api"
)

// inputBadURLs are refused in every field that takes a URL.
func inputBadURLs() []string {
	bad := []string{
		"x", "example.com", "www.example.com/a", "/a", "//example.com/a", "///example.com/a", "\\\\example.com\\a", "\\/example.com", "?a", "#a", ".", "..", "http", "http:", "https:", "http:/", "http://",
		"https://", "https:///a", "https:////example.com", "https:example.com", "https:/example.com", "https:\\\\example.com", "https:/\\example.com", "https://\\example.com", "https://?a", "https://#a", "https://:443/a",
		"https://@example.com", "https://a@example.com", "https://a:b@example.com", "https://:b@example.com", "https://a%40b@example.com", "https://example.com@evil.example", "https://linkedin.com:x@evil.example",
		"https://localhost", "https://localhost:8080/a", "https://intranet/a", "https://a", "https://.", "https://..", "https://.com", "https://[::1]/a", "https://[::1", "https://::1/", "https://[fe80::1%25eth0]/a", "https://[::ffff:127.0.0.1]/",
		"https://exa mple.com", "https:// example.com", " https://example.com", "https://example.com ", "https://example.com/a b", "https://example.com\t", "https://exam\tple.com", "https://example.com/\n", "\nhttps://example.com",
		"https://example.com/\"onload=x", "https://example.com/<script>", "https://example.com/>", "https://example.com/`x`", "https://example.com/{x}", "https://example.com/a|b", "https://example.com/a^b", "https://example.com\\a",
		"https://example.com/%zz", "https://example.com/%", "https://exa%6dple.com%", "https://example.com:a/", "https://example.com:-1/", "https://example.com:80:80/", "https://example.com:99999999999999999999x/",
		"https://exa_mple.com", "https://-example.com", "https://example-.com", "https://exam%00ple.com", "https://example.com%2f@evil.example", "https://ex*mple.com", "https://example.com,evil.example", "https://a..example.com", "https://" + strings.Repeat("a", 64) + ".com",
	}
	schemes := []string{
		"javascript", "data", "vbscript", "file", "ftp", "ftps", "ws", "wss", "blob", "about", "chrome", "view-source", "mailto", "tel", "sms", "gopher", "dict", "ldap", "jar", "smb", "ssh", "git", "intent", "android-app",
		"HTTP", "Https", "hTTps", "httpss", "https+x", "xhttps", "http ", "https\t", "ht\ttps", "java\tscript", "java\nscript", "JaVaScRiPt", "\x01javascript", "feed", "ms-word", "urn", "x",
	}
	for _, scheme := range schemes {
		bad = append(bad, scheme+"://example.com/a", scheme+":alert(1)", scheme+"://linkedin.com/in/a", scheme+"://github.com/a")
	}
	return bad
}

// inputForeignURLs are URLs, but not on the one site that a field is for.
func inputForeignURLs(site string) []string {
	name := strings.TrimSuffix(site, ".com")
	foreign := []string{
		"https://example.com/" + site, "https://" + site + ".evil.example/a", "https://evil-" + site + "/a", "https://evil" + site + "/a", "https://" + name + ".co/a", "https://" + name + ".com.co/a", "https://" + name + "-com.example/a",
		"https://" + name + ".example/a", "https://evil.example/?" + site, "https://evil.example/#" + site, "https://evil.example/https://" + site, "https://www." + name + ".net/a", "https://" + site + ":8443/a", "https://" + site + ":80/a",
		"https://" + strings.ReplaceAll(site, "i", "ı") + "/a", "https://" + strings.ReplaceAll(site, "i", "і") + "/a", "https://" + strings.ReplaceAll(site, "n", "ո") + strings.ReplaceAll(site, "u", "υ") + "/a",
		"https://" + strings.ReplaceAll(site, ".", "。") + "/a", "https://" + strings.ReplaceAll(site, ".", "．") + "/a", "https://ｗｗｗ." + site + "/a", "https://" + strings.ReplaceAll(site, "b", "ｂ") + "ⅰ.com/a", "https://xn--" + name + "-.com/a",
		"https://" + strings.ReplaceAll(site, "i", "ｉ") + "/a", "https://" + strings.ToUpper(name[:1]) + "ⓘ" + name[2:] + ".com/a", "https://" + name + "\u00ad.com/a", "https://" + name + "\u200b.com/a", "https://127.0.0.1/" + site,
	}
	if strings.Contains(site, "k") {
		foreign = append(foreign, "https://"+strings.ReplaceAll(site, "k", "\u212a")+"/a") // KELVIN SIGN, which is k in lower case
	}
	return foreign
}

func TestOnlyPlainURLsOfTheRightSiteAreTaken(t *testing.T) { // I-14
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	own := contractOperationOf(t, "updateOwnProfile")
	set := func(field, value string) response {
		return w.send(w.request(own).raw(string(contractEncode("application/json", map[string]any{field: value}))))
	}
	fields := map[string]string{"profile_picture_url": "", "linkedin_profile_url": "linkedin.com", "github_profile_url": "github.com"}
	samples := 0
	w.storesNothing(func() {
		for field, site := range fields {
			bad := inputBadURLs()
			if site != "" {
				bad = append(bad, inputForeignURLs(site)...)
			}
			samples = max(samples, len(bad))
			for _, value := range bad {
				got := set(field, value)
				p := w.refused(field+" "+value, got, http.StatusUnprocessableEntity, api.ProblemCodeValidationFailed)
				if len(fieldCodes(p)["/"+field]) == 0 || strings.Contains(string(got.body), "evil") {
					t.Errorf("%s %q: got %s, want an error at the field that repeats nothing", field, value, got.body)
				}
			}
		}
	})
	if samples < 200 {
		t.Errorf("got %d samples, want 200", samples)
	}
	for field, values := range map[string][]string{
		"profile_picture_url": {
			"https://example.com", "http://example.com/", "https://example.com/a.png?size=2&x=%20#top", "https://cdn.pictures.example.com:8443/a/b/c", "https://xn--bcher-kva.example/a", "https://bücher.example/a", "https://example.com./a",
			"https://example.com/~ada/(1)/a,b;c=d/@x/!*'", "https://example.com/ümlaut", "https://example.co.uk/" + strings.Repeat("a", 200),
		},
		"linkedin_profile_url": {"https://linkedin.com/in/ada", "https://www.linkedin.com/in/ada-lovelace/", "https://de.linkedin.com/in/ada", "http://linkedin.com/in/ada", "https://LinkedIn.com/in/ada", "https://www.linkedin.com/in/zo%C3%AB"},
		"github_profile_url":   {"https://github.com/ada", "https://www.github.com/ada", "https://gist.github.com/ada", "https://GitHub.com/ada?tab=repositories#top"},
	} {
		for _, value := range values {
			got := set(field, value)
			var profile map[string]any
			if err := json.Unmarshal(got.body, &profile); err != nil || got.status != http.StatusOK || profile[field] != value {
				t.Errorf("%s %q: got %d %s, want it kept as it is", field, value, got.status, got.body)
			}
		}
	}
}

package server_test

import (
	"bytes"
	"compress/gzip"
	"mime"
	"net/http"
	"testing"

	"usermanager/gen/api"
)

func TestOnlyTheDocumentedMediaTypeIsTaken(t *testing.T) { // I-06
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	const form, document = "application/x-www-form-urlencoded", "application/json"
	refused := []string{
		"", "text/plain", "text/plain;charset=utf-8", "multipart/form-data; boundary=x", "application/xml", "text/xml", "text/json", "application/jsonp",
		"application/json-patch+json", "application/merge-patch+json", "application/problem+json", "application/x-json", "application/octet-stream",
		"application/*", "*/*", "json", "application/", "/json", "application/json, text/plain", "application/json;charset=utf-16", "application/json;charset=latin1",
		"application/json;charset", "application/json;charset=utf-8;charset=utf-16", "application/json\x85", "application/jsonx", "application/x-www-form-urlencoded-x",
		"application/x-www-form-urlencoded;charset=utf-16",
	}
	w.storesNothing(func() {
		for _, op := range contractOperations() {
			documented, _ := op.example()
			if documented == "" {
				continue
			}
			others := append([]string{document}, refused...)
			if documented == document {
				others[0] = form
			}
			for _, mediaType := range others {
				got := w.send(w.request(op).set("Content-Type", mediaType))
				w.refused(op.OperationID+" as "+mediaType, got, http.StatusUnsupportedMediaType, api.ProblemCodeUnsupportedMediaType)
			}
			none := w.request(op)
			none.header.Del("Content-Type")
			w.refused(op.OperationID+" without a type", w.send(none), http.StatusUnsupportedMediaType, api.ProblemCodeUnsupportedMediaType)
			none.token = ""
			w.refused(op.OperationID+" without type and token", w.send(none), http.StatusUnsupportedMediaType, api.ProblemCodeUnsupportedMediaType)
			for _, suffix := range []string{"", ";charset=utf-8", "; charset=UTF-8", `;charset="utf-8"`, " "} {
				got := w.send(w.request(op).set("Content-Type", documented+suffix).raw("\x00"))
				if got.status == http.StatusUnsupportedMediaType {
					t.Errorf("%s as %q: got 415, want it read", op.OperationID, documented+suffix)
				}
			}
		}
	})
}

func TestACompressedBodyIsRefusedUnread(t *testing.T) { // I-07
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	w.storesNothing(func() {
		for _, op := range contractOperations() {
			if op.RequestBody == nil {
				continue
			}
			var packed bytes.Buffer
			z := gzip.NewWriter(&packed)
			if _, err := z.Write(w.request(op).body); err != nil {
				t.Fatal(err)
			}
			if err := z.Close(); err != nil {
				t.Fatal(err)
			}
			for _, encoding := range []string{"gzip", "GZIP", "x-gzip", "br", "deflate", "zstd", "compress", "gzip, gzip", "identity, gzip", "aes128gcm", "*", "unknown"} {
				got := w.send(w.request(op).set("Content-Encoding", encoding).raw(packed.String()))
				w.refused(op.OperationID+" as "+encoding, got, http.StatusUnsupportedMediaType, api.ProblemCodeUnsupportedMediaType)
			}
			// Without the header it is not guessed.
			if got := w.send(w.request(op).raw(packed.String())); got.status != http.StatusBadRequest {
				t.Errorf("%s with gzip that says nothing of it: got %d %s, want 400", op.OperationID, got.status, got.body)
			}
			if got := w.send(w.request(op).set("Content-Encoding", "identity").raw("\x00")); got.status == http.StatusUnsupportedMediaType {
				t.Errorf("%s as identity: got 415, want it read", op.OperationID)
			}
		}
	})
}

func TestAnAnswerIsJSONWhateverIsAccepted(t *testing.T) { // I-06, I-20
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	for _, accept := range []string{"", "*/*", "text/html", "application/xml", "application/json;q=0", "text/html;q=1, */*;q=0", "nonsense", "application/json; charset=utf-16"} {
		for id, want := range map[string]string{"getOwnProfile": "application/json", "listUsers": "application/json", "verifyEmail": "application/problem+json", "showDocs": "text/html"} {
			got := w.send(w.request(contractOperationOf(t, id)).set("Accept", accept).set("Accept-Encoding", "gzip, br").set("Accept-Charset", "utf-16"))
			mediaType, params, err := mime.ParseMediaType(got.header.Get("Content-Type"))
			if err != nil || mediaType != want || got.header.Get("Content-Encoding") != "" {
				t.Errorf("%s accepting %q: got %q %q, want %s", id, accept, got.header.Get("Content-Type"), got.header.Get("Content-Encoding"), want)
			}
			if want == "application/json" && params["charset"] != "utf-8" {
				t.Errorf("%s: got Content-Type %q, want it to say utf-8", id, got.header.Get("Content-Type"))
			}
		}
	}
}

func TestABodyOfAnOperationWithoutOneChangesNothing(t *testing.T) { // I-06
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	for _, id := range []string{"upgradeUser", "downgradeUser", "unlockUser", "getUser", "listUsers"} {
		for _, body := range []string{`{"is_professional":false,"role":"ADMIN"}`, "{", "\x00\xff"} {
			got := w.send(w.request(contractOperationOf(t, id)).set("Content-Type", "application/json").raw(body))
			if got.status != http.StatusOK {
				t.Errorf("%s with a body: got %d %s, want it ignored", id, got.status, got.body)
			}
		}
	}
	if n := w.count("SELECT count(*) FROM users WHERE id = $1 AND role_when_verified = 'AUTHENTICATED'", w.target.id); n != 1 {
		t.Error("the ignored body changed the account")
	}
}

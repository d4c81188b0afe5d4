package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

// wide is a code point of four bytes in UTF-8 and two units in UTF-16: every way to count differs.
const wide = "𐐷"

func TestEveryFieldIsRefusedAboveItsLength(t *testing.T) { // I-04
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	w.storesNothing(func() {
		for _, f := range inputFields() {
			if len(f.schema.Enum) > 0 {
				continue
			}
			if f.schema.MaxLength == nil {
				t.Errorf("%s has no maxLength", f)
				continue
			}
			for _, filler := range []string{"a", wide} {
				rest := f.rest()
				rest[f.name] = strings.Repeat(filler, int(*f.schema.MaxLength)+1)
				what := f.String() + " one longer than its limit"
				got := w.send(w.request(f.op).raw(string(contractEncode("application/json", rest))))
				p := w.refused(what, got, http.StatusUnprocessableEntity, api.ProblemCodeValidationFailed)
				w.names(what, p, "/"+f.name, api.FieldCodeTooLong)
				for _, e := range p.Errors {
					if e.Code == api.FieldCodeTooLong && e.Params["max"] != strconv.FormatUint(*f.schema.MaxLength, 10) {
						t.Errorf("%s: got params %v, want max %d", what, e.Params, *f.schema.MaxLength)
					}
				}
			}
		}
	})
}

func TestEveryFieldIsTakenAtItsLength(t *testing.T) { // I-04
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	own := contractOperationOf(t, "updateOwnProfile")
	pad := func(prefix string, n int) string { return prefix + strings.Repeat("a", n-len(prefix)) }
	for name, value := range map[string]string{
		"first_name": strings.Repeat(wide, 100), "last_name": strings.Repeat("é", 100), "bio": strings.Repeat(wide, 500),
		"nickname": pad("n", 30), "profile_picture_url": pad("https://p.example.com/", 255), "github_profile_url": pad("https://github.com/", 255),
		"linkedin_profile_url": pad("https://linkedin.com/in/", 255), "preferred_language": "en-x" + strings.Repeat("-aaaaaaaa", 4) + "-aaaa-aaaa",
	} {
		got := w.send(w.request(own).raw(string(contractEncode("application/json", map[string]any{name: value}))))
		var profile map[string]any
		if err := json.Unmarshal(got.body, &profile); err != nil || got.status != http.StatusOK || profile[name] != value {
			t.Errorf("%s of %d bytes: got %d %s, want it kept", name, len(value), got.status, got.body)
		}
	}
	email := pad("l", 64) + "@" + pad("d", 63) + "." + pad("d", 63) + "." + pad("d", 57) + ".com"
	for _, c := range []struct {
		email  string
		status int
	}{{email, 201}, {"l" + email, 422}, {"l" + strings.Replace(email, "@d", "@", 1), 422}, {email + "m", 422}} { // 254; a local part of 65; 255
		got := w.call(http.MethodPost, "/register", "", map[string]string{"email": c.email, "password": goodPassword})
		if got.status != c.status {
			t.Errorf("an address of %d bytes: got %d %s, want %d", len(c.email), got.status, got.body, c.status)
		}
	}
	reason := strings.Repeat(wide, 500)
	lock := w.send(w.request(contractOperationOf(t, "lockUser")).with("reason", reason))
	var user api.User
	if err := json.Unmarshal(lock.body, &user); err != nil || user.LockReason.MustGet() != reason {
		t.Errorf("a reason of 500 characters: got %d %s, want it kept", lock.status, lock.body)
	}
	for length, status := range map[int]int{8: 201, 256: 201, 257: 422, 1024: 422, 1025: 422} {
		password := "Aa1*" + strings.Repeat(wide, length-4)
		if got := w.call(http.MethodPost, "/register", "", map[string]string{"email": uniqueEmail(), "password": password}); got.status != status {
			t.Errorf("a password of %d code points: got %d %s, want %d", length, got.status, got.body, status)
		}
	}
}

func TestABodyOfTheLimitIsReadAndALargerOneIsNot(t *testing.T) { // I-04
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	for _, op := range contractOperations() {
		if op.RequestBody == nil {
			continue
		}
		atLimit := w.request(op).body
		atLimit = append(atLimit, bytes.Repeat([]byte(" "), 64<<10-len(atLimit))...)
		if op.OperationID == "login" {
			atLimit = []byte("username=" + strings.Repeat("a", 64<<10-9))
		}
		readers := map[string]func([]byte) io.Reader{
			"of known length": func(b []byte) io.Reader { return bytes.NewReader(b) }, "in chunks": func(b []byte) io.Reader { return io.MultiReader(bytes.NewReader(b)) },
		}
		for how, reader := range readers {
			if got := w.sendBody(w.request(op), reader(atLimit)); got.status == http.StatusRequestEntityTooLarge || got.status == http.StatusBadRequest {
				t.Errorf("%s: a body of 64 KiB %s: got %d %s, want it read", op.OperationID, how, got.status, got.body)
			}
			got := w.sendBody(w.request(op), reader(append(atLimit, ' ')))
			w.refused(op.OperationID+": one byte more "+how, got, http.StatusRequestEntityTooLarge, api.ProblemCodePayloadTooLarge)
		}
	}
}

// bottomless is a body that never ends, and counts what was read of it.
type bottomless struct{ read atomic.Int64 }

func (b *bottomless) Read(p []byte) (int, error) {
	b.read.Add(int64(len(p)))
	return copy(p, bytes.Repeat([]byte("a"), len(p))), nil
}

func TestAnEndlessBodyIsNotReadToItsEnd(t *testing.T) { // I-04
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	for _, id := range []string{"register", "login", "updateOwnProfile"} {
		body := &bottomless{}
		got := w.sendBody(w.request(contractOperationOf(t, id)), body)
		w.refused(id, got, http.StatusRequestEntityTooLarge, api.ProblemCodePayloadTooLarge)
		if sent := body.read.Load(); sent > 16<<20 {
			t.Errorf("%s: %d bytes went out before the answer, want no more than what buffers hold", id, sent)
		}
	}
}

func TestDeepAndWideBodiesAreRefusedAtOnce(t *testing.T) { // I-05
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	wideObject := func(n int) string {
		var b strings.Builder
		b.WriteString(`{"email":1`)
		for i := range n {
			fmt.Fprintf(&b, `,"%s%d":1`, inputCanary[:1], i)
		}
		return b.String() + "}"
	}
	bodies := map[string]struct {
		body     string
		statuses []int
	}{
		"60 000 open arrays":        {strings.Repeat("[", 60_000), []int{400}},
		"30 000 nested arrays":      {`{"first_name":` + strings.Repeat("[", 30_000) + strings.Repeat("]", 30_000) + "}", []int{400}},
		"9 000 nested arrays":       {`{"first_name":` + strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000) + "}", []int{422}},
		"9 000 nested objects":      {`{"first_name":` + strings.Repeat(`{"a":`, 9_000) + "1" + strings.Repeat("}", 9_000) + "}", []int{422}},
		"100 000 open arrays":       {strings.Repeat("[", 100_000), []int{413}},
		"6 000 keys":                {wideObject(6_000), []int{422}},
		"100 000 keys":              {wideObject(100_000), []int{413}},
		"a number of 60 000 digits": {`{"first_name":` + strings.Repeat("9", 60_000) + "}", []int{400, 422}},
		"a long fraction":           {`{"first_name":0.` + strings.Repeat("9", 60_000) + "}", []int{422}},
		"a number beyond any float": {`{"first_name":1e999999999}`, []int{400, 422}},
		"30 000 quotes":             {`{"first_name":"` + strings.Repeat(`\"`, 30_000) + `"}`, []int{422}},
		"a key of 60 000 letters":   {`{"` + strings.Repeat("k", 60_000) + `":1}`, []int{422}},
		"a long key twice":          {`{"` + strings.Repeat("k", 20_000) + `":1,"` + strings.Repeat("k", 20_000) + `":1}`, []int{400}},
		"a key full of slashes":     {`{"` + strings.Repeat("/~", 10_000) + `":1}`, []int{422}},
		"an array of 30 000":        {`{"first_name":[1` + strings.Repeat(",1", 30_000) + "]}", []int{422}},
	}
	for name, c := range bodies {
		for _, id := range []string{"register", "updateOwnProfile", "createUser"} {
			var got response
			took := time.Hour
			for range 3 { // the fastest of three says what it costs when nothing else runs
				began := time.Now()
				got = w.send(w.request(contractOperationOf(t, id)).raw(c.body))
				took = min(took, time.Since(began))
			}
			isExpected := false
			for _, status := range c.statuses {
				isExpected = isExpected || got.status == status
			}
			if !isExpected {
				t.Errorf("%s to %s: got %d %.300s, want one of %v", name, id, got.status, got.body, c.statuses)
			}
			if took > time.Second { // some milliseconds on an idle machine
				t.Errorf("%s to %s took %s", name, id, took)
			}
			if len(got.body) > 1<<20 {
				t.Errorf("%s to %s: the answer has %d bytes", name, id, len(got.body))
			}
		}
	}
}

func TestManyParametersAndHeadersAreBounded(t *testing.T) { // I-04
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	list := w.request(contractOperationOf(t, "listUsers"))
	for name, query := range map[string]string{
		"1 000 unknown parameters": "?a" + strings.Join(inputNumbers(1000), "=1&a") + "=1", "one parameter 1 000 times": "?limit=1" + strings.Repeat("&limit=1", 999),
	} {
		r := list
		r.path += query
		got := w.send(r)
		w.refused(name, got, http.StatusUnprocessableEntity, api.ProblemCodeValidationFailed)
	}
	// net/http refuses the rest by itself, in plain text: no handler sees it.
	for name, change := range map[string]func(http.Header){
		"a header of 64 KiB": func(h http.Header) { h.Set("X-Long", strings.Repeat("a", 64<<10)) },
		"3 000 headers": func(h http.Header) {
			for _, n := range inputNumbers(3000) {
				h.Set("X-Many-"+n, "value")
			}
		},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+"/users/me", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		change(req.Header)
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s: got status %d, want 431", name, resp.StatusCode)
		}
	}
}

func inputNumbers(n int) []string {
	numbers := make([]string, n)
	for i := range numbers {
		numbers[i] = strconv.Itoa(i)
	}
	return numbers
}

//nolint:paralleltest // it looks at the memory of the whole process
func TestRefusedBodiesLeaveNoMemoryBehind(t *testing.T) { // I-05, I-07
	w := newContractWorld(t, newSystem(t, contractProxies, func(o *server.Options) { o.Logger = slog.New(slog.DiscardHandler) }))
	r := w.request(contractOperationOf(t, "register"))
	r.token = w.callers[query.UserRoleADMIN].token
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	w.send(r.raw("["))
	before := heap()
	for i := range 50 {
		w.send(r.raw(`{"first_name":` + strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000) + "}"))
		if i%10 == 0 {
			w.sendBody(r.set("Content-Encoding", "gzip"), &bottomless{})
		}
	}
	if after := heap(); after > before+20<<20 {
		t.Errorf("the refused bodies left %d KiB", (after-before)>>10)
	}
}

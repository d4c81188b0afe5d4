package server_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"usermanager/gen/api"
)

// closedSpec is the contract with its objects closed: a field or a header that leaks is not declared and is seen.
var closedSpec = sync.OnceValue(func() *openapi3.T {
	spec, err := api.GetSwagger()
	if err != nil {
		panic(err)
	}
	for name, schema := range spec.Components.Schemas {
		if name != "Document" && schema.Value.AdditionalProperties.Has == nil && schema.Value.AdditionalProperties.Schema == nil {
			schema.Value.AdditionalProperties.Has = new(bool)
		}
	}
	return spec
})

// validatingTransport fails a test when an answer is not what the contract declares.
type validatingTransport struct{ t testing.TB }

func (v *validatingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		return resp, err
	}
	if err := checkResponse(r, resp, body); err != nil {
		v.t.Errorf("%s %s answered %d: %v\n%s", r.Method, r.URL.Path, resp.StatusCode, err, body)
	}
	return resp, nil
}

// standardHeaders may stand on every response without being declared.
var standardHeaders = []string{
	"Access-Control-Allow-Credentials", "Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Allow", "Cache-Control", "Content-Length", "Content-Security-Policy",
	"Content-Type", "Cross-Origin-Resource-Policy", "Connection", "Date", "Referrer-Policy", "Strict-Transport-Security", "Vary",
	"X-Content-Type-Options", "X-Request-Id",
}

func checkResponse(r *http.Request, resp *http.Response, body []byte) error {
	path, item := findPath(r.URL.Path)
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if item == nil || item.GetOperation(method) == nil {
		return checkUndeclared(r, resp, body)
	}
	op := item.GetOperation(method)
	ref := op.Responses.Status(resp.StatusCode)
	if ref == nil {
		return fmt.Errorf("operation %s does not declare status %d", op.OperationID, resp.StatusCode)
	}
	for name := range resp.Header {
		if ref.Value.Headers[name] == nil && !slices.Contains(standardHeaders, name) {
			// The map's keys are spelled as in the contract: ETag is Etag on the wire.
			if !slices.ContainsFunc(slices.Collect(maps.Keys(ref.Value.Headers)), func(h string) bool { return strings.EqualFold(h, name) }) {
				return fmt.Errorf("operation %s does not declare header %s", op.OperationID, name)
			}
		}
	}
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	seen.status(op.OperationID, resp.StatusCode)
	if mediaType == "application/problem+json" && r.Method != http.MethodHead {
		if err := checkProblem(op, ref.Value, resp.StatusCode, body); err != nil {
			return err
		}
	}
	isText := mediaType == "text/html" || mediaType == "application/yaml"
	if isText && ref.Value.Content[mediaType] == nil {
		return fmt.Errorf("operation %s does not declare %s", op.OperationID, mediaType)
	}
	return openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: r, Route: &routers.Route{Spec: closedSpec(), Path: path, PathItem: item, Method: method, Operation: op},
		},
		Status: resp.StatusCode, Header: resp.Header, Body: io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{
			IncludeResponseStatus: true, MultiError: true, ExcludeResponseBody: isText || r.Method == http.MethodHead,
		},
	})
}

// checkUndeclared lets problems of unknown routes, preflights and the listed pages pass.
func checkUndeclared(r *http.Request, resp *http.Response, body []byte) error {
	isPage := strings.HasPrefix(r.URL.Path, "/docs/") || strings.HasPrefix(r.URL.Path, "/dev/inbox")
	switch {
	case isPage, r.Method == http.MethodOptions:
		return nil
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusMethodNotAllowed:
		seen.undeclared(body)
		if resp.Header.Get("Content-Type") == "application/problem+json" {
			return nil
		}
	case resp.StatusCode == http.StatusBadRequest && resp.Header.Get("X-Request-Id") == "":
		return nil // net/http's own answer to what is no HTTP
	}
	return fmt.Errorf("not declared: %s", resp.Header.Get("Content-Type"))
}

// findPath matches a request's path to one of the contract, static segments first.
func findPath(requested string) (string, *openapi3.PathItem) {
	if len(requested) > 1 {
		requested = strings.TrimSuffix(requested, "/")
	}
	parts := strings.Split(requested, "/")
	best, bestParams := "", len(parts)+1
	for path := range closedSpec().Paths.Map() {
		template := strings.Split(path, "/")
		if len(template) != len(parts) {
			continue
		}
		params, matches := 0, true
		for i, part := range template {
			if strings.HasPrefix(part, "{") {
				params++
				matches = matches && parts[i] != ""
			} else if part != parts[i] {
				matches = false
			}
		}
		if matches && params < bestParams {
			best, bestParams = path, params
		}
	}
	return best, closedSpec().Paths.Value(best)
}

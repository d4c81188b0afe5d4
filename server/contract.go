package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

const (
	maxBodyBytes = 64 << 10 // I-04: no operation needs a tenth of it
	maxURIBytes  = 8 << 10
)

// contract is openapi.yaml as the server enforces it: the operations by Echo's route, and which role has
// which scopes. Nothing about permissions is written anywhere else.
type contract struct {
	spec       *openapi3.T
	operations map[string]*operation // by method and Echo's path
	byID       map[string]*operation
	scopes     map[query.UserRole][]string
}

// operation is what the contract says about one operation.
type operation struct {
	id       string
	method   string
	path     string // as in openapi.yaml
	rel      string // of links that lead here
	isPublic bool
	scopes   []string // all of them are needed
	// isClosed: the operation forgot its security line, so nobody may call it (Z-01).
	isClosed  bool
	spec      *openapi3.Operation
	body      *openapi3.Schema // nil when there is none
	mediaType string
	query     map[string]*openapi3.Parameter
	limitsURI bool
	// cacheSeconds is how long anyone may keep a success; 0 for the others, which nobody may.
	cacheSeconds float64
}

func newContract() (*contract, error) {
	spec, err := api.GetSwagger()
	if err != nil {
		return nil, fmt.Errorf("load openapi.yaml: %w", err)
	}
	return contractOf(spec)
}

func contractOf(spec *openapi3.T) (*contract, error) {
	ct := &contract{spec: spec, operations: map[string]*operation{}, byID: map[string]*operation{}, scopes: map[query.UserRole][]string{}}
	scheme := spec.Components.SecuritySchemes["oauth2"]
	if scheme == nil {
		return nil, fmt.Errorf("openapi.yaml: no security scheme oauth2")
	}
	roles, err := json.Marshal(scheme.Value.Extensions["x-roles"])
	if err != nil {
		return nil, fmt.Errorf("openapi.yaml: x-roles: %w", err)
	}
	if err := json.Unmarshal(roles, &ct.scopes); err != nil {
		return nil, fmt.Errorf("openapi.yaml: x-roles: %w", err)
	}
	for path, item := range spec.Paths.Map() {
		for method, op := range item.Operations() {
			o := newOperation(method, path, op)
			ct.operations[method+" "+echoPath(path)] = o
			ct.byID[o.id] = o
		}
	}
	return ct, nil
}

func newOperation(method, path string, op *openapi3.Operation) *operation {
	o := &operation{
		id: op.OperationID, method: method, path: path, spec: op, query: map[string]*openapi3.Parameter{},
		limitsURI: op.Responses.Value("414") != nil,
	}
	o.rel, _ = op.Extensions["x-rel"].(string)
	o.cacheSeconds, _ = op.Extensions["x-cache-seconds"].(float64)
	o.isClosed = op.Security == nil
	o.isPublic = op.Security != nil && len(*op.Security) == 0
	if op.Security != nil && len(*op.Security) > 0 {
		o.scopes = (*op.Security)[0]["oauth2"]
		o.isClosed = len(o.scopes) == 0
	}
	if op.RequestBody != nil {
		for mediaType, content := range op.RequestBody.Value.Content { // one each: a rule of the contract
			o.mediaType, o.body = mediaType, content.Schema.Value
		}
	}
	for _, p := range op.Parameters {
		if p.Value.In == openapi3.ParameterInQuery {
			o.query[p.Value.Name] = p.Value
		}
	}
	return o
}

// echoPath writes a path of openapi.yaml the way Echo names its route.
func echoPath(path string) string {
	return strings.NewReplacer("{", ":", "}", "").Replace(path)
}

func (ct *contract) find(c echo.Context) *operation {
	method := c.Request().Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	return ct.operations[method+" "+c.Path()]
}

func (ct *contract) roleHas(role query.UserRole, scopes ...string) bool {
	for _, scope := range scopes {
		if !slices.Contains(ct.scopes[role], scope) {
			return false
		}
	}
	return true
}

// enforceContract holds a request to its operation, in this order: media type, who is calling, what they may
// do, syntax, ids, then every field at once. What passes is what the handler gets: the validated value itself
// is bound, not a second reading of the body.
func (s *Server) enforceContract(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		op := s.contract.find(c)
		if op == nil {
			return next(c) // 404, 405, the docs' assets, the inbox
		}
		r := requestOf(c.Request().Context())
		r.operation = op
		if op.limitsURI && len(c.Request().RequestURI) > maxURIBytes {
			return fail(api.ProblemCodeURITooLong)
		}
		if err := op.checkMediaType(c.Request()); err != nil {
			return err
		}
		if err := s.authorize(c, op); err != nil {
			return err
		}
		body, err := op.readBody(c)
		if err != nil {
			return err
		}
		if !hasWellFormedIDs(c) {
			return fail(api.ProblemCodeNotFound)
		}
		if err := s.requireFieldScopes(op, r.actor, body); err != nil {
			return err
		}
		broken := op.checkParameters(c)
		if op.body != nil {
			broken = append(broken, s.checkBody(op, body)...)
		}
		if len(broken) > 0 {
			return &Problem{Code: api.ProblemCodeValidationFailed, Errors: broken}
		}
		if op.cacheSeconds > 0 {
			c.Response().Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%.0f", op.cacheSeconds))
		}
		return next(c)
	}
}

// authorize finds out who is calling and whether the contract lets them.
func (s *Server) authorize(c echo.Context, op *operation) error {
	if op.isPublic {
		return nil
	}
	actor, err := s.authenticate(c.Request())
	if err != nil {
		return err
	}
	requestOf(c.Request().Context()).actor = actor
	if op.isClosed || !s.contract.roleHas(actor.Role, op.scopes...) {
		return fail(api.ProblemCodeMissingPermission)
	}
	return nil
}

// hasBody says whether there is one to read: what the contract lets a client leave out is left out without a type.
func (op *operation) hasBody(r *http.Request) bool {
	return op.body != nil && (op.spec.RequestBody.Value.Required || r.ContentLength != 0 || r.Header.Get("Content-Type") != "")
}

// checkMediaType takes the documented media type only, in UTF-8 and uncompressed (I-06, I-07).
func (op *operation) checkMediaType(r *http.Request) error {
	if !op.hasBody(r) {
		return nil
	}
	mediaType, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset, hasCharset := params["charset"]
	isCompressed := r.Header.Get("Content-Encoding") != "" && !strings.EqualFold(r.Header.Get("Content-Encoding"), "identity")
	if err != nil || mediaType != op.mediaType || hasCharset && !strings.EqualFold(charset, "utf-8") || isCompressed {
		return fail(api.ProblemCodeUnsupportedMediaType)
	}
	return nil
}

// readBody reads the body and leaves it, parsed, for the handler.
func (op *operation) readBody(c echo.Context) (map[string]any, error) {
	r := c.Request()
	if op.body == nil {
		return nil, nil
	}
	if !op.hasBody(r) {
		r.Body = validatedBody{http.NoBody, map[string]any{}}
		return map[string]any{}, nil
	}
	if r.ContentLength > maxBodyBytes {
		return nil, fail(api.ProblemCodePayloadTooLarge)
	}
	data, err := io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, maxBodyBytes))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, fail(api.ProblemCodePayloadTooLarge)
		}
		return nil, &Problem{Code: api.ProblemCodeMalformedRequest, cause: err} // the client stopped sending
	}
	parse := parseJSON
	if op.mediaType == echo.MIMEApplicationForm {
		parse = parseForm
	}
	value, err := parse(data)
	if err != nil {
		return nil, err
	}
	r.Body = validatedBody{io.NopCloser(bytes.NewReader(data)), value}
	return value, nil
}

// validatedBody hands the generated code the value that was validated.
type validatedBody struct {
	io.ReadCloser
	value map[string]any
}

func (b validatedBody) ValidatedValue() any { return b.value }

// hasWellFormedIDs takes the canonical form of an id only: any other spelling is the address of nothing (Z-11).
func hasWellFormedIDs(c echo.Context) bool {
	for _, name := range c.ParamNames() {
		if (name == "user_id" || name == "session_id") && !isCanonicalID(c.Param(name)) { // it may be empty: /users//lock
			return false
		}
	}
	return true
}

func isCanonicalID(id string) bool {
	if len(id) != 36 {
		return false
	}
	for i, r := range id {
		isDash := i == 8 || i == 13 || i == 18 || i == 23
		if isDash != (r == '-') || !isDash && !strings.ContainsRune("0123456789abcdef", r) {
			return false
		}
	}
	return true
}

// requireFieldScopes asks for the scope of each field that needs one of its own (x-requires-scope), unless
// it says what is so without it.
func (s *Server) requireFieldScopes(op *operation, actor *actor, body map[string]any) error {
	if op.body == nil {
		return nil
	}
	for name, property := range op.body.Properties {
		scope, ok := property.Value.Extensions["x-requires-scope"].(string)
		value, isGiven := body[name]
		if ok && isGiven && value != property.Value.Default && !s.contract.roleHas(actor.Role, scope) {
			return fail(api.ProblemCodeMissingPermission)
		}
	}
	return nil
}

// absolute is a path of this server as clients reach it.
func (s *Server) absolute(path string, values url.Values) string {
	u := *s.PublicURL
	u.Path = strings.TrimSuffix(u.Path, "/") + path
	u.RawQuery = values.Encode()
	return u.String()
}

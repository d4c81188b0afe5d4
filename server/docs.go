package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/swaggest/swgui/v5emb"

	"usermanager/gen/api"
	"usermanager/gen/spec"
)

// docsFiles are the files of Swagger UI that the page of showDocs loads. The others that are embedded are pages of
// their own, which our policy would leave blank.
var docsFiles = []string{"/docs/favicon-32x32.png", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"}

// docsRoutes serves them. Their ETag, which is not in quotes, is left out: they change with a release only.
func (s *Server) docsRoutes(e *echo.Echo) {
	if !s.Docs {
		return
	}
	files := v5emb.New("", "", "/docs")
	withHead{e}.GET("/docs/*", func(c echo.Context) error {
		path, header := c.Request().URL.Path, c.Response().Header()
		if path == "/docs/swagger-ui.css.map" {
			// The style sheet names it, but it is not embedded: developer tools would report a failure on the console.
			return c.JSON(http.StatusOK, map[string]any{"version": 3, "sources": []string{}, "mappings": ""})
		}
		if !slices.Contains(docsFiles, path) {
			return fail(api.ProblemCodeNotFound)
		}
		header.Set("Cache-Control", "public, max-age=3600")
		c.Response().Before(func() { header.Del("ETag") })
		files.ServeHTTP(c.Response(), c.Request())
		return nil
	})
}

// ShowDocs is the page of Swagger UI. Nothing on it comes from another host, and its policy allows nothing else.
func (s *Server) ShowDocs(context.Context, api.ShowDocsRequestObject) (api.ShowDocsResponseObject, error) {
	if !s.Docs {
		return nil, fail(api.ProblemCodeNotFound)
	}
	return s.pages.docs, nil
}

// document is the contract as it is published in one notation. It is the same for everyone, so it is made once.
type document struct {
	body []byte
	etag string // strong (RFC 9110, 8.8.3): it changes with every byte
}

func newDocument(body []byte) document {
	sum := sha256.Sum256(body)
	return document{body: body, etag: `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`}
}

// documents are the contract as its authors wrote it, and as JSON.
type documents struct{ yaml, json document }

func newDocuments() (documents, error) {
	data, err := api.GetSpecJSON()
	if err != nil {
		return documents{}, fmt.Errorf("read embedded openapi.yaml: %w", err)
	}
	return documents{yaml: newDocument(spec.YAML), json: newDocument(data)}, nil
}

// isHeldBy tells whether the client that sends this If-None-Match has the document (RFC 9110, 13.1.2: a weak tag
// counts here, and * stands for any copy).
func (d document) isHeldBy(ifNoneMatch *string) bool {
	if ifNoneMatch == nil {
		return false
	}
	for held := range strings.SplitSeq(*ifNoneMatch, ",") {
		held = strings.TrimPrefix(strings.TrimSpace(held), "W/")
		if held == d.etag || held == "*" {
			return true
		}
	}
	return false
}

func (d document) notModified() api.NotModifiedResponse {
	return api.NotModifiedResponse{Headers: api.NotModifiedResponseHeaders{ETag: d.etag}}
}

// GetOpenapiYaml answers the contract that this server enforces, as its authors wrote it.
func (s *Server) GetOpenapiYaml(_ context.Context, req api.GetOpenapiYamlRequestObject) (api.GetOpenapiYamlResponseObject, error) {
	d := s.published.yaml
	if d.isHeldBy(req.Params.IfNoneMatch) {
		return d.notModified(), nil
	}
	return api.GetOpenapiYaml200ApplicationYamlResponse{
		Body: bytes.NewReader(d.body), ContentLength: int64(len(d.body)), Headers: api.GetOpenapiYaml200ResponseHeaders{ETag: d.etag},
	}, nil
}

// GetOpenapiJSON answers the contract as JSON.
func (s *Server) GetOpenapiJSON(_ context.Context, req api.GetOpenapiJSONRequestObject) (api.GetOpenapiJSONResponseObject, error) {
	d := s.published.json
	if d.isHeldBy(req.Params.IfNoneMatch) {
		return d.notModified(), nil
	}
	return jsonDocument(d), nil
}

// jsonDocument is a document that is JSON already: the generated response would encode it anew.
type jsonDocument document

// VisitGetOpenapiJSONResponse writes it.
func (d jsonDocument) VisitGetOpenapiJSONResponse(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("ETag", d.etag)
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(d.body)
	return err
}

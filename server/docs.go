package server

import (
	"bytes"
	"context"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/swaggest/swgui/v5emb"

	"usermanager/gen/api"
	"usermanager/gen/spec"
)

// docsRoutes serves the files of Swagger UI, which the page of showDocs loads.
func (s *Server) docsRoutes(e *echo.Echo) {
	if !s.Docs {
		return
	}
	files := v5emb.New("", "", "/docs")
	withHead{e}.GET("/docs/*", echo.WrapHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=3600")
		files.ServeHTTP(w, r)
	})))
}

// ShowDocs is the page of Swagger UI. Nothing on it comes from another host, and its policy allows nothing else.
func (s *Server) ShowDocs(context.Context, api.ShowDocsRequestObject) (api.ShowDocsResponseObject, error) {
	if !s.Docs {
		return nil, fail(api.ProblemCodeNotFound)
	}
	return s.pages.docs, nil
}

// GetOpenapiYaml answers the contract that this server enforces, as its authors wrote it.
func (s *Server) GetOpenapiYaml(context.Context, api.GetOpenapiYamlRequestObject) (api.GetOpenapiYamlResponseObject, error) {
	return api.GetOpenapiYaml200ApplicationYamlResponse{Body: bytes.NewReader(spec.YAML), ContentLength: int64(len(spec.YAML))}, nil
}

// GetOpenapiJSON answers the contract as JSON.
func (s *Server) GetOpenapiJSON(context.Context, api.GetOpenapiJSONRequestObject) (api.GetOpenapiJSONResponseObject, error) {
	data, err := api.GetSpecJSON()
	if err != nil {
		return nil, fmt.Errorf("read embedded openapi.yaml: %w", err)
	}
	return rawJSON(data), nil
}

// rawJSON is a body that is JSON already.
type rawJSON []byte

// VisitGetOpenapiJSONResponse writes it.
func (r rawJSON) VisitGetOpenapiJSONResponse(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(r)
	return err
}

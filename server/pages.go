package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"strings"

	"usermanager/gen/api"
	"usermanager/server/mail"
	"usermanager/server/secret"
)

//go:embed pages
var pageFiles embed.FS

// page is an HTML page with the policy that lets it run its own script and nothing else.
type page struct {
	html   []byte
	policy string
}

// pages are those that a deployment without a frontend of its own needs. They are made once: what differs
// from link to link is in their address, which their scripts read.
type pages struct {
	docs, verifyEmail, invitation page
}

// pageData is what the templates may use.
type pageData struct {
	Product     mail.Product
	MinPassword int
	Script      template.JS
	Style       template.CSS
}

func newPages(product mail.Product) (pages, error) {
	var all pages
	for _, p := range []struct {
		name, sheet string
		target      *page
	}{
		{"docs", "docs", &all.docs}, {"verify-email", "pages", &all.verifyEmail}, {"invitation", "pages", &all.invitation},
	} {
		made, err := newPage(p.name, p.sheet, product)
		if err != nil {
			return pages{}, fmt.Errorf("make page %s: %w", p.name, err)
		}
		*p.target = made
	}
	return all, nil
}

// newPage puts script and style into the page and their hashes into its policy, so that nothing that might be
// injected runs, and nothing is loaded from elsewhere.
func newPage(name, sheet string, product mail.Product) (page, error) {
	script, err := pageFiles.ReadFile("pages/" + name + ".js")
	if err != nil {
		return page{}, err
	}
	style, err := pageFiles.ReadFile("pages/" + sheet + ".css")
	if err != nil {
		return page{}, err
	}
	html, err := template.ParseFS(pageFiles, "pages/"+name+".html")
	if err != nil {
		return page{}, err
	}
	var out bytes.Buffer
	err = html.Execute(&out, pageData{
		Product: product, MinPassword: secret.MinPasswordLength,
		Script: template.JS(script), Style: template.CSS(style), //nolint:gosec // files of this package
	})
	if err != nil {
		return page{}, err
	}
	policy := []string{
		"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'", "connect-src 'self'",
		"script-src 'self' " + sourceHash(script), "style-src 'self' " + sourceHash(style), "img-src 'self' data:",
	}
	return page{html: out.Bytes(), policy: strings.Join(policy, "; ")}, nil
}

func sourceHash(source []byte) string {
	sum := sha256.Sum256(source)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// ShowEmailVerification is the page that the built-in link leads to. Looking at it consumes nothing, because
// mail scanners look at every link; its button posts.
func (s *Server) ShowEmailVerification(context.Context, api.ShowEmailVerificationRequestObject) (api.ShowEmailVerificationResponseObject, error) {
	return s.pages.verifyEmail, nil
}

// ShowInvitation is the page that the built-in link of an invitation leads to: it asks for a password.
func (s *Server) ShowInvitation(context.Context, api.ShowInvitationRequestObject) (api.ShowInvitationResponseObject, error) {
	return s.pages.invitation, nil
}

// VisitShowDocsResponse writes the page.
func (p page) VisitShowDocsResponse(w http.ResponseWriter) error { return p.write(w) }

// VisitShowEmailVerificationResponse writes the page.
func (p page) VisitShowEmailVerificationResponse(w http.ResponseWriter) error { return p.write(w) }

// VisitShowInvitationResponse writes the page.
func (p page) VisitShowInvitationResponse(w http.ResponseWriter) error { return p.write(w) }

func (p page) write(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", p.policy)
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(p.html)
	return err
}

package server

import (
	"bytes"
	"fmt"
	"html/template"
	"mime"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"usermanager/server/mail"
)

// inboxPage shows each mail in a frame of its own that may run nothing; its links open in a new tab.
var inboxPage = template.Must(template.New("inbox").Parse(`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Inbox ({{len .}})</title></head>
<body>
<h1>Inbox</h1>
{{range .}}<details>
<summary>{{.ReceivedAt.Format "15:04:05"}} {{.To}}: {{.Subject}}</summary>
<iframe sandbox="allow-popups allow-popups-to-escape-sandbox" width="100%" height="700" srcdoc="{{.HTML}}"></iframe>
<pre>{{.Text}}</pre>
</details>
{{else}}<p>No mail yet.</p>
{{end}}</body>
</html>
`))

// inboxRoutes shows the mails of the development server. They are no part of the contract.
func (s *Server) inboxRoutes(e *echo.Echo) {
	withHead{e}.GET("/dev/inbox", s.showInbox)
	e.DELETE("/dev/inbox", func(c echo.Context) error {
		if err := s.Inbox.DeleteAll(); err != nil {
			return fmt.Errorf("empty inbox: %w", err)
		}
		return c.NoContent(http.StatusNoContent)
	})
}

func (s *Server) showInbox(c echo.Context) error {
	mails := s.Inbox.Mails(c.QueryParam("to"))
	if wantsJSON(c.Request()) {
		return c.JSON(http.StatusOK, struct {
			Items []mail.InboxMail `json:"items"`
		}{mails})
	}
	var out bytes.Buffer
	if err := inboxPage.Execute(&out, mails); err != nil {
		return fmt.Errorf("show inbox: %w", err)
	}
	c.Response().Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src https: http: data:; frame-src 'self'; frame-ancestors 'none'")
	return c.HTMLBlob(http.StatusOK, out.Bytes())
}

func wantsJSON(r *http.Request) bool {
	for accepted := range strings.SplitSeq(r.Header.Get("Accept"), ",") {
		if mediaType, _, err := mime.ParseMediaType(accepted); err == nil && mediaType == "application/json" {
			return true
		}
	}
	return false
}

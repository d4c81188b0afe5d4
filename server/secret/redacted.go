package secret

import (
	"fmt"
	"io"
	"log/slog"
)

const redactedText = "[secret]"

// redacted is embedded in every type that holds key material: whichever way
// such a value is printed, logged or marshalled, it says "[secret]".
type redacted struct{}

// String returns "[secret]".
func (redacted) String() string { return redactedText }

// GoString returns "[secret]".
func (redacted) GoString() string { return redactedText }

// Format writes "[secret]" for every verb, so that neither %x nor %#v shows a key.
func (redacted) Format(state fmt.State, _ rune) {
	_, _ = io.WriteString(state, redactedText) // fmt.State keeps no error to return
}

// LogValue returns "[secret]" for log/slog.
func (redacted) LogValue() slog.Value { return slog.StringValue(redactedText) }

// MarshalText returns "[secret]", for JSON and every other text encoding.
func (redacted) MarshalText() ([]byte, error) { return []byte(redactedText), nil }

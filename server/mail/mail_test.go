package mail

import (
	"errors"
	"testing"
)

func TestARefusalSaysWhatWasRefusedAndNotWhoWas(t *testing.T) { // H-10
	t.Parallel()
	reason := errors.New("no @")
	for want, refusal := range map[string]*PermanentError{
		"address refused: no @":                   {Step: "address", Err: reason},
		"RCPT refused for good: answer 550":       {Step: "RCPT", Code: 550},
		"RCPT refused for good: answer 550 5.1.1": {Step: "RCPT", Code: 550, Enhanced: "5.1.1"},
	} {
		if got := refusal.Error(); got != want {
			t.Errorf("Error() = %q, want %q", got, want)
		}
		if errors.Is(refusal, reason) != (refusal.Err != nil) {
			t.Errorf("%q does not unwrap to its reason", want)
		}
	}
}

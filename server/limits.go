package server

import (
	"context"
	"fmt"
	"time"

	"usermanager/gen/query"
	"usermanager/server/secret"
)

const purposeRate secret.Purpose = "rate counter"

// limit is so many in so long, counted in the database so that it holds for all servers together.
type limit struct {
	purpose string
	max     int
	window  time.Duration
}

// Limits of mails to one address, which nobody is told about: the answer stays the same.
var (
	limitMailMinute     = limit{"mail_minute", 1, time.Minute}
	limitMailHour       = limit{"mail_hour", 3, time.Hour}
	limitResendSource   = limit{"resend_source", 20, time.Hour}
	limitForgotSource   = limit{"forgot_source", 20, time.Hour}
	limitEmailChange    = limit{"email_change", 3, time.Hour}           // of one account, whose mailbox is told each time
	limitTokenGuesses   = limit{"token_guesses", 100, 10 * time.Minute} // wrong mailed tokens from one source
	limitSignInFailures = limit{"sign_in_failures", 1, time.Hour}       // the mail about them
)

// count counts one more of subject and says whether it is still within the limit, and if not, how long to wait.
// Subjects are stored as keyed hashes.
func (s *Server) count(ctx context.Context, q *query.Queries, l limit, subject string) (within bool, wait time.Duration, err error) {
	row, err := q.RateCount(ctx, query.RateCountParams{
		Purpose: l.purpose, Subject: s.Secret.KeyedHash(purposeRate, subject), WindowSeconds: l.window.Seconds(),
	})
	if err != nil {
		return false, 0, fmt.Errorf("count %s: %w", l.purpose, err)
	}
	return int(row.Count) <= l.max, time.Until(row.WindowEndsAt), nil
}

// withinAll counts against several limits of one subject.
func (s *Server) withinAll(ctx context.Context, q *query.Queries, subject string, limits ...limit) (bool, error) {
	for _, l := range limits {
		within, _, err := s.count(ctx, q, l, subject)
		if err != nil || !within {
			return false, err
		}
	}
	return true, nil
}

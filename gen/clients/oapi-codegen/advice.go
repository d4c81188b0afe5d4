package main

import "usermanagerclient/generated"

// What an application does about a problem.
const (
	fixInput    = "show the message beside the form"
	reload      = "read again, then repeat the change"
	signInAgain = "go to the sign-in page"
	askStaff    = "say that staff can help"
	newLink     = "offer to mail a new link"
	wait        = "wait for Retry-After, then repeat"
	reportBug   = "report the request_id"
)

// advice narrows on the code. It has no default clause, so `go tool exhaustive` names each code of the document
// that it misses. A server that is newer than this client may send a code that the client does not know: Go's
// compiler wants the last line anyway, and there it is met.
func advice(code usermanager.ProblemCode) string {
	switch code {
	case usermanager.ProblemCodeValidationFailed,
		usermanager.ProblemCodeEmailTaken,
		usermanager.ProblemCodeNicknameTaken,
		usermanager.ProblemCodePayloadTooLarge,
		usermanager.ProblemCodeInvalidCredentials,
		usermanager.ProblemCodeInvalidCurrentPassword:
		return fixInput
	case usermanager.ProblemCodeVersionConflict,
		usermanager.ProblemCodeVersionRequired,
		usermanager.ProblemCodeInvalidCursor,
		usermanager.ProblemCodeNotFound,
		usermanager.ProblemCodeAlreadyVerified:
		return reload
	case usermanager.ProblemCodeAuthenticationRequired,
		usermanager.ProblemCodeInvalidAccessToken,
		usermanager.ProblemCodeInvalidRefreshToken:
		return signInAgain
	case usermanager.ProblemCodeMissingPermission,
		usermanager.ProblemCodeRankTooLow,
		usermanager.ProblemCodeLastAdmin,
		usermanager.ProblemCodeOwnAccount,
		usermanager.ProblemCodeAccountLocked,
		usermanager.ProblemCodeRegistrationClosed:
		return askStaff
	case usermanager.ProblemCodeEmailNotVerified,
		usermanager.ProblemCodeTokenExpired,
		usermanager.ProblemCodeTokenUsed,
		usermanager.ProblemCodeTokenInvalid:
		return newLink
	case usermanager.ProblemCodeTooManyAttempts,
		usermanager.ProblemCodeTooManyRequests,
		usermanager.ProblemCodeRequestInProgress,
		usermanager.ProblemCodeServerBusy,
		usermanager.ProblemCodeDatabaseUnavailable,
		usermanager.ProblemCodeShuttingDown:
		return wait
	case usermanager.ProblemCodeMalformedRequest,
		usermanager.ProblemCodeMethodNotAllowed,
		usermanager.ProblemCodeURITooLong,
		usermanager.ProblemCodeUnsupportedMediaType,
		usermanager.ProblemCodeCrossOriginRefused,
		usermanager.ProblemCodeIdempotencyKeyReused,
		usermanager.ProblemCodeInternalError,
		usermanager.ProblemCodeSchemaOutdated:
		return reportBug
	}
	return reportBug
}

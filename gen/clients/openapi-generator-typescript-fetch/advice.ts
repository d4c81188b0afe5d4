import { ProblemCode } from './generated';

// What an application does about a problem.
export type Advice =
  | 'show the message beside the form'
  | 'read again, then repeat the change'
  | 'go to the sign-in page'
  | 'say that staff can help'
  | 'offer to mail a new link'
  | 'wait for Retry-After, then repeat'
  | 'report the request_id';

// advice narrows on the code: tsc names each code of the document that no case has.
export function advice(code: ProblemCode): Advice {
  switch (code) {
    case ProblemCode.ValidationFailed:
    case ProblemCode.EmailTaken:
    case ProblemCode.NicknameTaken:
    case ProblemCode.PayloadTooLarge:
    case ProblemCode.InvalidCredentials:
    case ProblemCode.InvalidCurrentPassword:
      return 'show the message beside the form';
    case ProblemCode.VersionConflict:
    case ProblemCode.VersionRequired:
    case ProblemCode.InvalidCursor:
    case ProblemCode.NotFound:
    case ProblemCode.AlreadyVerified:
      return 'read again, then repeat the change';
    case ProblemCode.AuthenticationRequired:
    case ProblemCode.InvalidAccessToken:
    case ProblemCode.InvalidRefreshToken:
      return 'go to the sign-in page';
    case ProblemCode.MissingPermission:
    case ProblemCode.RankTooLow:
    case ProblemCode.LastAdmin:
    case ProblemCode.OwnAccount:
    case ProblemCode.AccountLocked:
    case ProblemCode.RegistrationClosed:
      return 'say that staff can help';
    case ProblemCode.EmailNotVerified:
    case ProblemCode.TokenExpired:
    case ProblemCode.TokenUsed:
    case ProblemCode.TokenInvalid:
      return 'offer to mail a new link';
    case ProblemCode.TooManyAttempts:
    case ProblemCode.TooManyRequests:
    case ProblemCode.RequestInProgress:
    case ProblemCode.ServerBusy:
    case ProblemCode.DatabaseUnavailable:
    case ProblemCode.ShuttingDown:
      return 'wait for Retry-After, then repeat';
    case ProblemCode.MalformedRequest:
    case ProblemCode.MethodNotAllowed:
    case ProblemCode.UriTooLong:
    case ProblemCode.UnsupportedMediaType:
    case ProblemCode.CrossOriginRefused:
    case ProblemCode.IdempotencyKeyReused:
    case ProblemCode.InternalError:
    case ProblemCode.SchemaOutdated:
      return 'report the request_id';
    default:
      return unknownCode(code);
  }
}

// A server that is newer than this client may still send a code that the client does not know.
function unknownCode(_code: never): Advice {
  return 'report the request_id';
}

// What a user interface does about each problem. The compiler knows every code that the document lists:
// one that a new version brings and that is not handled here fails the type check of every client.
import type { Problem } from '#adapter';

// docs: exhaustive
export type Reaction =
  | { do: 'tell'; sentence: string } // show it, there is nothing to try
  | { do: 'mark'; fields: Problem['errors']; instead: Problem['suggestions'] } // beside the fields of the form
  | { do: 'sign in' }
  | { do: 'reload' } // read again, show what changed, let the person decide
  | { do: 'ask for a new link' }
  | { do: 'wait'; sentence: string } // the header Retry-After says for how long, where there is one
  | { do: 'report'; request_id: string };

export function reactionTo(problem: Problem): Reaction {
  switch (problem.code) {
    case 'validation_failed': case 'email_taken': case 'nickname_taken':
      return { do: 'mark', fields: problem.errors, instead: problem.suggestions };
    case 'authentication_required': case 'invalid_access_token': case 'invalid_refresh_token':
      return { do: 'sign in' };
    case 'version_conflict': case 'version_required': case 'invalid_cursor':
      return { do: 'reload' };
    case 'token_expired': case 'token_used': case 'token_invalid': case 'email_not_verified':
      return { do: 'ask for a new link' };
    case 'too_many_attempts': case 'too_many_requests': case 'request_in_progress': case 'server_busy':
    case 'database_unavailable': case 'schema_outdated': case 'shutting_down':
      return { do: 'wait', sentence: problem.detail };
    case 'invalid_credentials': case 'invalid_current_password': case 'account_locked': case 'registration_closed':
    case 'missing_permission': case 'rank_too_low': case 'not_found': case 'last_admin': case 'own_account':
    case 'already_verified':
      return { do: 'tell', sentence: problem.detail };
    case 'malformed_request': case 'method_not_allowed': case 'payload_too_large': case 'uri_too_long':
    case 'unsupported_media_type': case 'idempotency_key_reused': case 'cross_origin_refused': case 'internal_error':
      return { do: 'report', request_id: problem.request_id };
    default:
      problem.code satisfies never; // does not compile while a code is missing above
      return { do: 'tell', sentence: problem.detail }; // a newer server may send a code that this build does not know
  }
}
// docs: end

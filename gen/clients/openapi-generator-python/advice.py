"""What an application does about a problem."""

from enum import StrEnum
from typing import assert_never

from usermanager_client import ProblemCode


class Advice(StrEnum):
    FIX_INPUT = "show the message beside the form"
    RELOAD = "read again, then repeat the change"
    SIGN_IN = "go to the sign-in page"
    ASK_STAFF = "say that staff can help"
    NEW_LINK = "offer to mail a new link"
    WAIT = "wait for Retry-After, then repeat"
    REPORT_BUG = "report the request_id"


def advice(code: ProblemCode) -> Advice:
    """Narrow on the code: mypy names each code of the document that no case has."""
    match code:
        case (
            ProblemCode.VALIDATION_FAILED
            | ProblemCode.EMAIL_TAKEN
            | ProblemCode.NICKNAME_TAKEN
            | ProblemCode.PAYLOAD_TOO_LARGE
            | ProblemCode.INVALID_CREDENTIALS
            | ProblemCode.INVALID_CURRENT_PASSWORD
        ):
            return Advice.FIX_INPUT
        case (
            ProblemCode.VERSION_CONFLICT
            | ProblemCode.VERSION_REQUIRED
            | ProblemCode.INVALID_CURSOR
            | ProblemCode.NOT_FOUND
            | ProblemCode.ALREADY_VERIFIED
        ):
            return Advice.RELOAD
        case (
            ProblemCode.AUTHENTICATION_REQUIRED
            | ProblemCode.INVALID_ACCESS_TOKEN
            | ProblemCode.INVALID_REFRESH_TOKEN
        ):
            return Advice.SIGN_IN
        case (
            ProblemCode.MISSING_PERMISSION
            | ProblemCode.RANK_TOO_LOW
            | ProblemCode.LAST_ADMIN
            | ProblemCode.OWN_ACCOUNT
            | ProblemCode.ACCOUNT_LOCKED
            | ProblemCode.REGISTRATION_CLOSED
        ):
            return Advice.ASK_STAFF
        case (
            ProblemCode.EMAIL_NOT_VERIFIED
            | ProblemCode.TOKEN_EXPIRED
            | ProblemCode.TOKEN_USED
            | ProblemCode.TOKEN_INVALID
        ):
            return Advice.NEW_LINK
        case (
            ProblemCode.TOO_MANY_ATTEMPTS
            | ProblemCode.TOO_MANY_REQUESTS
            | ProblemCode.REQUEST_IN_PROGRESS
            | ProblemCode.SERVER_BUSY
            | ProblemCode.DATABASE_UNAVAILABLE
            | ProblemCode.SHUTTING_DOWN
        ):
            return Advice.WAIT
        case (
            ProblemCode.MALFORMED_REQUEST
            | ProblemCode.METHOD_NOT_ALLOWED
            | ProblemCode.URI_TOO_LONG
            | ProblemCode.UNSUPPORTED_MEDIA_TYPE
            | ProblemCode.CROSS_ORIGIN_REFUSED
            | ProblemCode.IDEMPOTENCY_KEY_REUSED
            | ProblemCode.INTERNAL_ERROR
            | ProblemCode.SCHEMA_OUTDATED
        ):
            return Advice.REPORT_BUG
        case _:
            assert_never(code)

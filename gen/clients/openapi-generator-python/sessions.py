"""The part of the journey that is about being signed in: on two devices, for long, and after a forgotten password."""

import os
from collections.abc import Callable

from usermanager_client import (
    ApiClient,
    ApiException,
    Configuration,
    CreateSessionRequest,
    ForgotPasswordRequest,
    OwnProfileApi,
    PasswordApi,
    Problem,
    ProblemCode,
    RefreshTokenRequest,
    ResetPasswordRequest,
    SignInApi,
    TokenResponse,
)

from advice import Advice, advice
from python_inbox import mailed_token

BASE_URL = os.environ["BASE_URL"]
NEW_PASSWORD = "Compiler*1952"


def problem_of(call: Callable[[], object]) -> Problem:
    """Make a call that has to be refused. The generated exception has the decoded body, but as Any: this is where it
    gets its type."""
    try:
        call()
    except ApiException as error:
        assert isinstance(error.data, Problem), error
        return error.data
    raise AssertionError("this was not refused")


def signed_in(token: TokenResponse) -> ApiClient:
    # docs: use
    return ApiClient(Configuration(host=BASE_URL, access_token=token.access_token))
    # docs: end


def sign_in(anyone: ApiClient, identifier: str, password: str, device: str) -> TokenResponse:
    """By the nickname or the address."""
    body = CreateSessionRequest(identifier=identifier, password=password, device_name=device)
    token = SignInApi(anyone).create_session(body)
    print("signed in on the", device)
    return token


def assert_refused(token: TokenResponse) -> None:
    problem = problem_of(OwnProfileApi(signed_in(token)).get_own_profile)
    assert problem.code is ProblemCode.INVALID_ACCESS_TOKEN, problem


def use_two_devices(anyone: ApiClient, nickname: str, password: str) -> TokenResponse:
    """Sign in on two devices, refresh one, and end it from the other, which is left."""
    laptop = sign_in(anyone, nickname, password, "Laptop")
    phone = sign_in(anyone, nickname, password, "Phone")
    following = SignInApi(anyone).refresh_session(RefreshTokenRequest(refresh_token=phone.refresh_token))
    assert following.refresh_token != phone.refresh_token
    profile = OwnProfileApi(signed_in(following)).get_own_profile()
    assert profile.nickname == nickname, profile
    print("refreshed; the next access token works")

    own = OwnProfileApi(signed_in(laptop))
    sessions = own.list_own_sessions().items
    newest = sessions[0]
    assert newest.device_name == "Phone" and not newest.is_current, newest
    assert [session.device_name for session in sessions if session.is_current] == ["Laptop"], sessions
    own.end_own_session(newest.id)
    assert_refused(following)
    print("ended the session of the phone from the laptop")
    return laptop


def forget_password(anyone: ApiClient, email: str, before: TokenResponse) -> None:
    """Set another password by the mailed link, which ends the session from before, and sign out at last."""
    passwords = PasswordApi(anyone)
    passwords.forgot_password(ForgotPasswordRequest(email=email))
    token = mailed_token(BASE_URL, email, "/password/reset/")
    passwords.reset_password(ResetPasswordRequest(token=token, password=NEW_PASSWORD))
    assert_refused(before)
    print("set a new password by the mailed link")

    anew = sign_in(anyone, email, NEW_PASSWORD, "Laptop")
    body = RefreshTokenRequest(refresh_token=anew.refresh_token)
    SignInApi(anyone).logout(body)
    refused = problem_of(lambda: SignInApi(anyone).refresh_session(body))
    assert refused.code is ProblemCode.INVALID_REFRESH_TOKEN, refused
    assert advice(refused.code) is Advice.SIGN_IN
    print("signed out; the refresh token is refused:", advice(refused.code))

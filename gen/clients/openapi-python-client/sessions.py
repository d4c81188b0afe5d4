"""The part of the journey that is about being signed in: on two devices, for long, and after a forgotten password."""

import os

from usermanager_client import AuthenticatedClient, Client
from usermanager_client.api.own_profile import end_own_session, get_own_profile, list_own_sessions
from usermanager_client.api.password import forgot_password, reset_password
from usermanager_client.api.sign_in import create_session, logout, refresh_session
from usermanager_client.models import (
    Accepted,
    CreateSessionRequest,
    ForgotPasswordRequest,
    OwnProfile,
    Problem,
    ProblemCode,
    RefreshTokenRequest,
    ResetPasswordRequest,
    SessionList,
    TokenResponse,
)

from advice import Advice, advice
from python_inbox import mailed_token

BASE_URL = os.environ["BASE_URL"]
NEW_PASSWORD = "Compiler*1952"


def signed_in(token: TokenResponse) -> AuthenticatedClient:
    # docs: use
    return AuthenticatedClient(base_url=BASE_URL, token=token.access_token, raise_on_unexpected_status=True)
    # docs: end


def sign_in(anyone: Client, identifier: str, password: str, device: str) -> TokenResponse:
    """By the nickname or the address."""
    body = CreateSessionRequest(identifier=identifier, password=password, device_name=device)
    token = create_session.sync(client=anyone, body=body)
    assert isinstance(token, TokenResponse), token
    print("signed in on the", device)
    return token


def refresh(anyone: Client, token: TokenResponse) -> TokenResponse | Problem | None:
    assert token.refresh_token is not None, "the refresh token is in a cookie"
    return refresh_session.sync(client=anyone, body=RefreshTokenRequest(refresh_token=token.refresh_token))


def assert_refused(token: TokenResponse) -> None:
    problem = get_own_profile.sync(client=signed_in(token))
    assert isinstance(problem, Problem) and problem.code is ProblemCode.INVALID_ACCESS_TOKEN, problem


def use_two_devices(anyone: Client, nickname: str, password: str) -> TokenResponse:
    """Sign in on two devices, refresh one, and end it from the other, which is left."""
    laptop = sign_in(anyone, nickname, password, "Laptop")
    phone = sign_in(anyone, nickname, password, "Phone")
    following = refresh(anyone, phone)
    assert isinstance(following, TokenResponse), following
    assert following.refresh_token != phone.refresh_token
    profile = get_own_profile.sync(client=signed_in(following))
    assert isinstance(profile, OwnProfile) and profile.nickname == nickname, profile
    print("refreshed; the next access token works")

    sessions = list_own_sessions.sync(client=signed_in(laptop))
    assert isinstance(sessions, SessionList), sessions
    newest = sessions.items[0]
    assert newest.device_name == "Phone" and not newest.is_current, newest
    assert [session.device_name for session in sessions.items if session.is_current] == ["Laptop"], sessions
    ended = end_own_session.sync(newest.id, client=signed_in(laptop))
    assert ended is None, ended
    assert_refused(following)
    print("ended the session of the phone from the laptop")
    return laptop


def forget_password(anyone: Client, email: str, before: TokenResponse) -> None:
    """Set another password by the mailed link, which ends the session from before, and sign out at last."""
    accepted = forgot_password.sync(client=anyone, body=ForgotPasswordRequest(email=email))
    assert isinstance(accepted, Accepted), accepted
    token = mailed_token(BASE_URL, email, "/password/reset/")
    done = reset_password.sync(client=anyone, body=ResetPasswordRequest(token=token, password=NEW_PASSWORD))
    assert done is None, done
    assert_refused(before)
    print("set a new password by the mailed link")

    anew = sign_in(anyone, email, NEW_PASSWORD, "Laptop")
    assert anew.refresh_token is not None
    out = logout.sync(client=anyone, body=RefreshTokenRequest(refresh_token=anew.refresh_token))
    assert out is None, out
    refused = refresh(anyone, anew)
    assert isinstance(refused, Problem) and refused.code is ProblemCode.INVALID_REFRESH_TOKEN, refused
    assert advice(refused.code) is Advice.SIGN_IN
    print("signed out; the refresh token is refused:", advice(refused.code))

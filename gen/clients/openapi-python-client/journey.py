"""Drive a live server with the client that openapi-python-client makes of its document: the one-page example of
how an application in Python uses it, and the proof that it can.

It reads BASE_URL, MANAGER_EMAIL and PASSWORD, prints each step and ends with a traceback at the first surprise.
"""

import os
import uuid

from usermanager_client import AuthenticatedClient, Client
from usermanager_client.api.own_profile import get_own_profile, update_own_profile
from usermanager_client.api.registration import register, verify_email
from usermanager_client.api.sign_in import introspect_token, login
from usermanager_client.api.users import list_users, upgrade_user
from usermanager_client.models import (
    IntrospectTokenRequest,
    LoginRequest,
    OwnProfile,
    Problem,
    ProblemCode,
    RegisterRequest,
    Role,
    TokenIntrospection,
    TokenResponse,
    UpdateOwnProfileRequest,
    User,
    UserList,
    VerifiedAccount,
    VerifyEmailRequest,
)

from advice import Advice, advice
from python_inbox import mailed_token
from sessions import forget_password, signed_in, use_two_devices

BASE_URL = os.environ["BASE_URL"]
USER_PASSWORD = "Analytic*1843"


def log_in(anyone: Client, email: str, password: str) -> TokenResponse:
    token = login.sync(client=anyone, body=LoginRequest(username=email, password=password))
    assert isinstance(token, TokenResponse), token
    print("logged in as", email)
    return token


def open_account(anyone: Client, email: str) -> OwnProfile:
    form = RegisterRequest(email=email, password=USER_PASSWORD, first_name="Ada", last_name="Lovelace")
    key = str(uuid.uuid4())
    profile = register.sync(client=anyone, body=form, idempotency_key=key)
    again = register.sync(client=anyone, body=form, idempotency_key=key)  # as if the answer had been lost
    assert isinstance(profile, OwnProfile), profile
    assert isinstance(again, OwnProfile) and again.id == profile.id, again
    assert profile.email == email and profile.role is Role.ANONYMOUS and not profile.email_verified, profile
    print("registered", profile.nickname)

    token = mailed_token(BASE_URL, email, f"/verify-email/{profile.id}/")
    verified = verify_email.sync(client=anyone, body=VerifyEmailRequest(token=token))
    assert isinstance(verified, VerifiedAccount), verified
    assert verified.email_verified and verified.role is Role.AUTHENTICATED, verified
    print("verified")
    return profile


def patch(user: AuthenticatedClient) -> None:
    """Change the profile that was read: what is absent stays, null clears, a value is set; and what was changed
    meanwhile is not overwritten."""
    # docs: patch
    before = get_own_profile.sync_detailed(client=user)
    etag = before.headers["ETag"]
    after = update_own_profile.sync(
        client=user,
        if_match=etag,
        # first_name is UNSET, which is its default: it is not sent.
        body=UpdateOwnProfileRequest(last_name=None, bio="Writes programs."),
    )
    # docs: end
    assert isinstance(after, OwnProfile), after
    assert after.first_name == "Ada", after
    assert after.last_name is None, after
    assert after.bio == "Writes programs.", after

    stale = update_own_profile.sync(client=user, if_match=etag, body=UpdateOwnProfileRequest(nickname="countess"))
    assert isinstance(stale, Problem), stale
    assert stale.code is ProblemCode.VERSION_CONFLICT, stale
    print(f"patched to version {after.version}; the old version is refused: {advice(stale.code)}")


def list_two_pages(manager: AuthenticatedClient) -> None:
    first = list_users.sync(client=manager, limit=2)
    assert isinstance(first, UserList), first
    assert first.next_cursor is not None, first
    second = list_users.sync(client=manager, limit=2, cursor=first.next_cursor)
    assert isinstance(second, UserList), second
    users = first.items + second.items
    assert len({user.id for user in users}) == len(users) > 2, users
    print("listed", len(users), "users on two pages")


def upgrade(manager: AuthenticatedClient, user: AuthenticatedClient, user_id: uuid.UUID) -> None:
    """Make the new user professional, which a manager may and the user may not."""
    done = upgrade_user.sync(client=manager, user_id=user_id)
    assert isinstance(done, User), done
    assert done.is_professional, done
    refused = upgrade_user.sync(client=user, user_id=user_id)
    assert isinstance(refused, Problem), refused
    assert refused.code is ProblemCode.MISSING_PERMISSION, refused
    assert advice(refused.code) is Advice.ASK_STAFF
    print("upgraded by the manager; refused to the user:", advice(refused.code))


def introspect(service: AuthenticatedClient, token: str, user_id: uuid.UUID) -> None:
    """Ask about a token as another service would, with an account of its own."""
    answer = introspect_token.sync(client=service, body=IntrospectTokenRequest(token=token))
    assert isinstance(answer, TokenIntrospection), answer
    assert answer.active and answer.sub == str(user_id), answer
    print("the token is alive; its user may do", answer.scope)


def main() -> None:
    anyone = Client(base_url=BASE_URL, raise_on_unexpected_status=True)
    email = f"python-{uuid.uuid4().hex}@example.org"
    profile = open_account(anyone, email)
    token = log_in(anyone, email, USER_PASSWORD)
    user = signed_in(token)
    patch(user)
    manager = signed_in(log_in(anyone, os.environ["MANAGER_EMAIL"], os.environ["PASSWORD"]))
    list_two_pages(manager)
    upgrade(manager, user, profile.id)
    introspect(manager, token.access_token, profile.id)
    laptop = use_two_devices(anyone, profile.nickname, USER_PASSWORD)
    forget_password(anyone, email, laptop)
    print("journey: passed")


if __name__ == "__main__":
    main()

"""Drive a live server with the client that openapi-generator makes of its document: the one-page example of how an
application in Python uses it, and the proof that it can.

It reads BASE_URL, MANAGER_EMAIL and PASSWORD, prints each step and ends with a traceback at the first surprise.
"""

import os
import uuid

from usermanager_client import (
    ApiClient,
    Configuration,
    OwnProfile,
    OwnProfileApi,
    ProblemCode,
    RegisterRequest,
    RegistrationApi,
    Role,
    SignInApi,
    TokenResponse,
    UpdateOwnProfileRequest,
    UsersApi,
    VerifyEmailRequest,
)

from advice import Advice, advice
from python_inbox import mailed_token
from sessions import forget_password, problem_of, signed_in, use_two_devices

BASE_URL = os.environ["BASE_URL"]
USER_PASSWORD = "Analytic*1843"


def log_in(anyone: ApiClient, email: str, password: str) -> TokenResponse:
    token = SignInApi(anyone).login(username=email, password=password)
    print("logged in as", email)
    return token


def open_account(anyone: ApiClient, email: str) -> OwnProfile:
    registration = RegistrationApi(anyone)
    form = RegisterRequest(email=email, password=USER_PASSWORD, first_name="Ada", last_name="Lovelace")
    key = str(uuid.uuid4())
    # With REGISTRATION_CONCEAL the server answers 202 and another body. The generated type knows the first success
    # only; an application for such a server asks register_with_http_info for the status.
    profile = registration.register(form, idempotency_key=key)
    again = registration.register(form, idempotency_key=key)  # as if the answer had been lost
    assert again.id == profile.id, again
    assert profile.email == email and profile.role is Role.ANONYMOUS and not profile.email_verified, profile
    print("registered", profile.nickname)

    token = mailed_token(BASE_URL, email, f"/verify-email/{profile.id}/")
    verified = registration.verify_email(VerifyEmailRequest(token=token))
    assert verified.email_verified and verified.role is Role.AUTHENTICATED, verified
    print("verified")
    return profile


def patch(own: OwnProfileApi) -> None:
    """Change the profile that was read: what is absent stays, null clears, a value is set; and what was changed
    meanwhile is not overwritten."""
    # docs: patch
    before = own.get_own_profile()
    # The ETag is the version in quotes. The generated answer has its headers, but with the case of their names as sent.
    etag = f'"{before.version}"'
    # first_name is not named, so it is not sent; a None that is named is.
    after = own.update_own_profile(UpdateOwnProfileRequest(last_name=None, bio="Writes programs."), if_match=etag)
    # docs: end
    assert after.first_name == "Ada", after
    assert after.last_name is None, after
    assert after.bio == "Writes programs.", after

    stale = problem_of(lambda: own.update_own_profile(UpdateOwnProfileRequest(nickname="countess"), if_match=etag))
    assert stale.code is ProblemCode.VERSION_CONFLICT, stale
    print(f"patched from version {before.version} to {after.version}; the old version is refused:", end=" ")
    print(advice(stale.code))


def list_two_pages(users: UsersApi) -> None:
    first = users.list_users(limit=2)
    assert first.next_cursor is not None, first
    second = users.list_users(limit=2, cursor=first.next_cursor)
    listed = first.items + second.items
    assert len({user.id for user in listed}) == len(listed) > 2, listed
    print("listed", len(listed), "users on two pages")


def upgrade(manager: UsersApi, user: UsersApi, user_id: uuid.UUID) -> None:
    """Make the new user professional, which a manager may and the user may not."""
    done = manager.upgrade_user(user_id)
    assert done.is_professional, done
    refused = problem_of(lambda: user.upgrade_user(user_id))
    assert refused.code is ProblemCode.MISSING_PERMISSION, refused
    assert advice(refused.code) is Advice.ASK_STAFF
    print("upgraded by the manager; refused to the user:", advice(refused.code))


def introspect(service: SignInApi, token: str, user_id: uuid.UUID) -> None:
    """Ask about a token as another service would, with an account of its own."""
    answer = service.introspect_token(token=token)
    assert answer.active and answer.sub == str(user_id), answer
    print("the token is alive; its user may do", answer.scope)


def main() -> None:
    anyone = ApiClient(Configuration(host=BASE_URL))
    email = f"python-{uuid.uuid4().hex}@example.org"
    profile = open_account(anyone, email)
    token = log_in(anyone, email, USER_PASSWORD)
    user = signed_in(token)
    patch(OwnProfileApi(user))
    manager = signed_in(log_in(anyone, os.environ["MANAGER_EMAIL"], os.environ["PASSWORD"]))
    list_two_pages(UsersApi(manager))
    upgrade(UsersApi(manager), UsersApi(user), profile.id)
    introspect(SignInApi(manager), token.access_token, profile.id)
    laptop = use_two_devices(anyone, profile.nickname, USER_PASSWORD)
    forget_password(anyone, email, laptop)
    print("journey: passed")


if __name__ == "__main__":
    main()

// The part of the journey that is about being signed in: on two devices, for long, and after a forgotten password.
import assert from 'node:assert/strict';
import { advice } from './advice';
import { Configuration, OwnProfileApi, PasswordApi, ProblemCode, SignInApi, type TokenResponse } from './generated';
import { mailedToken } from './inbox';
import { refused } from './refused';

// withToken is how a call is made as a user.
export function withToken(basePath: string, token: TokenResponse): Configuration {
  // docs: use
  // For OAuth2 the generated code sends this as the whole Authorization header, and adds no scheme to it.
  return new Configuration({ basePath, accessToken: `${token.tokenType} ${token.accessToken}` });
  // docs: end
}

// useSessions signs in by the nickname on two devices, refreshes one of them, ends it from the other, and ends that one by
// a new password.
export async function useSessions(basePath: string, account: { email: string; nickname: string; password: string }): Promise<void> {
  const anyone = new Configuration({ basePath });
  const signIn = new SignInApi(anyone);
  const { email, nickname: identifier, password } = account;
  const as = (token: TokenResponse) => new OwnProfileApi(withToken(basePath, token));
  const laptop = await signIn.createSession({ createSessionRequest: { identifier, password, deviceName: 'Laptop' } });
  const phone = await signIn.createSession({ createSessionRequest: { identifier, password, deviceName: 'Phone' } });

  const next = await signIn.refreshSession({ refreshTokenRequest: { refreshToken: given(phone.refreshToken) } });
  assert.notEqual(next.refreshToken, phone.refreshToken);
  assert.equal((await as(next).getOwnProfile()).nickname, identifier);
  console.log('refreshed; the next access token works');

  const { items } = await as(laptop).listOwnSessions();
  const newest = items[0];
  assert(newest);
  assert.equal(newest.deviceName, 'Phone');
  assert.equal(newest.isCurrent, false);
  assert.deepEqual(items.filter(({ isCurrent }) => isCurrent).map(({ deviceName }) => deviceName), ['Laptop']);
  await as(laptop).endOwnSession({ sessionId: newest.id });
  assert.equal((await refused(as(next).getOwnProfile())).code, ProblemCode.InvalidAccessToken);
  console.log('ended the session of the phone from the laptop');

  const passwords = new PasswordApi(anyone);
  await passwords.forgotPassword({ forgotPasswordRequest: { email } });
  const token = await mailedToken(basePath, email, '/password/reset/');
  await passwords.resetPassword({ resetPasswordRequest: { token, password: 'Compiler*1952' } });
  assert.equal((await refused(as(laptop).getOwnProfile())).code, ProblemCode.InvalidAccessToken);
  const anew = await signIn.createSession({ createSessionRequest: { identifier: email, password: 'Compiler*1952' } });
  console.log('set a new password by the mailed link, and signed in with it');

  const refreshTokenRequest = { refreshToken: given(anew.refreshToken) };
  await signIn.logout({ refreshTokenRequest });
  const ended = await refused(signIn.refreshSession({ refreshTokenRequest }));
  assert.equal(ended.code, ProblemCode.InvalidRefreshToken);
  assert.equal(advice(ended.code), 'go to the sign-in page');
  console.log('signed out; the refresh token is refused:', advice(ended.code));
}

// given is the refresh token; it is null when a browser asked for it in a cookie.
function given(refreshToken: string | null): string {
  assert(refreshToken);
  return refreshToken;
}

// This drives a live server with the client that openapi-generator makes of its document for fetch: the one-page
// example of how an application uses it, and the proof that it can.
//
// It reads BASE_URL, MANAGER_EMAIL and PASSWORD, prints each step and ends with an exception at the first surprise.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { advice } from './advice';
import {
  Configuration,
  type OwnProfile,
  OwnProfileApi,
  ProblemCode,
  RegistrationApi,
  Role,
  SignInApi,
  type TokenResponse,
  UsersApi,
} from './generated';
import { mailedToken } from './inbox';
import { refused } from './refused';
import { useSessions, withToken } from './sessions';

const baseUrl = setting('BASE_URL');
const userPassword = 'Analytic*1843';

function setting(name: string): string {
  const value = process.env[name];
  assert(value, `${name} is not set`);
  return value;
}

async function logIn(username: string, password: string): Promise<TokenResponse> {
  const token = await new SignInApi(new Configuration({ basePath: baseUrl })).login({ username, password });
  console.log('logged in as', username);
  return token;
}

// openAccount registers and verifies a user.
async function openAccount(email: string): Promise<OwnProfile> {
  const registration = new RegistrationApi(new Configuration({ basePath: baseUrl }));
  const request = {
    registerRequest: { email, password: userPassword, firstName: 'Ada', lastName: 'Lovelace' },
    idempotencyKey: randomUUID(),
  };
  // With REGISTRATION_CONCEAL the server answers 202 and another body. The generated type knows the first success
  // only; an application for such a server asks registerRaw for the status.
  const registered = await registration.register(request);
  // As if the answer had been lost: the same key gives the same account.
  const again = await registration.register(request);
  assert.equal(again.id, registered.id);
  assert.equal(registered.email, email);
  assert.equal(registered.role, Role.Anonymous);
  assert.equal(registered.emailVerified, false);
  console.log('registered', registered.nickname);

  const token = await mailedToken(baseUrl, email, `/verify-email/${registered.id}/`);
  const verified = await registration.verifyEmail({ verifyEmailRequest: { token } });
  assert.equal(verified.role, Role.Authenticated);
  assert.equal(verified.emailVerified, true);
  console.log('verified');
  return registered;
}

// patch changes the profile that was read: what is absent stays, null clears, a value is set; and what was changed
// meanwhile is not overwritten.
async function patch(own: OwnProfileApi): Promise<void> {
  // docs: patch
  const before = await own.getOwnProfileRaw();
  const ifMatch = before.raw.headers.get('ETag');
  assert(ifMatch);
  const after = await own.updateOwnProfile({
    ifMatch,
    updateOwnProfileRequest: { lastName: null, bio: 'Writes programs.' }, // firstName is absent
  });
  // docs: end
  assert.equal(after.firstName, 'Ada');
  assert.equal(after.lastName, null);
  assert.equal(after.bio, 'Writes programs.');

  const stale = await refused(own.updateOwnProfile({ ifMatch, updateOwnProfileRequest: { nickname: 'countess' } }));
  assert.equal(stale.code, ProblemCode.VersionConflict);
  console.log(`patched to version ${after.version}; the old version is refused:`, advice(stale.code));
}

async function listTwoPages(users: UsersApi): Promise<void> {
  const first = await users.listUsers({ limit: 2 });
  assert(first.nextCursor !== null);
  const second = await users.listUsers({ limit: 2, cursor: first.nextCursor });
  const listed = [...first.items, ...second.items];
  assert(listed.length > 2);
  assert.equal(new Set(listed.map((user) => user.id)).size, listed.length);
  console.log('listed', listed.length, 'users on two pages');
}

// upgrade makes the new user professional, which a manager may and the user may not.
async function upgrade(manager: UsersApi, user: UsersApi, userId: string): Promise<void> {
  const upgraded = await manager.upgradeUser({ userId });
  assert.equal(upgraded.isProfessional, true);
  const problem = await refused(user.upgradeUser({ userId }));
  assert.equal(problem.code, ProblemCode.MissingPermission);
  assert.equal(advice(problem.code), 'say that staff can help');
  console.log('upgraded by the manager; refused to the user:', advice(problem.code));
}

// introspect asks about a token as another service would, with an account of its own.
async function introspect(service: SignInApi, token: string, userId: string): Promise<void> {
  const { active, sub, scope } = await service.introspectToken({ token });
  assert.equal(active, true);
  assert.equal(sub, userId);
  console.log('the token is alive; its user may do', scope);
}

async function main(): Promise<void> {
  const email = `fetch-${randomUUID()}@example.org`;
  const { id, nickname } = await openAccount(email);
  const token = await logIn(email, userPassword);
  const user = withToken(baseUrl, token);
  await patch(new OwnProfileApi(user));
  const manager = withToken(baseUrl, await logIn(setting('MANAGER_EMAIL'), setting('PASSWORD')));
  await listTwoPages(new UsersApi(manager));
  await upgrade(new UsersApi(manager), new UsersApi(user), id);
  await introspect(new SignInApi(manager), token.accessToken, id);
  await useSessions(baseUrl, { email, nickname, password: userPassword });
  console.log('journey: passed');
}

void main(); // Node ends with 1 where this is rejected

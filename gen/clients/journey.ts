// The journey that every client makes. It is written once, over the types of whichever generator is
// under test: '#adapter' is the adapter.ts of the folder that runs it (see `paths` in its tsconfig.json).
import { must, refused, type Client, type Connect } from './client.ts';
import { reactionTo } from './reaction.ts';
import { askForTheToken, forgetPassword, useTwoDevices } from './sessions.ts';
import type { Stage } from './stage.ts';
import type { Link, OwnProfile, RegisterRequest, UserList } from '#adapter';

export async function journey(connect: Connect, stage: Stage): Promise<void> {
  const visitor = connect(stage.baseUrl);
  const account: RegisterRequest = { email: stage.newEmail(), password: 'Analytic*1843', first_name: 'Ada' };

  // docs: sending again
  const key = crypto.randomUUID(); // for the form that is submitted, not for each try
  const registered = must('register', await visitor.register(account, key));
  // Had the answer been lost: the same body with the same key gives the same account, and no second mail.
  const again = must('register again', await visitor.register(account, key));
  // docs: end
  if (!('id' in registered.value) || !('id' in again.value)) {
    throw new Error('register: 202, but this server does not conceal who has an account');
  }
  const { id, nickname } = registered.value;
  stage.equal('the account of the same request', again.value.id, id);
  stage.equal('the address', registered.value.email, account.email);

  stage.willRefuse(403, 'email_not_verified');
  const unproven = await visitor.login({ username: account.email, password: account.password });
  stage.equal('the error of OAuth2', refused('log in before the proof', 'email_not_verified', unproven).error, 'invalid_grant');

  const token = await stage.verificationToken(account.email);
  const verified = must('verify the address', await visitor.verifyEmail({ token }));
  stage.equal('the proof', verified.value.email_verified, true);

  const accessToken = await signIn(visitor, account.email, account.password);
  const user = connect(stage.baseUrl, accessToken);
  await editProfile(user, stage);

  const manager = connect(stage.baseUrl, await signIn(visitor, stage.manager.email, stage.manager.password));
  await readTwoPages(manager, stage);
  await upgrade(manager, user, id, stage);
  await askForTheToken(manager, accessToken, id, stage); // a service asks as an account of its own

  const laptop = await useTwoDevices(connect, nickname, account.password, stage);
  await forgetPassword(connect, account.email, laptop, stage);
}

// docs: signing in
async function signIn(visitor: Client, email: string, password: string): Promise<string> {
  const signedIn = must('log in', await visitor.login({ username: email, password, grant_type: 'password' }));
  return signedIn.value.access_token; // for the header `Authorization: Bearer ...`, for expires_in seconds
}
// docs: end

async function editProfile(user: Client, stage: Stage): Promise<void> {
  const first = must('read the own profile', await user.getOwnProfile());
  stage.equal('the given name', first.value.first_name, 'Ada');
  stage.equal('a bio that nobody wrote', first.value.bio, null);
  // docs: etag
  // The ETag is the version in quotes, so a client that hides the headers loses nothing.
  const ifMatch = (profile: OwnProfile) => `"${profile.version}"`;
  // docs: end
  stage.equal('the ETag', first.etag ?? ifMatch(first.value), ifMatch(first.value));

  // docs: patch
  // A value sets.
  const link = 'https://github.com/ada';
  const set = must('set', await user.updateOwnProfile({ bio: 'Writes programs.', github_profile_url: link }, ifMatch(first.value)));
  // null clears; what is absent stays.
  const cleared = must('clear', await user.updateOwnProfile({ bio: null }, ifMatch(set.value)));
  // docs: end
  stage.equal('a bio that was set', set.value.bio, 'Writes programs.');
  stage.equal('a name that was absent', set.value.first_name, 'Ada');
  stage.equal('a bio that was cleared', cleared.value.bio, null);
  stage.equal('a link that was absent', cleared.value.github_profile_url, link);

  stage.willRefuse(412, 'version_conflict');
  // docs: conflict
  // Somebody edited in between: the version that was read first is not the current one any more.
  const late = await user.updateOwnProfile({ bio: 'Too late.' }, ifMatch(first.value));
  if (!late.ok && late.problem.code === 'version_conflict') {
    const current = must('read again', await user.getOwnProfile()); // show what changed, let the person try again
    stage.show(`somebody else wrote: ${current.value.bio}`);
  }
  // docs: end
  stage.equal('the reaction to a conflict', reactionTo(refused('edit an old version', 'version_conflict', late)).do, 'reload');

  stage.willRefuse(422, 'validation_failed');
  // docs: field errors
  const invalid = await user.updateOwnProfile({ preferred_language: 'no language' }, ifMatch(cleared.value));
  const fields = invalid.ok ? [] : invalid.problem.errors; // every broken field at once
  for (const field of fields) {
    stage.show(`${field.pointer}: ${field.detail}`); // field.code and field.params are what a translation needs
  }
  // docs: end
  refused('send a wrong field', 'validation_failed', invalid);
  stage.equal('the wrong field', fields[0]?.pointer, '/preferred_language');
}

async function readTwoPages(manager: Client, stage: Stage): Promise<void> {
  // docs: pages
  const pages: UserList[] = [];
  let cursor: string | null = null;
  do {
    const page: UserList = must('list users', await manager.listUsers(cursor === null ? { limit: 2 } : { limit: 2, cursor })).value;
    pages.push(page);
    cursor = page.next_cursor; // null on the last page
  } while (cursor !== null && pages.length < 2); // two are enough here
  // docs: end
  if (pages.length !== 2) {
    throw new Error('list users: there is no second page');
  }
  stage.equal('users on two pages', new Set(pages.flatMap((page) => page.items.map((user) => user.id))).size, 4);
}

// docs: links
/** Whether to show the button: links are what this caller may do with this resource now. */
function may(resource: { links: readonly Link[] }, rel: Link['rel']): boolean {
  return resource.links.some((link) => link.rel === rel);
}
// docs: end

async function upgrade(manager: Client, user: Client, id: string, stage: Stage): Promise<void> {
  const newest = must('find the new user', await manager.listUsers({ limit: 1 })).value.items[0];
  if (newest === undefined) {
    throw new Error('find the new user: the list is empty');
  }
  stage.equal('the newest user', newest.id, id);
  stage.equal('the manager may upgrade', may(newest, 'upgrade'), true);

  const upgraded = must('upgrade as manager', await manager.upgradeUser(id));
  stage.equal('the upgraded user', upgraded.value.is_professional, true);
  stage.equal('the manager may take it back', may(upgraded.value, 'downgrade'), true);

  stage.willRefuse(403, 'missing_permission');
  // docs: errors
  const outcome = await user.upgradeUser(id);
  if (!outcome.ok) {
    const { code, detail, request_id } = outcome.problem; // code is a union of literals: a typing error does not compile
    stage.show(`${code}: ${detail} (${request_id})`); // detail is a sentence for the person in front of the screen
  }
  // docs: end
  stage.equal('the reaction', reactionTo(refused('upgrade as user', 'missing_permission', outcome)).do, 'tell');
}

// The part of the journey that is about being signed in: on several devices, for long, and after a forgotten password.
import { must, refused, type Client, type Connect, type Outcome } from './client.ts';
import { reactionTo } from './reaction.ts';
import type { Stage } from './stage.ts';
import type { Problem, TokenResponse } from '#adapter';

// docs: staying signed in
/** Somebody who is signed in. A call whose access token is refused is made again with the next one. */
export class SignedIn {
  #refreshing: Promise<Problem | null> | null = null;

  constructor(private readonly connect: (token?: string) => Client, public tokens: TokenResponse) {}

  async call<Value>(send: (user: Client) => Promise<Outcome<Value>>): Promise<Outcome<Value>> {
    const used = this.tokens.access_token;
    const answer = await send(this.connect(used));
    if (answer.ok || answer.problem.code !== 'invalid_access_token') {
      return answer;
    }
    if (used === this.tokens.access_token) { // else another call has refreshed meanwhile
      this.#refreshing ??= this.#refresh().finally(() => { this.#refreshing = null; }); // one for all calls
      const problem = await this.#refreshing;
      if (problem !== null) {
        return { ok: false, problem }; // with invalid_refresh_token the session has ended: sign in
      }
    }
    return send(this.connect(this.tokens.access_token));
  }

  /** Where no answer comes it throws, and the same token may be sent again. */
  async #refresh(): Promise<Problem | null> {
    const { refresh_token } = this.tokens; // null when it is in the cookie, which the browser sends
    const answer = await this.connect().refreshSession(refresh_token === null ? {} : { refresh_token });
    if (!answer.ok) {
      return answer.problem;
    }
    this.tokens = answer.value; // both tokens are new
    return null;
  }
}
// docs: end

/** Signs in on two devices, and ends one from the other. Gives the one that is left. */
export async function useTwoDevices(connect: Connect, nickname: string, password: string, stage: Stage): Promise<SignedIn> {
  const visitor = connect(stage.baseUrl);
  let refreshes = 0; // what a client without a token is made for from here on
  const at = (token?: string) => {
    refreshes += token === undefined ? 1 : 0;
    return connect(stage.baseUrl, token);
  };

  // docs: signing in on a device
  const credentials = { identifier: nickname, password }; // the nickname or the address
  const onLaptop = must('sign in', await visitor.createSession({ ...credentials, device_name: 'Laptop' })).value;
  const onPhone = must('sign in again', await visitor.createSession({ ...credentials, device_name: 'Phone', remember: true })).value;
  // docs: end

  const laptop = new SignedIn(at, onLaptop);
  const phone = new SignedIn(at, { ...onPhone, access_token: 'too.old.now' });
  stage.willRefuse(401, 'invalid_access_token');
  stage.willRefuse(401, 'invalid_access_token');
  // docs: calling
  const both = await Promise.all([phone.call((user) => user.getOwnProfile()), phone.call((user) => user.listOwnSessions())]);
  // docs: end
  const [profile, { items }] = [must('read the own profile', both[0]).value, must('list the sessions', both[1]).value];
  stage.equal('who is signed in', profile.nickname, nickname);
  stage.equal('the sessions of the other call', items.length, 3); // with the one by the form
  stage.equal('refreshes for both calls', refreshes, 1);
  stage.equal('the refresh token has a successor', phone.tokens.refresh_token !== onPhone.refresh_token, true);

  // docs: devices
  const sessions = must('list the sessions', await laptop.call((user) => user.listOwnSessions())).value.items; // newest first
  for (const { device_name, last_seen_at, is_current } of sessions) {
    stage.show(`${device_name ?? 'A device'}, last seen at ${last_seen_at}${is_current ? ' (this one)' : ''}`);
  }
  // docs: end
  const [newest] = sessions;
  if (newest === undefined) {
    throw new Error('list the sessions: the list is empty');
  }
  stage.equal('the newest session', newest.device_name, 'Phone');
  stage.equal('the newest session is the current one', newest.is_current, false);
  stage.equal('current sessions', sessions.filter(({ is_current }) => is_current).length, 1);

  // docs: ending a device
  must('end it', await laptop.call((user) => user.endOwnSession(newest.id))); // holds at its next request
  // docs: end
  stage.willRefuse(401, 'invalid_access_token');
  refused('use the session that was ended', 'invalid_access_token', await at(phone.tokens.access_token).getOwnProfile());
  return laptop;
}

/** Forgets the password, sets another one by the mailed link, and signs out at last. */
export async function forgetPassword(connect: Connect, email: string, laptop: SignedIn, stage: Stage): Promise<void> {
  const visitor = connect(stage.baseUrl);
  const newPassword = 'Compiler*1952';

  // docs: forgetting the password
  must('ask for a link', await visitor.forgotPassword({ email })); // 202, whether there is such an account or not
  // docs: end
  const token = await stage.resetToken(email);
  // docs: resetting the password
  must('set a new password', await visitor.resetPassword({ token, password: newPassword })); // ends every session
  // docs: end

  stage.willRefuse(401, 'invalid_access_token');
  stage.willRefuse(401, 'invalid_refresh_token');
  const outcome = await laptop.call((user) => user.getOwnProfile());
  stage.equal('the reaction', reactionTo(refused('use a session from before', 'invalid_refresh_token', outcome)).do, 'sign in');

  const { refresh_token } = must('sign in anew', await visitor.createSession({ identifier: email, password: newPassword })).value;
  if (refresh_token === null) {
    throw new Error('sign in anew: the refresh token is in a cookie, which nobody asked for');
  }
  // docs: signing out
  must('sign out', await visitor.logout({ refresh_token })); // {} where the token is in the cookie
  // docs: end
  stage.willRefuse(401, 'invalid_refresh_token');
  refused('refresh after signing out', 'invalid_refresh_token', await visitor.refreshSession({ refresh_token }));
}

/** What another service does with a token that somebody sends to it. */
export async function askForTheToken(service: Client, token: string, id: string, stage: Stage): Promise<void> {
  // docs: introspecting
  const { active, sub, scope } = must('introspect', await service.introspectToken({ token })).value;
  if (active) {
    stage.show(`${sub} may do ${scope}`); // as of now: a lock or another role holds at once
  }
  // docs: end
  stage.equal('the token is alive', active, true);
  stage.equal('whose token it is', sub, id);
}

// What the journey calls: every adapter makes one of these out of the functions that its generator wrote.
import type {
  Accepted, CreateSessionRequest, ForgotPasswordRequest, IntrospectTokenRequest, LoginProblem, LoginRequest, OwnProfile, Problem,
  ProblemCode, RefreshTokenRequest, RegisterRequest, ResetPasswordRequest, SessionList, TokenIntrospection, TokenResponse,
  UpdateOwnProfileRequest, User, UserList, VerifiedAccount, VerifyEmailRequest,
} from '#adapter';

/** What a call gives: the value, or the problem that the server answered. */
export type Outcome<Value, Refusal = Problem> =
  | { ok: true; value: Value; etag: string | null } // null where a generated client hides the headers
  | { ok: false; problem: Refusal };

/** What a call gives that answers 204: there is no value to look at. */
export type Done = Outcome<unknown>;

/** What an adapter makes of the generated functions. */
export interface Client {
  register(body: RegisterRequest, idempotencyKey: string): Promise<Outcome<OwnProfile | Accepted>>;
  verifyEmail(body: VerifyEmailRequest): Promise<Outcome<VerifiedAccount>>;
  login(form: LoginRequest): Promise<Outcome<TokenResponse, LoginProblem>>;
  createSession(body: CreateSessionRequest): Promise<Outcome<TokenResponse>>;
  refreshSession(body: RefreshTokenRequest): Promise<Outcome<TokenResponse>>;
  logout(body: RefreshTokenRequest): Promise<Done>;
  listOwnSessions(): Promise<Outcome<SessionList>>;
  endOwnSession(sessionId: string): Promise<Done>;
  forgotPassword(body: ForgotPasswordRequest): Promise<Outcome<Accepted>>;
  resetPassword(body: ResetPasswordRequest): Promise<Done>;
  introspectToken(form: IntrospectTokenRequest): Promise<Outcome<TokenIntrospection>>;
  getOwnProfile(): Promise<Outcome<OwnProfile>>;
  updateOwnProfile(body: UpdateOwnProfileRequest, ifMatch: string): Promise<Outcome<OwnProfile>>;
  listUsers(query: { limit: number; cursor?: string }): Promise<Outcome<UserList>>;
  upgradeUser(userId: string): Promise<Outcome<User>>;
}

/** Makes a client of a server, for one token or for a visitor without one. */
export type Connect = (baseUrl: string, token?: string) => Client;

/** The value of a call that has to succeed. */
export function must<Value>(what: string, outcome: Outcome<Value, Problem | LoginProblem>): { value: Value; etag: string | null } {
  if (!outcome.ok) {
    const { status, code, detail } = outcome.problem;
    throw new Error(`${what}: ${status} ${code}: ${detail}`);
  }
  return outcome;
}

/** The problem of a call that has to be refused for this reason. */
export function refused<Refusal extends Problem>(what: string, code: ProblemCode, outcome: Outcome<unknown, Refusal>): Refusal {
  if (outcome.ok) {
    throw new Error(`${what}: it was not refused`);
  }
  if (outcome.problem.code !== code) {
    throw new Error(`${what}: got ${outcome.problem.code}, want ${code}`);
  }
  return outcome.problem;
}

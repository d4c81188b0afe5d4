import type { Client, Outcome } from '../client.ts';
import { Api, type HttpResponse } from './generated/api.ts';

export type {
  Accepted, CreateSessionRequest, ForgotPasswordRequest, IntrospectTokenRequest, Link, LoginProblem, LoginRequest, OwnProfile, Problem,
  ProblemCode, RefreshTokenRequest, RegisterRequest, ResetPasswordRequest, Role, SessionList, TokenIntrospection, TokenResponse,
  UpdateOwnProfileRequest, User, UserList, VerifiedAccount, VerifyEmailRequest,
} from './generated/api.ts';

export function connect(baseUrl: string, token?: string): Client {
  const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  // docs: use
  const api = new Api({ baseUrl, securityWorker: () => ({ headers }) }); // asked for the operations that need a token
  const readProfile = () => api.users.getOwnProfile();
  // docs: end
  return {
    register: (body, idempotencyKey) => outcome(api.register.register(body, { headers: { 'Idempotency-Key': idempotencyKey } })),
    verifyEmail: (body) => outcome(api.verifyEmail.verifyEmail(body)),
    login: (body) => outcome(api.login.login(body)),
    createSession: (body) => outcome(api.sessions.createSession(body)),
    refreshSession: (body) => outcome(api.sessions.refreshSession(body)),
    logout: (body) => outcome(api.logout.logout(body, parsed)),
    listOwnSessions: () => outcome(api.users.listOwnSessions()),
    endOwnSession: (sessionId) => outcome(api.users.endOwnSession(sessionId, parsed)),
    forgotPassword: (body) => outcome(api.password.forgotPassword(body)),
    resetPassword: (body) => outcome(api.password.resetPassword(body, parsed)),
    introspectToken: (form) => outcome(api.introspect.introspectToken(form)),
    getOwnProfile: () => outcome(readProfile()),
    updateOwnProfile: (body, ifMatch) => outcome(api.users.updateOwnProfile(body, { headers: { 'If-Match': ifMatch } })),
    listUsers: (query) => outcome(api.users.listUsers(query)),
    upgradeUser: (userId) => outcome(api.users.upgradeUser(userId)),
  };
}

/** Where the success is 204, this client reads no body at all unless it is told: a problem would be lost. */
const parsed = { format: 'json' } as const;

/** This client throws its response when the status is no success. */
function outcome<Value, Refusal>(call: Promise<HttpResponse<Value, Refusal>>): Promise<Outcome<Value, Refusal>> {
  return call.then(
    ({ data, headers }) => ({ ok: true, value: data, etag: headers.get('ETag') }),
    (thrown: HttpResponse<Value, Refusal> | Error) => {
      if (thrown instanceof Error) {
        throw thrown; // no response at all
      }
      return { ok: false, problem: thrown.error };
    },
  );
}

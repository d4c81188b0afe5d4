import type { Client, Outcome } from '../journey.ts';
import { Api, type HttpResponse } from './generated/api.ts';

export type {
  Accepted, Link, LoginProblem, LoginRequest, OwnProfile, Problem, ProblemCode, RegisterRequest, Role, TokenResponse,
  UpdateOwnProfileRequest, User, UserList, VerifiedAccount, VerifyEmailRequest,
} from './generated/api.ts';

export function connect(baseUrl: string, token?: string): Client {
  const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  // docs: use
  const api = new Api({ baseUrl, securityWorker: () => ({ headers }) }); // asked for the operations that need a token
  const readProfile = () => api.users.getOwnProfile();
  // docs: end
  return {
    register: (body) => outcome(api.register.register(body)),
    verifyEmail: (body) => outcome(api.verifyEmail.verifyEmail(body)),
    login: (body) => outcome(api.login.login(body)),
    getOwnProfile: () => outcome(readProfile()),
    updateOwnProfile: (body, ifMatch) => outcome(api.users.updateOwnProfile(body, { headers: { 'If-Match': ifMatch } })),
    listUsers: (query) => outcome(api.users.listUsers(query)),
    upgradeUser: (userId) => outcome(api.users.upgradeUser(userId)),
  };
}

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

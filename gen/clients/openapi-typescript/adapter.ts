import createClient from 'openapi-fetch';

import type { Client, Outcome } from '../journey.ts';
import type { paths } from './generated/api.ts';

export type {
  Accepted, Link, LoginProblem, LoginRequest, OwnProfile, Problem, ProblemCode, RegisterRequest, Role, TokenResponse,
  UpdateOwnProfileRequest, User, UserList, VerifiedAccount, VerifyEmailRequest,
} from './generated/api.ts';

export function connect(baseUrl: string, token?: string): Client {
  const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  // docs: use
  const api = createClient<paths>({ baseUrl, headers });
  const readProfile = () => api.GET('/users/me');
  // docs: end
  return {
    register: async (body) => outcome(await api.POST('/register', { body })),
    verifyEmail: async (body) => outcome(await api.POST('/verify-email', { body })),
    login: async (body) => outcome(await api.POST('/login', {
      body,
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    })),
    getOwnProfile: async () => outcome(await readProfile()),
    updateOwnProfile: async (body, ifMatch) => outcome(await api.PATCH('/users/me', {
      params: { header: { 'If-Match': ifMatch } },
      body,
    })),
    listUsers: async (query) => outcome(await api.GET('/users', { params: { query } })),
    upgradeUser: async (user_id) => outcome(await api.POST('/users/{user_id}/upgrade', { params: { path: { user_id } } })),
  };
}

function outcome<Value, Refusal>(
  { data, error, response }: { data?: Value | undefined; error?: Refusal | undefined; response: Response },
): Outcome<Value, Refusal> {
  if (data !== undefined) {
    return { ok: true, value: data, etag: response.headers.get('ETag') };
  }
  if (error !== undefined) {
    return { ok: false, problem: error };
  }
  throw new Error(`${response.status} without a body from ${response.url}`); // not from this server
}

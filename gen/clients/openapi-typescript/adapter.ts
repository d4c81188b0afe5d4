import createClient from 'openapi-fetch';

import type { Client, Done, Outcome } from '../client.ts';
import type { paths, Problem } from './generated/api.ts';

export type {
  Accepted, CreateSessionRequest, ForgotPasswordRequest, IntrospectTokenRequest, Link, LoginProblem, LoginRequest, OwnProfile, Problem,
  ProblemCode, RefreshTokenRequest, RegisterRequest, ResetPasswordRequest, Role, SessionList, TokenIntrospection, TokenResponse,
  UpdateOwnProfileRequest, User, UserList, VerifiedAccount, VerifyEmailRequest,
} from './generated/api.ts';

const form = { 'Content-Type': 'application/x-www-form-urlencoded' };

export function connect(baseUrl: string, token?: string): Client {
  const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  // docs: use
  const api = createClient<paths>({ baseUrl, headers });
  const readProfile = () => api.GET('/users/me');
  // docs: end
  return {
    register: async (body, idempotencyKey) => outcome(await api.POST('/register', {
      params: { header: { 'Idempotency-Key': idempotencyKey } },
      body,
    })),
    verifyEmail: async (body) => outcome(await api.POST('/verify-email', { body })),
    login: async (body) => outcome(await api.POST('/login', { body, headers: form })),
    createSession: async (body) => outcome(await api.POST('/sessions', { body })),
    refreshSession: async (body) => outcome(await api.POST('/sessions/refresh', { body })),
    logout: async (body) => done(await api.POST('/logout', { body })),
    listOwnSessions: async () => outcome(await api.GET('/users/me/sessions')),
    endOwnSession: async (session_id) => done(await api.DELETE('/users/me/sessions/{session_id}', { params: { path: { session_id } } })),
    forgotPassword: async (body) => outcome(await api.POST('/password/forgot', { body })),
    resetPassword: async (body) => done(await api.POST('/password/reset', { body })),
    introspectToken: async (body) => outcome(await api.POST('/introspect', { body, headers: form })),
    getOwnProfile: async () => outcome(await readProfile()),
    updateOwnProfile: async (body, ifMatch) => outcome(await api.PATCH('/users/me', {
      params: { header: { 'If-Match': ifMatch } },
      body,
    })),
    listUsers: async (query) => outcome(await api.GET('/users', { params: { query } })),
    upgradeUser: async (user_id) => outcome(await api.POST('/users/{user_id}/upgrade', { params: { path: { user_id } } })),
  };
}

/** 204 has no data. */
function done({ error, response }: { error?: Problem | undefined; response: Response }): Done {
  return outcome({ data: response.ok ? null : undefined, error, response });
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

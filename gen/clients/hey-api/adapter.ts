import type { Client, Outcome } from '../client.ts';
import { createClient } from './generated/client/index.ts';
import * as api from './generated/sdk.gen.ts';

export type {
  Accepted, CreateSessionRequest, ForgotPasswordRequest, IntrospectTokenRequest, Link, LoginProblem, LoginRequest, OwnProfile, Problem,
  ProblemCode, RefreshTokenRequest, RegisterRequest, ResetPasswordRequest, Role, SessionList, TokenIntrospection, TokenResponse,
  UpdateOwnProfileRequest, User, UserList, VerifiedAccount, VerifyEmailRequest,
} from './generated/types.gen.ts';

export function connect(baseUrl: string, token?: string): Client {
  // docs: use
  const client = createClient({ baseUrl, auth: () => token });
  const readProfile = () => api.getOwnProfile({ client });
  // docs: end
  return {
    register: async (body, idempotencyKey) =>
      outcome(await api.register({ client, body, headers: { 'Idempotency-Key': idempotencyKey } })),
    verifyEmail: async (body) => outcome(await api.verifyEmail({ client, body })),
    login: async (body) => outcome(await api.login({ client, body })),
    createSession: async (body) => outcome(await api.createSession({ client, body })),
    refreshSession: async (body) => outcome(await api.refreshSession({ client, body })),
    logout: async (body) => outcome(await api.logout({ client, body })),
    listOwnSessions: async () => outcome(await api.listOwnSessions({ client })),
    endOwnSession: async (session_id) => outcome(await api.endOwnSession({ client, path: { session_id } })),
    forgotPassword: async (body) => outcome(await api.forgotPassword({ client, body })),
    resetPassword: async (body) => outcome(await api.resetPassword({ client, body })),
    introspectToken: async (body) => outcome(await api.introspectToken({ client, body })),
    getOwnProfile: async () => outcome(await readProfile()),
    updateOwnProfile: async (body, ifMatch) =>
      outcome(await api.updateOwnProfile({ client, body, headers: { 'If-Match': ifMatch } })),
    listUsers: async (query) => outcome(await api.listUsers({ client, query })),
    upgradeUser: async (user_id) => outcome(await api.upgradeUser({ client, path: { user_id } })),
  };
}

function outcome<Value, Refusal>(
  { data, error, response }: { data: Value | undefined; error: Refusal | undefined; response?: Response },
): Outcome<Value, Refusal> {
  if (data !== undefined) { // {} for 204
    return { ok: true, value: data, etag: response?.headers.get('ETag') ?? null };
  }
  if (error !== undefined) {
    return { ok: false, problem: error };
  }
  throw new Error(`${response?.status} without a body from ${response?.url}`); // not from this server
}

import type { Client, Outcome } from '../journey.ts';
import { createClient } from './generated/client/index.ts';
import * as api from './generated/sdk.gen.ts';

export type {
  Accepted, Link, LoginProblem, LoginRequest, OwnProfile, Problem, ProblemCode, RegisterRequest, Role, TokenResponse,
  UpdateOwnProfileRequest, User, UserList, VerifiedAccount, VerifyEmailRequest,
} from './generated/types.gen.ts';

export function connect(baseUrl: string, token?: string): Client {
  // docs: use
  const client = createClient({ baseUrl, auth: () => token });
  const readProfile = () => api.getOwnProfile({ client });
  // docs: end
  return {
    register: async (body) => outcome(await api.register({ client, body })),
    verifyEmail: async (body) => outcome(await api.verifyEmail({ client, body })),
    login: async (body) => outcome(await api.login({ client, body })),
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
  if (data !== undefined) {
    return { ok: true, value: data, etag: response?.headers.get('ETag') ?? null };
  }
  if (error !== undefined) {
    return { ok: false, problem: error };
  }
  throw new Error(`${response?.status} without a body from ${response?.url}`); // not from this server
}

import type { Client, Outcome } from '../client.ts';
import * as api from './generated/api.ts';

export type {
  Accepted, CreateSessionRequest, ForgotPasswordRequest, IntrospectTokenRequest, Link, LoginProblem, LoginRequest, OwnProfile, Problem,
  ProblemCode, RefreshTokenRequest, RegisterRequest, ResetPasswordRequest, Role, SessionList, TokenIntrospection, TokenResponse,
  UpdateOwnProfileRequest, User, UserList, VerifiedAccount, VerifyEmailRequest,
} from './generated/model/index.ts';

export function connect(baseUrl: string, token?: string): Client {
  // docs: use
  const at = { baseUrl, token };
  const readProfile = () => api.getOwnProfile(at);
  // docs: end
  return {
    register: async (body, idempotencyKey) => {
      const answer = await api.register(body, { 'Idempotency-Key': idempotencyKey }, at);
      return answer.status === 201 || answer.status === 202 ? success(answer) : refusal(answer);
    },
    verifyEmail: async (body) => {
      const answer = await api.verifyEmail(body, at);
      return answer.status === 200 ? success(answer) : refusal(answer);
    },
    login: async (body) => {
      const answer = await api.login(body, at);
      return answer.status === 200 ? success(answer) : refusal(answer);
    },
    createSession: async (body) => {
      const answer = await api.createSession(body, at);
      return answer.status === 201 ? success(answer) : refusal(answer);
    },
    refreshSession: async (body) => {
      const answer = await api.refreshSession(body, at);
      return answer.status === 200 ? success(answer) : refusal(answer);
    },
    logout: async (body) => {
      const answer = await api.logout(body, at);
      return answer.status === 204 ? success(answer) : refusal(answer);
    },
    listOwnSessions: async () => {
      const answer = await api.listOwnSessions(at);
      return answer.status === 200 ? success(answer) : refusal(answer);
    },
    endOwnSession: async (sessionId) => {
      const answer = await api.endOwnSession(sessionId, at);
      return answer.status === 204 ? success(answer) : refusal(answer);
    },
    forgotPassword: async (body) => {
      const answer = await api.forgotPassword(body, at);
      return answer.status === 202 ? success(answer) : refusal(answer);
    },
    resetPassword: async (body) => {
      const answer = await api.resetPassword(body, at);
      return answer.status === 204 ? success(answer) : refusal(answer);
    },
    introspectToken: async (form) => {
      const answer = await api.introspectToken(form, at);
      return answer.status === 200 ? success(answer) : refusal(answer);
    },
    getOwnProfile: async () => {
      const answer = await readProfile();
      return answer.status === 200 ? success(answer) : refusal(answer);
    },
    updateOwnProfile: async (body, ifMatch) => {
      const answer = await api.updateOwnProfile(body, { 'If-Match': ifMatch }, at);
      return answer.status === 200 ? success(answer) : refusal(answer);
    },
    listUsers: async (query) => {
      const answer = await api.listUsers(query, at);
      return answer.status === 200 ? success(answer) : refusal(answer);
    },
    upgradeUser: async (userId) => {
      const answer = await api.upgradeUser(userId, at);
      return answer.status === 200 ? success(answer) : refusal(answer);
    },
  };
}

// The status tells success and refusal apart, and narrows the type of the data.
function success<Answer extends { data: unknown; headers: Headers }>(answer: Answer): Outcome<Answer['data'], never> {
  return { ok: true, value: answer.data, etag: answer.headers.get('ETag') };
}

function refusal<Answer extends { data: unknown }>(answer: Answer): Outcome<never, Answer['data']> {
  return { ok: false, problem: answer.data };
}

import type { z } from 'zod';

import type { Client, Outcome } from '../client.ts';
import * as api from './generated/index.ts';
import { Refusal, type ResponseConfig } from './request.ts';

export type {
  Accepted, CreateSessionRequest, ForgotPasswordRequest, IntrospectTokenRequest, Link, LoginProblem, LoginRequest, OwnProfile, Problem,
  ProblemCode, RefreshTokenRequest, RegisterRequest, ResetPasswordRequest, Role, SessionList, TokenIntrospection, TokenResponse,
  UpdateOwnProfileRequest, User, UserList, VerifiedAccount, VerifyEmailRequest,
} from './generated/index.ts';

export function connect(baseURL: string, token?: string): Client {
  // docs: use
  const at = { baseURL, token };
  const readProfile = () => api.getOwnProfile(at);
  // docs: end
  const problem = api.problemSchema;
  return {
    register: (body, idempotencyKey) => outcome(api.register(body, { 'Idempotency-Key': idempotencyKey }, at), problem),
    verifyEmail: (body) => outcome(api.verifyEmail(body, at), problem),
    login: (body) => outcome(api.login(body, at), api.loginProblemSchema),
    createSession: (body) => outcome(api.createSession(body, at), problem),
    refreshSession: (body) => outcome(api.refreshSession(body, at), problem),
    logout: (body) => outcome(api.logout(body, at), problem),
    listOwnSessions: () => outcome(api.listOwnSessions(at), problem),
    endOwnSession: (session_id) => outcome(api.endOwnSession(session_id, at), problem),
    forgotPassword: (body) => outcome(api.forgotPassword(body, at), problem),
    resetPassword: (body) => outcome(api.resetPassword(body, at), problem),
    introspectToken: (body) => outcome(api.introspectToken(body, at), problem),
    getOwnProfile: () => outcome(readProfile(), problem),
    updateOwnProfile: (body, ifMatch) => outcome(api.updateOwnProfile(body, { 'If-Match': ifMatch }, at), problem),
    listUsers: (query) => outcome(api.listUsers(query, at), problem),
    upgradeUser: (user_id) => outcome(api.upgradeUser(user_id, at), problem),
  };
}

/** The generated function has parsed a success with its schema; a problem is parsed here. */
async function outcome<Value, Refused>(
  call: Promise<ResponseConfig<Value>>, refusal: z.ZodType<Refused>,
): Promise<Outcome<Value, Refused>> {
  try {
    const { data, headers } = await call;
    return { ok: true, value: data, etag: headers.get('ETag') };
  } catch (error) {
    if (error instanceof Refusal) {
      return { ok: false, problem: refusal.parse(error.body) };
    }
    throw error;
  }
}

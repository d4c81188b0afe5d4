import { isAxiosError } from 'axios';
import type { z } from 'zod';

import type { Client, Outcome } from '../client.ts';
import { createApiClient, schemas } from './generated/api.ts';

type Schemas = typeof schemas;
export type Accepted = z.infer<Schemas['Accepted']>;
export type CreateSessionRequest = z.input<Schemas['CreateSessionRequest']>; // what has a default may be absent
export type ForgotPasswordRequest = z.infer<Schemas['ForgotPasswordRequest']>;
export type IntrospectTokenRequest = z.infer<Schemas['IntrospectTokenRequest']>;
export type Link = z.infer<Schemas['Link']>;
export type LoginProblem = z.infer<Schemas['LoginProblem']>;
export type LoginRequest = z.infer<Schemas['LoginRequest']>;
export type OwnProfile = z.infer<Schemas['OwnProfile']>;
export type Problem = z.infer<Schemas['Problem']>;
export type ProblemCode = z.infer<Schemas['ProblemCode']>;
export type RefreshTokenRequest = z.infer<Schemas['RefreshTokenRequest']>;
export type RegisterRequest = z.infer<Schemas['RegisterRequest']>;
export type ResetPasswordRequest = z.infer<Schemas['ResetPasswordRequest']>;
export type Role = z.infer<Schemas['Role']>;
export type SessionList = z.infer<Schemas['SessionList']>;
export type TokenIntrospection = z.infer<Schemas['TokenIntrospection']>;
export type TokenResponse = z.infer<Schemas['TokenResponse']>;
export type UpdateOwnProfileRequest = z.infer<Schemas['UpdateOwnProfileRequest']>;
export type User = z.infer<Schemas['User']>;
export type UserList = z.infer<Schemas['UserList']>;
export type VerifiedAccount = z.infer<Schemas['VerifiedAccount']>;
export type VerifyEmailRequest = z.infer<Schemas['VerifyEmailRequest']>;

export function connect(baseUrl: string, token?: string): Client {
  const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  // docs: use
  const api = createApiClient(baseUrl, { axiosConfig: { headers } });
  const readProfile = () => api.getOwnProfile();
  // docs: end
  const problem = schemas.Problem;
  return {
    register: (body, idempotencyKey) => outcome(api.register(body, { headers: { 'Idempotency-Key': idempotencyKey } }), problem),
    verifyEmail: (body) => outcome(api.verifyEmail(body), problem),
    login: (body) => outcome(api.login(body), schemas.LoginProblem),
    createSession: (body) => outcome(api.createSession(body), problem),
    refreshSession: (body) => outcome(api.refreshSession(body), problem),
    logout: (body) => outcome(api.logout(body), problem),
    listOwnSessions: () => outcome(api.listOwnSessions(), problem),
    endOwnSession: (session_id) => outcome(api.endOwnSession(undefined, { params: { session_id } }), problem),
    forgotPassword: (body) => outcome(api.forgotPassword(body), problem),
    resetPassword: (body) => outcome(api.resetPassword(body), problem),
    introspectToken: (body) => outcome(api.introspectToken(body), problem),
    getOwnProfile: () => outcome(readProfile(), problem),
    updateOwnProfile: (body, ifMatch) => outcome(api.updateOwnProfile(body, { headers: { 'If-Match': ifMatch } }), problem),
    listUsers: (queries) => outcome(api.listUsers({ queries }), problem),
    upgradeUser: (user_id) => outcome(api.upgradeUser(undefined, { params: { user_id } }), problem),
  };
}

/** zodios has parsed a success with its schema; a problem it throws as it is. Headers do not come out of it. */
async function outcome<Value, Refusal>(call: Promise<Value>, refusal: z.ZodType<Refusal>): Promise<Outcome<Value, Refusal>> {
  try {
    return { ok: true, value: await call, etag: null };
  } catch (error) {
    if (isAxiosError(error) && error.response !== undefined) {
      return { ok: false, problem: refusal.parse(error.response.data) };
    }
    throw error;
  }
}

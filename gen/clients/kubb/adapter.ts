import type { z } from 'zod';

import type { Client, Outcome } from '../journey.ts';
import * as api from './generated/index.ts';
import { Refusal, type ResponseConfig } from './request.ts';

export type {
  Accepted, Link, LoginProblem, LoginRequest, OwnProfile, Problem, ProblemCode, RegisterRequest, Role, TokenResponse,
  UpdateOwnProfileRequest, User, UserList, VerifiedAccount, VerifyEmailRequest,
} from './generated/index.ts';

export function connect(baseURL: string, token?: string): Client {
  // docs: use
  const at = { baseURL, token };
  const readProfile = () => api.getOwnProfile(at);
  // docs: end
  const problem = api.problemSchema;
  return {
    register: (body) => outcome(api.register(body, undefined, at), problem),
    verifyEmail: (body) => outcome(api.verifyEmail(body, at), problem),
    login: (body) => outcome(api.login(body, at), api.loginProblemSchema),
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

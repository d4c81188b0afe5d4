import { MutationObserver, QueryClient, QueryObserver } from '@tanstack/react-query';

import type { Client, Outcome } from '../client.ts';
import * as api from './generated/api.ts';
import type { ErrorType } from './request.ts';

export type {
  Accepted, CreateSessionRequest, ForgotPasswordRequest, IntrospectTokenRequest, Link, LoginProblem, LoginRequest, OwnProfile, Problem,
  ProblemCode, RefreshTokenRequest, RegisterRequest, ResetPasswordRequest, Role, SessionList, TokenIntrospection, TokenResponse,
  UpdateOwnProfileRequest, User, UserList, VerifiedAccount, VerifyEmailRequest,
} from './generated/model/index.ts';

/** In a component this would be useLogin({ request }), useListUsers(query, { request }) and so on: observers are what those hooks wrap. */
export function connect(baseUrl: string, token?: string): Client {
  // docs: use
  const request = { baseUrl, token };
  const profile = api.getGetOwnProfileQueryOptions({ request }); // what useGetOwnProfile({ request }) watches
  // docs: end
  const cache = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  return {
    register: (body, idempotencyKey) => mutated(
      new MutationObserver(cache, api.getRegisterMutationOptions({ request })),
      { data: body, headers: { 'Idempotency-Key': idempotencyKey } },
    ),
    verifyEmail: (body) => mutated(new MutationObserver(cache, api.getVerifyEmailMutationOptions({ request })), { data: body }),
    login: (body) => mutated(new MutationObserver(cache, api.getLoginMutationOptions({ request })), { data: body }),
    createSession: (body) => mutated(new MutationObserver(cache, api.getCreateSessionMutationOptions({ request })), { data: body }),
    refreshSession: (body) => mutated(new MutationObserver(cache, api.getRefreshSessionMutationOptions({ request })), { data: body }),
    logout: (body) => mutated(new MutationObserver(cache, api.getLogoutMutationOptions({ request })), { data: body }),
    listOwnSessions: () => queried(new QueryObserver(cache, api.getListOwnSessionsQueryOptions({ request }))),
    endOwnSession: (sessionId) => mutated(new MutationObserver(cache, api.getEndOwnSessionMutationOptions({ request })), { sessionId }),
    forgotPassword: (body) => mutated(new MutationObserver(cache, api.getForgotPasswordMutationOptions({ request })), { data: body }),
    resetPassword: (body) => mutated(new MutationObserver(cache, api.getResetPasswordMutationOptions({ request })), { data: body }),
    introspectToken: (form) => mutated(new MutationObserver(cache, api.getIntrospectTokenMutationOptions({ request })), { data: form }),
    getOwnProfile: () => queried(new QueryObserver(cache, profile)),
    updateOwnProfile: (body, ifMatch) => mutated(
      new MutationObserver(cache, api.getUpdateOwnProfileMutationOptions({ request })),
      { data: body, headers: { 'If-Match': ifMatch } },
    ),
    listUsers: (query) => queried(new QueryObserver(cache, api.getListUsersQueryOptions(query, { request }))),
    upgradeUser: (userId) => mutated(new MutationObserver(cache, api.getUpgradeUserMutationOptions({ request })), { userId }),
  };
}

interface Answer { data: unknown; headers: Headers }

async function mutated<Success extends Answer, Refused, Variables>(
  observer: MutationObserver<Success, ErrorType<Refused>, Variables, unknown>, variables: Variables,
): Promise<Outcome<Success['data'], Refused>> {
  await observer.mutate(variables).catch(() => undefined); // it is in the result, with its type
  return outcome(observer.getCurrentResult());
}

async function queried<Success extends Answer, Refused>(
  observer: QueryObserver<Success, ErrorType<Refused>>,
): Promise<Outcome<Success['data'], Refused>> {
  return outcome(await observer.refetch());
}

/** The result of a hook: data, or an error. */
function outcome<Success extends Answer, Refused>(
  { data, error }: { data: Success | undefined; error: ErrorType<Refused> | null },
): Outcome<Success['data'], Refused> {
  if (data !== undefined) {
    return { ok: true, value: data.data, etag: data.headers.get('ETag') };
  }
  if (error?.problem !== undefined) {
    return { ok: false, problem: error.problem };
  }
  throw error ?? new Error('neither data nor an error');
}

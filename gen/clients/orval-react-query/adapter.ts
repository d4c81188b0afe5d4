import { MutationObserver, QueryClient, QueryObserver } from '@tanstack/react-query';

import type { Client, Outcome } from '../journey.ts';
import * as api from './generated/api.ts';
import type { ErrorType } from './request.ts';

export type {
  Accepted, Link, LoginProblem, LoginRequest, OwnProfile, Problem, ProblemCode, RegisterRequest, Role, TokenResponse,
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
    register: (body) => mutated(new MutationObserver(cache, api.getRegisterMutationOptions({ request })), { data: body }),
    verifyEmail: (body) => mutated(new MutationObserver(cache, api.getVerifyEmailMutationOptions({ request })), { data: body }),
    login: (body) => mutated(new MutationObserver(cache, api.getLoginMutationOptions({ request })), { data: body }),
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

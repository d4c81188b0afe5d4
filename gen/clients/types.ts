// What the generated types have to say, whichever generator made them. Nothing here runs: it compiles, or
// the client is not what the document promises. A line below @ts-expect-error must NOT compile.
import type {
  CreateSessionRequest, Link, LoginProblem, OwnProfile, Problem, ProblemCode, RegisterRequest, Role, TokenResponse,
  UpdateOwnProfileRequest, UserList,
} from '#adapter';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
type Holds<Claim extends true> = Claim;

/** An enum is a union of exactly its literals, null is null, and what is required is never undefined. */
export type Claims = [
  Holds<Same<Role, 'ANONYMOUS' | 'AUTHENTICATED' | 'MANAGER' | 'ADMIN'>>,
  Holds<Same<OwnProfile['role'], Role>>,
  Holds<Same<OwnProfile['bio'], string | null>>,
  Holds<Same<OwnProfile['version'], number>>,
  Holds<Same<UserList['next_cursor'], string | null>>,
  Holds<Same<TokenResponse['refresh_token'], string | null>>,
  Holds<Same<Problem['code'], ProblemCode>>,
  Holds<Same<LoginProblem['code'], ProblemCode>>,
  Holds<Same<Link['method'], 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'>>,
];

/** Absent, null and a value are three things. */
export const patches: UpdateOwnProfileRequest[] = [{}, { bio: null }, { bio: 'Writes programs.' }];

/** What has a default may be absent. */
export const signIn: CreateSessionRequest = { identifier: 'ada', password: 'Analytic*1843' };

// @ts-expect-error a nickname can be changed, but not cleared
export const cleared: UpdateOwnProfileRequest = { nickname: null };
// @ts-expect-error the role is not changed here
export const promoted: UpdateOwnProfileRequest = { role: 'ADMIN' };
// @ts-expect-error a password is required
export const passwordless: RegisterRequest = { email: 'ada@example.org' };
// @ts-expect-error there is no such code
export const misspelt: ProblemCode = 'not_fuond';
// @ts-expect-error a table of every code that lacks all but one does not compile
export const incomplete: Record<ProblemCode, string> = { not_found: 'Gone.' };

/** A switch that forgets codes does not compile; reaction.ts, which forgets none, does. */
export function forgetful(code: ProblemCode): string {
  switch (code) {
    case 'not_found':
      return 'Gone.';
    default:
      // @ts-expect-error the other codes are still possible here
      code satisfies never;
      return 'Something else.';
  }
}

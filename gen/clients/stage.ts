// Where the journey is played: against the real server here, against a mock in prism/.
import type { ProblemCode } from '#adapter';

export interface Stage {
  baseUrl: string;
  manager: { email: string; password: string };
  newEmail(): string;
  /** The token in the mail that was sent to the address. */
  verificationToken(email: string): Promise<string>;
  /** The token in the mail about a forgotten password. */
  resetToken(email: string): Promise<string>;
  /** Announces that the next request has to be refused, or one more after it: the server knows by itself, a mock has to be told. */
  willRefuse(status: number, code: ProblemCode): void;
  /** Fails when the value is another one; a mock, which has no state, looks at its kind only. */
  equal(what: string, got: unknown, want: unknown): void;
  /** What a person would see, into the log. */
  show(line: string): void;
}

/** The real server, with the inbox of `usermanager dev`. */
export function liveStage(): Stage {
  const baseUrl = variable('BASE_URL');
  return {
    baseUrl,
    manager: { email: variable('MANAGER_EMAIL'), password: variable('PASSWORD') },
    newEmail: () => `ada.${crypto.randomUUID()}@example.org`,
    verificationToken: (email) => tokenFromInbox(baseUrl, email, /\/verify-email\/[0-9a-f-]{36}\/([\w-]+)/),
    resetToken: (email) => tokenFromInbox(baseUrl, email, /\/password\/reset\/([\w-]+)/),
    willRefuse: () => undefined,
    equal(what, got, want) {
      if (got !== want) {
        throw new Error(`${what}: got ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
      }
    },
    show: (line) => console.log(line),
  };
}

/** Waits for the mail, as its reader would, and takes the token out of its link. */
async function tokenFromInbox(baseUrl: string, email: string, link: RegExp): Promise<string> {
  for (const deadline = Date.now() + 30_000; Date.now() < deadline;) {
    const answer = await fetch(`${baseUrl}/dev/inbox?to=${encodeURIComponent(email)}`, { headers: { Accept: 'application/json' } });
    const inbox = await answer.text();
    const token = link.exec(inbox)?.[1];
    if (token !== undefined) {
      return token;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`no mail to ${email} with a link like ${link} came within 30 s`);
}

export function variable(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === '') {
    throw new Error(`${name} is not set: run this by gen/clients/run.mjs`);
  }
  return value;
}

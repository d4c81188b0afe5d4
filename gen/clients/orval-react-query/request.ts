/** Where the server is, and as whom: what the adapter passes as `request` of every generated hook. */
export interface Target {
  baseUrl?: string;
  token?: string | undefined;
}

/** What the hooks give as `error`. */
export class Refusal<Problem> extends Error {
  constructor(readonly problem: Problem) {
    super('The server refused the request.');
  }
}
export type ErrorType<Problem> = Refusal<Problem>; // the generator looks for this name

/** What every generated function calls. React Query wants what is no success to be thrown. */
export async function request<Answer>(path: string, { baseUrl = '', token, ...init }: RequestInit & Target): Promise<Answer> {
  const headers = new Headers(init.headers);
  if (token !== undefined) {
    headers.set('Authorization', `Bearer ${token}`);
  }
  const response = await fetch(baseUrl + path, { ...init, headers });
  const data: unknown = response.status === 204 ? undefined : await response.json();
  if (!response.ok) {
    throw new Refusal(data);
  }
  // Which type belongs to which status is what the generator knows and the call site asks for.
  return { status: response.status, data, headers: response.headers } as Answer;
}

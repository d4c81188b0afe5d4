/** Where the server is, and as whom: what the adapter passes as the second argument of every generated function. */
export interface Target {
  baseUrl?: string;
  token?: string | undefined;
}

/** What every generated function calls: the place for the address, the token and the parsing of the body. */
export async function request<Answer>(path: string, { baseUrl = '', token, ...init }: RequestInit & Target): Promise<Answer> {
  const headers = new Headers(init.headers);
  if (token !== undefined) {
    headers.set('Authorization', `Bearer ${token}`);
  }
  const response = await fetch(baseUrl + path, { ...init, headers });
  const data: unknown = response.status === 204 ? undefined : await response.json();
  // Which type belongs to which status is what the generator knows and the call site asks for.
  return { status: response.status, data, headers: response.headers } as Answer;
}

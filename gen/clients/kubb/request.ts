// What every generated function calls; the names are those that the generated code imports.

export interface RequestConfig<Body = unknown> {
  baseURL?: string;
  token?: string | undefined;
  url?: string;
  method?: string;
  params?: object;
  data?: Body;
  headers?: Record<string, string>;
}
export interface ResponseConfig<Data> { data: Data; status: number; headers: Headers }
export type ResponseErrorConfig<Problem> = Problem;
export type Client = <Data, _Problem, Body>(config: RequestConfig<Body>) => Promise<ResponseConfig<Data>>;

/** A response that is no success, with its body as it came. */
export class Refusal extends Error {
  constructor(readonly body: unknown) {
    super('The server refused the request.');
  }
}

const request: Client = async <Data, _Problem, Body>(config: RequestConfig<Body>) => {
  const { baseURL = '', token, url = '', method = 'GET', params = {}, data } = config;
  const query = new URLSearchParams(strings(params)).toString();
  const headers = new Headers(config.headers);
  if (token !== undefined) {
    headers.set('Authorization', `Bearer ${token}`);
  }
  const init: RequestInit = { method, headers };
  if (typeof data === 'object' && data !== null) {
    const isForm = headers.get('Content-Type') === 'application/x-www-form-urlencoded';
    init.body = isForm ? new URLSearchParams(strings(data)) : JSON.stringify(data);
    headers.set('Content-Type', isForm ? 'application/x-www-form-urlencoded' : 'application/json');
  }
  const response = await fetch(baseURL + url + (query && `?${query}`), init);
  const body: unknown = response.status === 204 ? undefined : await response.json();
  if (!response.ok) {
    throw new Refusal(body);
  }
  // The generated function parses the data with the schema of its operation.
  return { data: body as Data, status: response.status, headers: response.headers };
};
export default request;

/** The fields that have a value, as text. */
function strings(fields: object): Record<string, string> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined).map(([name, value]) => [name, String(value)]));
}

// The same journey, with the client of openapi-fetch, against a mock that knows nothing but the document.
import { connect } from '#adapter';
import { journey } from '../journey.ts';
import { variable, type Stage } from '../stage.ts';
import { startMock } from './mock.ts';

const mock = await startMock(variable('SPEC'));

/** What the next requests ask the mock for: without it, a mock has no reason to refuse anything. */
const preferences: string[] = [];
const realFetch = globalThis.fetch;
globalThis.fetch = (input, init) => {
  const request = new Request(input, init);
  const prefer = preferences.shift();
  if (prefer !== undefined) {
    request.headers.set('Prefer', prefer);
  }
  return realFetch(request);
};

const mailedToken = 'AQIDBAGYHVx6AHAAgAAAAAAAAABkZW1vLWRlbW8tZGVtby1kZW1vLWRlbW8tZGVtbw'; // the document's example

const stage: Stage = {
  baseUrl: mock.baseUrl,
  manager: { email: 'manager@example.com', password: 'Secure*1234' },
  newEmail: () => 'ada@example.com',
  verificationToken: async () => mailedToken,
  resetToken: async () => mailedToken,
  willRefuse(status, code) {
    preferences.push(`code=${status}, example=${code}`);
  },
  equal(what, got, want) {
    if (got !== null && want !== null && typeof got !== typeof want) {
      throw new Error(`${what}: got ${JSON.stringify(got)}, want something like ${JSON.stringify(want)}`);
    }
  },
  show: (line) => console.log(line),
};

let failure: unknown = null;
try {
  await journey(connect, stage);
  const complaint = mock.complaints().at(-1); // the last one says what it is about
  if (complaint !== undefined) {
    throw new Error(`the mock complains: ${complaint}`);
  }
} catch (error) {
  failure = error;
}
await mock.stop();
if (failure !== null) {
  console.error(failure instanceof Error ? failure.message : failure);
  process.exitCode = 1;
}

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';

export interface Mock {
  baseUrl: string;
  /** What it has not liked about requests, and about its own responses. */
  complaints(): string[];
  stop(): Promise<void>;
}

/** Starts prism on a free port. With --errors it refuses what the document does not allow. */
export async function startMock(spec: string): Promise<Mock> {
  const port = await freePort();
  const prism = spawn('prism', ['mock', '--errors', '--host', '127.0.0.1', '--port', String(port), spec]);
  let output = '';
  const ready = new Promise<void>((resolve, reject) => {
    for (const stream of [prism.stdout, prism.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        if (output.includes('Prism is listening')) {
          resolve();
        }
      });
    }
    prism.once('error', reject);
    prism.once('exit', (status) => reject(new Error(`prism ended with ${status}: ${output}`)));
  });
  await ready;
  return {
    baseUrl: `http://127.0.0.1:${port}`,
    complaints: () => output.split('\n')
      .filter((line, i, lines) => /warn|error|violation/i.test(line) && !isAboutNoContent(line, lines[i + 1]))
      .map((line) => line.replace(/^.*› */, '')),
    async stop() {
      console.log(output);
      const ended = once(prism, 'exit');
      prism.kill('SIGINT');
      await ended;
    },
  };
}

/** Prism looks for the content of every answer, also of a 204, which has none, and warns when it finds none. */
function isAboutNoContent(line: string, next = ''): boolean {
  return line.includes('Unable to find content for') && next.includes('Responding with the requested status code 204');
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') {
    throw new Error('no free port');
  }
  return address.port;
}

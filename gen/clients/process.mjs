// Runs the commands of steps.json.
import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { once } from 'node:events';

const limit = 10 * 60_000; // a first `go run` or `pip install` takes minutes, nothing takes more

let running = null;
const end = () => running !== null && process.kill(-running.pid, 'SIGKILL');
process.once('exit', end); // Ctrl-C reaches only this process: the commands are in groups of their own

/** Runs a shell command, writes what it prints to the log, and gives its status, its lines, and the last one that tells of an error. */
export async function run(command, { cwd, env, log, title }) {
  const file = createWriteStream(log, { flags: 'a' });
  file.write(`== ${title}: ${command}\n`);
  // In a group, so that what the command has started ends with it.
  const child = spawn('bash', ['-euo', 'pipefail', '-c', command], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  running = child;
  const timer = setTimeout(end, limit);
  const output = { stdout: '', stderr: '', all: '' };
  for (const stream of ['stdout', 'stderr']) {
    child[stream].setEncoding('utf8').on('data', (text) => {
      output[stream] += text;
      output.all += text;
      file.write(text);
    });
  }
  const [status, signal] = await once(child, 'close');
  running = null;
  clearTimeout(timer);
  file.end(`== ended with ${status ?? signal}\n\n`);
  const last = [...lines(output.stdout), ...lines(output.stderr)].findLast((line) => line.trim() !== '');
  return { status: status ?? 1, lines: lines(output.all), last: last ?? `status ${status ?? signal}` };
}

/** The lines of a text without colours. */
const lines = (text) => text.replace(/\x1b\[[0-9;?]*[A-Za-z]/g, '').split(/\r?\n/);

/** The version in the last line that has one. */
export function version(output) {
  const found = output.map((line) => /\d+\.\d+(?:\.\d+)?(?:[-+][\w.]+)?/.exec(line)?.[0]);
  return found.findLast((text) => text !== undefined) ?? '-';
}

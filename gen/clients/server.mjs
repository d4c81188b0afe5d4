// The real server, with its own database and inbox, for as long as the clients need it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdtempSync, chmodSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

const startLimit = 8 * 60_000; // `go run` compiles everything the first time

export async function startServer(root, clients, log) {
  const folder = mkdtempSync(join(tmpdir(), 'usermanager-clients-'));
  chmodSync(folder, 0o755); // for root, PostgreSQL runs as another user, who has to get through
  const file = createWriteStream(log);
  process.stderr.write('server: starts\n');
  const child = spawn('go', ['run', './cmd/usermanager', 'dev', '--listen', '127.0.0.1:0', '--data-dir', join(folder, 'data')], {
    cwd: root,
    env: ownSettings(),
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true, // `go run` does not pass a signal on, so it goes to the group
  });
  child.stderr.pipe(file, { end: false });
  const ended = once(child, 'close');

  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      process.kill(-child.pid, 'SIGINT');
    }
    await ended;
    file.end();
    rmSync(folder, { recursive: true, force: true });
  };
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => stop().then(() => process.exit(1)));
  }
  try {
    const baseUrl = await address(child, file, ended, log);
    return { stop, environment: environment(clients, root, baseUrl) };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Waits for the line of the server's greeting that says where it is. */
function address(child, file, ended, log) {
  return new Promise((resolve, reject) => {
    let output = '';
    const timer = setTimeout(() => reject(new Error(`the server did not start within ${startLimit / 60_000} minutes, see ${log}`)), startLimit);
    child.stdout.setEncoding('utf8').on('data', (text) => {
      file.write(text);
      output += text;
      const found = /^\s*API\s+(http\S+)$/m.exec(output);
      if (found) {
        clearTimeout(timer);
        resolve(found[1]);
      }
    });
    const failed = () => {
      clearTimeout(timer);
      reject(new Error(`the server did not start, see ${log}`));
    };
    ended.then(failed, failed);
  });
}

/** What the commands of steps.json find in their environment. */
function environment(clients, root, baseUrl) {
  return {
    ...process.env,
    PATH: join(clients, 'node_modules', '.bin') + delimiter + process.env.PATH,
    BASE_URL: baseUrl,
    MANAGER_EMAIL: 'manager@example.com', // an account of every dev, as is the password
    PASSWORD: 'Secure*1234',
    SPEC: join(root, 'openapi.yaml'),
    NO_COLOR: '1',
    DO_NOT_TRACK: '1', // kubb reports each run to its maker otherwise
  };
}

/** The environment without the settings of a server: somebody's own database or mail server has no place here. */
function ownSettings() {
  const setting = /^(ACCESS|BOOTSTRAP|CORS|DATABASE|DRAIN|LINK|LISTEN|LOG|LOGIN|MAIL|MAX_LOGIN|PASSWORD|PRODUCT|PUBLIC|REFRESH|REGISTRATION|SECRET|SESSION|SMTP|SUPPORT|TRUSTED)_|^(DOCS|KEY_ROTATION|REGISTRATION)$/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !setting.test(name)));
}

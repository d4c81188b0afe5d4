// Runs the pinned tools and returns what they find in one form: {file, line, column, rule, message, at}, where
// `at` is a JSON pointer. None of them asks the network for anything.
import {spawnSync} from 'node:child_process';
import {existsSync, mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {basename, dirname, join, relative, resolve} from 'node:path';
import {fileURLToPath} from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
export const root = resolve(here, '../..');
export const documentFile = join(root, 'openapi.yaml');

const env = {...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true', NO_COLOR: '1'};

// run returns what a program prints, and fails when it could not do its work: a linter that found something
// ends with 1 as well as one that broke, but only the former prints JSON.
function run(program, args) {
  const result = spawnSync(program, args, {cwd: root, env, encoding: 'utf8', maxBuffer: 1 << 30});
  if (result.error) {
    throw new Error(`${program} cannot be started: ${result.error.message}`);
  }
  return {...result, command: [basename(program), ...args].join(' ')};
}

function parsed({stdout, stderr, status, command}) {
  try {
    return JSON.parse(stdout);
  } catch {
    const said = (stderr || stdout).replace(/^ *[╔║╚].*\n/gm, '').trim(); // without the box in which redocly advertises Node
    throw new Error(`${command}\nended with ${status} and printed no findings:\n${said}`);
  }
}

function nodeTool(name) {
  const file = join(root, 'gen/clients/node_modules/.bin', name);
  if (!existsSync(file)) {
    throw new Error(`${name} is not installed: run task check:contract, or npm ci in gen/clients.`);
  }
  return file;
}

const goTool = (...args) => run('go', ['tool', '-modfile=gen/oasdiff.mod', 'oasdiff', ...args]);

const pointer = (path) => '#' + path.map((key) => '/' + String(key).replaceAll('~', '~0').replaceAll('/', '~1')).join('');

export function redocly(...files) {
  const args = ['lint', ...files, '--config', join(here, 'redocly.yaml'), '--format=json', '--max-problems=1000'];
  const result = run(nodeTool('redocly'), args);
  // It prints one JSON text for each file, without anything between them.
  const texts = result.stdout.split(/(?<=^\})\s*(?=\{$)/m);
  const problems = texts.flatMap((stdout) => parsed({...result, stdout}).problems);
  return problems.map(({ruleId, message, location: [where]}) => ({
    file: resolve(root, where.source.ref),
    line: where.start?.line ?? 1,
    column: where.start?.col ?? 1,
    rule: ruleId,
    message,
    at: where.pointer ?? '#/',
  }));
}

export function spectral(...files) {
  const args = ['lint', ...files, '--ruleset', join(here, 'spectral.yaml'), '--format=json', '--quiet'];
  return parsed(run(nodeTool('spectral'), args)).map(({code, message, path, range, source}) => ({
    file: source,
    line: range.start.line + 1,
    column: range.start.character + 1,
    rule: code,
    message,
    at: pointer(path),
  }));
}

// changes lists every difference between two documents, whether it breaks clients or not.
export function changes(base, revision) {
  return parsed(goTool('changelog', base, revision, '--format=json'));
}

// load reads a document as data. Redocly turns YAML into JSON, so that no parser of our own is needed.
export function load(file) {
  const folder = mkdtempSync(join(tmpdir(), 'contract-'));
  try {
    const out = join(folder, 'openapi.json');
    const result = run(nodeTool('redocly'), ['bundle', file, '--config', join(here, 'redocly.yaml'), '--ext=json', `--output=${out}`]);
    if (result.status !== 0) {
      throw new Error(`${file} cannot be read:\n${result.stderr}`);
    }
    return JSON.parse(readFileSync(out, 'utf8'));
  } finally {
    rmSync(folder, {recursive: true});
  }
}

// line is a finding as people and editors read it: what and where.
export function line({file, line: row, column, rule, message, at}) {
  return `${relative(root, file)}:${row}:${column}: ${rule}: ${message} (${at})`;
}

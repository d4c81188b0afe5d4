#!/usr/bin/env node
// Generates every client, type-checks it and lets it make the journey against the real server.
//
//   node gen/clients/run.mjs [GENERATOR...]   all or some; all of them write report.json and the READMEs
//   node gen/clients/run.mjs --write          brings the READMEs up to date with report.json and the sources
//   node gen/clients/run.mjs --check          fails where they are not; both start nothing
//
// Each folder with a steps.json is a generator: README.md explains the file. Only Node's own modules.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync, existsSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

import { checkDocuments, markdownTable, writeDocuments } from './documents.mjs';
import { run, version } from './process.mjs';
import { missing } from './requirements.mjs';
import { startServer } from './server.mjs';

const clients = dirname(fileURLToPath(import.meta.url));
const root = join(clients, '..', '..');
const logs = join(root, '.task', 'clients');

/** Every generator, by the name of its folder. */
function generators() {
  return readdirSync(clients)
    .filter((name) => existsSync(join(clients, name, 'steps.json')))
    .sort()
    .map((name) => ({ name, folder: join(clients, name), ...JSON.parse(readFileSync(join(clients, name, 'steps.json'), 'utf8')) }));
}

/** Generates, checks and plays one client. A step that fails ends it: the next one would say the same less clearly. */
async function prove(generator, server) {
  const row = { generator: generator.generator, version: '-', warnings: 0, type_errors: 0, journey: 'passed' };
  if (generator.unavailable) {
    return { ...row, journey: `not run: ${generator.unavailable}` };
  }
  const log = join(logs, `${generator.name}.log`);
  writeFileSync(log, '');
  if (generator.generate) {
    rmSync(join(generator.folder, 'generated'), { recursive: true, force: true });
    mkdirSync(join(generator.folder, 'generated'));
  }
  const step = async (name) => {
    if (!generator[name]) {
      return { status: 0, lines: [], last: '' };
    }
    process.stderr.write(`${generator.name}: ${name}\n`);
    return run(generator[name], { cwd: generator.folder, env: server.environment, log, title: name });
  };

  row.version = version((await step('version')).lines);
  const generated = await step('generate');
  row.warnings = generated.lines.filter((line) => /warn|deprecat/i.test(line)).length;
  if (generated.status !== 0) {
    return { ...row, journey: 'not run: it does not generate' };
  }
  const checked = await step('check');
  if (checked.status !== 0) {
    row.type_errors = Math.max(1, checked.lines.filter((line) => /\berror\b/i.test(line)).length);
    return { ...row, journey: 'not run: it does not compile' };
  }
  const played = await step('journey');
  if (played.status !== 0) {
    row.journey = `failed: ${played.last}`;
  }
  return row;
}

/** Whether one of the named generators plays with the client of this one. */
const isUsedBy = (name, names, all) => all.some((other) => other.uses === name && names.includes(other.name));

/** What is proven: nothing to complain about in any step. */
const isGood = (row) => row.warnings === 0 && row.type_errors === 0 && row.journey === 'passed';

async function main(names) {
  const all = generators();
  if (names[0] === '--write') {
    writeDocuments(root, clients, all);
    return 0;
  }
  if (names[0] === '--check') {
    return complain(checkDocuments(root, clients, all));
  }
  const unknown = names.filter((name) => !all.some((generator) => generator.name === name));
  if (unknown.length > 0) {
    return complain([`there is no generator ${unknown.join(', ')}; there are ${all.map((generator) => generator.name).join(', ')}`]);
  }
  const chosen = names.length === 0 ? all : all.filter(({ name }) => names.includes(name) || isUsedBy(name, names, all));
  const lacks = missing(chosen, clients);
  if (lacks.length > 0) {
    return complain(lacks);
  }

  mkdirSync(logs, { recursive: true });
  const server = await startServer(root, clients, join(logs, 'server.log'));
  const report = [];
  try {
    for (const generator of chosen) {
      report.push(await prove(generator, server));
    }
  } finally {
    await server.stop();
  }

  console.log(markdownTable(report));
  if (names.length === 0) { // a part of it would not be the report
    writeFileSync(join(clients, 'report.json'), `${JSON.stringify(report, null, 2)}\n`);
    writeDocuments(root, clients, all);
  }
  const bad = report.filter((row) => !isGood(row));
  return complain(bad.map((row) => `${row.generator} is not proven: see ${relative(process.cwd(), logs)}`));
}

/** Says what is wrong and gives the status to end with. */
function complain(lines) {
  lines.forEach((line) => console.error(`clients: ${line}`));
  return lines.length === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));

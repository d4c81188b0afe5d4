// What a machine has to have before anything starts.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const programs = {
  java: { command: ['java', '-version'], wanted: 'a Java runtime, version 11 or newer' },
  mvn: { command: ['mvn', '--version'], wanted: 'Maven, which fetches it' },
  python3: { command: ['python3', '--version'], wanted: 'Python 3.10 or newer' },
  go: { command: ['go', 'version'], wanted: 'Go, see go.mod' },
};

/** One sentence for each thing that is missing. */
export function missing(generators, clients) {
  const lacks = [];
  if (Number(process.versions.node.split('.')[0]) < 20) {
    lacks.push(`Node 20 or newer is needed, this is ${process.versions.node}`);
  }
  if (!existsSync(join(clients, 'node_modules', '.package-lock.json'))) {
    lacks.push('the generators are not installed: run `npm ci --ignore-scripts` in gen/clients, or `task clients`');
  }
  const users = { go: ['the server'] };
  for (const generator of generators.filter((generator) => !generator.unavailable)) {
    for (const need of generator.needs.filter((need) => need !== 'node')) {
      (users[need] ??= []).push(generator.generator);
    }
  }
  for (const [need, by] of Object.entries(users)) {
    const program = programs[need];
    if (program === undefined) {
      lacks.push(`${by.join(', ')} needs ${need}, which gen/clients/requirements.mjs does not know`);
    } else if (spawnSync(program.command[0], program.command.slice(1), { stdio: 'ignore' }).status !== 0) {
      lacks.push(`${need} is not there: ${by.join(', ')} needs ${program.wanted}`);
    }
  }
  return lacks;
}

// Usage: node release.mjs. Keeps openapi.yaml as the release info.version, with the list of what changed since
// the one before, and empties waivers.json: what it forgave is in that list, with the reasons.
import {copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {breaking, grouped, readWaivers, waiversFile, where} from './breaking.mjs';
import {newest, parseVersion, releasedFile} from './releases.mjs';
import {changes, documentFile, load} from './tools.mjs';

// changeList is CHANGES.md of a release.
export function changeList(version, previous, differences, waivers) {
  const parts = [`# ${version}`];
  const groups = grouped(differences);
  if (!previous) {
    parts.push('The first release.');
  } else {
    parts.push(`What changed for clients since ${previous}, as oasdiff finds it. \`task contract:release\` wrote this.`);
    parts.push(...section('Breaking', groups.filter((group) => group.breaking), waivers));
    parts.push(...section('New', groups.filter((group) => !group.breaking), []));
    if (groups.length === 0) {
      parts.push('Nothing but words.');
    }
  }
  return parts.join('\n\n') + '\n';
}

function section(title, groups, waivers) {
  if (groups.length === 0) {
    return [];
  }
  const items = groups.map((group) => {
    const reasons = waivers.filter(({rule, text}) => rule === group.rule && text === group.text).map(({reason}) => reason);
    return [`- ${group.text} (${where(group)})`, ...new Set(reasons)].join('. ');
  });
  return [`## ${title}`, items.join('\n')];
}

function release() {
  const {version} = load(documentFile).info;
  parseVersion(version);
  const file = releasedFile(version);
  if (existsSync(file)) {
    if (readFileSync(file).equals(readFileSync(documentFile))) {
      return `${version} is released already, and openapi.yaml is still the same.`;
    }
    throw new Error(`${version} is released and stays as it is: raise info.version in openapi.yaml.`);
  }
  const previous = newest();
  const waivers = readWaivers();
  const found = previous ? breaking({version, waivers}) : [];
  if (found.length > 0) {
    throw new Error(`openapi.yaml cannot be released:\n${found.join('\n')}`);
  }
  const differences = previous ? changes(releasedFile(previous), documentFile) : [];
  mkdirSync(dirname(file), {recursive: true});
  copyFileSync(documentFile, file);
  writeFileSync(join(dirname(file), 'CHANGES.md'), changeList(version, previous, differences, waivers));
  writeFileSync(waiversFile, '[]\n');
  return `${version} is released: commit gen/contract/releases/${version}.`;
}

if (import.meta.filename === process.argv[1]) {
  try {
    console.log(release());
  } catch (problem) {
    console.error(`contract:release: ${problem.message}`);
    process.exitCode = 1;
  }
}

// What may differ from the newest release: additions under a higher version, and what breaks clients under a waiver.
import {readFileSync} from 'node:fs';
import {dirname, join, relative} from 'node:path';
import {fileURLToPath} from 'node:url';
import {compareVersions, newest, parseVersion, releasedFile} from './releases.mjs';
import {changes, documentFile, load, root} from './tools.mjs';

export const waiversFile = join(dirname(fileURLToPath(import.meta.url)), 'waivers.json');

const error = 3; // oasdiff's levels: 3 breaks clients, 2 may break some, 1 breaks none

// Where this contract weighs a difference otherwise than oasdiff does.
const levels = {
  // Policy (README.md): an enum in an answer is open.
  'response-property-enum-value-added': 1,
  // Generated code is named after these: a client that is generated anew does not compile.
  'api-operation-id-removed': error, // methods
  'api-schema-removed': error, // types
  'api-tag-removed': error, // classes, in generators that make one for each tag
};

const isBreaking = (change) => (levels[change.id] ?? change.level) > 1;

// breaking returns a line for each finding. What is not given is what is committed.
export function breaking({
  release = newest(),
  base = release && releasedFile(release),
  document = documentFile,
  version = load(document).info.version,
  waivers = readWaivers(),
} = {}) {
  if (!release) {
    return ['gen/contract/releases: no-release: Nothing is released yet, so nothing can be compared: task contract:release cuts the first.'];
  }
  const differences = changes(base, document);
  const {broken, stale} = unwaived(differences, waivers);
  const found = [
    ...broken.map((group) => `${place(group)}: ${group.rule}: ${group.text} (${where(group)}; since release ${release})`),
    ...stale.map(({operation, text}) => `gen/contract/waivers.json: stale-waiver: ${operation}: "${text}" is no breaking difference, so this waiver forgives nothing.`),
  ];
  const isSame = readFileSync(base).equals(readFileSync(document));
  const wanted = isSame ? release : nextVersion(release, differences);
  if (compareVersions(version, wanted) < 0) {
    found.push(`${relative(root, document)}: version: info.version is ${version}, but what changed since release ${release} wants at least ${wanted} (#/info/version)`);
  }
  return found;
}

// place is where something was, in the release, or for what is new, where it is.
const place = ({source}) => (source ? `${relative(root, source.file)}:${source.line}:${source.column}` : 'openapi.yaml');

// nextVersion is the lowest one that such changes may be released as. Before 1.0.0 the second number stands for the first.
export function nextVersion(version, changes) {
  const [major, minor, patch] = parseVersion(version);
  if (changes.some(isBreaking)) {
    return major > 0 ? `${major + 1}.0.0` : `0.${minor + 1}.0`;
  }
  return changes.length > 0 ? `${major}.${minor + 1}.0` : `${major}.${minor}.${patch + 1}`;
}

const operationOf = ({operation, path}) => (path ? `${operation} ${path}` : 'components');

// grouped puts together what one edit of a shared component changes in many operations.
export function grouped(changes) {
  const groups = new Map();
  for (const change of changes) {
    const {id, text} = change;
    const group = groups.get(id + text) ?? {rule: id, text, breaking: isBreaking(change), operations: [], source: change.baseSource ?? change.revisionSource};
    group.operations.push(operationOf(change));
    groups.set(id + text, group);
  }
  return [...groups.values()];
}

// where names the operations of a group, the first few of many.
export function where({operations}) {
  const more = operations.length - 3;
  return more > 0 ? `${operations.slice(0, 3).join(', ')} and ${more} more` : operations.join(', ');
}

// readWaivers returns the waivers of a file, and says which entry is none.
export function readWaivers(file = waiversFile) {
  const wanted = ['operation', 'reason', 'rule', 'text'];
  const all = JSON.parse(readFileSync(file, 'utf8'));
  return all.map((waiver, i) => {
    const keys = Object.keys(waiver).sort();
    if (String(keys) !== String(wanted) || wanted.some((key) => !String(waiver[key]).trim())) {
      throw new Error(`waiver ${i + 1} of waivers.json: want ${wanted.join(', ')}, none of them empty, and nothing else.`);
    }
    return waiver;
  });
}

// unwaived splits breaking changes from what is forgiven, and names the waivers that forgive nothing.
export function unwaived(changes, waivers) {
  const used = new Set();
  const rest = changes.filter(isBreaking).filter((change) => {
    const waiver = waivers.find((w) => w.rule === change.id && w.text === change.text && ['*', operationOf(change)].includes(w.operation));
    used.add(waiver);
    return !waiver;
  });
  return {broken: grouped(rest), stale: waivers.filter((waiver) => !used.has(waiver))};
}

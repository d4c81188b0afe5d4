// Proof that each gate fires: every case of bad/ is openapi.yaml with one edit, and fails for that alone.
import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {after, test} from 'node:test';
import {fileURLToPath} from 'node:url';
import * as cases from './bad/cases.mjs';
import {edited, placeOf} from './bad/edit.mjs';
import {breaking, nextVersion, readWaivers} from './breaking.mjs';
import {changeList} from './release.mjs';
import {compareVersions, parseVersion} from './releases.mjs';
import {changes, documentFile, line, load, redocly, spectral} from './tools.mjs';

const folder = mkdtempSync(join(tmpdir(), 'contract-bad-'));
after(() => rmSync(folder, {recursive: true}));

const document = load(documentFile);
const good = written('good', document);

function written(name, content) {
  const file = join(folder, `${name.replaceAll(' ', '-')}.json`);
  writeFileSync(file, JSON.stringify(content, null, 2));
  return file;
}

// place is where a linter must point: to the component, when the pointer of a case leads into one.
const place = (bad, at) => at.exactly ?? placeOf(bad, at.slice(1));
const lines = (findings) => findings.map(line).join('\n');

// Redocly reads its cases in one run, each as a document of its own.
{
  const bad = cases.redocly.map(({edits}) => edited(document, edits));
  const files = bad.map((content, i) => written(`redocly ${cases.redocly[i].name}`, content));
  const all = redocly(good, ...files);

  test('redocly: the document without an edit', () => {
    assert.equal(lines(all.filter(({file}) => file === good)), '');
  });
  cases.redocly.forEach(({name, rule, at}, i) => {
    test(`redocly: ${name}`, () => {
      const found = all.filter(({file}) => file === files[i]);
      assert.deepEqual([...new Set(found.map((finding) => finding.rule))], [rule], lines(found));
      assert(found.some((finding) => finding.at === place(bad[i], at)), `want a finding at ${place(bad[i], at)}, got\n${lines(found)}`);
      assert.match(line(found[0]), /\.json:\d+:\d+: \S+: .+ \(#\/.+\)$/);
    });
  });
}

// Spectral takes seconds for a document of this size, so its cases, each at another place, are in one.
{
  const bad = edited(document, cases.spectral.flatMap(({edits}) => edits));
  const rest = new Set(spectral(written('spectral', bad)));

  for (const {name, rule, at} of cases.spectral) {
    test(`spectral: ${name}`, () => {
      const found = [...rest].filter((finding) => finding.rule === rule && finding.at === place(bad, at));
      assert(found.length > 0, `want ${rule} at ${place(bad, at)}, got\n${lines([...rest])}`);
      assert.match(line(found[0]), /\.json:\d+:\d+: \S+: .+ \(#\/.+\)$/);
      found.forEach((finding) => rest.delete(finding));
    });
  }
  test('spectral: nothing but these', () => {
    assert.equal(lines([...rest]), '');
  });
}

test('the command ends with 1 for a finding, with 2 for what it cannot read', () => {
  const lint = (...args) => spawnSync(process.execPath, [fileURLToPath(new URL('lint.mjs', import.meta.url)), ...args], {encoding: 'utf8'});
  const {name, edits} = cases.redocly[0];
  const bad = lint('redocly', written(name, edited(document, edits)));
  assert.equal(bad.status, 1);
  assert.match(bad.stdout, /^redocly: 1 finding\n.+: operation-operationId: .+ \(#\/paths\/~1users\/get\/operationId\)\n$/);
  const fine = lint('redocly', good);
  assert.deepEqual([fine.status, fine.stdout], [0, 'redocly: ok\n']);

  const broken = join(folder, 'broken.yaml');
  writeFileSync(broken, 'openapi: [3.0.3');
  assert.equal(lint('redocly', broken).status, 2);
  assert.match(lint('prism').stderr, /^contract: want redocly, spectral, breaking or one document, not prism\.\n$/);
});

test('every own rule has a case', () => {
  const own = {
    redocly: [...read('redocly.yaml').matchAll(/^  ((?:rule|contract)\/[a-z0-9-]+):/gm)],
    spectral: [...read('spectral.yaml').split('# -- own rules')[1].split('\noverrides:')[0].matchAll(/^  ([a-z0-9-]+):$/gm)],
  };
  for (const [gate, rules] of Object.entries(own)) {
    assert(rules.length > 5, `found ${rules.length} own rules of ${gate}`);
    for (const [, rule] of rules) {
      assert(cases[gate].some((one) => one.rule === rule), `no case of bad/ makes ${rule} fire`);
    }
  }
});

const read = (name) => readFileSync(new URL(name, import.meta.url), 'utf8');

// against returns what the gate says of edits of the release 1.4.0.
const against = (edits, {version = '2.0.0', waivers = []} = {}) =>
  breaking({release: '1.4.0', base: good, document: written('revision', edited(document, edits)), version, waivers});

for (const {name, edits, rule, at} of cases.breaking) {
  test(`breaking: ${name}`, () => {
    const found = against(edits);
    assert(found.length > 0);
    for (const text of found) {
      assert(text.includes(`: ${rule}: `), `want nothing but ${rule}, got\n${found.join('\n')}`);
    }
    assert(found.some((text) => text.includes(at)), `want a line with ${at}, got\n${found.join('\n')}`);
  });
}

for (const {name, edits} of cases.additions) {
  test(`breaking: ${name} is a minor release`, () => {
    assert.deepEqual(against(edits, {version: '1.5.0'}), []);
    const [found, ...more] = against(edits, {version: '1.4.1'});
    assert.match(found, /: version: info\.version is 1\.4\.1, but .* wants at least 1\.5\.0/);
    assert.deepEqual(more, []);
  });
}

const removal = cases.breaking[0];
const waiver = {
  rule: removal.rule,
  operation: removal.at,
  text: 'removed the required property `nickname/pattern` from the response with the `200` status',
  reason: 'Nobody read it.',
};

test('breaking: a waiver forgives one difference, which then is a major release', () => {
  assert.deepEqual(against(removal.edits, {waivers: [waiver]}), []);
  const found = against(removal.edits, {waivers: [waiver], version: '1.5.0'});
  assert.match(found.join('\n'), /^[^\n]*: version: info\.version is 1\.5\.0, but .* wants at least 2\.0\.0[^\n]*$/);
});

test('breaking: a waiver for another operation forgives nothing, and is stale', () => {
  const found = against(removal.edits, {waivers: [{...waiver, operation: 'GET /users'}]});
  assert.match(found[0], /: response-required-property-removed: .*GET \/settings/);
  assert.match(found[1], /^gen\/contract\/waivers\.json: stale-waiver: GET \/users: /);
  assert.equal(found.length, 2);
});

test('breaking: a waiver that matches nothing any more fails', () => {
  const [found, ...more] = against([], {waivers: [waiver]});
  assert.match(found, /stale-waiver: GET \/settings: .*nickname\/pattern/);
  assert.deepEqual(more, []);
});

test('breaking: a waiver without a reason fails', () => {
  for (const bad of [{...waiver, reason: ' '}, {...waiver, reason: undefined}, {...waiver, because: 'x'}]) {
    const file = written('waivers', [waiver, bad]);
    assert.throws(() => readWaivers(file), /waiver 2 of waivers\.json: want operation, reason, rule, text/);
  }
  assert.deepEqual(readWaivers(written('waivers', [waiver])), [waiver]);
});

test('releases are in the order of their numbers', () => {
  assert.deepEqual(['1.10.0', '1.9.9', '0.12.0'].sort(compareVersions), ['0.12.0', '1.9.9', '1.10.0']);
  assert.throws(() => parseVersion('1.0'), /1\.0 is no version/);
  const broken = [{id: removal.rule, level: 3}];
  assert.equal(nextVersion('0.1.3', broken), '0.2.0');
  assert.equal(nextVersion('1.1.3', []), '1.1.4');
});

test('the change list of a release has what broke, with the reason, before what is new', () => {
  assert.equal(changeList('0.1.0', undefined, [], []), '# 0.1.0\n\nThe first release.\n');
  const revision = written('released', edited(document, [...removal.edits, ...cases.additions[2].edits]));
  const list = changeList('2.0.0', '1.4.0', changes(good, revision), [waiver]);
  assert.match(list, /^# 2\.0\.0\n\nWhat changed for clients since 1\.4\.0[^\n]*\n\n## Breaking\n\n- removed [^\n]*\(GET \/settings\)\. Nobody read it\.\n\n## New\n\n- added [^\n]*`note`[^\n]*\n$/);
});

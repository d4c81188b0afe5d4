// Makes the parts of README.md and gen/clients/README.md that tell what is proven, out of what proves it.
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';

/** The report as README.md shows it. */
export function markdownTable(report) {
  const rows = report.map((row) => [row.generator, row.version, row.warnings, row.type_errors, row.journey].map(String));
  return [['generator', 'version', 'warnings', 'type errors', 'journey'], ['---', '---', '---:', '---:', '---'], ...rows]
    .map((row) => `| ${row.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`)
    .join('\n');
}

/** Brings both documents up to date. */
export function writeDocuments(root, clients, generators) {
  for (const { path, text } of documents(root, clients, generators)) {
    writeFileSync(path, text);
  }
}

/** One sentence for each thing that is not as it should be. */
export function checkDocuments(root, clients, generators) {
  const report = readReport(clients);
  if (report === null) {
    return ['gen/clients/report.json is not there: run `task clients`'];
  }
  const wrong = [];
  const names = generators.map(({ generator }) => generator);
  const rows = report.map(({ generator }) => generator);
  if (names.join() !== rows.join()) {
    wrong.push(`gen/clients/report.json is about ${rows.join(', ')}, but there are ${names.join(', ')}: run \`task clients\``);
  }
  for (const { path, text } of documents(root, clients, generators)) {
    const is = readFileSync(path, 'utf8').split('\n');
    const line = text.split('\n').findIndex((want, index) => want !== is[index]);
    if (line >= 0 || is.length > text.split('\n').length) {
      wrong.push(`${relative(root, path)}:${line + 1} is not what report.json, steps.json and the sources say: run \`node gen/clients/run.mjs --write\``);
    }
  }
  return wrong;
}

function readReport(clients) {
  const path = join(clients, 'report.json');
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : null;
}

/** Both documents as they should be. */
function documents(root, clients, generators) {
  const readme = join(root, 'README.md');
  const page = join(clients, 'README.md');
  let text = between(readFileSync(page, 'utf8'), '<!-- generators -->', page, generators.map(howTo).join('\n'));
  for (const [name, snippet] of snippetsOf(clients)) {
    text = between(text, `<!-- snippet: ${name} -->`, page, `${snippet}\n`);
  }
  const named = [...text.matchAll(/<!-- snippet: (.+?) -->/g)].map(([, name]) => name);
  for (const name of named.filter((name) => !snippetsOf(clients).has(name))) {
    throw new Error(`${page} wants the snippet "${name}", which no source has`);
  }
  return [
    { path: readme, text: between(readFileSync(readme, 'utf8'), '<!-- clients -->', readme, `${markdownTable(readReport(clients) ?? [])}\n`) },
    { path: page, text },
  ];
}

/** The text with something else between the two equal marks. */
function between(text, mark, path, content) {
  const parts = text.split(`${mark}\n`);
  if (parts.length !== 3) {
    throw new Error(`${path} needs the line ${mark} twice`);
  }
  return `${parts[0]}${mark}\n${content}${mark}\n${parts[2]}`;
}

/** Files of a folder that an adopter has no use for: what pins and checks the tools here. */
const onlyForProof = /^(\..*|(tsconfig|steps)\.json|go\.(mod|sum)|mypy\.ini|requirements\.(in|txt)|generate\.sh|smallest\.yaml)$/;

/** An installation with the versions that are proven here. */
function pinned(install) {
  const { devDependencies } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'));
  return install.split(' ').map((word) => {
    const name = word.replace(/(?<=.)@[^/@]*$/, '');
    return devDependencies[name] ? `${name}@${devDependencies[name]}` : word;
  }).join(' ');
}

/** How an adopter gets a client from one generator: install, generate, call. */
function howTo({ name, folder, generator, install, generate, usage, unavailable }) {
  if (unavailable) {
    return `### ${generator}\n\nNot proven here: ${unavailable}\n`;
  }
  if (!generate) {
    return '';
  }
  const files = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile() && !onlyForProof.test(entry.name))
    .map((entry) => entry.name)
    .sort();
  const links = files.map((file) => `[${file}](${name}/${file})`).join(', ');
  const use = snippetsOf(folder).get('use');
  return [
    `### ${generator}\n`,
    '```sh', ...(install ? [pinned(install)] : []), usage ?? generate, '```',
    ...(use ? [use] : []),
    `\nThe whole: ${links}\n`,
  ].join('\n');
}

/** What stands between `// docs: NAME` and `// docs: end` in the sources of a folder, without its indentation, as Markdown. */
function snippetsOf(folder) {
  const snippets = new Map();
  for (const file of readdirSync(folder).filter((file) => /\.(ts|py|go)$/.test(file))) {
    const text = readFileSync(join(folder, file), 'utf8');
    for (const [, name, code] of text.matchAll(/^[ \t]*(?:\/\/|#) docs: (?!end$)(.+)\n([\s\S]*?)^[ \t]*(?:\/\/|#) docs: end$/gm)) {
      const lines = code.split('\n');
      const indents = lines.filter((line) => line.trim()).map((line) => /^[ \t]*/.exec(line)[0].length);
      const language = /\.(\w+)$/.exec(file)[1];
      snippets.set(name, `\`\`\`${language}\n${lines.map((line) => line.slice(Math.min(...indents))).join('\n')}\`\`\``);
    }
  }
  return snippets;
}

// Usage: node lint.mjs [redocly] [spectral] [breaking] [document]: all gates when none is named, openapi.yaml when no
// other document is. Prints a line for each finding and ends with 1 when there is one, with 2 when a gate cannot work.
import {existsSync} from 'node:fs';
import {resolve} from 'node:path';
import {breaking} from './breaking.mjs';
import {documentFile, line, redocly, spectral} from './tools.mjs';

const gates = {
  redocly: (document) => redocly(document).map(line),
  spectral: (document) => spectral(document).map(line),
  breaking: (document) => breaking({document}),
};

function main(args) {
  const names = args.filter((arg) => gates[arg]);
  const [document = documentFile, ...more] = args.filter((arg) => !gates[arg]).map((arg) => resolve(arg));
  if (!existsSync(document) || more.length > 0) {
    throw new Error(`want ${Object.keys(gates).join(', ')} or one document, not ${args.join(' ')}.`);
  }
  let failed = false;
  for (const name of names.length > 0 ? names : Object.keys(gates)) {
    const found = gates[name](document);
    console.log(`${name}: ${found.length === 0 ? 'ok' : `${found.length} finding${found.length > 1 ? 's' : ''}`}`);
    found.forEach((text) => console.log(text));
    failed ||= found.length > 0;
  }
  process.exitCode = failed ? 1 : 0;
}

try {
  main(process.argv.slice(2));
} catch (problem) {
  console.error(`contract: ${problem.message}`);
  process.exitCode = 2;
}

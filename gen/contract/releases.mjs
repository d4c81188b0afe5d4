// The released documents, gen/contract/releases/<version>/openapi.yaml, in the order of their versions.
import {existsSync, readdirSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
export const releasesFolder = join(here, 'releases');

// newest is the version of the newest release, or undefined.
export function newest() {
  const versions = readdirSync(releasesFolder).filter((name) => existsSync(releasedFile(name)));
  return versions.sort(compareVersions).at(-1);
}

export const releasedFile = (version) => join(releasesFolder, version, 'openapi.yaml');

export function parseVersion(version) {
  const parts = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$/.exec(version);
  if (!parts) {
    throw new Error(`${version} is no version: want three numbers, as 1.4.0.`);
  }
  return parts.slice(1).map(Number);
}

export function compareVersions(a, b) {
  const [x, y] = [parseVersion(a), parseVersion(b)];
  const i = x.findIndex((part, i) => part !== y[i]);
  return i < 0 ? 0 : x[i] - y[i];
}

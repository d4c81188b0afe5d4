// Edits of a document, by JSON pointer through its $refs, so that they need no names of components that come and
// go. An edit that does not fit any more throws, so that no case can rot.
import assert from 'node:assert/strict';

const keysOf = (pointer) => pointer.split('/').slice(1).map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));

// walk follows a pointer, and each $ref on its way, and returns the node and where it really stands.
function walk(document, pointer) {
  let [node, place] = [document, ''];
  for (const key of keysOf(pointer)) {
    assert(Object.hasOwn(node, key), `${pointer}: the document has no ${key}`);
    [node, place] = [node[key], `${place}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`];
    if (typeof node?.$ref === 'string') {
      [node, place] = walk(document, node.$ref.slice(1));
    }
  }
  return [node, place];
}

// placeOf is the place that linters name: of a component, if the pointer leads to one.
export const placeOf = (document, pointer) => '#' + walk(document, pointer)[1];

function parentOf(document, pointer) {
  const [node] = walk(document, pointer.slice(0, pointer.lastIndexOf('/')));
  return [node, keysOf(pointer).at(-1)];
}

export const remove = (pointer) => (document) => {
  const [parent, key] = parentOf(document, pointer);
  assert(Object.hasOwn(parent, key), `${pointer} is not there to be removed`);
  Array.isArray(parent) ? parent.splice(key, 1) : delete parent[key];
};

export const replace = (pointer, value) => (document) => {
  const [parent, key] = parentOf(document, pointer);
  assert(Object.hasOwn(parent, key), `${pointer} is not there to be replaced`);
  parent[key] = value;
};

export const add = (pointer, value) => (document) => {
  const [parent, key] = parentOf(document, pointer);
  assert(!Object.hasOwn(parent, key), `${pointer} is there already`);
  parent[key] = value;
};

export const rename = (pointer, to) => (document) => {
  const [parent, key] = parentOf(document, pointer);
  assert(Object.hasOwn(parent, key), `${pointer} is not there to be renamed`);
  parent[to] = parent[key];
  delete parent[key];
};

// append adds to the end of a list.
export const append = (pointer, value) => (document) => {
  const [parent, key] = parentOf(document, pointer);
  assert(Array.isArray(parent[key]), `${pointer} is no list`);
  parent[key].push(value);
};

export function edited(document, edits) {
  const copy = structuredClone(document);
  edits.forEach((edit) => edit(copy));
  return copy;
}

// Folders that another product keeps its data in: configurations of that product name them, and nothing of ours may be
// written there.
import { NearfieldError } from './errors.js';
import { builtin, isNode } from './host.js';

const signs: [product: string, isSign: (name: string) => boolean][] = [
  ['LanceDB', (name) => name.endsWith('.lance')],
  ['Chroma', (name) => name === 'chroma.sqlite3'],
  ['Qdrant', (name) => name === 'collection' || name === 'collections'],
];

/** Throws InvalidConfig where the folder holds such files. Elsewhere than in Node there are no folders. */
export async function refuseForeignFiles(path: string): Promise<void> {
  if (!isNode()) return;
  const { readdir } = await builtin<typeof import('node:fs/promises')>('node:fs/promises');
  let names: string[];
  try {
    names = await readdir(path);
  } catch {
    // What is wrong with it, opening says.
    return;
  }
  for (const [product, isSign] of signs) {
    if (!names.some(isSign)) continue;
    const from = product === 'LanceDB' ? 'a backend of nearfield/lancedb (--import)' : `a server of ${product}`;
    const message =
      `the path ${path} holds files of ${product}, which are left alone; give nearfield a path of its own, and move the ` +
      `data there with nearfield migrate from ${from}, or with nearfield import`;
    throw new NearfieldError('InvalidConfig', message, { value: path });
  }
}

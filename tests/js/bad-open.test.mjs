// Every row of tests/corpus/open.json is refused with its code, leaves nothing on the disk, and is followed by a good
// call. Then what a data file cannot say: links, folders of somebody else, twins.
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it, test } from 'node:test';
import { open } from 'nearfield';
import { openSpecs } from 'nearfield/specs';
import { corpusValue } from './corpus-values.mjs';
import { rejectsWith, temporaryFolder } from './support.mjs';

const rows = JSON.parse(readFileSync(new URL('../corpus/open.json', import.meta.url), 'utf8'));

describe('bad options', () => {
  for (const { name, call, options, code, message } of rows) {
    it(name, async (t) => {
      const folder = temporaryFolder(t);
      const here = readdirSync('.');
      const given = corpusValue(options, { TMP: folder });
      const bad = {
        open: () => open(given),
        openSpecs: () => openSpecs(given),
        collection: async () => {
          const db = await open({ storage: 'memory' });
          try {
            await db.collection('c', given);
          } finally {
            assert.deepEqual(await db.collections(), []);
            await db.collection('c', { dimension: 2 });
            await db.close();
          }
        },
        name: async () => {
          const db = await open({ storage: 'memory' });
          try {
            await db.collection(given, {});
          } finally {
            assert.deepEqual(await db.collections(), []);
            await db.close();
          }
        },
      }[call];
      const error = await rejectsWith(code, bad());
      assert.ok(error.message.includes(message), error.message);
      assert.ok(error.message.length < 1000, `a message of ${error.message.length} characters`);
      assert.equal({}.readOnly, undefined);
      assert.deepEqual(readdirSync(folder), []);
      assert.deepEqual(readdirSync('.'), here);

      const db = await open({ path: join(folder, 'db') });
      await (await db.collection('c', { dimension: 2 })).upsert([{ id: 'a', vector: [1, 2] }]);
      await db.close();
    });
  }
});

test('a folder with files of somebody else becomes a database, and they stay as they were', async (t) => {
  const path = temporaryFolder(t);
  const foreign = {
    'notes.txt': 'mine',
    'draft.tmp': 'mine too',
    '.hidden': 'x',
    'manifest.json': '{}',
    'manifest-7': 'not yours',
    'log-2026-01-01.txt': 'log',
    'segment-000000000000000g': 'x',
    'index-html': '<html>',
    'MANIFEST-0000000000000001': 'of another database',
  };
  for (const [name, text] of Object.entries(foreign)) writeFileSync(join(path, name), text);
  mkdirSync(join(path, 'log-0000000000000001.d'));
  for (let round = 0; round < 3; round++) {
    const db = await open({ path });
    const c = await db.collection('c', { dimension: 2 });
    await c.upsert([{ id: `a${round}`, vector: [1, 2] }]);
    await db.flush();
    assert.equal(await c.count(), round + 1);
    await db.close();
  }
  for (const [name, text] of Object.entries(foreign)) assert.equal(readFileSync(join(path, name), 'utf8'), text, name);
  assert.ok(existsSync(join(path, 'log-0000000000000001.d')));
});

test('a link to a folder is that folder; one that leads nowhere, or to a file, is no place for a database', async (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, 'real'));
  symlinkSync(join(folder, 'real'), join(folder, 'link'));
  const db = await open({ path: join(folder, 'link') });
  await (await db.collection('c', {})).upsert([{ id: 'a' }]);
  await rejectsWith('DatabaseLocked', open({ path: join(folder, 'real') }));
  await db.close();
  const real = await open({ path: join(folder, 'real'), readOnly: true });
  assert.equal(await (await real.collection('c')).count(), 1);
  await real.close();
  assert.equal(realpathSync(join(folder, 'link')), realpathSync(join(folder, 'real')));

  symlinkSync(join(folder, 'nowhere'), join(folder, 'dangling'));
  symlinkSync(join(folder, 'loop'), join(folder, 'loop'));
  writeFileSync(join(folder, 'file'), 'mine');
  symlinkSync(join(folder, 'file'), join(folder, 'to-file'));
  for (const name of ['dangling', 'loop', 'to-file', 'file', join('file', 'below')]) {
    await rejectsWith('StorageFailed', open({ path: join(folder, name) }));
    assert.equal(existsSync(join(folder, 'nowhere')), false);
    assert.equal(readFileSync(join(folder, 'file'), 'utf8'), 'mine');
  }
  assert.equal(readlinkSync(join(folder, 'dangling')), join(folder, 'nowhere'));
});

test('in a folder a name is what it is: nothing is decoded, expanded or folded', async (t) => {
  const folder = temporaryFolder(t);
  const names = ['%2e%2e%2fx', '${HOME}', '~', 'con', 'caf\u00e9', 'cafe\u0301', '\\\\server\\share', 'a b', '<img>'];
  for (const [i, name] of names.entries()) {
    const db = await open({ path: join(folder, name) });
    await (await db.collection('c', {})).upsert([{ id: `p${i}` }]);
    await db.close();
  }
  assert.deepEqual(readdirSync(folder).sort(), [...names].sort());
  for (const [i, name] of names.entries()) {
    const db = await open({ path: join(folder, name), readOnly: true });
    assert.equal((await (await db.collection('c')).get([`p${i}`])).length, 1, name);
    await db.close();
  }
  await rejectsWith('StorageFailed', open({ path: join(folder, 'x'.repeat(300)) }));
  const above = await open({ path: join(folder, 'a', '..', 'b') });
  assert.equal((await above.info()).path, join(folder, 'b'));
  await above.close();
  assert.equal(existsSync(join(folder, 'a')), false);
});

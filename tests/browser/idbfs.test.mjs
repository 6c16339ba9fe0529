// Our IndexedDB layout is the one of Emscripten's IDBFS: a page built with stock -lidbfs.js mounts a database of ours
// and reads the same bytes, and we open what it has stored. And what stock IDBFS does to data, which is why we have a
// driver of our own; these notice when Emscripten changes it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { browsers, serveProject } from './volume-support.mjs';

const project = join(import.meta.dirname, '../..');
const built = 'build/idbfs/idbfs.mjs';
let missing;

before(() => {
  if (existsSync(join(project, built))) return;
  mkdirSync(join(project, 'build/idbfs'), { recursive: true });
  const options =
    '-lidbfs.js -sEXPORTED_RUNTIME_METHODS=FS -sFORCE_FILESYSTEM -sMODULARIZE -sEXPORT_ES6 -sENVIRONMENT=web';
  try {
    execFileSync(
      'scripts/toolchain',
      ['bash', '-c', `"$NEARFIELD_EMCC" tests/browser/idbfs.c -o ${built} ${options}`],
      { cwd: project, stdio: 'pipe' },
    );
  } catch (error) {
    missing = `no Emscripten: ${String(error.stderr ?? error.message).slice(0, 200)}`;
  }
});

// What runs in the page; `tools` is there as a global.
const tools = async () => {
  const { default: createModule } = await import('/build/idbfs/idbfs.mjs');
  const promised = (request) =>
    new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  const digest = async (bytes) =>
    `${bytes.length}:${Array.from(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes.slice()))).join()}`;
  globalThis.tools = {
    nearfield: await import('/dist/index.js'),
    // The records of the database of that name, as { name: digest of contents }.
    records: async (path) => {
      const database = await promised(indexedDB.open(path));
      const store = database.transaction('FILE_DATA').objectStore('FILE_DATA');
      const [keys, values] = await Promise.all([promised(store.getAllKeys()), promised(store.getAll())]);
      database.close();
      const found = {};
      for (const [i, key] of keys.entries()) found[key.slice(path.length + 1)] = await digest(values[i].contents);
      return found;
    },
    // Stock Emscripten with IDBFS mounted there: { FS, sync(populate), files() }.
    mount: async (path, options = {}) => {
      const { FS } = await createModule();
      FS.mkdirTree(path);
      FS.mount(FS.filesystems.IDBFS, options, path);
      return {
        FS,
        sync: (populate) =>
          new Promise((resolve, reject) => FS.syncfs(populate, (error) => (error ? reject(error) : resolve()))),
        names: () => FS.readdir(path).filter((name) => !/^\.+$/.test(name)),
        files: async () => {
          const found = {};
          for (const name of FS.readdir(path).filter((name) => !/^\.+$/.test(name))) {
            found[name] = await digest(FS.readFile(`${path}/${name}`));
          }
          return found;
        },
      };
    },
  };
};

for (const [name, launch] of Object.entries(browsers)) {
  describe(`IDBFS in ${name}`, () => {
    const inPages = (title, body) =>
      it(title, { timeout: 180_000 }, async (test) => {
        if (missing) return test.skip(missing);
        const browser = await launch(test);
        if (browser === undefined) return test.skip(`${name} was not found`);
        const address = await serveProject(test);
        await body(async () => {
          const page = await browser.newPage();
          await page.goto(`${address}/`);
          await page.evaluate(tools);
          return page;
        });
      });

    inPages('reads what we wrote, byte for byte, and we open what it stored', async (newPage) => {
      const path = '/nearfield/interop';
      const first = await newPage();
      await first.evaluate(async (path) => {
        const { open } = tools.nearfield;
        const db = await open({ path, storage: 'indexeddb' });
        const notes = await db.collection('notes', { dimension: 4, text: {} });
        await notes.upsert(
          Array.from({ length: 50 }, (_, i) => ({ id: `p${i}`, vector: [i, 1, 2, 3], text: `note ${i}` })),
        );
        await db.flush();
        await notes.upsert([{ id: 'logged', vector: [0, 0, 0, 1], text: 'in the log' }]);
        await notes.delete(['p7']);
      }, path);
      // Without closing the database: its log stays, in pieces.
      await first.close();

      const second = await newPage();
      const { records, files } = await second.evaluate(async (path) => {
        const mounted = await tools.mount(path);
        await mounted.sync(true);
        return { records: await tools.records(path), files: await mounted.files() };
      }, path);
      assert.deepEqual(files, records);
      for (const kind of ['manifest-', 'segment-', 'log-']) {
        assert.ok(
          Object.keys(files).some((file) => file.startsWith(kind)),
          `there is a ${kind} among ${Object.keys(files)}`,
        );
      }

      // Written anew by IDBFS: other timestamps, and buffers larger than their contents.
      const stored = await second.evaluate(async (path) => {
        const mounted = await tools.mount(path);
        await mounted.sync(true);
        for (const file of mounted.names()) {
          const bytes = mounted.FS.readFile(`${path}/${file}`);
          mounted.FS.unlink(`${path}/${file}`);
          for (let at = 0; at < bytes.length; at += 1000) {
            const stream = mounted.FS.open(`${path}/${file}`, at === 0 ? 'w' : 'a');
            mounted.FS.write(stream, bytes, at, Math.min(1000, bytes.length - at));
            mounted.FS.close(stream);
          }
          mounted.FS.utime(`${path}/${file}`, 1e12, 1e12);
        }
        await mounted.sync(false);
        return tools.records(path);
      }, path);
      assert.deepEqual(stored, records);
      await second.close();

      const third = await newPage();
      const found = await third.evaluate(async (path) => {
        const { open } = tools.nearfield;
        const db = await open({ path, storage: 'indexeddb' });
        const notes = await db.collection('notes');
        const counts = [await notes.count()];
        const hits = await notes.search({ text: 'log', k: 1 });
        await notes.upsert([{ id: 'after', vector: [1, 1, 1, 1] }]);
        await db.close();
        const again = await open({ path, storage: 'indexeddb' });
        counts.push(await (await again.collection('notes')).count());
        const { recovery } = await again.info();
        await again.close();
        return { counts, hit: hits[0]?.id, skipped: recovery.generationsSkipped, rebuilt: recovery.rebuilt };
      }, path);
      assert.deepEqual(found, { counts: [50, 51], hit: 'logged', skipped: 0, rebuilt: [] });
    });

    inPages('deletes what its tab has not read, and our writer notices', async (newPage) => {
      const path = '/nearfield/cleared';
      const page = await newPage();
      const { before, after, code } = await page.evaluate(async (path) => {
        const { open } = tools.nearfield;
        const db = await open({ path, storage: 'indexeddb' });
        const notes = await db.collection('notes', { dimension: 2 });
        const before = Object.keys(await tools.records(path)).length;
        const mounted = await tools.mount(path);
        await mounted.sync(false);
        const after = Object.keys(await tools.records(path)).length;
        const code = await notes.upsert([{ id: 'a', vector: [1, 2] }]).then(
          () => 'acknowledged',
          (error) => error.code,
        );
        return { before, after, code };
      }, path);
      assert.ok(before > 1);
      assert.equal(after, 0);
      assert.equal(code, 'Conflict');
    });

    inPages('stores a part of what changed where a request fails, and autoPersist says nothing', async (newPage) => {
      const page = await newPage();
      const found = await page.evaluate(async () => {
        const { put } = IDBObjectStore.prototype;
        const uncaught = [];
        addEventListener('error', (event) => uncaught.push(event.message));
        addEventListener('unhandledrejection', (event) => uncaught.push(String(event.reason)));
        const outcomes = {};
        for (const [path, options] of [
          ['/nearfield/torn', {}],
          ['/nearfield/silent', { autoPersist: true }],
        ]) {
          const mounted = await tools.mount(path, options);
          await mounted.sync(true);
          IDBObjectStore.prototype.put = function (value, key) {
            if (key.endsWith('/manifest')) throw new DOMException('simulated', 'QuotaExceededError');
            return put.call(this, value, key);
          };
          for (const file of ['manifest', 'segment']) mounted.FS.writeFile(`${path}/${file}`, new Uint8Array(10));
          const said = options.autoPersist
            ? await new Promise((resolve) => setTimeout(resolve, 500)).then(() => 'nothing')
            : await mounted.sync(false).then(
                () => 'stored',
                (error) => error.name,
              );
          IDBObjectStore.prototype.put = put;
          outcomes[path] = { said, stored: Object.keys(await tools.records(path)) };
        }
        return { outcomes, uncaught };
      });
      assert.deepEqual(found.outcomes, {
        '/nearfield/torn': { said: 'QuotaExceededError', stored: ['segment'] },
        '/nearfield/silent': { said: 'nothing', stored: ['segment'] },
      });
      assert.deepEqual(found.uncaught, []);
    });
  });
}

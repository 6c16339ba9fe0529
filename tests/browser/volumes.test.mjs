// The volumes of browsers in real ones: the same conformance cases as in Node, and what only a browser can show.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { browsers, servePage, startWorker } from './volume-support.mjs';

for (const [name, launch] of Object.entries(browsers)) {
  describe(`volumes in ${name}`, async () => {
    for (const kind of ['indexeddb', 'opfs']) {
      it(`${kind}: conformance`, { timeout: 180_000 }, async (test) => {
        const browser = await launch(test);
        if (browser === undefined) return test.skip(`${name} was not found`);
        const page = await servePage(test, browser);
        const results = await page.evaluate(
          (given) =>
            new Promise((resolve, reject) => {
              const worker = new Worker('/tests/browser/volume-worker.mjs', { type: 'module' });
              worker.onmessage = ({ data }) => resolve(data);
              worker.onerror = (event) => reject(new Error(event.message));
              worker.postMessage(given);
            }),
          { kind, place: `/nearfield/conformance` },
        );
        assert.ok(results.length > 15);
        for (const { title, error } of results) assert.equal(error, undefined, `${title}: ${error}`);
      });
    }

    const inPage = (title, body) =>
      it(title, { timeout: 180_000 }, async (test) => {
        const browser = await launch(test);
        if (browser === undefined) return test.skip(`${name} was not found`);
        await body(await servePage(test, browser));
      });

    inPage('opfs: Unsupported outside a worker', async (page) => {
      const error = await page.evaluate(async () => {
        const { open } = await import('/dist/index.js');
        return open({ path: 'x', storage: 'opfs' }).catch(({ code, message }) => ({ code, message }));
      });
      assert.equal(error.code, 'Unsupported');
      assert.match(error.message, /Worker/);
    });

    inPage(
      'opfs: a database, read in one worker while another writes it, taken over when that one dies',
      async (page) => {
        const [writer, reader, next] = [await startWorker(page), await startWorker(page), await startWorker(page)];
        const written = await writer.run(async (here) => {
          here.db = await here.nearfield.open({ path: './notes', storage: 'opfs' });
          here.notes = await here.db.collection('notes', { dimension: 2, text: {} });
          await here.notes.upsert([{ id: 'a', vector: [1, 0], text: 'flushed' }]);
          await here.db.flush();
          await here.notes.upsert([{ id: 'b', vector: [0, 1], text: 'logged' }]);
          return (await here.db.info()).path;
        });
        assert.deepEqual(written, { result: '/nearfield/notes' });
        const second = (here) => here.nearfield.open({ path: './notes', storage: 'opfs' });
        assert.deepEqual(await next.run(second), { error: 'DatabaseLocked' });

        // Reading while it is written to: every log that is read is the beginning of the last one.
        const reading = reader.run(async (here) => {
          const db = await here.nearfield.open({ path: './notes', storage: 'opfs', readOnly: true });
          const count = await (await db.collection('notes')).count();
          await db.close();
          const volume = new here.volumes.OpfsVolume('/nearfield/notes');
          const names = (await volume.list()).map((file) => file.name).sort();
          const log = names.filter((file) => file.startsWith('log-')).at(-1);
          const reads = [];
          do {
            reads.push(await volume.read(log, 0, 1 << 24));
          } while (reads.at(-1).length < 100_000);
          const last = reads.at(-1);
          return { count, reads: reads.length, sound: reads.every((one) => one.every((byte, i) => byte === last[i])) };
        });
        const writing = await writer.run(async (here) => {
          for (let i = 0; i < 400; i++) {
            await here.notes.upsert([{ id: `c${i}`, vector: [i, 1], text: 'x'.repeat(300) }], {
              durability: i % 8 === 0 ? 'strict' : 'relaxed',
            });
          }
          return here.notes.count();
        });
        assert.deepEqual(writing, { result: 402 });
        const { result, error } = await reading;
        assert.equal(error, undefined);
        assert.ok(result.count >= 2 && result.reads > 1 && result.sound, JSON.stringify(result));

        const waiting = next.run(async (here) => {
          here.volume = new here.volumes.OpfsVolume('/nearfield/notes');
          await here.volume.lock({ wait: true });
          await here.volume.unlock();
          await here.volume.close();
          const db = await here.nearfield.open({ path: './notes', storage: 'opfs' });
          const notes = await db.collection('notes');
          const found = (await notes.search({ text: 'logged', k: 1 }))[0].id;
          await notes.upsert([{ id: 'late', vector: [1, 1] }]);
          await db.close();
          const again = await here.nearfield.open({ path: './notes', storage: 'opfs', readOnly: true });
          const count = await (await again.collection('notes')).count();
          await again.close();
          return [found, count];
        });
        await writer.terminate();
        assert.deepEqual(await waiting, { result: ['b', 403] });

        await page.reload();
        const after = await (
          await startWorker(page)
        ).run(async (here) => {
          const db = await here.nearfield.open({ path: './notes', storage: 'opfs' });
          const count = await (await db.collection('notes')).count();
          await db.close();
          return count;
        });
        assert.deepEqual(after, { result: 403 });
      },
    );

    inPage('a stolen Web Lock: indexeddb refuses the old writer, opfs the new one', async (page) => {
      const [old, thief] = [await startWorker(page), await startWorker(page)];
      const done = { result: 'done' };
      const lock = async (here, kind) => {
        here[kind] = new here.volumes[kind](`/nearfield/${kind}`);
        await here[kind].lock();
        return 'done';
      };
      const steal = async (here, kind) => {
        await new Promise((resolve) => {
          void navigator.locks.request(`nearfield:/nearfield/${kind}`, { steal: true }, () => resolve());
        });
        return 'done';
      };
      const append = async (here, kind) => {
        await here[kind].append('log-1', 0, 0, new Uint8Array(3), false);
        return 'done';
      };
      for (const kind of ['IndexedDbVolume', 'OpfsVolume']) {
        assert.deepEqual(await old.run(lock, kind), done);
        assert.deepEqual(await thief.run(steal, kind), done);
        const [first, second] =
          kind === 'OpfsVolume' ? [done, { error: 'DatabaseLocked' }] : [{ error: 'Conflict' }, done];
        assert.deepEqual(await thief.run(lock, kind), second);
        assert.deepEqual(await old.run(append, kind), first);
      }
    });
  });
}

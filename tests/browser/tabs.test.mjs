// Two tabs of one origin on one database: one writes, the other follows, and takes over when the first is gone.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import sirv from 'sirv';
import { launch } from './support.mjs';

const project = join(import.meta.dirname, '../..');

/** The package as a plain web server has it, and an empty page beside it. Answers the page's address. */
async function servePackage(t) {
  const files = sirv(join(project, 'dist'), { dev: true });
  const corpus = join(project, 'tests/corpus/open.json');
  const values = join(project, 'tests/js/corpus-values.mjs');
  const server = createServer(async (request, response) => {
    const send = async (type, body) => response.setHeader('Content-Type', type).end(body);
    if (request.url === '/') return send('text/html', '<!doctype html><title>tab</title>');
    if (request.url === '/favicon.ico') return response.writeHead(204).end();
    if (request.url === '/open.json') return send('application/json', await readFile(corpus));
    if (request.url === '/corpus-values.mjs') return send('text/javascript', await readFile(values));
    return files(request, response, () => response.writeHead(404).end());
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}/`;
}

async function openTab(context, address) {
  const page = await context.newPage();
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  await page.goto(address);
  await page.evaluate(async () => {
    Object.assign(globalThis, await import('/index.js'));
    globalThis.until = async (condition) => {
      while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
    };
    globalThis.codeOf = (promise) =>
      promise.then(
        () => '',
        (error) => error.code ?? String(error),
      );
  });
  return { page, complaints };
}

test('several tabs in Chromium', async (suite) => {
  const address = await servePackage(suite);
  const browser = await launch(suite);
  const fresh = async (t) => {
    const context = await browser.createBrowserContext();
    t.after(() => context.close());
    return context;
  };

  await suite.test('a tab follows another, is refused a write, and hears of changes', async (t) => {
    const context = await fresh(t);
    const writer = await openTab(context, address);
    const reader = await openTab(context, address);
    await writer.page.evaluate(async () => {
      globalThis.db = await open({ path: 'tabs' });
      globalThis.c = await db.collection('c', { dimension: 2, text: {} });
      await c.upsert([{ id: 'a', vector: [1, 2], text: 'kestrel' }]);
    });
    assert.deepEqual(
      await reader.page.evaluate(async () => {
        const second = await codeOf(open({ path: 'tabs' }));
        const waiting = new AbortController();
        const waited = codeOf(open({ path: 'tabs', wait: true, signal: waiting.signal }));
        waiting.abort();
        globalThis.db = await open({ path: 'tabs', readOnly: true });
        globalThis.c = await db.collection('c');
        globalThis.changes = [];
        db.onChange((change) => changes.push(change));
        const write = await codeOf(c.upsert([{ id: 'x' }]));
        return [second, await waited, write, await c.count(), (await db.info()).role];
      }),
      ['DatabaseLocked', 'Aborted', 'ReadOnly', 1, 'reader'],
    );
    for (let round = 0; round < 5; round++) {
      await writer.page.evaluate(async (round) => {
        await c.upsert([{ id: `b${round}`, vector: [1, round], text: 'heron' }]);
        if (round % 2 === 0) await db.flush();
      }, round);
      await reader.page.evaluate((expected) => until(async () => (await c.count()) === expected), round + 2);
    }
    assert.deepEqual(
      await reader.page.evaluate(async () => [
        (await c.search({ text: 'heron' })).length,
        changes.length > 0 && changes.every(({ role }) => role === 'reader'),
      ]),
      [5, true],
    );
    assert.deepEqual([...writer.complaints, ...reader.complaints], []);
  });

  for (const [title, end] of [
    ['closed', (page) => page.close()],
    [
      'crashed',
      async (page) => {
        const session = await page.createCDPSession();
        // Its answer cannot come.
        void session.send('Page.crash').catch(() => {});
        await new Promise((resolve) => page.once('error', resolve));
      },
    ],
  ]) {
    await suite.test(`a standby takes over when the writer's tab is ${title}, with all it acknowledged`, async (t) => {
      const context = await fresh(t);
      const writer = await openTab(context, address);
      const standby = await openTab(context, address);
      let acknowledged = -1;
      let enough;
      const many = new Promise((resolve) => (enough = resolve));
      await writer.page.exposeFunction('acknowledge', (i) => {
        acknowledged = i;
        if (i === 30) enough();
      });
      await writer.page.evaluate(async () => {
        globalThis.db = await open({ path: 'tabs', standby: true });
        globalThis.c = await db.collection('c', { dimension: 2 });
      });
      await standby.page.evaluate(async () => {
        globalThis.db = await open({ path: 'tabs', standby: true });
        globalThis.c = await db.collection('c');
        globalThis.roles = [];
        db.onChange(({ role }) => roles.push(role));
      });
      await writer.page.evaluate(() => {
        void (async () => {
          for (let i = 0; ; i++) {
            await c.upsert([{ id: `p${i}`, vector: [1, i], payload: { i } }]);
            if (i % 10 === 9) await db.flush();
            void acknowledge(i);
          }
        })();
      });
      await many;
      await end(writer.page);
      const known = acknowledged;
      const { count, found, role, roles } = await standby.page.evaluate(async () => {
        await db.writable();
        const count = await c.count();
        const found = await c.get(Array.from({ length: count }, (_, i) => `p${i}`));
        await c.upsert([{ id: 'after', vector: [1, 2] }]);
        return { count, found: found.length, role: (await db.info()).role, roles };
      });
      assert.ok(count > known, `${count} after ${known + 1} were acknowledged`);
      assert.equal(found, count, 'a write is missing between others');
      assert.equal(role, 'writer');
      assert.equal(roles.at(-1), 'writer');
      assert.deepEqual(standby.complaints, []);
    });
  }

  await suite.test('the browser is asked to keep the data, and says how much there is', async (t) => {
    const { page, complaints } = await openTab(await fresh(t), address);
    const { answer, info } = await page.evaluate(async () => {
      const db = await open({ path: 'kept' });
      await (await db.collection('c', {})).upsert([{ id: 'a' }]);
      const answer = await db.persist();
      return { answer, info: await db.info() };
    });
    assert.equal(typeof answer, 'boolean');
    assert.equal(info.persisted, answer);
    assert.ok(info.quota > info.usage && info.usage > 0, JSON.stringify(info));
    assert.deepEqual(complaints, []);
  });

  await suite.test('a tab goes on after its engine trapped', async (t) => {
    const { page, complaints } = await openTab(await fresh(t), address);
    const result = await page.evaluate(async () => {
      const { instantiate } = WebAssembly;
      const memories = [];
      WebAssembly.instantiate = async (...given) => {
        const made = await instantiate(...given);
        memories.push(Object.values(made.exports).find((value) => value instanceof WebAssembly.Memory));
        return made;
      };
      const db = await open({ path: 'trap' });
      const c = await db.collection('c', { dimension: 2 });
      await c.upsert([{ id: 'a', vector: [1, 2] }]);
      new Uint8Array(memories[0].buffer).fill(0xff);
      const codes = [await codeOf(c.count()), await codeOf(c.upsert([{ id: 'x' }]))];
      await db.recover();
      await c.upsert([{ id: 'b', vector: [1, 2] }]);
      return [...codes, await c.count(), await codeOf(db.close())];
    });
    assert.deepEqual(result, ['InstancePoisoned', 'InstancePoisoned', 2, '']);
    assert.deepEqual(complaints, []);
  });

  await suite.test('the doctor is fetched when it is called for', async (t) => {
    const { page, complaints } = await openTab(await fresh(t), address);
    const fetched = () =>
      page.evaluate(() =>
        performance
          .getEntriesByType('resource')
          .map(({ name }) => name.split('/').at(-1))
          .filter((name) => name.endsWith('.wasm')),
      );
    await page.evaluate(async () => {
      const db = await open({ path: 'patient' });
      await (await db.collection('c', { dimension: 2 })).upsert([{ id: 'a', vector: [1, 2] }]);
      await db.close();
    });
    assert.deepEqual(await fetched(), ['nearfield.wasm']);
    const { healthy, generations } = await page.evaluate(() => doctor({ path: 'patient', repair: true }));
    assert.equal(healthy, true);
    assert.deepEqual(generations[0].collections, [{ name: 'c', points: 1 }]);
    assert.deepEqual(await fetched(), ['nearfield.wasm', 'nearfield-doctor.wasm']);
    assert.deepEqual(complaints, []);
  });

  await suite.test('bad options are refused as in Node, and leave no database behind', async (t) => {
    const { page, complaints } = await openTab(await fresh(t), address);
    const wrong = await page.evaluate(async () => {
      const { openSpecs } = await import('/specs.js');
      const { corpusValue } = await import('/corpus-values.mjs');
      const rows = await (await fetch('/open.json')).json();
      const wrong = [];
      for (const { name, call, options, code, message } of rows) {
        // Folders and files are Node's; a name that is not there is made in a browser, and text is an address there.
        const texts = JSON.stringify(options ?? null);
        if (/"node"|file:|"wasm": ?("|\{"\$": ?"long)/.test(texts) || code === 'NotFound') continue;
        const given = corpusValue(options, { TMP: 'tmp' });
        const memory = await open({ storage: 'memory' });
        const error = await {
          open: () => open(given),
          openSpecs: () => openSpecs(given),
          collection: () => memory.collection('c', given),
          name: () => memory.collection(given, {}),
        }
          [call]()
          .then(
            () => ({ code: 'nothing', message: '' }),
            (error) => error,
          );
        if (error.code !== code || !error.message.includes(message))
          wrong.push([name, error.code, error.message.slice(0, 300)]);
        await memory.close();
      }
      const left = (await indexedDB.databases()).map(({ name }) => name);
      return [...wrong, ...left];
    });
    assert.deepEqual(wrong, []);
    assert.deepEqual(complaints, []);
  });
});

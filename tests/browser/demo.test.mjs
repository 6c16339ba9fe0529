// The demo in a real browser, from a sub-path of a plain web server: first visit, search, reload, offline, folders.
import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { folderOf, launch, newPage, ready, search, serve, shownHits, temporaryFolder } from './support.mjs';

const uploads = {
  '.kiro/specs/uploads/requirements.md': `# Requirements

### Requirement 1: Retry of uploads

**User Story:** As a photographer, I want broken uploads to continue, so that I never send a picture twice.

#### Acceptance Criteria

1. WHEN an upload is interrupted THEN the system SHALL continue at the last confirmed chunk
2. IF a chunk fails five times THEN the system SHALL pause the upload and say so
`,
  '.kiro/specs/uploads/tasks.md': `# Tasks

- [x] 1. Write the chunk table
  - _Requirements: 1.1_
- [ ] 2. Pause after five failures
  - _Requirements: 1.2_
`,
  'notes/kestrel.md': '# Falcons\n\nThe kestrel hovers.\n',
  'notes/picture.png': 'not markdown',
  'node_modules/left/out.md': '# Pangolins\n\nNobody indexes this pangolin.\n',
  'with space & ümläut/näme.markdown': '# Tschüss\n\nEin Flußpferd schläft.\n',
};

test('the demo in Chromium', async (suite) => {
  const server = await serve(suite);
  const browser = await launch(suite);
  // Each test has storage of its own.
  const fresh = async (t) => {
    const context = await browser.createBrowserContext();
    t.after(() => context.close());
    return { context, ...(await newPage(context)) };
  };
  const addFolder = async (page, folder, library) => {
    const input = await page.$('#folder');
    await input.uploadFile(folder);
    return ready(page, library);
  };

  await suite.test('indexes on the first visit, answers questions, and asks no network for it', async (t) => {
    const { page, complaints, requests } = await fresh(t);
    await page.goto(server.url);
    const report = await ready(page);
    assert.equal(report.error, '');
    assert.equal(report.how, 'indexed');
    assert.match(report.text, /^Indexed [\d,]+ blocks from 47 files in /);
    assert.ok(
      requests.every((address) => address.startsWith(server.url)),
      `the page asked elsewhere: ${requests.filter((address) => !address.startsWith(server.url))}`,
    );
    assert.deepEqual(
      requests.filter((address) => address.endsWith('.wasm')).map((address) => address.split('/').at(-1)),
      ['nearfield-specs.wasm'],
    );

    const loaded = requests.length;
    const places = async (question) => (await search(page, question)).slice(0, 5).map(({ place }) => place);
    for (const [question, source] of [
      [
        'are players paired fairly over the season',
        'indoor-golf-scheduler/.kiro/specs/indoor-golf-scheduler/requirements.md',
      ],
      ['throttling when the endpoint has no capacity', 'osml-model-runner/.kiro/specs/capacity-based-throttling/'],
      ['escalate a customer question to a human agent', 'cc-sdd/.kiro/specs/customer-support-rag-backend-en/'],
      ['bulk submission of executions', 'globeco-trade-service/.kiro/specs/bulk-execution-submissions/'],
    ]) {
      const found = await places(question);
      assert.ok(
        found.some((place) => place.startsWith(source)),
        `${question}: ${found}`,
      );
      assert.match(found[0], /:\d+(-\d+)?$/);
    }
    const [first] = await search(page, 'capacity');
    assert.ok(
      first.marks.some((word) => /capacit/i.test(word)),
      `nothing marked in: ${first.snippet}`,
    );
    await page.click('input[name=mode][value=text]');
    assert.deepEqual(await search(page, 'zqxjwvkq'), []);
    assert.match(await page.$eval('#welcome', (box) => box.textContent), /^Nothing matches “zqxjwvkq”/);
    assert.deepEqual(requests.slice(loaded), []);
    assert.deepEqual(complaints, []);
  });

  await suite.test('stays alive while it indexes, and shows how far it is', async (t) => {
    const { page, complaints, requests } = await fresh(t);
    await page.goto(server.url);
    await ready(page);
    const { shares: seen, refused } = await page.evaluate(async () => {
      const { openSpecs } = await import('nearfield/specs');
      const specs = await openSpecs({ storage: 'memory' });
      const text = '# Uploads\n\nA failed upload is retried three times.\n\n'.repeat(4000);
      const documents = Array.from({ length: 8 }, (_, i) => ({ path: `${i}/notes.md`, text }));
      const shares = [];
      // A timer runs between two steps, as a click or a key would.
      let timers = 0;
      const timer = setInterval(() => timers++);
      await specs.index(documents, {
        onProgress: ({ phase, bytes, bytesTotal }) => phase === 'index' && shares.push([bytes / bytesTotal, timers]),
      });
      clearInterval(timer);
      const refused = await specs.index('.').catch(({ code }) => code);
      await specs.close();
      return { shares, refused };
    });
    assert.equal(refused, 'Unsupported');
    // What is only for Node is not even asked for; the sizes in tests/package count on it.
    assert.ok(!requests.some((address) => /\/(node|folder)\.js$/.test(address)));
    assert.ok(seen.length >= 8, `${seen.length} steps`);
    seen.forEach(([share], i) => assert.ok(i === 0 || share > seen[i - 1][0], JSON.stringify(seen)));
    assert.ok(seen.at(-1)[1] >= 4, `timers ran ${seen.at(-1)[1]} times`);
    assert.deepEqual(complaints, []);
  });

  await suite.test('finds its data again after a reload, without indexing', async (t) => {
    const { page, complaints, requests } = await fresh(t);
    await page.goto(server.url);
    await ready(page);
    const before = await search(page, 'bulk submission of executions');
    requests.length = 0;
    await page.reload();
    const report = await ready(page);
    assert.equal(report.how, 'stored');
    assert.match(report.text, /^Opened [\d,]+ blocks from this browser in /);
    assert.deepEqual(
      requests.filter((address) => /corpora\/[^/]+\.json$/.test(address) && !address.endsWith('/index.json')),
      [],
    );
    // The question was in the address, and is answered the same.
    assert.equal(await page.$eval('#query', (input) => input.value), 'bulk submission of executions');
    assert.deepEqual(await shownHits(page), before);
    assert.deepEqual(complaints, []);
  });

  await suite.test('finds its data again in a new process of the browser', async (t) => {
    const profile = await temporaryFolder(t);
    const first = await launch(t, profile);
    const visit = await newPage(first);
    await visit.page.goto(server.url);
    assert.equal((await ready(visit.page)).how, 'indexed');
    const before = await search(visit.page, 'capacity');
    await first.close();
    const again = await newPage(await launch(t, profile));
    await again.page.goto(server.url);
    assert.equal((await ready(again.page)).how, 'stored');
    assert.deepEqual(await search(again.page, 'capacity'), before);
    assert.deepEqual([...visit.complaints, ...again.complaints], []);
  });

  await suite.test('keeps working when the network is gone', async (t) => {
    const { page, complaints } = await fresh(t);
    await page.goto(server.url);
    await ready(page);
    await page.setOfflineMode(true);
    for (const mode of ['hybrid', 'text', 'dense']) {
      await page.click(`input[name=mode][value=${mode}]`);
      assert.ok((await search(page, `capacity of an endpoint ${mode}`)).length > 0, mode);
    }
    const report = await addFolder(page, await folderOf(t, 'offline', uploads), 'folder-1');
    assert.equal(report.error, '');
    assert.ok((await search(page, 'kestrel')).some(({ place }) => place.startsWith('notes/kestrel.md:')));
    assert.deepEqual(complaints, []);
  });

  await suite.test('stores in the layout of IDBFS', async (t) => {
    const { page } = await fresh(t);
    await page.goto(server.url);
    await ready(page);
    const { databases, keys, indexes, records } = await page.evaluate(async () => {
      const settled = (request) =>
        new Promise((resolve, reject) => {
          request.onsuccess = () => resolve(request.result);
          request.onerror = () => reject(request.error);
        });
      const found = (await indexedDB.databases()).filter(({ name }) => name.endsWith('/samples'));
      const database = await settled(indexedDB.open(found[0].name));
      const store = database.transaction('FILE_DATA').objectStore('FILE_DATA');
      const names = await settled(store.getAllKeys());
      const values = await settled(store.getAll());
      database.close();
      return {
        databases: found,
        keys: names,
        indexes: [...store.indexNames].map((name) => [name, store.index(name).keyPath]),
        records: values.map((value) => ({
          fields: Object.keys(value).sort().join(),
          dated: value.timestamp instanceof Date,
          mode: value.mode,
          bytes: value.contents instanceof Uint8Array ? value.contents.length : undefined,
        })),
      };
    });
    assert.equal(databases.length, 1);
    assert.equal(databases[0].version, 21);
    assert.deepEqual(indexes, [['timestamp', 'timestamp']]);
    assert.ok(
      keys.every((key) => typeof key === 'string' && key.startsWith(`${databases[0].name}/`)),
      keys.join(),
    );
    assert.ok(
      records.some(({ mode }) => mode === 33206),
      'no file at all',
    );
    for (const record of records) {
      assert.ok(record.dated);
      if (record.mode === 16895) assert.equal(record.fields, 'mode,timestamp');
      else assert.deepEqual([record.mode, record.fields, record.bytes >= 0], [33206, 'contents,mode,timestamp', true]);
    }
  });

  await suite.test('indexes a picked folder, brings it up to date, keeps it, and removes it', async (t) => {
    const { page, complaints } = await fresh(t);
    const folder = await folderOf(t, 'my specs', uploads);
    await page.goto(server.url);
    await ready(page);
    const report = await addFolder(page, folder, 'folder-1');
    assert.equal(report.error, '');
    assert.match(report.text, /^Indexed \d+ blocks from 4 files in /);

    const [retry] = await search(page, 'what happens to interrupted uploads');
    assert.match(retry.place, /^\.kiro\/specs\/uploads\/requirements\.md:\d+/);
    const hippo = await search(page, 'Flußpferd');
    assert.match(hippo[0].place, /^with space & ümläut\/näme\.markdown:/);
    assert.ok(!(await search(page, 'pangolin')).some(({ place }) => place.includes('node_modules')));

    await page.reload();
    assert.equal((await ready(page, 'folder-1')).how, 'stored');

    await writeFile(join(folder, 'notes/kestrel.md'), '# Falcons\n\nThe merlin dives.\n');
    await rm(join(folder, '.kiro/specs/uploads/tasks.md'));
    await addFolder(page, folder, 'folder-1');
    await page.waitForFunction(() => /from 3 files/.test(document.querySelector('#opened').textContent));
    assert.match((await search(page, 'merlin'))[0].snippet, /The merlin dives/);
    await page.click('input[name=mode][value=text]');
    assert.deepEqual(await search(page, 'kestrel hovers'), []);

    await page.click('.remove');
    await ready(page, 'samples');
    assert.equal((await page.$$('.library')).length, 1);
    const names = await page.evaluate(async () => (await indexedDB.databases()).map(({ name }) => name));
    assert.deepEqual(
      names.filter((name) => name.includes('folder')),
      [],
    );
    assert.deepEqual(complaints, []);
  });

  await suite.test('indexes a dropped folder', async (t) => {
    const { page, complaints } = await fresh(t);
    const folder = await folderOf(t, 'dropped', uploads);
    await page.goto(server.url);
    await ready(page);
    const devtools = await page.createCDPSession();
    const data = { items: [], files: [folder], dragOperationsMask: 1 };
    for (const type of ['dragEnter', 'dragOver', 'drop']) {
      await devtools.send('Input.dispatchDragEvent', { type, x: 300, y: 300, data });
    }
    const report = await ready(page, 'folder-1');
    assert.equal(report.error, '');
    assert.match(report.text, /from 4 files/);
    assert.ok((await search(page, 'kestrel'))[0].place.startsWith('notes/kestrel.md:'));
    assert.deepEqual(complaints, []);
  });

  await suite.test('shows a hostile document as text and runs none of it', async (t) => {
    const { page, complaints, requests } = await fresh(t);
    const attack = [
      '# <img src=x onerror="globalThis.ran=1"> zebrafish title',
      '',
      'zebrafish <script>globalThis.ran=1</script> <svg onload="globalThis.ran=1"> [link](javascript:globalThis.ran=1)',
      '<iframe src="data:text/html,<script>parent.ran=1</script>"></iframe> <math><mtext></p><style><img src=x onerror=ran=1>',
      'zebrafish \u001b[31mred\u001b[0m \u202Edesrever\u202C \u2066isolated {{constructor.constructor("ran=1")()}} \u0000 end',
    ].join('\n');
    const folder = await folderOf(t, '<img src=x onerror=ran=1>', {
      'a<b onmouseover=ran=1>.md': attack,
      '"><svg onload=ran=1>/requirements.md': attack,
      'empty.md': '',
      'binary.md': Uint8Array.from({ length: 4096 }, (_, i) => (i * 197) & 255),
      'utf16.md': Buffer.from('\ufeff# zebrafish in UTF-16', 'utf16le'),
      'long.md': `zebrafish ${'x'.repeat(1_000_000)}`,
    });
    await page.goto(server.url);
    await ready(page);
    const loaded = requests.length;
    const report = await addFolder(page, folder, 'folder-1');
    assert.equal(report.error, '');
    const hits = await search(page, 'zebrafish');
    assert.ok(hits.some(({ snippet }) => snippet.includes('<svg onload="globalThis.ran=1">')));
    assert.ok(hits.some(({ title }) => title.includes('<img src=x onerror=')));
    for (const title of await page.$$('.title')) await title.evaluate((button) => button.click());
    await page.waitForSelector('.whole');
    const kinds = await page.$$eval('#hits *', (all) => [...new Set(all.map(({ localName }) => localName))]);
    for (const name of kinds) assert.ok(!['img', 'script', 'svg', 'iframe', 'math', 'style', 'a'].includes(name), name);
    assert.equal(await page.evaluate(() => globalThis.ran), undefined);
    assert.deepEqual(requests.slice(loaded), []);
    // What is expanded may be long, but never wider than the page.
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
    assert.deepEqual(complaints, []);
  });

  await suite.test('filters, modes and the question live in the address', async (t) => {
    const { page, complaints } = await fresh(t);
    await page.goto(`${server.url}#q=performance&mode=text&type=task&corpus=indoor-golf-scheduler&bogus=1`);
    await ready(page);
    const hits = await shownHits(page);
    assert.ok(hits.length > 0);
    for (const { type, place } of hits)
      assert.deepEqual([type, place.split('/')[0]], ['task', 'indoor-golf-scheduler']);
    assert.equal(await page.$eval('input[name=mode]:checked', (radio) => radio.value), 'text');

    await page.click('#types input[value=requirement]');
    await page.waitForFunction(() => location.hash.includes('type=requirement,task'));
    await page.click('#reset');
    await page.waitForFunction(() => location.hash === '#q=performance&mode=text');
    const all = await search(page, 'performance');
    assert.ok(new Set(all.map(({ place }) => place.split('/')[0])).size > 1);
    assert.deepEqual(complaints, []);
  });

  await suite.test('is driven by the keyboard', async (t) => {
    const { page, complaints } = await fresh(t);
    await page.goto(server.url);
    await ready(page);
    await page.click('h2');
    await page.keyboard.press('/');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'query');
    const hits = await search(page, 'capacity/throttling');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowDown');
    assert.equal(await page.evaluate(() => document.activeElement.textContent), hits[1].title);
    await page.keyboard.press('Enter');
    const open = '.hit:nth-child(2) .title[aria-expanded=true]';
    await page.waitForSelector(open);
    const whole = await page.$eval('.hit:nth-child(2) .whole', (box) => box.textContent);
    assert.ok(whole.length > 0);
    assert.match(await page.$eval('.hit:nth-child(2) .facts', (list) => list.textContent), /Score/);
    await page.keyboard.press('ArrowUp');
    await page.keyboard.press('ArrowUp');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'query');
    await page.keyboard.press('Escape');
    await page.waitForFunction(() => location.hash === '' && document.querySelector('#query').value === '');
    assert.equal(await page.$('.hit'), null);
    assert.deepEqual(complaints, []);
  });

  await suite.test('the latest question wins, however fast it is typed', async (t) => {
    const { page, complaints } = await fresh(t);
    await page.goto(server.url);
    await ready(page);
    // Each letter is a question of its own, some of them still under way when the next arrives.
    await page.evaluate(async () => {
      const query = document.querySelector('#query');
      for (const end of [...'capacity throttling'].keys()) {
        query.value = 'capacity throttling'.slice(0, end + 1);
        query.dispatchEvent(new Event('input', { bubbles: true }));
        await new Promise((resume) => setTimeout(resume, end % 3 ? 31 : 5));
      }
    });
    await page.waitForFunction(() => location.hash.endsWith('q=capacity+throttling'));
    await new Promise((resume) => setTimeout(resume, 300));
    const typed = await shownHits(page);
    assert.deepEqual(typed, await search(page, 'capacity throttling'));
    assert.deepEqual(complaints, []);
  });

  await suite.test('says in words what went wrong, and goes on', async (t) => {
    const { context, page, complaints } = await fresh(t);
    await page.goto(`${server.url}#in=folder-7`);
    assert.match((await ready(page)).error, /not indexed here/);

    // A folder without markdown.
    const input = await page.$('#folder');
    await input.uploadFile(await folderOf(t, 'pictures', { 'a.png': 'x' }));
    await page.waitForFunction(() => document.querySelector('#error').textContent.includes('no markdown files'));
    assert.ok((await search(page, 'capacity')).length > 0);

    // Another tab holds the database: it can be searched from here, only not written.
    const second = await newPage(context);
    await second.page.goto(server.url);
    const report = await ready(second.page);
    assert.equal(report.error, '');
    assert.match(report.text, /read only/);
    const there = await search(second.page, 'capacity');
    await page.bringToFront();
    assert.deepEqual(there, await search(page, 'capacity'));
    assert.deepEqual(second.complaints, []);
    assert.deepEqual(complaints, []);
  });

  await suite.test('answers with the right types and headers', async () => {
    const page = await fetch(server.url);
    assert.match(page.headers.get('content-type'), /^text\/html/);
    assert.match(
      page.headers.get('content-security-policy'),
      /^default-src 'self'; script-src 'self' 'wasm-unsafe-eval' 'sha256-[^']+'; .*frame-ancestors 'none'$/,
    );
    assert.equal(page.headers.get('x-content-type-options'), 'nosniff');
    const code = /"nearfield\/specs":"\.\/(nearfield\/[^"]*?)[^"/]*"/.exec(await page.text())[1];
    const wasm = await fetch(`${server.url}${code}nearfield-specs.wasm`);
    assert.equal(wasm.headers.get('content-type'), 'application/wasm');
    assert.match((await fetch(`${server.url}main.js`)).headers.get('content-type'), /^text\/javascript/);
    assert.match((await fetch(`${server.url}corpora/cc-sdd/LICENSE.txt`)).headers.get('content-type'), /^text\/plain/);
    // What the page does not use is not part of the site.
    const unused = ['nearfield.wasm', 'nearfield-doctor.wasm', 'index.js', 'specs.d.ts', 'cli/main.js'];
    for (const path of unused) assert.equal((await fetch(`${server.url}${code}${path}`)).status, 404, path);
    for (const path of ['missing', '%2e%2e/package.json', '..%2f..%2fpackage.json', 'corpora/']) {
      assert.equal((await fetch(`${server.url}${path}`)).status, 404, path);
    }
    assert.equal((await fetch(new URL('/', server.url))).status, 404);
  });
});

// Spec search through its JavaScript API: sources of every kind, mirroring, searching, and what is refused.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test from 'node:test';

import { open } from 'nearfield';
import { load, openSpecs } from 'nearfield/specs';
import { Engine } from '../../dist/engine.js';
import { Message } from '../../dist/message.js';
import { rejectsWith } from './support.mjs';

const documents = [
  {
    path: '.kiro/specs/uploads/requirements.md',
    text: `# Requirements Document

### Requirement 1: Resumable uploads

**User Story:** As a photographer, I want uploads to survive a lost connection, so that I do not start over.

#### Acceptance Criteria

1. WHEN a connection drops THEN the uploader SHALL retry with exponential backoff
2. WHEN five retries have failed THEN the uploader SHALL report the failure
`,
  },
  {
    path: '.kiro/specs/uploads/tasks.md',
    text: `# Implementation Plan

- [x] 1. Write the upload journal
  - _Requirements: 1.1_
- [ ] 2. Retry with backoff
  - _Requirements: 1.1, 1.2_
`,
  },
  { path: 'docs/keys.md', bytes: new TextEncoder().encode('# Keys\n\nSigning keys are rotated every ninety days.\n') },
];

async function openEmpty(t, options = { storage: 'memory' }) {
  const specs = await openSpecs(options);
  t.after(() => specs.close());
  return specs;
}

async function openIndexed(t) {
  const specs = await openEmpty(t);
  await specs.index(documents);
  return specs;
}

function folder(t, files) {
  const path = mkdtempSync(join(tmpdir(), 'nearfield-specs-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), content);
  }
  return path;
}

async function everything(specs) {
  const blocks = [];
  for await (const page of specs.all({ batch: 3 })) blocks.push(...page);
  return blocks;
}

const sources = (hits) => hits.map((hit) => hit.payload.source);

test('documents in memory are indexed and found', async (t) => {
  const specs = await openEmpty(t);
  const phases = [];
  const report = await specs.index(documents, { onProgress: (at) => phases.push(at) });
  assert.equal(report.filesIndexed, 3);
  assert.equal(report.filesUnchanged + report.filesRemoved + report.blocksRemoved, 0);
  assert.ok(report.blocksWritten >= 6);
  assert.ok(report.milliseconds > 0);
  const size = (document) => document.bytes?.length ?? Buffer.byteLength(document.text);
  assert.equal(
    report.bytes,
    documents.reduce((sum, document) => sum + size(document), 0),
  );
  assert.equal(phases[0].phase, 'read');
  assert.deepEqual(phases.at(-1), {
    phase: 'done',
    files: 3,
    filesTotal: 3,
    blocks: report.blocksWritten,
    bytes: report.bytes,
    bytesTotal: report.bytes,
  });

  const hits = await specs.search('rotation of signing keys', { highlight: true });
  assert.equal(hits[0].payload.source, 'docs/keys.md');
  assert.ok(hits[0].highlights.some(([begin, end]) => /keys/i.test(hits[0].text.slice(begin, end))));
  assert.equal(hits[0].payload.feature, '');
  assert.ok(hits.every((hit, i) => i === 0 || hits[i - 1].score >= hit.score));
  assert.equal((await specs.search('retry'))[0].highlights, undefined);

  const [task] = await specs.search('retry', { filter: { type: 'task', status: 'todo' } });
  assert.equal(task.payload.title.includes('Retry with backoff') || task.text.includes('Retry with backoff'), true);
  const linked = await specs.get(task.payload.links);
  assert.ok(linked.length >= 1);
  assert.ok(linked.every((block) => block.payload.type === 'requirement'));
});

test('links between files of a feature hold when only one of them changes', async (t) => {
  const specs = await openIndexed(t);
  const changed = { ...documents[1], text: documents[1].text.replace('journal', 'diary') };
  const report = await specs.index([documents[0], changed, documents[2]]);
  assert.deepEqual([report.filesIndexed, report.filesUnchanged], [1, 2]);
  const [task] = await specs.search('diary', { mode: 'text' });
  const linked = await specs.get(task.payload.links);
  assert.ok(linked.length >= 1 && linked.every((block) => block.payload.type === 'requirement'));
});

test('a database mirrors its source', async (t) => {
  const specs = await openIndexed(t);
  const before = await everything(specs);
  const again = await specs.index(documents);
  assert.deepEqual(
    [again.filesIndexed, again.filesUnchanged, again.filesRemoved, again.blocksWritten, again.blocksRemoved],
    [0, 3, 0, 0, 0],
  );
  assert.deepEqual(await everything(specs), before);

  const fewer = await specs.index(documents.slice(0, 2));
  assert.deepEqual([fewer.filesUnchanged, fewer.filesRemoved], [2, 1]);
  assert.ok(fewer.blocksRemoved >= 1);
  assert.ok(!sources(await everything(specs)).includes('docs/keys.md'));

  const back = await specs.index(documents);
  assert.deepEqual([back.filesIndexed, back.filesUnchanged], [1, 2]);
  assert.deepEqual(await everything(specs), before);

  const none = await specs.index([]);
  assert.equal(none.filesRemoved, 3);
  assert.deepEqual(await everything(specs), []);
  assert.deepEqual(await specs.search('keys'), []);
});

test('every kind of source gives the same blocks', async (t) => {
  const expected = await everything(await openIndexed(t));
  const texts = documents.map(({ path, text, bytes }) => [path, text ?? new TextDecoder().decode(bytes)]);

  const path = folder(t, Object.fromEntries(texts));
  const fromFolder = await openEmpty(t);
  await fromFolder.index(path);
  assert.deepEqual(await everything(fromFolder), expected);
  // The same content under the same path is unchanged, wherever it comes from.
  assert.equal((await fromFolder.index([path])).filesUnchanged, 3);

  const fromStream = await openEmpty(t);
  const report = await fromStream.index(
    (async function* () {
      yield* documents;
    })(),
  );
  assert.equal(report.filesIndexed, 3);
  assert.deepEqual(await everything(fromStream), expected);

  const files = texts.map(([name, text]) => {
    const file = new File([text], name.split('/').at(-1));
    Object.defineProperty(file, 'webkitRelativePath', { value: `dropped/${name}` });
    return file;
  });
  files.push(new File(['no'], 'no.txt'));
  Object.defineProperty(files.at(-1), 'webkitRelativePath', { value: 'dropped/no.txt' });
  const skipped = new File(['# no'], 'no.md');
  Object.defineProperty(skipped, 'webkitRelativePath', { value: 'dropped/node_modules/a/no.md' });
  const fromPicker = await openEmpty(t);
  await fromPicker.index([...files, skipped]);
  assert.deepEqual(await everything(fromPicker), expected);
});

test('info counts what there is', async (t) => {
  const specs = await openIndexed(t);
  const info = await specs.info();
  const blocks = await everything(specs);
  assert.equal(info.documents, 3);
  assert.equal(info.blocks, blocks.length);
  for (const [name, field] of [
    ['types', 'type'],
    ['statuses', 'status'],
  ]) {
    for (const [key, count] of Object.entries(info[name])) {
      assert.equal(count, blocks.filter((block) => block.payload[field] === key).length);
    }
  }
  assert.deepEqual(Object.keys(info.features), ['uploads']);
  await specs.clear();
  assert.deepEqual([(await specs.info()).documents, (await specs.info()).blocks], [0, 0]);
  assert.equal((await specs.index(documents)).filesIndexed, 3);
});

test('an export can be imported, and searches the same', async (t) => {
  const specs = await openIndexed(t);
  const json = await specs.exportJson();
  const blocks = JSON.parse(json);
  assert.deepEqual(Object.keys(blocks[0]).sort(), [
    'feature',
    'id',
    'lines',
    'links',
    'pinned',
    'source',
    'status',
    'tags',
    'text',
    'title',
    'type',
  ]);
  const copy = await openEmpty(t);
  assert.equal(await copy.importJson(json), blocks.length);
  assert.deepEqual(await everything(copy), await everything(specs));
  const options = { k: 5, explain: false };
  assert.deepEqual(
    await copy.search('how are uploads retried', options),
    await specs.search('how are uploads retried', options),
  );

  // SpecMem's own form: fewer members, and others than ours.
  const theirs = [
    { id: 'a1', type: 'knowledge', text: 'Zebras graze.', source: 'zoo.md', confidence: 0.5, test_mappings: [] },
  ];
  assert.equal(await copy.importJson(JSON.stringify(theirs)), 1);
  const [zebra] = await copy.search('zebras', { mode: 'text' });
  assert.equal(zebra.payload.confidence, 0.5);
  assert.equal(zebra.payload.status, 'active');
});

test('an import that is bad changes nothing', async (t) => {
  const specs = await openIndexed(t);
  const before = await everything(specs);
  const good = { id: 'a', type: 'task', text: 'x', source: 's.md' };
  const cases = [
    '{',
    '{}',
    '[1]',
    ...[
      { ...good, id: '' },
      { ...good, text: '' },
      { ...good, type: 'poem' },
      { ...good, source: 3 },
      { ...good, tags: 'a,b' },
      { ...good, lines: [0, 1] },
      { ...good, pinned: 'yes' },
    ].map((bad) => JSON.stringify([{ ...good, id: 'fine' }, bad])),
    JSON.stringify([good, good]),
  ];
  for (const json of cases) {
    await assert.rejects(specs.importJson(json), (error) => error.code === 'FormatError', json);
  }
  assert.deepEqual(await everything(specs), before);
  assert.equal(await specs.importJson('[]'), 0);
});

test('what cannot be indexed is refused by name, and a good call follows', async (t) => {
  const specs = await openIndexed(t);
  const before = await everything(specs);
  const path = folder(t, { 'a.md': '# A\n', 'file.txt': 'x' });
  const cases = [
    [undefined, 'InvalidArgument'],
    [7, 'InvalidArgument'],
    ['', 'InvalidArgument'],
    ['bad\0name', 'InvalidArgument'],
    [join(path, 'missing'), 'NotFound'],
    [join(path, 'file.txt'), 'InvalidArgument'],
    [[path, 7], 'InvalidArgument'],
    [[path, path], 'InvalidArgument'],
    [[{ path: '', text: 'x' }], 'InvalidArgument'],
    [[{ path: 'a.md' }], 'InvalidArgument'],
    [[{ path: 'a.md', text: 7 }], 'InvalidArgument'],
    [[null], 'InvalidArgument'],
    [
      [
        { path: 'a.md', text: 'x' },
        { path: 'a.md', text: 'y' },
      ],
      'InvalidArgument',
    ],
    [[{ path: 'big.md', bytes: new Uint8Array(64 * 1024 * 1024 + 1) }], 'LimitExceeded'],
  ];
  for (const [i, [source, code]] of cases.entries()) {
    await assert.rejects(specs.index(source), (error) => error.code === code, `case ${i}`);
  }
  await assert.rejects(specs.index(documents, { zebra: 1 }), (error) => error.code === 'ConfigError');
  await assert.rejects(specs.index(documents, { onProgress: 1 }), (error) => error.code === 'InvalidArgument');
  assert.deepEqual(await everything(specs), before);
  assert.equal((await specs.index(documents)).filesUnchanged, 3);
});

test('one long line is indexed', async (t) => {
  const specs = await openEmpty(t);
  const report = await specs.index([{ path: 'long.md', text: 'lorem ipsum '.repeat(200_000) + 'zebra' }]);
  assert.equal(report.filesIndexed, 1);
  assert.equal((await specs.search('zebra', { mode: 'text' })).length, 1);
});

test('a file that vanishes is named, and what was committed stays', async (t) => {
  const long = (word) => `# ${word}\n\n${`${word} ${'x '.repeat(30)}\n\n`.repeat(20_000)}`;
  const path = folder(t, {
    'a/one.md': long('gnu'),
    'b/two.md': long('yak'),
    'c/three.md': long('emu'),
    'd/four.md': '# Four\n',
  });
  const specs = await openEmpty(t);
  const onProgress = ({ phase, files }) => {
    if (phase === 'read') unlinkSync(join(path, 'd/four.md'));
    assert.ok(files < 4);
  };
  await assert.rejects(
    specs.index(path, { onProgress }),
    (error) => error.code === 'NotFound' && /d\/four\.md/.test(error.message),
  );
  assert.ok((await specs.search('gnu', { mode: 'text' })).length > 0);
  const report = await specs.index(path);
  assert.ok(report.filesUnchanged >= 1);
  assert.equal(report.filesUnchanged + report.filesIndexed, 3);
});

test('an abort stops between steps', async (t) => {
  const specs = await openEmpty(t);
  await assert.rejects(specs.index(documents, { signal: AbortSignal.abort() }), (error) => error.code === 'Aborted');
  assert.deepEqual(await everything(specs), []);

  const many = Array.from({ length: 6 }, (_, i) => ({
    path: `f${i}/a.md`,
    text: `# N${i}\n\n${`word${i} and more\n\n`.repeat(100_000)}`,
  }));
  const controller = new AbortController();
  const onProgress = ({ phase }) => phase === 'index' && controller.abort();
  await assert.rejects(
    specs.index(many, { signal: controller.signal, onProgress }),
    (error) => error.code === 'Aborted',
  );
  const { documents: kept } = await specs.info();
  assert.ok(kept >= 1 && kept < 6, String(kept));
  assert.equal((await specs.index(documents)).filesRemoved, kept);
});

test('two index calls run one after the other, also when the first fails', async (t) => {
  const specs = await openEmpty(t);
  const [first, second, third] = await Promise.allSettled([
    specs.index(documents),
    specs.index([{ path: '', text: 'x' }]),
    specs.index(documents.slice(0, 1)),
  ]);
  assert.equal(first.value.filesIndexed, 3);
  assert.equal(second.reason.code, 'InvalidArgument');
  assert.deepEqual([third.value.filesUnchanged, third.value.filesRemoved], [1, 2]);
});

test('bad questions and options', async (t) => {
  const specs = await openIndexed(t);
  const cases = [
    ['', {}, 'InvalidArgument'],
    ['  \n', {}, 'InvalidArgument'],
    [7, {}, 'InvalidArgument'],
    ['\ud800', {}, 'InvalidArgument'],
    ['x', { k: 0 }, 'InvalidArgument'],
    ['x', { k: -1 }, 'InvalidArgument'],
    ['x', { k: NaN }, 'InvalidArgument'],
    ['x', { k: 1.5 }, 'InvalidArgument'],
    ['x', { k: 1e9 }, 'InvalidArgument'],
    ['x', { filter: { $foo: 1 } }, 'FilterError'],
    ['x', { mode: 'psychic' }, 'ConfigError'],
    ['x', { fusion: { kind: 'convex', alpha: 2 } }, 'InvalidArgument'],
    ['x', { highlights: true }, 'ConfigError'],
    ['x', { signal: AbortSignal.abort() }, 'Aborted'],
  ];
  for (const [question, options, code] of cases) {
    await assert.rejects(
      specs.search(question, options),
      (error) => error.code === code,
      `${question} ${JSON.stringify(options)}`,
    );
  }
  assert.ok(
    (await specs.search('uploads', { mode: 'dense', fusion: { kind: 'rrf' }, explain: true })).plan.strategy.length > 0,
  );
});

test('a database on disk is there again, read-only too', async (t) => {
  const path = join(folder(t, {}), 'db');
  await assert.rejects(openSpecs({ path, readOnly: true }), (error) => error.code === 'NotFound');
  const first = await openSpecs({ path });
  await first.index(documents);
  const before = await everything(first);
  await assert.rejects(openSpecs({ path }), (error) => error.code === 'DatabaseLocked');
  await first.close();
  await first.close();
  await assert.rejects(first.search('x'), (error) => error.code === 'Closed');
  await assert.rejects(first.index(documents), (error) => error.code === 'Closed');

  const second = await openSpecs({ path, readOnly: true });
  t.after(() => second.close());
  assert.deepEqual(await everything(second), before);
  assert.equal((await second.search('signing keys'))[0].payload.source, 'docs/keys.md');
  await assert.rejects(second.index([]), (error) => error.code === 'ReadOnly');
  await assert.rejects(second.clear(), (error) => error.code === 'ReadOnly');
  await assert.rejects(
    second.importJson('[{"id":"a","type":"task","text":"x","source":"s"}]'),
    (error) => error.code === 'ReadOnly',
  );
});

test('the model can be handed in, and a bad one is refused', async (t) => {
  const model = { vocabulary: new TextEncoder().encode('[UNK]\nword\n'), table: new Uint8Array(10) };
  const specs = await openSpecs({ storage: 'memory', model });
  t.after(() => specs.close());
  await assert.rejects(specs.index(documents), (error) => error.code === 'FormatError');
  await assert.rejects(openSpecs({ storage: 'memory', zebra: 1 }), (error) => error.code === 'ConfigError');
});

test('spec documents have a module of their own, found or given', async () => {
  const url = new URL('../../dist/nearfield-specs.wasm', import.meta.url);
  const bytes = readFileSync(url);
  const first = async (options) => {
    const specs = await openSpecs({ storage: 'memory', ...options });
    await specs.index(documents);
    const [hit] = await specs.search('signing keys');
    await specs.close();
    return hit.payload.source;
  };
  for (const wasm of [undefined, url, bytes, new WebAssembly.Module(bytes), Promise.resolve(new Response(bytes))]) {
    assert.equal(await first({ wasm }), 'docs/keys.md');
  }
  const missing = new Response('', { status: 404 });
  const error = await rejectsWith('NotFound', load({ wasm: missing }));
  assert.match(error.message, /nearfield-specs\.wasm .* load\(\{ wasm \}\) of nearfield\/specs/);
  await load({ wasm: bytes });
  assert.equal(await first(), 'docs/keys.md');
  // It has everything that nearfield.wasm has.
  const db = await open({ storage: 'memory', wasm: url });
  await (await db.collection('c', { dimension: 2 })).upsert([{ id: 'a', vector: [1, 2] }]);
  await db.close();
});

test('nearfield.wasm answers no spec verb, and says who does', async (t) => {
  const url = new URL('../../dist/nearfield.wasm', import.meta.url);
  const engine = await Engine.create(new WebAssembly.Module(readFileSync(url)));
  for (const verb of ['_openSpecs', '_indexFiles', '_removeMissing', '_doctor']) {
    assert.throws(
      () => engine.call(verb, new Message('{}').finish()),
      (error) => error.code === 'InvalidArgument' && error.message.includes('openSpecs() takes nearfield-specs.wasm'),
      verb,
    );
  }
  engine.dispose();

  const path = join(folder(t, {}), 'db');
  const wrong = await openSpecs({ path, wasm: url });
  await rejectsWith('InvalidArgument', wrong.index(documents));
  await wrong.close();
  // Nothing was written, and searching works with either.
  const right = await openSpecs({ path });
  assert.equal((await right.info()).blocks, 0);
  await right.index(documents);
  await right.close();
  const reader = await openSpecs({ path, wasm: url });
  assert.equal((await reader.search('signing keys'))[0].payload.source, 'docs/keys.md');
  await rejectsWith('InvalidArgument', reader.index([]));
  assert.equal((await reader.info()).documents, 3);
  await reader.close();
});

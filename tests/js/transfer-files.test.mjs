// Points as files: each format there and back without loss, and everything that is wrong with a file told by its place.
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, lstatSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { exportPoints, importPoints } from 'nearfield/transfer';
import { floatText } from '../../dist/transfer/floats.js';
import { rawScroll } from '../../dist/raw.js';
import { sameJson } from '../../dist/transfer/json.js';
import { random, rejectsWith, temporaryFolder } from './support.mjs';
import { awkwardPoints, dimension, embedded, everything, expected, fill, store } from './transfer-stores.mjs';

const points = awkwardPoints(700);

async function filled(t) {
  const from = await store(t, embedded());
  await fill(from, points);
  return from;
}

test('floats are the shortest text that reads back', () => {
  const next = random(3);
  const bits = new DataView(new ArrayBuffer(4));
  const check = (value) => {
    const text = floatText(value);
    assert.equal(typeof JSON.parse(text), 'number', text);
    assert.ok(Object.is(Math.fround(JSON.parse(text)), value), `${text} is not ${value}`);
    return text;
  };
  for (let i = 0; i < 200_000; i++) {
    bits.setUint32(0, Math.floor(next() * 2 ** 32));
    const value = bits.getFloat32(0);
    if (Number.isFinite(value)) check(value);
    const usual = Math.fround(next() * 2 - 1);
    const digits = check(usual)
      .replace(/^-?0?\.?0*/, '')
      .replace('.', '').length;
    // No shorter one does.
    for (let fewer = 1; fewer < Math.min(digits, 9); fewer++) {
      if (i < 2000) assert.notEqual(Math.fround(Number(usual.toPrecision(fewer))), usual);
    }
  }
  for (const [value, text] of [
    [0, '0'],
    [-0, '-0'],
    [0.1, '0.1'],
    [1 / 3, '0.33333334'],
    [16777216, '16777216'],
    [1e-45, '1e-45'],
    [3.4028235e38, '3.4028235e+38'],
    [123456.79, '123456.79'],
    [0.5, '0.5'],
  ])
    assert.equal(check(Math.fround(value)), text);
});

test('JSON texts mean the same, to the last digit', () => {
  for (const [one, other, same] of [
    ['{"a":1,"b":[1,2]}', '{ "b": [1.0, 2e0], "a": 1 }', true],
    ['{"a":9223372036854775807}', '{"a":9223372036854775806}', false],
    ['{"a":1}', '{"a":"1"}', false],
    ['{"a":"#1"}', '{"a":1}', false],
    ['{"a":1}', '{"a":1,"b":null}', false],
    ['{"a":[]}', '{"a":{}}', false],
    ['{"a":"\\u0041"}', '{"a":"A"}', true],
    ['{"a":"1\\"2"}', '{"a":"1\\"3"}', false],
    ['{"a":-0}', '{"a":0}', true],
    ['{"__proto__":1}', '{}', false],
  ])
    assert.equal(sameJson(one, other), same, `${one} ${other}`);
});

test('JSON Lines: there and back', async (t) => {
  const folder = temporaryFolder(t);
  const from = await filled(t);
  const file = join(folder, 'points.jsonl');
  const report = await exportPoints(from, file, { batch: 100, model: 'model-a' });
  assert.deepEqual([report.points, report.bytes], [points.length, readFileSync(file).length]);
  const lines = readFileSync(file, 'utf8').split('\n');
  assert.deepEqual(JSON.parse(lines[0]), {
    format: 'nearfield-points',
    version: 1,
    model: 'model-a',
    dimension,
    metric: 'cosine',
    count: points.length,
  });
  assert.equal(lines.length, points.length + 2);
  for (const source of [
    file,
    readFileSync(file),
    new Blob([readFileSync(file)]),
    new Blob([readFileSync(file)]).stream(),
  ]) {
    const to = await store(t, embedded());
    const steps = [];
    const imported = await importPoints(to, source, { batch: 77, onProgress: ({ phase }) => steps.push(phase) });
    const twice = !(source instanceof ReadableStream);
    assert.deepEqual([imported.points, imported.written, imported.checked], [points.length, points.length, twice]);
    assert.equal(steps[0], twice ? 'check' : 'copy');
    assert.deepEqual(await everything(to), expected(points));
  }
  // What is exported again is the same file.
  const again = [];
  await exportPoints(from, (chunk) => void again.push(chunk), { batch: 333, model: 'model-a' });
  assert.deepEqual(Buffer.concat(again), readFileSync(file));
});

for (const format of ['npy', 'fvecs']) {
  test(`${format}: there and back`, async (t) => {
    const folder = temporaryFolder(t);
    const from = await filled(t);
    const files = { vectors: join(folder, `points.${format}`), points: join(folder, 'points.jsonl') };
    const report = await exportPoints(from, files, { format, batch: 100 });
    const vectors = points.filter(({ vector }) => vector !== undefined).length;
    assert.deepEqual([report.points, report.vectors], [points.length, vectors]);
    assert.equal(report.bytes, readFileSync(files.vectors).length + readFileSync(files.points).length);
    const to = await store(t, embedded());
    await importPoints(to, files, { format, batch: 99 });
    assert.deepEqual(await everything(to), expected(points));

    const numbered = await store(t, embedded());
    const alone = await importPoints(numbered, { vectors: files.vectors }, { format });
    assert.equal(alone.written, vectors);
    assert.deepEqual(
      [...(await everything(numbered)).keys()].sort(),
      Array.from({ length: vectors }, (_, i) => `${i}`).sort(),
    );

    // Lines of somebody else: no header, a line a row.
    const lines = Array.from({ length: vectors }, (_, i) => `{"id":"row ${i}","payload":{"i":${i}}}`).join('\n');
    const named = await store(t, embedded());
    await importPoints(named, { vectors: files.vectors, points: Buffer.from(lines) }, { format });
    assert.deepEqual(await named.get(['row 5']), [{ id: 'row 5', payload: { i: 5 } }]);
    const short = { vectors: files.vectors, points: Buffer.from(lines.slice(0, lines.lastIndexOf('\n'))) };
    const error = await rejectsWith('FormatError', importPoints(named, short, { format }));
    assert.match(error.message, /belongs to no point/);
    const long = { vectors: files.vectors, points: Buffer.from(`${lines}\n{"id":"more"}`) };
    assert.match((await rejectsWith('FormatError', importPoints(named, long, { format }))).message, /there is no row/);
  });
}

test('a .npy of NumPy is read', async (t) => {
  const text = "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }";
  const header = Buffer.concat([
    Buffer.from('\x93NUMPY\x01\x00', 'latin1'),
    Buffer.from([64, 0]),
    Buffer.from(text.padEnd(63) + '\n'),
  ]);
  const vectors = Buffer.concat([header, Buffer.from(Float64Array.of(1, 2, 3, 4, 5, 0.1).buffer)]);
  const to = await store(t, embedded());
  await importPoints(to, { vectors }, { format: 'npy' });
  const [first, second] = await to.get(['0', '1'], { include: ['vector'] });
  assert.deepEqual([...first.vector, ...second.vector], [1, 2, 3, 4, 5, Math.fround(0.1)]);
});

const header = (more = {}) =>
  JSON.stringify({ format: 'nearfield-points', version: 1, dimension: 2, metric: 'cosine', count: 2, ...more });
const good = ['{"id":"a","vector":[1,0.5],"text":"one","payload":{"n":1}}', '{"id":"b","vector":[0,1]}'];
const file = (...lines) => Buffer.from(`${lines.join('\n')}\n`);

const deep = (levels) => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`;
// Each: the file, what the message says, the line.
const hostile = {
  'an empty file': [Buffer.alloc(0), /is empty/, 1],
  'no header': [file(...good), /format of the header must be "nearfield-points"/, 1],
  'another format': [file(header({ format: 'x' }), ...good), /format of the header/, 1],
  'a newer version': [file(header({ version: 2 }), ...good), /version of the header must be 1/, 1],
  'a member of the header that nobody knows': [file(header({ zip: 'gzip' }), ...good), /"zip", which nobody knows/, 1],
  'dimension -1': [file(header({ dimension: -1 }), ...good), /dimension of the header/, 1],
  'dimension 2^31': [file(header({ dimension: 2 ** 31 }), ...good), /dimension of the header/, 1],
  'dimension 1.5': [file(header({ dimension: 1.5 }), ...good), /dimension of the header/, 1],
  'a metric that nobody knows': [file(header({ metric: 'l7' }), ...good), /metric of the header must be one of/, 1],
  'count 2^31': [
    file(header({ count: 2 ** 31 }), ...good),
    /announces 2147483648 points, for which \d+ bytes are too few/,
    1,
  ],
  'count 2^63': [file(header({ count: 2 ** 63 }), ...good), /count of the header must be a whole number/, 1],
  'count -1': [file(header({ count: -1 }), ...good), /count of the header/, 1],
  'fewer points than announced': [file(header({ count: 3 }), ...good), /announces 3 points, and there are 2/, 4],
  'more points than announced': [file(header({ count: 1 }), ...good), /announces 1 points, and more come/, 3],
  'trailing data': [file(header(), ...good, 'trailing'), /this is not JSON/, 4],
  'a line that is empty': [file(header(), good[0], '', good[1]), /the line is empty/, 3],
  'a byte order mark': [
    Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), file(header(), ...good)]),
    /byte order mark/,
    1,
  ],
  'UTF-16': [Buffer.from(`\ufeff${header()}\n`, 'utf16le'), /not UTF-8/, 1],
  'invalid UTF-8': [
    Buffer.concat([file(header(), good[0]), Buffer.from('{"id":"\xff","vector":[1,2]}\n', 'latin1')]),
    /not UTF-8/,
    3,
  ],
  'half of a surrogate pair in an id': [file(header(), good[0], '{"id":"\\ud800"}'), /half of a surrogate pair/, 3],
  'half of a surrogate pair in a text': [
    file(header(), good[0], '{"id":"b","text":"\\udc00"}'),
    /half of a surrogate pair/,
    3,
  ],
  'half of a surrogate pair in a payload': [
    file(header(), good[0], '{"id":"b","payload":{"a":"\\ud800"}}'),
    /half of a surrogate pair/,
    3,
  ],
  'half of a surrogate pair in a name': [
    file(header(), good[0], '{"id":"b","payload":{"\\ud800":1}}'),
    /half of a surrogate pair/,
    3,
  ],
  'no id': [file(header(), good[0], '{"vector":[1,2]}'), /id must be a string/, 3],
  'an empty id': [file(header(), good[0], '{"id":""}'), /id must be a string that is not empty/, 3],
  'NUL in an id': [file(header(), good[0], '{"id":"a\\u0000"}'), /NUL/, 3],
  'an id of 1,025 bytes': [file(header(), good[0], `{"id":"${'é'.repeat(512)}x"}`), /longer than 1024 bytes/, 3],
  'an id that is a number': [file(header(), good[0], '{"id":7}'), /id must be a string/, 3],
  'an id that stands twice': [file(header(), good[0], good[0]), /the id "a" stands twice/, 3],
  'a vector that is too short': [
    file(header(), good[0], '{"id":"b","vector":[1]}'),
    /Vector dimension mismatch: expected 2, got 1/,
    3,
  ],
  NaN: [file(header(), good[0], '{"id":"b","vector":[NaN,1]}'), /not JSON/, 3],
  'null in a vector': [file(header(), good[0], '{"id":"b","vector":[null,1]}'), /component 0 must be a number/, 3],
  '1e39 in a vector': [file(header(), good[0], '{"id":"b","vector":[1,1e39]}'), /component 1 is beyond/, 3],
  '1e999 in a vector': [file(header(), good[0], '{"id":"b","vector":[1,1e999]}'), /component 1 is beyond/, 3],
  'a vector that is an object': [
    file(header(), good[0], '{"id":"b","vector":{"length":2}}'),
    /vector must be an array/,
    3,
  ],
  '1e999 in a payload': [file(header(), good[0], '{"id":"b","payload":{"n":1e999}}'), /which JSON cannot hold/, 3],
  'a payload that is an array': [file(header(), good[0], '{"id":"b","payload":[1]}'), /payload must be an object/, 3],
  'a payload 64 deep in a line': [file(header(), good[0], `{"id":"b","payload":${deep(64)}}`), /deeper than 64/, 3],
  'a payload 100,000 deep': [
    file(header(), good[0], `{"id":"b","payload":${deep(100_000)}}`),
    /deeper than 64|not JSON/,
    3,
  ],
  'a payload above 1 MiB': [
    file(header(), good[0], `{"id":"b","payload":{"a":"${'x'.repeat(1 << 20)}"}}`),
    /payload is longer than 1048576 bytes/,
    3,
  ],
  'a text above 16 MiB': [
    file(header(), good[0], `{"id":"b","text":"${'x'.repeat((16 << 20) + 1)}"}`),
    /text is longer/,
    3,
  ],
  'a name twice in a payload': [
    file(header(), good[0], '{"id":"b","payload":{"a":1,"\\u0061":2}}'),
    /"a" stands twice/,
    3,
  ],
  'a name twice in a line': [file(header(), good[0], '{"id":"b","id":"c"}'), /"id" stands twice/, 3],
  '__proto__ beside the payload': [
    file(header(), good[0], '{"id":"b","__proto__":{"x":1}}'),
    /no member "__proto__"/,
    3,
  ],
  'a member that nobody knows': [file(header(), good[0], '{"id":"b","sparse":{}}'), /no member "sparse"/, 3],
  'a row without a file of vectors': [file(header(), good[0], '{"id":"b","row":0}'), /no file for row/, 3],
  'vectors in a file beside': [file(header({ vectors: 'npy' }), ...good), /in a file beside it/, 1],
  'a line that is an array': [file(header(), good[0], '[1]'), /an object is expected/, 3],
};

for (const [name, [bytes, message, line]] of Object.entries(hostile)) {
  test(`refused, with nothing written: ${name}`, async (t) => {
    const to = await store(t, embedded());
    for (const again of [false, true]) {
      const error = await rejectsWith('FormatError', importPoints(to, bytes));
      assert.match(error.message, message);
      assert.equal(error.details.line, line);
      assert.ok(error.message.length < 500);
      if (again) continue;
      await rejectsWith('NotFound', to.info());
    }
    // And what is good is taken after it.
    await importPoints(to, file(header(), ...good));
    assert.equal(await to.count(), 2);
  });
}

test('a line of 100 MB is refused before it is in memory', async (t) => {
  const to = await store(t, embedded());
  let sent = 0;
  const source = async function* () {
    yield file(header());
    yield Buffer.from('{"id":"');
    for (; sent < 100; sent++) yield Buffer.alloc(1 << 20, 'x');
  };
  const error = await rejectsWith('FormatError', importPoints(to, source()));
  assert.match(error.message, /line 2 .*longer than 67108864 bytes/);
  assert.ok(sent < 70, `${sent} MiB were read`);
});

test('CRLF, white space and a missing last line end are no error', async (t) => {
  const text = `${header()}\r\n ${good[0]} \r\n${good[1]}`;
  const to = await store(t, embedded());
  assert.equal((await importPoints(to, Buffer.from(text))).written, 2);
  assert.deepEqual((await to.get(['a']))[0], { id: 'a', text: 'one', payload: { n: 1 } });
});

test('__proto__ in a payload is data', async (t) => {
  const to = await store(t, embedded());
  await importPoints(to, file(header(), good[0], '{"id":"b","payload":{"__proto__":{"polluted":1}}}'));
  assert.equal({}.polluted, undefined);
  assert.equal((await everything(to)).get('b').payload, '{"__proto__":{"polluted":1}}');
});

test('cut off at any byte: an error, and nothing is written', async (t) => {
  const whole = file(header(), ...good);
  const to = await store(t, embedded());
  for (let length = 0; length < whole.length - 1; length++) {
    await rejectsWith('FormatError', importPoints(to, whole.subarray(0, length)));
  }
  await rejectsWith('NotFound', to.info());
  assert.equal((await importPoints(to, whole.subarray(0, -1))).written, 2);
});

test('any bit of a file flipped: a typed error, or points', async (t) => {
  const whole = file(header(), ...good);
  const to = await store(t, embedded());
  for (let bit = 0; bit < whole.length * 8; bit += 3) {
    const bytes = Buffer.from(whole);
    bytes[bit >> 3] ^= 1 << (bit & 7);
    try {
      await importPoints(to, bytes);
    } catch (error) {
      assert.match(error.code, /^(FormatError|DimensionMismatch|SchemaMismatch)$/, `${bit}: ${error.stack}`);
    }
  }
  await to.drop();
  await importPoints(to, whole);
});

test('a stream is written batch by batch, and the error says how far', async (t) => {
  const to = await store(t, embedded());
  const lines = Array.from({ length: 10 }, (_, i) => `{"id":"p${i}","vector":[1,${i}]}`);
  const stream = new Blob([file(header({ count: 12 }), ...lines, 'broken')]).stream();
  const error = await rejectsWith('FormatError', importPoints(to, stream, { batch: 4 }));
  assert.equal(error.details.written, 8);
  assert.match(error.message, /line 12 .*\(8 points before it are written\)$/);
  assert.equal(await to.count(), 8);
});

test('a dimension, metric or model that does not fit is refused', async (t) => {
  const to = await store(t, '[backend]\nprovider = "memory"\nvector_size = 3\ncollection = "points"\n');
  const error = await rejectsWith('DimensionMismatch', importPoints(to, file(header(), ...good)));
  assert.equal(error.message, 'Vector dimension mismatch: expected 3, got 2');
  const other = await store(t, embedded());
  await rejectsWith('SchemaMismatch', importPoints(other, file(header({ metric: 'dot' }), ...good)));
  await rejectsWith('SchemaMismatch', importPoints(other, file(header({ model: 'a' }), ...good), { model: 'b' }));
  await rejectsWith('NotFound', other.info());
  const dry = await importPoints(other, file(header(), ...good), { dryRun: true });
  assert.deepEqual([dry.points, dry.written, dry.checked], [2, 0, true]);
  await rejectsWith('NotFound', other.info());
});

const vectorFiles = {
  npy: (text, body = Buffer.alloc(24), { magic = '\x93NUMPY', version = '\x01\x00', length = 118 } = {}) =>
    Buffer.concat([
      Buffer.from(magic + version, 'latin1'),
      Buffer.from([length & 255, length >> 8]),
      Buffer.from(`${text.padEnd(117)}\n`),
      body,
    ]),
};
const shape = (count, size, descr = '<f4', order = 'False') =>
  `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': (${count}, ${size})}`;
const nan = Buffer.from(Float32Array.of(1, 2, 3, 4, NaN, 6).buffer);
const infinite = Buffer.from(Float64Array.of(1, 2, 3, 4, 1e300, 6).buffer);
const hostileRows = {
  'no magic': ['npy', vectorFiles.npy(shape(2, 3), undefined, { magic: 'NUMPY!' }), /no \.npy file/],
  'version 9': ['npy', vectorFiles.npy(shape(2, 3), undefined, { version: '\x09\x00' }), /version 9\.0/],
  '2^31 rows': [
    'npy',
    vectorFiles.npy(shape(2 ** 31, 3)),
    /2147483648 rows of 3 take 25769803776 bytes, and there are 24/,
  ],
  '2^62 rows': ['npy', vectorFiles.npy(shape('4611686018427387904', 3)), /two dimensions is expected/],
  '699,051 rows of 1,536, which wrap': [
    'npy',
    vectorFiles.npy(shape(699_051, 1536), Buffer.alloc(2048)),
    /take 4294969344 bytes/,
  ],
  '70,000 components': ['npy', vectorFiles.npy(shape(1, 70_000)), /1 to 65536 can be meant/],
  'no components': ['npy', vectorFiles.npy(shape(1, 0)), /1 to 65536 can be meant/],
  'trailing bytes': ['npy', vectorFiles.npy(shape(2, 3), Buffer.alloc(25)), /take 24 bytes, and there are 25/],
  'a row too few': ['npy', vectorFiles.npy(shape(2, 3), Buffer.alloc(12)), /take 24 bytes, and there are 12/],
  'whole numbers': ['npy', vectorFiles.npy(shape(2, 3, '<i4')), /numbers must be '<f4' or '<f8', got "<i4"/],
  'big-endian': ['npy', vectorFiles.npy(shape(2, 3, '>f4')), /got ">f4"/],
  columns: ['npy', vectorFiles.npy(shape(2, 3, '<f4', 'True')), /one behind the other/],
  'one dimension': [
    'npy',
    vectorFiles.npy("{'descr': '<f4', 'fortran_order': False, 'shape': (6,)}"),
    /two dimensions/,
  ],
  'code in the header': ['npy', vectorFiles.npy('__import__("os")'), /numbers must be/],
  'a header beyond the file': [
    'npy',
    vectorFiles.npy(shape(2, 3), Buffer.alloc(0), { length: 60_000 }),
    /header is cut short/,
  ],
  'NaN in a .npy': ['npy', vectorFiles.npy(shape(2, 3), nan), /component 1 of row 1/],
  '1e300 in a .npy': ['npy', vectorFiles.npy(shape(2, 3, '<f8'), infinite), /component 1 of row 1/],
  'no row': ['fvecs', Buffer.alloc(0), /is empty/],
  'a row of -1': ['fvecs', Buffer.from(Int32Array.of(-1, 0).buffer), /row 0 has -1 components; 1 to 65536/],
  'a row of 2^31-1': ['fvecs', Buffer.from(Int32Array.of(2 ** 31 - 1, 0).buffer), /row 0 has 2147483647 components/],
  'rows of two lengths': [
    'fvecs',
    Buffer.from(Int32Array.of(1, 0, 2, 0, 0).buffer),
    /row 1 has 2 components; row 0 has 1/,
  ],
  'half a row': ['fvecs', Buffer.from(Int32Array.of(2, 0, 0, 2, 0).buffer), /row 1 is cut short/],
  'half a length': [
    'fvecs',
    Buffer.concat([Buffer.from(Int32Array.of(1, 0).buffer), Buffer.alloc(3)]),
    /length of row 1 is cut short/,
  ],
  'NaN in fvecs': ['fvecs', Buffer.concat([Buffer.from(Int32Array.of(6).buffer), nan]), /component 4 of row 0/],
};
for (const [name, [format, vectors, message]] of Object.entries(hostileRows)) {
  test(`refused, with nothing written: ${name}`, async (t) => {
    const to = await store(t, embedded());
    // Also where nobody knows how long it is.
    for (const source of [vectors, new Blob([vectors]).stream()]) {
      const streamed = source instanceof ReadableStream;
      const error = await rejectsWith('FormatError', importPoints(to, { vectors: source }, { format }));
      if (!streamed) assert.match(error.message, message);
      assert.match(error.message, /^vectors, byte \d+: /);
    }
    // Where the header was good the collection was made.
    const there = await to.count().catch(({ code }) => code);
    assert.ok(there === 0 || there === 'NotFound', String(there));
  });
}

test('large texts come in small pages, also where small ones came before', async (t) => {
  const from = await store(t, embedded());
  const points = Array.from({ length: 160 }, (_, i) => ({
    id: `p${1000 + i}`,
    text: i < 100 ? 'small' : 'x'.repeat(1 << 20),
  }));
  await from.ensure();
  for (let first = 0; first < 160; first += 20) await from.upsert(points.slice(first, first + 20));
  const sizes = [];
  let cursor = '';
  do {
    const page = await from[rawScroll](cursor, 10_000);
    sizes.push(page.points.length);
    cursor = page.next;
  } while (cursor !== '');
  // 32 at a time until there are 16 MiB.
  assert.deepEqual(sizes, [128, 32]);
  let done = 0;
  const seen = [];
  const onProgress = (at) => seen.push(at.done - done) && (done = at.done);
  assert.equal((await exportPoints(from, () => {}, { onProgress })).points, 160);
  assert.deepEqual(seen.slice(0, 2), [100, 32]);
  assert.ok(
    seen.slice(2).every((rows) => rows <= 16),
    seen.join(),
  );
});

test('a store without a vector, or without a point, is exported and read back', async (t) => {
  const folder = temporaryFolder(t);
  for (const points of [[], [{ id: 'a', text: 'words' }, { id: 'b' }]]) {
    const lines = `[backend]\nprovider = "memory"\ncollection = "points"\nvector_size = ${dimension}\n`;
    const from = await store(t, lines);
    await from.ensure();
    await from.upsert(points);
    for (const format of ['npy', 'fvecs']) {
      const files = { vectors: join(folder, `v.${format}`), points: join(folder, 'p.jsonl') };
      assert.equal((await exportPoints(from, files, { format })).vectors, 0);
      const to = await store(t, lines);
      assert.equal((await importPoints(to, files, { format })).written, points.length);
      assert.deepEqual(await everything(to), expected(points));
    }
  }
});

test('a link goes on pointing to its file, and a pipe stays one', { skip: process.platform === 'win32' }, async (t) => {
  const folder = temporaryFolder(t);
  const from = await filled(t);
  const [path, link, pipe] = ['points.jsonl', 'link.jsonl', 'pipe'].map((name) => join(folder, name));
  writeFileSync(path, 'before');
  symlinkSync('points.jsonl', link);
  await exportPoints(from, link);
  assert.ok(lstatSync(link).isSymbolicLink());
  const whole = readFileSync(path, 'utf8');
  assert.match(whole, /^{"format":"nearfield-points"/);

  execFileSync('mkfifo', [pipe]);
  const [read] = await Promise.all([readFile(pipe, 'utf8'), exportPoints(from, pipe)]);
  assert.equal(read, whole);
  assert.ok(lstatSync(pipe).isFIFO());
  const to = await store(t, embedded());
  const [report] = await Promise.all([importPoints(to, pipe), writeFile(pipe, whole)]);
  // It says its bytes once.
  assert.deepEqual([report.written, report.checked], [700, false]);
  assert.deepEqual(await everything(to), await everything(from));

  await rejectsWith('InvalidArgument', exportPoints(from, folder));
  const twice = await Promise.all([1, 2].map(() => exportPoints(from, path)));
  assert.deepEqual([twice[0].bytes, twice[1].bytes], [Buffer.byteLength(whole), Buffer.byteLength(whole)]);
  assert.equal(readFileSync(path, 'utf8'), whole);
  assert.deepEqual(readdirSync(folder).sort(), ['link.jsonl', 'pipe', 'points.jsonl']);
});

test('an export that breaks off leaves no file, and the one that was there', async (t) => {
  const folder = temporaryFolder(t);
  const from = await filled(t);
  const path = join(folder, 'points.jsonl');
  writeFileSync(path, 'before');
  const stop = new AbortController();
  const onProgress = ({ done }) => done >= 300 && stop.abort();
  await rejectsWith('Aborted', exportPoints(from, path, { batch: 100, signal: stop.signal, onProgress }));
  assert.equal(readFileSync(path, 'utf8'), 'before');
  assert.deepEqual(readdirSync(folder), ['points.jsonl']);
  const both = { vectors: join(folder, 'v.npy'), points: join(folder, 'missing', 'p.jsonl') };
  await rejectsWith('NotFound', exportPoints(from, both, { format: 'npy' }));
  assert.equal(existsSync(both.vectors), false);
  await rejectsWith('Unsupported', exportPoints(from, { vectors: () => {}, points: path }, { format: 'npy' }));
  await rejectsWith('InvalidArgument', exportPoints(from, path, { format: 'fvecs' }));
  await rejectsWith('ConfigError', exportPoints(from, path, { format: 'csv' }));
  await rejectsWith('InvalidArgument', exportPoints(from, path, { batch: 10_001 }));
  assert.equal(readFileSync(path, 'utf8'), 'before');

  const removing = (count) => count === 100 && from.delete(['point-000699']);
  let seen = 0;
  const changed = exportPoints(from, path, { batch: 100, onProgress: () => removing((seen += 100)) });
  assert.match((await rejectsWith('Conflict', changed)).message, /700 points were there, and 699 came/);
  assert.equal(readFileSync(path, 'utf8'), 'before');
});

test('two pages are alive while a million points would be exported, however slow the sink is', async () => {
  const [rows, size] = [20_000, 500];
  let [live, most] = [0, 0];
  const refuse = async () => {
    throw new Error('only read');
  };
  const endless = {
    ...Object.fromEntries(['ensure', 'upsert', 'get', 'search', 'searchBatch'].map((name) => [name, refuse])),
    backend: 'synthetic',
    name: 'points',
    info: async () => ({ dimension: 4, metric: 'dot' }),
    count: async () => rows,
    async *scroll({ batch }) {
      for (let first = 0; first < rows; first += batch) {
        most = Math.max(most, ++live);
        yield Array.from({ length: batch }, (_, i) => ({ id: `p${first + i}`, vector: Float32Array.of(1, 2, 3, i) }));
      }
    },
  };
  const sink = () => new Promise((resolve) => setTimeout(resolve, 1));
  const report = await exportPoints(endless, sink, { batch: size, onProgress: () => live-- });
  assert.deepEqual([report.points, most, live], [rows, 2, 0]);
});

test('a pipe is written to, and not replaced by a file of its name', async (t) => {
  const folder = temporaryFolder(t);
  const pipe = join(folder, 'pipe');
  if (spawnSync('mkfifo', [pipe]).status !== 0) return t.skip('there is no mkfifo');
  const source = await store(t, embedded());
  await fill(source, awkwardPoints(5));
  const reader = spawn('cat', [pipe]);
  t.after(() => reader.kill());
  let read = '';
  reader.stdout.on('data', (piece) => (read += piece));
  const file = join(folder, 'file.jsonl');
  await exportPoints(source, file);
  await exportPoints(source, pipe);
  assert.ok(lstatSync(pipe).isFIFO());
  await once(reader, 'close');
  assert.equal(read, readFileSync(file, 'utf8'));
  assert.deepEqual(readdirSync(folder).sort(), ['file.jsonl', 'pipe']);
});

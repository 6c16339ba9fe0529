// What the tests of moving points share: stores, awkward points, and everything a store holds.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'nearfield';
import { rawScroll, rawUpsert } from '../../dist/raw.js';
import { random, randomVector } from './support.mjs';

export const dimension = 12;

/** A configuration: in memory, or in a folder. */
export function embedded(folder, { name = 'points', lines = '' } = {}) {
  if (folder === undefined) return `[vectordb]\nbackend = "memory"\ncollection = "${name}"\n${lines}`;
  return `[vectordb]\nbackend = "embedded"\npath = ${JSON.stringify(folder)}\ncollection = "${name}"\n${lines}`;
}

/** A store that the test closes. */
export async function store(t, config, more = {}) {
  const opened = await connect({ config, environment: {}, ...more });
  t.after(() => opened.close());
  return opened;
}

/** A Qdrant that a fake plays. */
export const qdrant = (lines = '') =>
  `[backend]\nprovider = "qdrant"\nurl = "http://127.0.0.1:6333"\ncollection = "points"\nvector_size = ${dimension}\nretry_delay = 0\n${lines}`;

const payloads = [
  undefined,
  '{"big":9223372036854775807,"small":-9223372036854775808,"most":18446744073709551615}',
  '{"year":2026,"tag":"network","list":[1,2.5,"three",null,true,{"deep":[[]]}]}',
  '{"__proto__":{"polluted":true},"constructor":1,"toString":"x"}',
  '{"words":"quote \\" backslash \\\\ newline \\n emoji 🎈 é","empty":"","none":null}',
  '{"tiny":1e-7,"half":0.5,"third":0.3333333333333333}',
];

/** Points of all kinds, as raw.ts has them: some without a vector, a text or a payload; ids that need care. */
export function awkwardPoints(count, seed = 7, size = dimension) {
  const next = random(seed);
  const ids = ['🎈 balloon', 'a "quoted" id', 'ends with \\', 'é', '0', 'x'.repeat(900), '\u2028line', '__proto__'];
  return Array.from({ length: count }, (_, i) => {
    const point = { id: ids[i] ?? `point-${String(i).padStart(6, '0')}` };
    if (i % 11 !== 3) point.vector = randomVector(next, size);
    if (point.vector !== undefined && i % 13 === 0) point.vector[0] = [1e-40, -0, 3.4e38, 1, 0.1][i % 5];
    if (i % 3 !== 1) point.text = `text ${i} with "quotes", a\ttab and 🎈`;
    const payload = payloads[i % payloads.length];
    if (payload !== undefined) point.payload = payload;
    return point;
  });
}

export async function fill(target, points, size = dimension) {
  await target.ensure();
  for (let first = 0; first < points.length; first += 500) {
    const report = await target[rawUpsert](points.slice(first, first + 500), size);
    if (report.ok.length === 0) throw new Error(JSON.stringify(report));
  }
}

/** Everything in a store, by id: payloads as text, vectors as the bytes they are. */
export async function everything(from) {
  const all = new Map();
  let cursor = '';
  do {
    const { points, next } = await from[rawScroll](cursor, 1000);
    for (const { id, vector, text = '', payload = '{}' } of points) {
      const bytes =
        vector === undefined ? '' : Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('hex');
      all.set(id, { text, payload, vector: bytes });
    }
    cursor = next;
  } while (cursor !== '');
  return new Map([...all].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** As everything() answers it. */
export function expected(points) {
  const all = points.map(({ id, vector, text = '', payload = '{}' }) => {
    const bytes =
      vector === undefined ? '' : Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('hex');
    return [id, { text, payload, vector: bytes }];
  });
  return new Map(all.sort(([a], [b]) => (a < b ? -1 : 1)));
}

export function configFile(folder, name, text) {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

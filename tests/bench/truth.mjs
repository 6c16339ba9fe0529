// The rows, the queries and what is right: ../shared/data/vectors-dev, layout in its README.

import { readFileSync } from 'node:fs';
import path from 'node:path';

/** f32 of little-endian f16. */
function widen(bytes) {
  // Every f16 once, then a look-up: there are only 65,536.
  const table = Float32Array.from({ length: 65_536 }, (_, bits) => {
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    const size =
      exponent === 0 ? fraction * 2 ** -24 : exponent === 31 ? NaN : (1 + fraction / 1024) * 2 ** (exponent - 15);
    return bits & 0x8000 ? -size : size;
  });
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  return Float32Array.from(halves, (bits) => table[bits]);
}

const floatsOf = (bytes) => new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));

/**
 * The first `rows` rows and `queries` queries of a folder, as { dim, rows, queries, base, asked, recall }; a count
 * left out means all. recall(ids) is the share of right ids in an answer of k ids a query: right is an id, counted once,
 * whose inner product is not below the k-th best, so that ties do not hurt.
 */
export function loadVectors(folder, wanted, k) {
  const { dim } = JSON.parse(readFileSync(path.join(folder, 'meta.json'), 'utf8'));
  const all = widen(readFileSync(path.join(folder, 'base.f16')));
  const allQueries = floatsOf(readFileSync(path.join(folder, 'queries.f32')));
  const rows = wanted.rows ?? all.length / dim;
  const queries = wanted.queries ?? allQueries.length / dim;
  const base = all.subarray(0, rows * dim);
  const asked = allQueries.subarray(0, queries * dim);

  // As the file's scores: in double precision, then rounded to single.
  const product = (query, row) => {
    let sum = 0;
    for (let j = 0; j < dim; j++) sum += asked[query * dim + j] * base[row * dim + j];
    return Math.fround(sum);
  };
  const known = floatsOf(readFileSync(path.join(folder, 'gt_scores.f32')));
  const knownPerQuery = known.length / (allQueries.length / dim);
  const kth = Float32Array.from({ length: queries }, (_, query) => {
    if (rows * dim === all.length) return known[query * knownPerQuery + k - 1];
    const scores = Float32Array.from({ length: rows }, (__, row) => product(query, row));
    return scores.sort()[Math.max(0, rows - k)];
  });

  const recall = (ids) => {
    let right = 0;
    const count = ids.length / k;
    for (let query = 0; query < count; query++) {
      const found = new Set(ids.slice(query * k, (query + 1) * k));
      for (const id of found) if (id >= 0 && id < rows && product(query, id) >= kth[query]) right++;
    }
    return right / (count * Math.min(k, rows));
  };
  return { dim, rows, queries, base, asked, recall };
}

// The engines that `npm run bench` measures: ours in every form, and the peers, each the way its documentation uses it.
//
// An engine is { name, side, efforts, effortName } and either `program`, a native one that speaks serve.h's lines, or
// `load`, which engine.mjs calls in a process of its own:
//
//   load({ dim, rows }) -> { add(vectors), search(query, effort), ids(answer), memory?() }
//
// `add` and `search` are what is timed; `ids` turns one answer into row numbers afterwards. `memory` answers figures in
// bytes, `heapBytes` being all of the WebAssembly memory. efforts: values of the option that trades speed for recall, rising;
// one that is null for engines without such an option.

import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const k = 10;
// What the peers' graphs are built with.
const graph = { m: 16, efConstruct: 200, seed: 100 };
const graphEfforts = [10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384];
const probeEfforts = [1, 2, 4, 8, 16, 32, 64, 128, 256];
const batchRows = 1000;

const packages = path.join(path.dirname(fileURLToPath(import.meta.url)), 'node_modules');
const inPackage = (...parts) => path.join(packages, ...parts);

/** Calls work(first, count) for every batch of rows. */
async function inBatches(rows, work) {
  for (let first = 0; first < rows; first += batchRows) await work(first, Math.min(batchRows, rows - first));
}
/** count views of one row each. */
const views = (vectors, dim, first, count) =>
  Array.from({ length: count }, (_, i) => vectors.subarray((first + i) * dim, (first + i + 1) * dim));

/** Our own engine through the package: in memory, every search a call of its own, hits as objects. */
const ours = (index, vectorStorage) => async (context) => {
  const { open } = await import('../../dist/index.js');
  const db = await open({ storage: 'memory' });
  const schema = { dimension: context.dim, metric: 'cosine', index, ...(vectorStorage && { vectorStorage }) };
  const collection = await db.collection('bench', schema);
  const { effortName } = context;
  return {
    async add(vectors) {
      await inBatches(context.rows, (first, count) =>
        collection.upsert(
          views(vectors, context.dim, first, count).map((vector, i) => ({ id: String(first + i), vector })),
          { durability: 'relaxed' },
        ),
      );
      // The graph follows by itself; this waits for it.
      await collection.optimize();
    },
    search: (vector, effort) =>
      collection.search({ vector, k, include: [], ...(effortName && { [effortName]: effort }) }),
    ids: (hits) => hits.map(({ id }) => Number(id)),
    async memory() {
      const { wasmBytes, ...parts } = (await collection.info()).memory;
      return { ...parts, heapBytes: wasmBytes };
    },
  };
};

const oursWith = (code, kind, options = {}) => {
  const { vectorStorage, ...rest } = options;
  const [effortName, efforts] =
    kind === 'hnsw' ? ['ef', graphEfforts] : kind === 'flat' ? ['', [null]] : ['nprobe', probeEfforts];
  const index = { kind, ...(code && { code }), ...rest };
  const name = ['nearfield', kind, code, vectorStorage && 'on demand'].filter(Boolean).join(' ');
  return { name, side: 'ours', index, vectorStorage, effortName, efforts, load: ours(index, vectorStorage) };
};

const oursNative = ({ name, index, effortName, efforts }) => ({
  name: name.replace('nearfield', 'nearfield native'),
  side: 'our native',
  effortName,
  efforts,
  program: 'bench_native',
  programArgs: [JSON.stringify(index), effortName],
});

const hnswlib = (level) => ({
  name: `hnswlib C++ -${level}`,
  side: 'native',
  effortName: 'ef',
  efforts: graphEfforts,
  program: `bench_hnswlib_${level}`,
  programArgs: [],
});

async function hnswlibNode({ dim, rows }) {
  const { default: library } = await import(inPackage('hnswlib-node/lib/index.js'));
  const index = new library.HierarchicalNSW('ip', dim);
  index.initIndex(rows, graph.m, graph.efConstruct, graph.seed);
  let effortNow = null;
  return {
    add(vectors) {
      // It takes arrays of numbers only.
      for (let row = 0; row < rows; row++)
        index.addPoint(Array.from(vectors.subarray(row * dim, (row + 1) * dim)), row);
    },
    // The same conversion: to hand over a Float32Array is an error there.
    search(query, effort) {
      if (effort !== effortNow) index.setEf((effortNow = effort));
      return index.searchKnn(Array.from(query), k);
    },
    ids: ({ neighbors }) => neighbors,
  };
}

async function usearch({ dim, rows }) {
  const { Index } = await import(inPackage('usearch/javascript/dist/esm/usearch.js'));
  const index = new Index({
    dimensions: dim,
    metric: 'ip',
    quantization: 'f32',
    connectivity: graph.m,
    expansion_add: graph.efConstruct,
    // Its default; its JavaScript cannot change it afterwards.
    expansion_search: 64,
    multi: false,
  });
  return {
    async add(vectors) {
      await inBatches(rows, (first, count) => {
        const keys = BigUint64Array.from({ length: count }, (_, i) => BigInt(first + i));
        index.add(keys, vectors.subarray(first * dim, (first + count) * dim), 1);
      });
    },
    search: (query) => index.search(query, k, 1),
    ids: ({ keys }) => Array.from(keys, Number),
  };
}

async function edgevec({ dim, rows }) {
  const { default: init, EdgeVec, EdgeVecConfig } = await import(inPackage('edgevec/edgevec.js'));
  // Its own way to find the file is fetch(), which Node has not for files.
  const { memory } = await init({ module_or_path: readFileSync(inPackage('edgevec/edgevec_bg.wasm')) });
  const config = new EdgeVecConfig(dim);
  // Rows of length 1, for which this is the same order: its cosine and dot graphs answer the farthest.
  config.metric = 'l2';
  config.m = graph.m;
  config.m0 = 2 * graph.m;
  config.ef_construction = graph.efConstruct;
  // Fixed with the index.
  config.ef_search = 64;
  const index = new EdgeVec(config);
  const rowOf = new Map();
  return {
    async add(vectors) {
      await inBatches(rows, (first, count) => {
        const ids = index.insertBatchFlat(vectors.subarray(first * dim, (first + count) * dim), count);
        ids.forEach((id, i) => rowOf.set(id, first + i));
      });
    },
    search: (query) => index.search(query, k),
    ids: (hits) => hits.map(({ id }) => rowOf.get(id)),
    memory: () => ({ heapBytes: memory.buffer.byteLength }),
  };
}

async function voy({ dim, rows }) {
  const glue = await import(inPackage('voy-search/voy_search_bg.js'));
  // The package imports its wasm as a module, which only bundlers understand.
  const bytes = readFileSync(inPackage('voy-search/voy_search_bg.wasm'));
  const { instance } = await WebAssembly.instantiate(bytes, { './voy_search_bg.js': glue });
  glue.__wbg_set_wasm(instance.exports);
  const index = new glue.Voy();
  return {
    async add(vectors) {
      await inBatches(rows, (first, count) => {
        const embeddings = views(vectors, dim, first, count).map((vector, i) => ({
          id: String(first + i),
          title: '',
          url: '',
          embeddings: Array.from(vector),
        }));
        index.add({ embeddings });
      });
    },
    search: (query) => index.search(query, k),
    ids: ({ neighbors }) => neighbors.map(({ id }) => Number(id)),
    memory: () => ({ heapBytes: instance.exports.memory.buffer.byteLength }),
  };
}

async function orama({ dim, rows }) {
  const { create, insertMultiple, searchVector } = await import('@orama/orama');
  const db = create({ schema: { embedding: `vector[${dim}]` } });
  return {
    async add(vectors) {
      await inBatches(rows, (first, count) =>
        insertMultiple(
          db,
          views(vectors, dim, first, count).map((vector, i) => ({
            id: String(first + i),
            embedding: Array.from(vector),
          })),
          batchRows,
        ),
      );
    },
    // Without includeVectors it sets the stored vectors of what it answers to null; its default similarity hides hits.
    search: (value) =>
      searchVector(db, { vector: { value, property: 'embedding' }, similarity: -1, limit: k, includeVectors: true }),
    ids: ({ hits }) => hits.map(({ id }) => Number(id)),
  };
}

async function hnswlibWasm({ dim, rows }) {
  // It runs in pages only, or where it takes what it finds for a page.
  globalThis.window = globalThis;
  globalThis.document = { currentScript: null };
  const file = readdirSync(inPackage('hnswlib-wasm/dist')).find((name) => /^hnswlib-[0-9a-f]+\.js$/.test(name));
  const library = await (await import(inPackage('hnswlib-wasm/dist', file))).default();
  const index = new library.HierarchicalNSW('ip', dim, '');
  index.initIndex(rows, graph.m, graph.efConstruct, graph.seed);
  let effortNow = null;
  return {
    async add(vectors) {
      await inBatches(rows, (first, count) => {
        const labels = Array.from({ length: count }, (_, i) => first + i);
        index.addPoints(views(vectors, dim, first, count), labels, false);
      });
    },
    search(query, effort) {
      if (effort !== effortNow) index.setEfSearch((effortNow = effort));
      return index.searchKnn(query, k, undefined);
    },
    ids: ({ neighbors }) => neighbors,
    memory: () => ({ heapBytes: library.HEAP8.length }),
  };
}

async function pglite({ dim, rows }) {
  const { PGlite } = await import('@electric-sql/pglite');
  const { vector } = await import('@electric-sql/pglite-pgvector');
  const db = await PGlite.create({ extensions: { vector } });
  await db.exec(`CREATE EXTENSION vector; CREATE TABLE bench (id int PRIMARY KEY, embedding vector(${dim}))`);
  const text = (values) => `[${values.join()}]`;
  let effortNow = null;
  return {
    async add(vectors) {
      await inBatches(rows, (first, count) =>
        db.query('INSERT INTO bench SELECT id, e::vector FROM unnest($1::int[], $2::text[]) AS given(id, e)', [
          Array.from({ length: count }, (_, i) => first + i),
          views(vectors, dim, first, count).map(text),
        ]),
      );
      await db.exec(`SET maintenance_work_mem = '512MB';
        CREATE INDEX ON bench USING hnsw (embedding vector_ip_ops)
          WITH (m = ${graph.m}, ef_construction = ${graph.efConstruct})`);
    },
    async search(query, effort) {
      if (effort !== effortNow) await db.exec(`SET hnsw.ef_search = ${(effortNow = effort)}`);
      return db.query(`SELECT id FROM bench ORDER BY embedding <#> $1 LIMIT ${k}`, [text(query)]);
    },
    ids: (answer) => answer.rows.map(({ id }) => id),
    memory: () => ({ heapBytes: db.Module.wasmMemory.buffer.byteLength }),
  };
}

/** The name is the package's. */
const peer = (name, side, efforts, load) => ({
  name,
  side,
  efforts,
  effortName: efforts[0] === null ? '' : 'ef',
  peer: true,
  load,
});

// With our defaults, as a user has them. The first that runs stands for us in the questions about graphs.
const graphs = [oursWith('rq8', 'hnsw'), oursWith('f32', 'hnsw')];

export const engines = [
  ...graphs,
  oursWith('rq8', 'hnsw', { vectorStorage: 'onDemand' }),
  oursWith('f32', 'flat'),
  oursWith('rabitq', 'flat'),
  oursWith('', 'ivf_flat'),
  oursWith('', 'ivf_pq', { subVectors: 96 }),
  oursWith('', 'ivf_rabitq'),
  ...graphs.map(oursNative),
  peer('hnswlib-node', 'native', graphEfforts, hnswlibNode),
  hnswlib('O3'),
  hnswlib('Ofast'),
  peer('usearch', 'native', [null], usearch),
  peer('hnswlib-wasm', 'wasm', graphEfforts, hnswlibWasm),
  peer('edgevec', 'wasm', [null], edgevec),
  peer('voy-search', 'wasm', [null], voy),
  peer('@orama/orama', 'wasm', [null], orama),
  peer('@electric-sql/pglite', 'wasm', graphEfforts.slice(0, 7), pglite),
];

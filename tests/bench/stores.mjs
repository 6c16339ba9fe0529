// Stores on servers: how much of an upsert is ours, and whether searches find what the embedded engine finds, at full size.
//
//   node tests/bench/stores.mjs [POINTS] [DIMENSION]      100000 384
//   node tests/bench/stores.mjs --equality [POINTS]       20000; the fakes, and the servers that QDRANT_URL, WEAVIATE_URL and
//                                                         CHROMA_URL name: 7 filters, 200 queries, exact
//
// Our own time a point: all of the process's processor time, against an endpoint that answers at once without reading
// what it is sent, handed over in place of fetch. The bar is 30 us. Below it, the same over a socket to a server that
// does nothing either, in a process of its own.

import { fork } from 'node:child_process';
import { createServer } from 'node:http';
import { connect } from '../../dist/index.js';

import { compareSearches, makePoints, makeQueries } from '../support/equal-search.mjs';
import { FakeChroma } from '../support/fakes/chroma.mjs';
import { FakeQdrant } from '../support/fakes/qdrant.mjs';
import { FakeWeaviate } from '../support/fakes/weaviate.mjs';
import { realServer } from '../support/servers.mjs';
import { providers } from '../support/wired.mjs';
import { printTable } from './support.mjs';

const done = '{"result":{"operation_id":1,"status":"completed"},"status":"ok","time":0.001}';
const barMicros = 30;

if (process.argv[2] === 'answer-at-once') {
  const server = createServer((request, response) => {
    request.resume();
    request.on('end', () => response.end(done));
  });
  server.listen(0, '127.0.0.1', () => process.send(server.address().port));
} else if (process.argv[2] === '--equality') {
  await equality(Number(process.argv[3] ?? 20_000));
} else {
  await upserts(Number(process.argv[2] ?? 100_000), Number(process.argv[3] ?? 384));
}

async function upserts(count, dimension) {
  console.log(`${count} points of ${dimension} components upserted to Qdrant`);
  const points = makePoints(count, dimension);
  const child = fork(import.meta.filename, ['answer-at-once']);
  const port = await new Promise((resolve) => child.once('message', resolve));
  let bytes = 0;
  const atOnce = async (_, init) => {
    bytes += init.body.length;
    return new Response(done, { headers: { 'content-type': 'application/json' } });
  };
  const rows = [];
  for (const [how, fetch] of [
    ['answered at once', atOnce],
    ['over a socket', undefined],
  ]) {
    for (const batch of [100, 1_000]) {
      const backend = {
        provider: 'qdrant',
        url: `http://127.0.0.1:${port}`,
        collection: 'bench',
        vector_size: dimension,
        batch_size: batch,
      };
      const store = await connect({ config: { backend }, environment: {}, fetch });
      // Of compiling, and of memory that grows.
      await store.upsert(points.slice(0, 10_000));
      bytes = 0;
      const cpu = process.cpuUsage();
      const began = performance.now();
      for (let first = 0; first < count; first += 10_000) {
        const { ok } = await store.upsert(points.slice(first, first + 10_000));
        if (ok.length !== Math.min(10_000, count - first)) throw new Error(`${ok.length} points were written`);
      }
      const micros = ((performance.now() - began) * 1000) / count;
      const { user, system } = process.cpuUsage(cpu);
      rows.push([
        how,
        batch,
        micros.toFixed(1),
        ((user + system) / count).toFixed(1),
        bytes === 0 ? '' : Math.round(bytes / count),
      ]);
      await store.close();
    }
  }
  child.kill();
  printTable(['', 'points a request', 'us a point', 'of processor', 'bytes a point'], rows);
  const own = Number(rows[0][3]);
  console.log(`our own time a point: ${own} us; at most ${barMicros} (${own <= barMicros ? 'met' : 'MISSED'})`);
}

async function equality(count) {
  const dimension = 64;
  const fakes = { qdrant: FakeQdrant, chroma: FakeChroma, weaviate: FakeWeaviate };
  const points = makePoints(count, dimension);
  const queries = makeQueries(200, dimension);
  const table = { collection: `Equal_${process.pid}`, vector_size: dimension, batch_size: 1_000, timeout: 600 };
  const open = async (more, fetch) => {
    const store = await connect({ config: { backend: { ...table, ...more } }, environment: {}, fetch });
    await store.ensure();
    for (let first = 0; first < count; first += 10_000) await store.upsert(points.slice(first, first + 10_000));
    return store;
  };
  const embedded = await open({ provider: 'memory' });
  const rows = [];
  for (const provider of providers) {
    const fake = new fakes[provider]({ validate: false });
    const stores = [[`fake ${provider}`, { url: 'https://server.example' }, fake.fetch]];
    if (realServer(provider)) stores.push([`real ${provider}`, { url: realServer(provider) }, undefined]);
    for (const [name, more, fetch] of stores) {
      const store = await open({ provider, ...more }, fetch);
      const result = await compareSearches(embedded, store, queries);
      const { compared, differences, unsupported, farthest } = result;
      rows.push([
        name,
        compared,
        differences.length,
        farthest.toExponential(1),
        Object.keys(unsupported).join() || 'none',
      ]);
      for (const what of differences.slice(0, 5)) console.log(`${name}: ${what}`);
      await store.drop();
      await store.close();
    }
  }
  printTable([`${count} x ${dimension}`, 'searches', 'differ', 'scores apart', 'unsupported'], rows);
}

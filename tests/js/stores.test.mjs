// One conformance script over every store there is. What a store refuses is printed, and a new one is a line in the table.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import {
  asVectorBackend,
  asVectorStore,
  connect,
  registerBackend,
  registerVectorBackend,
  unregisterBackend,
} from 'nearfield';
import { conformance, openerOf } from '../../dist/conformance.js';
import { lancedbBackend } from '../../dist/lancedb.js';
import { MapVectorBackend, MapVectorStore, mapStore } from '../support/custom-stores.mjs';
import { used } from '../support/fakes/fake.mjs';
import { FakeChroma } from '../support/fakes/chroma.mjs';
import { FakeQdrant } from '../support/fakes/qdrant.mjs';
import { FakeWeaviate } from '../support/fakes/weaviate.mjs';
import { lancedbPackages } from '../support/lancedb.mjs';
import { realServer, startChroma } from '../support/servers.mjs';
import { temporaryFolder } from './support.mjs';

const backend = (provider, more = '') => `[backend]\nprovider = "${provider}"\n${more}`;

/** A configuration, on a server of this address. */
const on = (provider, url, more) => ({ config: backend(provider, `url = "${url}"\n`), environment: {}, ...more });
const onFake = (provider, Fake) => (t) => on(provider, 'http://localhost', { fetch: used(t, new Fake()).fetch });
const onReal = (provider) => () => {
  const url = realServer(provider);
  return url === null ? { skip: `${provider.toUpperCase()}_URL is not set` } : on(provider, url);
};

const onChroma = async (t) => {
  const { url, skip } = await startChroma(t);
  return skip === undefined ? on('chroma', url) : { skip };
};

const onLance = async (t) => {
  const { packages, skip } = await lancedbPackages();
  if (skip !== undefined) return { skip };
  registerBackend('lance', lancedbBackend(packages));
  t.after(() => unregisterBackend('lance'));
  return { config: { backend: { provider: 'lance', lance: { path: temporaryFolder(t) } } }, environment: {} };
};

const registered =
  (name, factory, register = registerBackend) =>
  (t) => {
    register(name, factory);
    t.after(() => unregisterBackend(name));
    return { config: backend(name), environment: {} };
  };

/** A protocol over an embedded store, and a custom backend over that. */
const around = (name, facade) => (t) => {
  const make = async ({ collection, dimension, metric }) => {
    const inner = await connect({
      config: { backend: { provider: 'memory', collection, vector_size: dimension, distance_metric: metric } },
      environment: {},
    });
    t.after(() => inner.close());
    return facade(inner);
  };
  return registered(name, make)(t);
};

// Name, what connect() is given, and checks that must not be skipped though much is.
const stores = [
  ['embedded in memory', () => ({ config: backend('memory'), environment: {} }), { skipped: 3 }],
  [
    'embedded in a folder',
    (t) => ({ config: { backend: { provider: 'embedded', path: join(temporaryFolder(t), 'db') } }, environment: {} }),
    { skipped: 1 },
  ],
  ['embedded by [vectordb]', () => ({ config: '[vectordb]\nbackend = "memory"', environment: {} })],
  ['a fake Qdrant', onFake('qdrant', FakeQdrant), { skipped: 0 }],
  ['a fake Chroma', onFake('chroma', FakeChroma)],
  ['a real Chroma', onChroma],
  ['a real Qdrant', onReal('qdrant'), { skipped: 0 }],
  ['a fake Weaviate', onFake('weaviate', FakeWeaviate)],
  ['a real Weaviate', onReal('weaviate')],
  ['LanceDB', onLance],
  ['a part of Store over a Map', registered('mapped', mapStore), { skipped: 6 }],
  ["SpecMem's protocol over a Map", registered('specs', MapVectorStore)],
  ["CodeWeaver's protocol over a Map", registered('code', MapVectorBackend, registerVectorBackend)],
  ["SpecMem's protocol around a store", around('around-specs', asVectorStore)],
  ["CodeWeaver's protocol around a store", around('around-code', asVectorBackend)],
];

for (const [name, options, { skipped } = {}] of stores) {
  test(`${name} conforms`, async (t) => {
    const { skip, ...given } = await options(t);
    if (skip !== undefined) return t.skip(skip);
    const report = await conformance({ open: openerOf(given) });
    for (const check of report.checks) {
      if (check.message !== '' && check.state !== 'failed')
        t.diagnostic(`${check.state}: ${check.name}: ${check.message}`);
    }
    const failures = report.checks.filter(({ state }) => state === 'failed');
    // Our own adapters cut equal scores by id, whatever the server does.
    const equal = report.checks.find(({ name }) => name === 'equal scores are ordered by id');
    if (/^(embedded|a fake|a real) /.test(name)) assert.equal(equal.message, '');
    assert.ok(report.checks.length > 50, 'all checks ran');
    assert.deepEqual(
      failures.map((check) => `${check.name}: ${check.message}`),
      [],
    );
    if (skipped !== undefined) assert.equal(report.skipped, skipped, 'checks that were skipped');
  });
}

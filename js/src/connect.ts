// connect(): the store that a configuration describes.
import { registeredBackends } from './backends.js';
import { readOptions } from './check.js';
import { compiled } from './connect-file.js';
import { configError, configMessage, type ConfigAnswer, type ConfigOptions } from './config.js';
import { Database, openSession } from './database.js';
import { EmbeddedStore } from './embedded-store.js';
import { Engine } from './engine.js';
import { NearfieldError, invalid } from './errors.js';
import { refuseForeignFiles } from './foreign-files.js';
import { Http, type HttpOptions } from './http.js';
import { Message } from './message.js';
import { RemoteStore } from './remote-store.js';
import type { CollectionSchema } from './collection.js';
import type { Metric } from './generated/metrics.js';
import type { Store } from './store.js';
import type { WasmSource } from './wasm.js';

export interface ConnectOptions extends ConfigOptions {
  /** In place of the global fetch, for stores on servers. */
  fetch?: typeof globalThis.fetch | undefined;
}

/**
 * Opens the store that a configuration describes: in the embedded engine, on a server of Qdrant, Chroma or
 * Weaviate, or behind an object that registerBackend() knows how to make.
 * Nothing is sent yet: `ensure()` makes the collection.
 *
 * ```js
 * const store = await connect({ config: '[backend]\nprovider = "qdrant"\nurl = "http://localhost:6333"' });
 * await store.ensure();
 * ```
 *
 * Throws what checkConfig() throws, InvalidConfig and Unsupported for what is wrong with the configuration
 * (`error.details.problems` has all of it), HostNotAllowed, and what open() throws.
 */
export async function connect<Payload extends object = Record<string, unknown>>(
  options?: ConnectOptions,
): Promise<Store<Payload>> {
  const { fetch, ...rest } = readOptions(options, 'connect', connectKeys);
  if (fetch !== undefined && typeof fetch !== 'function') throw invalid('connect: fetch must be a function');
  const { wasm, ...given } = rest as ConfigOptions;
  const message = await configMessage(given, { backends: registeredBackends() });
  const seed = crypto.getRandomValues(new Uint32Array(1))[0] as number;
  const module = await compiled(wasm as WasmSource | undefined);
  const engine = await Engine.create(module);
  let kept = false;
  try {
    const text = `{"seed":${seed},"now":${Date.now()},${message.slice(1)}`;
    const { report, store } = engine.call<Connected>('_connect', new Message(text).finish());
    if (report.error !== undefined) throw configError(report.error, report.problems);
    if (store === undefined) throw new NearfieldError('Internal', 'the engine did not say what store was made');
    if (store.schema !== undefined) return await embedded<Payload>(store, store.schema, module, modelOf(report));
    if (store.custom !== undefined) return await custom<Payload>(store, store.custom);
    checkOrigin(store);
    const remote = new RemoteStore<Payload>(engine, new Http(httpOptions(store, fetch)), {
      backend: store.backend,
      name: store.collection,
      dimension: store.dimension || undefined,
      metric: store.metric,
      place: placeOf(store, report),
      model: modelOf(report),
    });
    kept = true;
    return remote;
  } finally {
    if (!kept) engine.dispose();
  }
}

const connectKeys = [
  'config',
  'configFile',
  'env',
  'environment',
  'override',
  'strict',
  'folder',
  'wasm',
  'fetch',
] as const;

/** What wasm/engine_stores.cpp answers. */
interface Connected {
  report: ConfigAnswer;
  store?: StoreSettings;
}

/** Of core/config/settings.h. */
interface StoreSettings {
  backend: string;
  /** As it was written: of custom ones that they were registered by. */
  name: string;
  collection: string;
  /** 0: not known. */
  dimension: number;
  metric: Metric;
  ef: number;
  searchBatch: number;
  batchRows: number;
  /** Only of hybrid ones. */
  hybridAlpha?: number;
  /** Only of embedded ones, as these. */
  schema?: CollectionSchema;
  path?: string;
  memory?: boolean;
  /** Only of custom ones. */
  custom?: Record<string, unknown>;
  /** Only of those on servers, as these. */
  origin?: string;
  crossOrigin?: boolean;
  verifyTls?: boolean;
  tlsCertificatePath?: string;
  tlsKeyPath?: string;
}

/** As raw.ts wants it. */
function placeOf({ backend, origin, collection }: StoreSettings, { settings }: ConfigAnswer): string {
  const { tenant, database } = (settings ?? {}) as { tenant?: unknown; database?: unknown };
  const within = [tenant, database].filter((name) => typeof name === 'string').map((name) => `, ${name}`);
  return `${backend} at ${origin}${within.join('')}, collection ${collection}`;
}

function modelOf({ settings }: ConfigAnswer): string | undefined {
  const model = settings?.['embeddingModel'];
  return typeof model === 'string' && model !== '' ? model : undefined;
}

async function embedded<Payload extends object>(
  { memory, path, ...settings }: StoreSettings,
  schema: CollectionSchema,
  module: WebAssembly.Module,
  model: string | undefined,
): Promise<Store<Payload>> {
  if (!memory) await refuseForeignFiles(path as string);
  const session = await openSession(memory ? { storage: 'memory' } : { path }, async () => module);
  const { volume } = session;
  const where = volume.kind === 'memory' ? `in memory ${crypto.randomUUID()}` : `${volume.kind} ${volume.path}`;
  return new EmbeddedStore<Payload>(new Database(session), {
    collection: settings.collection,
    schema,
    ef: settings.ef || undefined,
    fusion: settings.hybridAlpha === undefined ? undefined : { kind: 'convex', alpha: settings.hybridAlpha },
    batchRows: settings.batchRows,
    searchBatch: settings.searchBatch,
    place: `embedded, ${where}, collection ${settings.collection}`,
    folder: volume.kind === 'node' ? volume.path : undefined,
    model,
  });
}

async function custom<Payload extends object>(
  settings: StoreSettings,
  table: Record<string, unknown>,
): Promise<Store<Payload>> {
  const { openCustom } = await import('./custom-store.js');
  const { name, collection, dimension, metric, ef, batchRows, searchBatch, hybridAlpha } = settings;
  return openCustom<Payload>({
    backend: name,
    collection,
    dimension: dimension || undefined,
    metric,
    ef,
    batchRows,
    searchBatch,
    hybridAlpha,
    custom: table,
  });
}

/** enable_cors = false: a page asks its own server only. */
function checkOrigin({ crossOrigin, origin }: StoreSettings): void {
  const own = (globalThis as { location?: { origin?: string } }).location?.origin;
  if (crossOrigin || own === undefined || own === origin) return;
  throw new NearfieldError(
    'HostNotAllowed',
    `enable_cors is false, so this page may ask ${own} only, and not ${origin}; give it an address there, or enable_cors = true`,
    { value: origin },
  );
}

function httpOptions(settings: StoreSettings, fetch: unknown): HttpOptions {
  const { tlsCertificatePath: cert, tlsKeyPath: key, verifyTls } = settings;
  const tls = { ...(cert ? { cert } : {}), ...(key ? { key } : {}), ...(verifyTls === false ? { verify: false } : {}) };
  return {
    ...(fetch === undefined ? {} : { fetch: fetch as typeof globalThis.fetch }),
    ...(Object.keys(tls).length === 0 ? {} : { tls }),
  };
}

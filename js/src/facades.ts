// Stores, spoken to by the two published protocols.
import type { VectorBackend, VectorHit, VectorPoint, VectorRecord, VectorStore } from './backends.js';
import type { Point, StoredPoint, UpsertReport } from './collection.js';
import { isObject, shown } from './check.js';
import { NearfieldError, invalid } from './errors.js';
import type { Filter } from './search.js';
import type { Store } from './store.js';

/** VectorStore with promises. */
export interface StoreAsVectorStore extends VectorStore {
  add(
    id: string,
    embedding: readonly number[] | Float32Array,
    metadata?: Record<string, unknown> | null,
  ): Promise<void>;
  search(
    embedding: readonly number[] | Float32Array,
    topK?: number,
    filters?: Filter | null,
  ): Promise<{ id: string; score: number; metadata: Record<string, unknown> }[]>;
  get(id: string): Promise<(VectorRecord & { id: string }) | null>;
  delete(id: string): Promise<boolean>;
  count(): Promise<number>;
  clear(): Promise<void>;
}

/** VectorBackend, with a limit that may be left out. */
export interface StoreAsVectorBackend extends VectorBackend {
  upsertVectors(
    vectors: readonly (VectorPoint | (Omit<VectorPoint, 'vector'> & { vector: Float32Array }))[],
  ): Promise<void>;
  /** Default of `limit`: 10. */
  searchVectors(queryVector: readonly number[] | Float32Array, limit?: number): Promise<VectorHit[]>;
  deleteCollection(): Promise<void>;
}

/**
 * A store by SpecMem's protocol. The collection is made by the first call. Points that were not written are an error, with
 * what the store says of the first.
 *
 * ```js
 * const specs = asVectorStore(await connect());
 * await specs.add('a', embedding, { type: 'task' });
 * ```
 */
export function asVectorStore(store: Store): StoreAsVectorStore {
  const made = whenMade(store);
  return {
    async add(id, embedding, metadata) {
      await made.wait();
      const payload = metadata === undefined || metadata === null ? {} : { payload: metadata };
      requireWritten(await store.upsert([{ id, vector: embedding, ...payload }]));
    },
    async search(embedding, topK = 10, filters) {
      await made.wait();
      const filter = filters === null || filters === undefined ? {} : { filter: filters };
      const hits = await store.search({ vector: embedding, k: topK, include: ['payload'], ...filter });
      return hits.map(({ id, score, payload = {} }) => ({ id, score, metadata: payload }));
    },
    async get(id) {
      await made.wait();
      const [point]: StoredPoint[] = await store.get([id], { include: ['payload', 'vector'] });
      if (point === undefined) return null;
      const embedding = point.vector === undefined ? {} : { embedding: point.vector };
      return { id, metadata: point.payload ?? {}, ...embedding };
    },
    async delete(id) {
      await made.wait();
      return (await store.delete([id])) > 0;
    },
    async count() {
      await made.wait();
      return store.count();
    },
    async clear() {
      await made.wait();
      await store.clear();
    },
  };
}

/**
 * A store by CodeWeaver's protocol; see asVectorStore().
 *
 * ```js
 * const code = asVectorBackend(await connect());
 * await code.upsertVectors([{ id: 'a', vector, payload: { path: 'src/a.ts' } }]);
 * ```
 */
export function asVectorBackend(store: Store): StoreAsVectorBackend {
  const made = whenMade(store);
  return {
    async upsertVectors(vectors) {
      if (!Array.isArray(vectors)) throw invalid(`vectors must be an array, got ${shown(vectors)}`);
      await made.wait();
      // As they are, so that what a store does not know in them is refused.
      requireWritten(await store.upsert(vectors.map((given: unknown) => withoutNull(given) as Point)));
    },
    async searchVectors(queryVector, limit = 10) {
      await made.wait();
      const hits = await store.search({ vector: queryVector, k: limit, include: ['payload'] });
      return hits.map(({ id, score, payload = {} }) => ({ id, score, payload }));
    },
    async deleteCollection() {
      made.forget();
      await store.drop();
    },
  };
}

/** Python's None is no payload. */
function withoutNull(given: unknown): unknown {
  if (!isObject(given) || given['payload'] !== null) return given;
  const { payload: _, ...rest } = given;
  return rest;
}

/** ensure(), once. */
function whenMade(store: Store): { wait(): Promise<void>; forget(): void } {
  if (!isObject(store)) throw invalid(`a store is needed, as connect() opens it, got ${shown(store)}`);
  let making: Promise<unknown> | undefined;
  const forget = () => (making = undefined);
  return {
    forget,
    async wait() {
      // A failure is not remembered.
      making ??= store.ensure().catch((error: unknown) => {
        forget();
        throw error;
      });
      await making;
    },
  };
}

function requireWritten({ ok, failed, unknown }: UpsertReport): void {
  const [first] = failed;
  if (first === undefined && unknown.length === 0) return;
  const many = `${failed.length + unknown.length} of ${ok.length + failed.length + unknown.length} points`;
  if (first === undefined) {
    throw new NearfieldError('Timeout', `${many} may or may not be written: the store did not answer`, {
      details: { ok, failed, unknown },
    });
  }
  throw new NearfieldError(first.code as NearfieldError['code'], `${many} were not written: ${first.message}`, {
    value: first.id,
    details: { ok, failed, unknown },
  });
}

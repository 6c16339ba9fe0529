// LanceDB as a backend, over the optional package @lancedb/lancedb: the worked example of registerBackend(), and how
// tables that are there already are read. Node only.
//
//   import { connect, registerBackend } from 'nearfield';
//   import { lancedbBackend } from 'nearfield/lancedb';
//   registerBackend('lance', lancedbBackend());
//   const store = await connect({ config: '[backend]\nprovider = "lance"\nlance = { path = "./data" }' });
//
// In the table [backend.lance] stand `path`, the folder of the tables (default .lancedb), and `table` (default: the
// collection). Points are the columns id, vector, payload (JSON text) and text. A table with other columns, as other
// programs make them, is read and not written: `id`, `vector` and `text` of [backend.lance] name its columns, and the rest
// of a row is the payload.
import type { BackendFactory, BackendSettings, PartialStore } from './backends.js';
import { encodeJson, isObject, readText, shown } from './check.js';
import type { Point, StoredPoint } from './collection.js';
import { parseJson } from './engine.js';
import { NearfieldError, reasonOf } from './errors.js';
import type { Hits } from './search.js';

export interface LancedbPackages {
  /** The packages, for bundlers; default: imported when the first store is opened. */
  lancedb?: unknown;
  arrow?: unknown;
}

/** What is used of @lancedb/lancedb. */
interface Lancedb {
  connect(path: string): Promise<Database>;
}
interface Database {
  tableNames(): Promise<string[]>;
  openTable(name: string): Promise<Table>;
  createEmptyTable(name: string, schema: unknown): Promise<Table>;
  dropTable(name: string): Promise<void>;
  close(): void;
}
interface Table {
  schema(): Promise<{ fields: { name: string; type: { listSize?: number; toString(): string } }[] }>;
  version(): Promise<number>;
  checkout(version: number): Promise<void>;
  checkoutLatest(): Promise<void>;
  countRows(where?: string): Promise<number>;
  delete(where: string): Promise<unknown>;
  mergeInsert(on: string): Merge;
  query(): Query;
  vectorSearch(vector: Float32Array): VectorQuery;
}
interface Merge {
  whenMatchedUpdateAll(): Merge;
  whenNotMatchedInsertAll(): Merge;
  execute(rows: unknown[]): Promise<unknown>;
}
interface Query {
  where(sql: string): this;
  select(columns: string[]): this;
  limit(count: number): this;
  offset(count: number): this;
  toArray(): Promise<Record<string, unknown>[]>;
}
interface VectorQuery extends Query {
  column(name: string): VectorQuery;
  distanceType(name: 'l2' | 'cosine' | 'dot'): VectorQuery;
  bypassVectorIndex(): VectorQuery;
}
/** What is used of apache-arrow. */
type Arrow = Record<'Schema' | 'Field' | 'Utf8' | 'FixedSizeList' | 'Float32', new (...given: unknown[]) => unknown>;

const distances = { cosine: 'cosine', dot: 'dot', euclidean: 'l2' } as const;
const idsAtOnce = 500;

/** Throws Unsupported, when a store is opened, where the package is not installed, or for manhattan. */
export function lancedbBackend(packages: LancedbPackages = {}): BackendFactory {
  return async (settings) => {
    const lancedb = (packages.lancedb ?? (await load('@lancedb/lancedb'))) as Lancedb;
    const arrow = (packages.arrow ?? (await load('apache-arrow'))) as Arrow;
    const { path = '.lancedb', table = settings.collection, ...names } = settings.custom;
    const { id = 'id', vector = 'vector', text = 'text', ...unknown } = names;
    const [odd] = Object.keys(unknown);
    if (odd !== undefined) {
      const message = `${settings.backend}: unknown key ${JSON.stringify(odd)}; known are path, table, id, vector, text`;
      throw new NearfieldError('InvalidConfig', message, { value: odd });
    }
    if (settings.metric === 'manhattan') {
      throw new NearfieldError(
        'Unsupported',
        'LanceDB does not compare by manhattan; cosine, dot and euclidean are known',
      );
    }
    const place = {
      table: readText(table, 'table'),
      columns: { id: readText(id, 'id'), vector: readText(vector, 'vector'), text: readText(text, 'text') },
    };
    const folder = readText(path, 'path');
    const database = await lancedb.connect(folder);
    const inTurn = <Result>(work: () => Promise<Result>) => afterOthers(`${folder}\n${place.table}`, work);
    return lancedbStore(database, arrow, settings, place, inTurn);
  };
}

async function load(name: string): Promise<unknown> {
  try {
    return await import(name);
  } catch (cause) {
    throw new NearfieldError(
      'Unsupported',
      `${name} is not installed: npm install @lancedb/lancedb (${reasonOf(cause)})`,
      {
        cause,
      },
    );
  }
}

// Of two merges at the same time each adds its own row of an id that is new, so what writes to a table goes one by one.
const writing = new Map<string, Promise<unknown>>();

async function afterOthers<Result>(table: string, work: () => Promise<Result>): Promise<Result> {
  const mine = (writing.get(table) ?? Promise.resolve()).then(work);
  const settled = mine.catch(() => {});
  writing.set(table, settled);
  try {
    return await mine;
  } finally {
    if (writing.get(table) === settled) writing.delete(table);
  }
}

interface Place {
  table: string;
  columns: { id: string; vector: string; text: string };
}

function lancedbStore(
  database: Database,
  arrow: Arrow,
  { collection, dimension, metric }: BackendSettings,
  { table: name, columns }: Place,
  inTurn: <Result>(work: () => Promise<Result>) => Promise<Result>,
): PartialStore & { filters: false } {
  const missing = () => new NearfieldError('NotFound', `Collection '${collection}' not found`, { value: collection });
  const mismatch = (expected: number, got: number) =>
    new NearfieldError('SchemaMismatch', `Vector dimension mismatch: expected ${expected}, got ${got}`, { value: got });
  const exists = async () => (await database.tableNames()).includes(name);
  const opened = async () => {
    if (!(await exists())) throw missing();
    return database.openTable(name);
  };
  const columnsOf = async (table: Table) => {
    const { fields } = await table.schema();
    const names = fields.map((field) => field.name);
    const typeOf = (column: string) => fields.find((field) => field.name === column)?.type;
    const [id, vector] = [typeOf(columns.id), typeOf(columns.vector)];
    if (id === undefined) {
      const message = `the table ${name} has no column ${columns.id}; it has ${names.join(', ')}: say which has the ids, with id`;
      throw new NearfieldError('SchemaMismatch', message, { value: columns.id });
    }
    const own = ['id', 'vector', 'payload', 'text'];
    return {
      own: own.every((each) => names.includes(each)) && names.length === own.length,
      size: vector?.listSize ?? 0,
      vectors: vector === undefined ? `no column ${columns.vector}` : `${columns.vector} as ${String(vector)}`,
      textIds: /utf8/i.test(String(id)),
    };
  };
  // LanceDB searches lists of a fixed size only.
  const searchable = ({ size, vectors }: { size: number; vectors: string }) => {
    if (size > 0) return;
    const message = `the table ${name} has ${vectors}; vectors are a fixed-size list of floats, and vector names its column`;
    throw new NearfieldError('SchemaMismatch', message, { value: columns.vector });
  };
  const writable = async () => {
    const table = await opened();
    if ((await columnsOf(table)).own) return table;
    throw new NearfieldError('ReadOnly', `the table ${name} has other columns than id, vector, payload and text`);
  };
  const make = async (size: number) => {
    const { Schema, Field, Utf8, FixedSizeList, Float32 } = arrow;
    const list = new FixedSizeList(size, new Field('item', new Float32(), true));
    const texts = ['payload', 'text'].map((each) => new Field(each, new Utf8(), true));
    await database.createEmptyTable(
      name,
      new Schema([new Field('id', new Utf8(), false), new Field('vector', list, true), ...texts]),
    );
  };

  const point = (row: Record<string, unknown>, own: boolean): StoredPoint => {
    const { [columns.id]: id, [columns.vector]: vector, [columns.text]: text, _distance: _, ...rest } = row;
    if (id === null || id === undefined) {
      const message = `the table ${name} has a row without ${columns.id}, and points have ids`;
      throw new NearfieldError('SchemaMismatch', message, { value: columns.id });
    }
    const payload = own ? rest['payload'] : plain(rest);
    return {
      id: String(id),
      ...(typeof payload === 'string'
        ? { payload: payloadOf(payload, String(id)) }
        : isObject(payload)
          ? { payload }
          : {}),
      ...(typeof text === 'string' ? { text } : {}),
      ...(vector === null || vector === undefined ? {} : { vector: Float32Array.from(vector as Iterable<number>) }),
    };
  };
  const payloadOf = (json: string, id: string): Record<string, unknown> => {
    try {
      return parseJson(json);
    } catch {
      const message = `the table ${name} has for ${shown(id)} a payload that is no JSON: ${shown(json)}`;
      throw new NearfieldError('RemoteProtocolError', message, { value: id });
    }
  };
  // Undefined: no row can have one of these.
  const whereIds = (ids: readonly string[], textIds: boolean) => {
    const literals = textIds ? ids.map((id) => quoted(marked(id))) : ids.filter(isNumeral);
    return literals.length === 0 ? undefined : `${quotedName(columns.id)} IN (${literals.join(',')})`;
  };

  return {
    // Payloads are JSON text here, which LanceDB does not look into.
    filters: false,

    async ensure() {
      return inTurn(async () => {
        if (await exists()) {
          const about = await columnsOf(await opened());
          searchable(about);
          const { size } = about;
          if (dimension !== undefined && size !== dimension) throw mismatch(dimension, size);
          return { created: false, differences: [] };
        }
        if (dimension === undefined) {
          throw new NearfieldError('InvalidConfig', `the table ${name} is not there; to make it, say vector_size`);
        }
        await make(dimension);
        return { created: true, differences: [] };
      });
    },

    async upsert(points: readonly Point[]) {
      if (points.length === 0) {
        await writable();
        return;
      }
      const rows = points.map(({ id, vector, payload, text }) => ({
        id: marked(id),
        vector: vector ?? null,
        payload: payload === undefined ? null : encodeJson(payload, 'payload'),
        text: text === undefined ? null : marked(text),
      }));
      await inTurn(async () => {
        const table = await writable();
        await table.mergeInsert('id').whenMatchedUpdateAll().whenNotMatchedInsertAll().execute(rows);
      });
    },

    async search({ vector, k = 10 }) {
      const table = await opened();
      const about = await columnsOf(table);
      searchable(about);
      const { own } = about;
      const rows = await table
        .vectorSearch(vector as Float32Array)
        .column(columns.vector)
        .distanceType(distances[metric as keyof typeof distances])
        .bypassVectorIndex()
        .limit(k)
        .toArray();
      return rows.map((row) => ({ ...point(row, own), score: scoreOf(metric, row['_distance'] as number) })) as Hits;
    },

    async get(ids) {
      const table = await opened();
      const { own, textIds } = await columnsOf(table);
      const found: StoredPoint[] = [];
      for (let first = 0; first < ids.length; first += idsAtOnce) {
        const some = ids.slice(first, first + idsAtOnce);
        const where = whereIds(some, textIds);
        if (where === undefined) continue;
        // One more than there should be: of two rows of an id none is the point.
        const rows = await table
          .query()
          .where(where)
          .limit(some.length + 1)
          .toArray();
        found.push(...rows.map((row) => point(row, own)));
      }
      return found;
    },

    async delete(target) {
      const ids = target as readonly string[];
      return inTurn(async () => {
        const table = await writable();
        let deleted = 0;
        for (let first = 0; first < ids.length; first += idsAtOnce) {
          const where = whereIds(ids.slice(first, first + idsAtOnce), true) as string;
          deleted += await table.countRows(where);
          await table.delete(where);
        }
        return deleted;
      });
    },

    async count() {
      return (await opened()).countRows();
    },

    // Of the version that is the latest now: what others write meanwhile moves no row.
    async *scroll({ batch = 256, include = ['payload', 'text'] } = {}) {
      const table = await opened();
      const { own } = await columnsOf(table);
      await table.checkout(await table.version());
      const wanted = ['id', 'payload', 'text', ...(include.includes('vector') ? ['vector'] : [])];
      for (let offset = 0; ; offset += batch) {
        const query = table.query().limit(batch).offset(offset);
        const rows = await (own ? query.select(wanted) : query).toArray();
        if (rows.length > 0) yield rows.map((row) => point(row, own));
        if (rows.length < batch) return;
      }
    },

    async clear() {
      return inTurn(async () => {
        const table = await writable();
        const count = await table.countRows();
        if (count > 0) await table.delete('true');
        return count;
      });
    },

    async drop() {
      return inTurn(async () => {
        if (!(await exists())) return false;
        await writable();
        await database.dropTable(name);
        return true;
      });
    },

    async info() {
      const table = await opened();
      const { size, own } = await columnsOf(table);
      const details = { table: name, tableVersion: await table.version(), readOnly: !own };
      return { backend: '', version: '', count: await table.countRows(), dimension: size, metric, details };
    },

    async close() {
      database.close();
    },
  };
}

// LanceDB says 1 - cosine, 1 - dot product, and the square of the euclidean distance.
function scoreOf(metric: BackendSettings['metric'], distance: number): number {
  if (metric === 'euclidean') return -Math.sqrt(Math.max(distance, 0));
  const score = 1 - distance;
  return metric === 'cosine' ? Math.min(1, Math.max(-1, score)) : score;
}

/** Of columns of numbers: the texts that String() makes of them. */
function isNumeral(id: string): boolean {
  return /^-?\d{1,20}$/.test(id) ? String(BigInt(id)) === id : Number.isFinite(Number(id)) && String(Number(id)) === id;
}

// Arrow takes a first U+FEFF for the mark of an encoding, and leaves it out of what it reads.
function marked(text: string): string {
  return text.startsWith('\ufeff') ? `\ufeff${text}` : text;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

function quotedName(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``;
}

// Values of Arrow as JSON has them.
function plain(value: unknown): unknown {
  if (value === null || typeof value !== 'object')
    return typeof value === 'number' && !Number.isFinite(value) ? null : value;
  if (value instanceof Date) return value.toISOString();
  if (Symbol.iterator in value && !Array.isArray(value)) {
    const items = [...(value as Iterable<unknown>)];
    // A struct is a row: pairs of name and value.
    if ('toJSON' in value && !('get' in value && 'length' in value))
      return plain((value as { toJSON(): unknown }).toJSON());
    return items.map(plain);
  }
  if (Array.isArray(value)) return value.map(plain);
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plain(each)]));
}

// A fake Qdrant: REST as of 1.18, one node, plain loops, exact scores. What it does is in
// ../shared/contracts/remote-contracts.md and in the recordings that tests/js/fakes-qdrant.test.mjs replays.
//
// Not there: aliases, shards, clusters, multivectors, groups, recommendations, formulas, snapshots' bytes. Asking for
// one of these is a violation.

import { describe } from './api-description.mjs';
import { Fake, Reply, json } from './fake.mjs';
import { Kept } from './kept.mjs';
import { isInteger, isNumber, parse, print, single } from './lossless.mjs';
import { fieldConditions, indexTypes, isObject, judgeFilter, parsePath, passes, valuesAt } from './qdrant-filter.mjs';

const maxBody = 32 * 1024 * 1024;
const version = '1.18.3';

export class FakeQdrant extends Fake {
  /**
   * apiKey, readOnlyKey: asked for where given. strict: a strict_mode_config for every new collection, as Qdrant Cloud
   * has one. validate: false for benchmarks.
   */
  constructor({ apiKey, readOnlyKey, strict, validate = true, now, maxBytes = maxBody } = {}) {
    super({
      name: 'qdrant',
      description: validate ? describe('qdrant') : null,
      now,
      allowedHeaders: ['api-key', 'authorization'],
    });
    this.apiKey = apiKey;
    this.readOnlyKey = readOnlyKey;
    this.strict = strict;
    this.maxBytes = maxBytes;
    this.collections = new Map();
  }

  route(request) {
    const { method, headers, parts } = request;
    const cors = headers.origin === undefined ? {} : { 'access-control-allow-origin': headers.origin };
    cors.vary = 'accept-encoding, Origin, Access-Control-Request-Method, Access-Control-Request-Headers';
    if (method === 'OPTIONS' && headers['access-control-request-method'] !== undefined) {
      cors['access-control-allow-headers'] = headers['access-control-request-headers'] ?? '';
      cors['access-control-allow-methods'] = 'POST, GET, PATCH, PUT, HEAD, OPTIONS, CONNECT, DELETE, TRACE';
      return { status: 200, headers: cors, body: '' };
    }
    try {
      const [first] = parts;
      if (method === 'GET' && first === '' && parts.length === 1) {
        return reply(200, json({ title: 'qdrant - vector search engine', version, commit: 'fake' }), cors);
      }
      if (method === 'GET' && /^(healthz|livez)/.test(first)) return plainText(200, 'healthz check passed', cors);
      if (method === 'GET' && /^readyz/.test(first)) return plainText(200, 'all shards are ready', cors);
      this.authorize(request);
      if (request.bytes > this.maxBytes) {
        refuse(400, `JSON payload (${request.bytes} bytes) is larger than allowed (limit: ${this.maxBytes} bytes).`);
      }
      if (
        request.text === '' &&
        ['POST', 'PUT', 'PATCH'].includes(method) &&
        parts.length > 1 &&
        parts[2] !== 'snapshots'
      ) {
        refuse(400, 'Format error in JSON body: EOF while parsing a value at line 1 column 0');
      }
      const result = first === 'collections' ? this.collection(request) : undefined;
      if (result === undefined) return { status: 404, headers: cors, body: '' };
      return reply(200, json({ result, status: 'ok', time: 0.001 }), cors);
    } catch (error) {
      if (!(error instanceof Reply)) throw error;
      Object.assign(error.headers, cors);
      // A body that no server could take; wrong dimensions and unknown names are no such thing.
      const text = error.body.text ?? '';
      if (/"(Format|Validation) error in JSON/.test(text)) this.violate(text, request);
      throw error;
    }
  }

  malformed({ kind, line, column }) {
    const text = { eof: 'EOF while parsing a value', range: 'number out of range', depth: 'recursion limit exceeded' }[
      kind
    ];
    const at = kind === 'eof' || kind === 'range' ? column : column + 1;
    // The offset of a number out of range is its first character; Qdrant counts to its end.
    return refuse(400, `Format error in JSON body: ${text ?? 'expected value'} at line ${line} column ${at}`);
  }

  authorize({ headers, method, parts }) {
    if (this.apiKey === undefined && this.readOnlyKey === undefined) return;
    const key = headers['api-key'] ?? /^Bearer (.*)$/i.exec(headers.authorization ?? '')?.[1];
    if (key === undefined) {
      throw new Reply(401, 'Must provide an API key or an Authorization bearer token', {
        'content-type': 'text/plain',
      });
    }
    if (key === this.apiKey) return;
    if (key !== this.readOnlyKey) throw new Reply(401, 'Invalid API key or JWT', { 'content-type': 'text/plain' });
    const reading = method === 'GET' || /^(query|scroll|count|facet)$/.test(parts.at(-1)) || parts.at(-1) === 'batch';
    const retrieving = method === 'POST' && parts.length === 3 && parts[2] === 'points';
    if (!reading && !retrieving) refuse(403, 'Forbidden: Global manage access is required');
  }

  collection(request) {
    const { method, parts, query } = request;
    const [, name, part, ...rest] = parts;
    if (name === undefined) {
      if (method !== 'GET') return undefined;
      return { collections: [...this.collections.keys()].sort().map((known) => ({ name: known })) };
    }
    const bad = /[<>:"/\\|?*\0\x1f]/.exec(name);
    if (bad !== null) {
      refuse(
        422,
        `Validation error in path parameters: [collection_name: collection name cannot contain "${bad[0]}" char]`,
      );
    }
    if (part === undefined) {
      switch (method) {
        case 'GET':
          return this.existing(name).info();
        case 'PUT':
          if (this.collections.has(name)) {
            isObject(request.json);
            refuse(409, `Wrong input: Collection \`${name}\` already exists!`);
          }
          this.collections.set(name, new Collection(name, { strict_mode_config: this.strict, ...request.json }));
          return true;
        case 'PATCH':
          return this.existing(name).patch(request.json);
        case 'DELETE':
          return this.collections.delete(name);
      }
      return undefined;
    }
    if (part === 'exists' && method === 'GET') return { exists: this.collections.has(name) };

    const violate = (what) => this.violate(what, request);
    const writing = () => {
      if (query.get('wait') !== 'true') violate('a write without wait=true');
      return query.get('wait') === 'true' ? 'completed' : 'acknowledged';
    };
    const key = `${method} ${[part, ...rest.map((step, i) => (i === 0 && part === 'points' && /^\d|-/.test(step) ? '{id}' : step))].join('/')}`;
    const call = { now: this.now, violate, request };
    switch (key) {
      case 'PUT index': {
        const body = request.json;
        return this.existing(name).createIndex(body, writing());
      }
      case 'POST points':
        return this.reading(name, call).retrieve(request.json, call);
      case 'PUT points':
        return this.written(name, call, writing(), { upsert: request.json });
      case 'GET points/{id}': {
        const id = /^\d+$/.test(rest[0]) ? parse(rest[0]) : rest[0];
        const [point] = this.reading(name, call).retrieve({ ids: [id], with_payload: true, with_vector: true }, call);
        if (point === undefined) refuse(404, `Not found: Point with id ${rest[0]} does not exists!`);
        return point;
      }
      case 'POST points/delete':
        return this.written(name, call, writing(), { delete: request.json });
      case 'POST points/payload':
        return this.written(name, call, writing(), { set_payload: request.json });
      case 'PUT points/payload':
        return this.written(name, call, writing(), { overwrite_payload: request.json });
      case 'POST points/payload/delete':
        return this.written(name, call, writing(), { delete_payload: request.json });
      case 'POST points/payload/clear':
        return this.written(name, call, writing(), { clear_payload: request.json });
      case 'POST points/batch': {
        const { operations } = request.json;
        const state = writing();
        return operations.map((operation) => this.written(name, call, state, operation));
      }
      case 'POST points/count':
        return this.reading(name, call).count(request.json, call);
      case 'POST points/scroll':
        return this.reading(name, call).scroll(request.json, call);
      case 'POST points/query':
        return this.reading(name, call).query(request.json, call);
      case 'POST points/query/batch': {
        const { searches } = request.json;
        const collection = this.reading(name, call);
        return searches.map((search) => collection.query(search, call));
      }
      case 'POST facet':
        return this.reading(name, call).facet(request.json, call);
      case 'POST snapshots':
        return this.existing(name).createSnapshot(new Date(this.now()));
      case 'GET snapshots':
        return this.existing(name).snapshots;
    }
    if (method === 'DELETE' && part === 'index' && rest.length === 1)
      return this.existing(name).dropIndex(rest[0], writing());
    if (method === 'DELETE' && part === 'snapshots' && rest.length === 1)
      return this.existing(name).dropSnapshot(rest[0]);
    violate('the fake does not know this operation');
    return undefined;
  }

  existing(name) {
    const collection = this.collections.get(name);
    if (collection === undefined) refuse(404, `Not found: Collection \`${name}\` doesn't exist!`);
    return collection;
  }

  // The body is read first: a bad one is 400 also where there is no collection.
  reading(name, { request }) {
    if (request.text !== '') void request.json;
    return this.existing(name);
  }

  written(name, { now, violate }, state, operation) {
    const collection = this.existing(name);
    return collection.write(operation, state, now, violate);
  }
}

const reply = (status, body, headers = {}) => ({ status, headers, body });

const plainText = (status, body, headers) => reply(status, { text: body, type: 'text/plain; charset=utf-8' }, headers);

function refuse(status, error, headers) {
  throw new Reply(status, json({ status: { error }, time: 0 }), headers);
}

const variant = (name) =>
  refuse(400, `Format error in JSON body: data did not match any variant of untagged enum ${name}`);

const uuidPattern = /^(?:urn:uuid:)?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})$/i;

/** An id as it is kept: a number, a BigInt or a hyphenated lower-case UUID. */
function pointId(id) {
  const uuid = typeof id === 'string' ? uuidPattern.exec(id) : null;
  if (uuid !== null) return uuid.slice(1).join('-').toLowerCase();
  if (isInteger(id) && id >= 0 && BigInt(id) < 2n ** 64n) return id;
  const shown = typeof id === 'string' ? id : print(id);
  return refuse(
    400,
    `Format error in JSON body: value ${shown} is not a valid point ID, valid values are either an unsigned integer or a UUID`,
  );
}

// Numbers before UUIDs, each ascending.
function compareIds(a, b) {
  const kinds = (typeof a === 'string') - (typeof b === 'string');
  if (kinds !== 0) return kinds;
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Where the first point not before an id stands. */
function lowerBound(points, id) {
  let [low, high] = [0, points.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compareIds(points[middle].id, id) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

const defaults = {
  hnsw_config: { m: 16, ef_construct: 100, full_scan_threshold: 10000, max_indexing_threads: 0, on_disk: false },
  optimizers_config: {
    deleted_threshold: 0.2,
    vacuum_min_vector_number: 1000,
    default_segment_number: 2,
    max_segment_size: null,
    memmap_threshold: null,
    indexing_threshold: 10000,
    flush_interval_sec: 5,
    max_optimization_threads: null,
    prevent_unoptimized: null,
  },
  wal_config: { wal_capacity_mb: 32, wal_segments_ahead: 0, wal_retain_closed: 1 },
};

const distances = {
  Cosine: { score: dot, better: 1 },
  Dot: { score: dot, better: 1 },
  Euclid: { score: (a, b) => Math.sqrt(sum(a, b, (x, y) => (x - y) ** 2)), better: -1 },
  Manhattan: { score: (a, b) => sum(a, b, (x, y) => Math.abs(x - y)), better: -1 },
};

function dot(a, b) {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += a[i] * b[i];
  return total;
}

function sum(a, b, term) {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += term(a[i], b[i]);
  return total;
}

function normalised(vector) {
  const length = dot(vector, vector);
  if (length < 1e-12 || Math.abs(length - 1) <= 1e-6) return vector;
  const root = Math.sqrt(length);
  return vector.map((value) => value / root);
}

// The plain form takes a tenth of the time of the other, but no BigInt.
const floatsOf = (list) =>
  list.some((value) => typeof value === 'bigint') ? Float32Array.from(list, Number) : new Float32Array(list);

class Collection {
  constructor(name, body) {
    this.name = name;
    const { vectors } = body;
    const dense = (params) =>
      isObject(params) && isInteger(params.size) && params.size > 0 && params.distance in distances;
    if (vectors !== undefined && vectors !== null && !dense(vectors)) {
      if (!isObject(vectors) || !Object.values(vectors).every(dense)) variant('VectorsConfig');
    }
    // Unnamed: the name is ''.
    this.dense = vectors === undefined || vectors === null ? {} : dense(vectors) ? { '': vectors } : vectors;
    this.sparse = body.sparse_vectors ?? {};
    this.vectors = vectors;
    this.config = body;
    this.strict = body.strict_mode_config ?? null;
    this.points = new Kept(); // id -> { id, payload, vectors, version }, in order of insertion
    this.indexes = new Map(); // field -> { type, params }
    this.snapshots = [];
    this.operations = 0;
    this.buckets = {};
  }

  info() {
    const { config } = this;
    const params = {
      ...(this.vectors === undefined ? {} : { vectors: this.vectors }),
      shard_number: config.shard_number ?? 1,
      replication_factor: config.replication_factor ?? 1,
      write_consistency_factor: config.write_consistency_factor ?? 1,
      on_disk_payload: config.on_disk_payload ?? true,
      ...(config.sparse_vectors ? { sparse_vectors: config.sparse_vectors } : {}),
    };
    const merged = (name) => ({ ...defaults[name], ...config[name] });
    const schema = {};
    for (const [field, { type, params: given }] of this.indexes) {
      const points = [...this.points.values()].filter(({ payload }) => valuesAt(payload, field).length > 0).length;
      schema[field] = { data_type: type, ...(given ? { params: given } : {}), points };
    }
    return {
      status: 'green',
      optimizer_status: 'ok',
      indexed_vectors_count: 0,
      points_count: this.points.size,
      segments_count: 2,
      config: {
        params,
        hnsw_config: merged('hnsw_config'),
        optimizer_config: merged('optimizers_config'),
        wal_config: merged('wal_config'),
        quantization_config: config.quantization_config ?? null,
        ...(this.strict ? { strict_mode_config: this.strict } : {}),
        ...(config.metadata ? { metadata: config.metadata } : {}),
      },
      payload_schema: schema,
      update_queue: { length: 0 },
    };
  }

  patch(body) {
    for (const name of ['hnsw_config', 'optimizers_config']) {
      if (body[name]) this.config[name] = { ...this.config[name], ...body[name] };
    }
    if (body.quantization_config) {
      this.config.quantization_config = body.quantization_config === 'Disabled' ? null : body.quantization_config;
    }
    if (body.strict_mode_config) {
      this.strict = { ...this.strict, ...body.strict_mode_config };
      this.buckets = {};
    }
    return true;
  }

  /** Strict mode's rate limits: so many tokens a minute. */
  spend(kind, tokens, now) {
    const limit = this.strict?.enabled ? this.strict[`${kind}_rate_limit`] : undefined;
    if (!limit) return;
    const bucket = (this.buckets[kind] ??= { tokens: limit, at: now });
    bucket.tokens = Math.min(limit, bucket.tokens + ((now - bucket.at) / 60_000) * limit);
    bucket.at = now;
    if (bucket.tokens >= tokens) {
      bucket.tokens -= tokens;
      return;
    }
    const wait = Math.ceil(((tokens - bucket.tokens) / limit) * 60);
    const title = kind === 'read' ? 'Read' : 'Write';
    const left = bucket.tokens.toFixed(1);
    refuse(
      429,
      `Rate limiting exceeded: ${title} rate limit exceeded: Operation requires ${tokens} tokens but only ${left} were available. Retry after ${wait}s`,
      { 'retry-after': String(wait) },
    );
  }

  limited(value, max, what) {
    if (!this.strict?.enabled || !max || value <= max) return;
    refuse(
      400,
      `Bad request: Limit exceeded ${value} > ${max} for "${what}". Help: Reduce the "${what}" parameter to or below ${max}.`,
    );
  }

  /** A filter that may be used, as it is; at: where it stands in the body. */
  filter(filter, at, violate, updating = false) {
    if (filter === undefined || filter === null) return null;
    const wrong = judgeFilter(filter, at, violate);
    if (wrong !== null) refuse(wrong.status, wrong.error);
    const allowed = updating ? this.strict?.unindexed_filtering_update : this.strict?.unindexed_filtering_retrieve;
    if (this.strict?.enabled && allowed === false) {
      for (const { key, condition } of fieldConditions(filter)) {
        const types = indexTypes(condition);
        if (types.includes(this.indexes.get(key)?.type)) continue;
        refuse(
          400,
          `Bad request: Index required but not found for "${key}" of one of the following types: [${types.join(', ')}]. Help: Create an index for this key or use a different filter.`,
        );
      }
    }
    return filter;
  }

  indexTypes() {
    return new Map([...this.indexes].map(([field, { type }]) => [field, type]));
  }

  matching(filter) {
    const points = this.points.list();
    const types = this.indexTypes();
    return filter === null ? [...points] : points.filter((point) => passes(filter, point, types));
  }

  // --- writing ---

  write(operation, status, now, violate) {
    const [[kind, body]] = Object.entries(operation);
    const apply = {
      upsert: () => this.upsert(body),
      delete: () => this.delete(body, violate),
      set_payload: () => this.changePayload(body, violate, (payload) => ({ ...payload, ...body.payload })),
      overwrite_payload: () => this.changePayload(body, violate, () => body.payload),
      delete_payload: () =>
        this.changePayload(body, violate, (payload) =>
          Object.fromEntries(Object.entries(payload).filter(([key]) => !body.keys.includes(key))),
        ),
      clear_payload: () => this.changePayload(body, violate, () => ({})),
    }[kind];
    if (apply === undefined) {
      violate(`the fake does not know the operation ${kind}`);
      return variant('UpdateOperation');
    }
    const change = apply();
    this.spend('write', 1, now());
    this.operations++;
    change(this.operations);
    return { operation_id: this.operations, status };
  }

  upsert(body) {
    const points = this.checkedPoints(body);
    if (points.length === 0) refuse(400, 'Bad request: Empty update request');
    this.limited(points.length, this.strict?.upsert_max_batchsize, 'upsert limit');
    return (operation) => {
      for (const point of points) {
        // A point that is written again is at another place of the storage.
        this.points.delete(point.id);
        this.points.set(point.id, { ...point, version: operation });
      }
    };
  }

  checkedPoints(body) {
    let given = body.points;
    if (body.batch !== undefined) {
      const { ids, vectors, payloads } = body.batch;
      const named = isObject(vectors);
      for (const list of named ? Object.values(vectors) : [vectors]) {
        if (list.length === ids.length) continue;
        refuse(
          422,
          `Validation error in JSON body: [batch.batch: number of ids and vectors must be equal (${ids.length} != ${list.length})]`,
        );
      }
      if (payloads && payloads.length !== ids.length) {
        refuse(
          422,
          `Validation error in JSON body: [batch.batch: number of ids and payloads must be equal (${ids.length} != ${payloads.length})]`,
        );
      }
      given = ids.map((id, i) => ({
        id,
        vector: named ? Object.fromEntries(Object.entries(vectors).map(([name, list]) => [name, list[i]])) : vectors[i],
        payload: payloads?.[i],
      }));
    }
    if (!Array.isArray(given)) variant('PointInsertOperations');
    return given.map((point, at) => ({
      id: pointId(point.id),
      vectors: this.checkedVectors(point.vector, at),
      payload: point.payload ?? {},
    }));
  }

  checkedVectors(given, at) {
    if (Array.isArray(given)) given = { '': given };
    if (!isObject(given)) variant('VectorStruct');
    const vectors = {};
    for (const [name, vector] of Object.entries(given)) {
      if (isObject(vector) && 'indices' in vector) {
        const { indices, values } = vector;
        const where = `points[${at}].vector.?`;
        if (new Set(indices).size !== indices.length) {
          refuse(422, `Validation error in JSON body: [${where}.indices: Validation error: must be unique [{}]]`);
        }
        if (indices.length !== values.length) {
          refuse(
            422,
            `Validation error in JSON body: [${where}.values: Validation error: must be the same length as indices [{}]]`,
          );
        }
        if (!(name in this.sparse)) refuse(400, `Wrong input: Not existing vector name error: ${name}`);
        const sorted = indices
          .map((index, i) => [Number(index), Math.fround(Number(values[i]))])
          .sort(([a], [b]) => a - b);
        vectors[name] = { indices: sorted.map(([index]) => index), values: sorted.map(([, value]) => value) };
        continue;
      }
      if (!Array.isArray(vector) || !vector.every(isNumber)) variant('VectorStruct');
      vectors[name] = this.checkedDense(name, vector);
    }
    return vectors;
  }

  checkedDense(name, vector) {
    const params = this.dense[name];
    if (params === undefined) refuse(400, `Wrong input: Not existing vector name error: ${name}`);
    if (vector.length !== params.size) {
      refuse(400, `Wrong input: Vector dimension error: expected dim: ${params.size}, got ${vector.length}`);
    }
    const floats = floatsOf(vector);
    return params.distance === 'Cosine' ? normalised(floats) : floats;
  }

  delete(body, violate) {
    if (body.filter !== undefined) {
      const filter = this.filter(body.filter, 'filter', violate, true);
      return () => this.matching(filter).forEach(({ id }) => this.points.delete(id));
    }
    if (!Array.isArray(body.points)) variant('PointsSelector');
    const ids = body.points.map(pointId);
    if (ids.length === 0) refuse(400, 'Bad request: Empty update request');
    return () => ids.forEach((id) => this.points.delete(id));
  }

  changePayload(body, violate, change) {
    const ids = body.points?.map(pointId);
    const filter = this.filter(body.filter, 'filter', violate, true);
    if (ids === undefined && filter === null) variant('PointsSelector');
    return (operation) => {
      const points = ids === undefined ? this.matching(filter) : ids.map((id) => this.points.get(id)).filter(Boolean);
      for (const point of points) Object.assign(point, { payload: change(point.payload), version: operation });
    };
  }

  createIndex({ field_name: field, field_schema: schema }, status) {
    const type = typeof schema === 'string' ? schema : schema?.type;
    if (!['keyword', 'integer', 'float', 'bool', 'geo', 'datetime', 'text', 'uuid'].includes(type))
      variant('PayloadFieldSchema');
    this.operations += 2;
    this.indexes.set(field, { type, params: typeof schema === 'string' ? undefined : schema });
    return { operation_id: this.operations, status };
  }

  dropIndex(field, status) {
    this.indexes.delete(field);
    return { operation_id: ++this.operations, status };
  }

  createSnapshot(time) {
    const stamp = time.toISOString().slice(0, 19);
    const snapshot = {
      name: `${this.name}-1-${stamp.replaceAll(/[T:]/g, '-')}-${this.snapshots.length}.snapshot`,
      creation_time: stamp,
      size: 444928,
      checksum: '0'.repeat(64),
    };
    this.snapshots.push(snapshot);
    return snapshot;
  }

  dropSnapshot(name) {
    const at = this.snapshots.findIndex((snapshot) => snapshot.name === name);
    if (at < 0) refuse(404, `Not found: Snapshot ${name} not found`);
    this.snapshots.splice(at, 1);
    return true;
  }

  // --- reading ---

  retrieve({ ids, with_payload: payload = true, with_vector, with_vectors }, { now }) {
    this.spend('read', 1, now());
    const found = [...new Set(ids.map((id) => this.points.get(pointId(id))))].filter(Boolean);
    return found.map((point) => this.record(point, payload, with_vector ?? with_vectors ?? false));
  }

  record(point, withPayload, withVector) {
    const record = { id: point.id };
    if (withPayload !== false && withPayload !== null) record.payload = selected(point.payload, withPayload);
    if (withVector) {
      const names = Array.isArray(withVector) ? withVector : Object.keys(point.vectors);
      const kept = Object.fromEntries(
        names.filter((name) => name in point.vectors).map((name) => [name, point.vectors[name]]),
      );
      const sparse = (vector) => ({ indices: vector.indices, values: Float32Array.from(vector.values) });
      for (const name of Object.keys(kept)) if ('indices' in kept[name]) kept[name] = sparse(kept[name]);
      record.vector = '' in kept ? kept[''] : kept;
    }
    return record;
  }

  count({ filter, exact = true }, { violate, now }) {
    if (exact === false) violate('a count that need not be exact');
    const checked = this.filter(filter, 'filter', violate);
    this.spend('read', 1, now());
    return { count: this.matching(checked).length };
  }

  scroll(body, { violate, now }) {
    const { limit = 10, offset, filter, with_payload: payload = true, with_vector: vector = false } = body;
    if (body.order_by) violate('the fake does not know order_by');
    if (limit < 1) refuse(422, 'Validation error in JSON body: [limit: value 0 invalid, must be 1 or larger]');
    this.limited(limit, this.strict?.max_query_limit, 'limit');
    const checked = this.filter(filter, 'filter', violate);
    this.spend('read', 1, now());
    const first = offset === undefined || offset === null ? null : pointId(offset);
    const points = this.points.sorted(compareIds);
    const page = [];
    // One more than asked for: the next page begins with it.
    for (let at = first === null ? 0 : lowerBound(points, first); at < points.length && page.length <= limit; at++) {
      if (checked === null || passes(checked, points[at], this.indexTypes())) page.push(points[at]);
    }
    return {
      points: page.slice(0, limit).map((point) => this.record(point, payload, vector)),
      next_page_offset: page[limit]?.id ?? null,
    };
  }

  facet({ key, limit = 10, filter }, { violate }) {
    if (!this.indexes.has(key)) refuse(400, `Bad request: Index required but not found for "${key}"`);
    const counts = new Map();
    for (const point of this.matching(this.filter(filter, 'filter', violate))) {
      for (const value of new Set(valuesAt(point.payload, key).flat())) counts.set(value, (counts.get(value) ?? 0) + 1);
    }
    const hits = [...counts].map(([value, count]) => ({ value, count }));
    hits.sort((a, b) => b.count - a.count || (a.value < b.value ? -1 : 1));
    return { hits: hits.slice(0, limit) };
  }

  query(body, { violate, now }) {
    const { limit = 10, offset = 0, with_payload: payload = false, with_vector: vector = false } = body;
    this.checkLimits(body, 'internal', violate);
    this.spend('read', 1, now());
    const hits = this.ranked(body, null, offset + limit, violate).slice(offset, offset + limit);
    return {
      points: hits.map(({ point, score }) => {
        const { id, ...parts } = this.record(point, payload, vector);
        return { id, version: point.version, score: single(score), ...parts };
      }),
    };
  }

  checkLimits(body, at, violate) {
    const { limit = 10, prefetch = [], filter } = body;
    if (limit < 1)
      refuse(422, `Validation error in JSON body: [${at}.limit: value ${limit} invalid, must be 1 or larger]`);
    this.filter(filter, `${at}.filter`, violate);
    this.limited(limit, this.strict?.max_query_limit, 'limit');
    for (const [i, inner] of [prefetch].flat().entries()) this.checkLimits(inner, `${at}.prefetch[${i}]`, violate);
  }

  /** The best `limit` of a query or a prefetch as { point, score }, best first; outer: the filter around it, or null. */
  ranked(body, outer, limit, violate) {
    const { query, using, filter, prefetch, score_threshold: threshold } = body;
    const both = [outer, filter].filter((one) => one !== undefined && one !== null);
    const inner = both.length === 0 ? null : both.length === 1 ? both[0] : { must: both };
    const better = (sign) => (hits) => hits.sort((a, b) => sign * (b.score - a.score));
    let hits;
    let sign = 1;
    if (isObject(query) && ('fusion' in query || 'rrf' in query)) {
      if (using !== undefined && using !== null)
        refuse(400, "Wrong input: Fusion queries cannot be combined with the 'using' field.");
      if (prefetch === undefined) refuse(400, 'Bad request: Fusion queries require a prefetch');
      const lists = [prefetch].flat().map((leg) => this.ranked(leg, inner, leg.limit ?? 10, violate));
      hits = query.fusion === 'dbsf' ? fuseByDistribution(lists) : fuseByRank(lists, query.rrf ?? {});
    } else if (prefetch !== undefined && prefetch !== null) {
      violate('the fake does not know prefetch without fusion');
      return [];
    } else if (query === undefined || query === null) {
      hits = this.matching(inner)
        .sort((a, b) => compareIds(b.id, a.id))
        .map((point) => ({ point, score: 0 }));
    } else {
      ({ hits, sign } = this.nearest(query, using ?? '', inner, violate));
    }
    hits = better(sign)(hits.reverse());
    if (threshold !== undefined && threshold !== null) {
      const bound = Math.fround(Number(threshold));
      hits = hits.filter(({ score }) => sign * (Math.fround(score) - bound) > 0);
    }
    return hits.slice(0, limit);
  }

  nearest(query, using, filter, violate) {
    if (isObject(query) && 'nearest' in query) query = query.nearest;
    let exclude;
    if (isInteger(query) || typeof query === 'string') {
      exclude = this.points.get(pointId(query));
      if (exclude === undefined) refuse(404, `Not found: No point with id ${query} found`);
      query = exclude.vectors[using] && Array.from(exclude.vectors[using]);
    }
    const points = this.matching(filter).filter((point) => point !== exclude);
    if (isObject(query) && 'indices' in query) {
      if (!(using in this.sparse)) refuse(400, `Wrong input: Not existing vector name error: ${using}`);
      return { sign: 1, hits: this.sparseScores(query, using, points) };
    }
    if (!Array.isArray(query) || !query.every(isNumber)) {
      violate(`the fake does not know the query ${print(query).slice(0, 80)}`);
      return variant('QueryInterface');
    }
    const wanted = this.checkedDense(using, query);
    const { score, better } = distances[this.dense[using].distance];
    const having = points.filter((point) => using in point.vectors);
    return { sign: better, hits: having.map((point) => ({ point, score: score(wanted, point.vectors[using]) })) };
  }

  sparseScores({ indices, values }, using, points) {
    const all = [...this.points.values()].filter((point) => using in point.vectors);
    const weight = (index, value) => {
      if (this.sparse[using].modifier !== 'idf') return value;
      const having = all.filter((point) => point.vectors[using].indices.includes(index)).length;
      return value * Math.log((all.length - having + 0.5) / (having + 0.5) + 1);
    };
    const weights = new Map(indices.map((index, i) => [Number(index), weight(Number(index), Number(values[i]))]));
    const hits = [];
    for (const point of points) {
      const vector = point.vectors[using];
      if (vector === undefined) continue;
      let score = 0;
      let shared = false;
      vector.indices.forEach((index, i) => {
        if (!weights.has(index)) return;
        shared = true;
        score += weights.get(index) * vector.values[i];
      });
      if (shared) hits.push({ point, score });
    }
    return hits;
  }
}

// score += 1 / ((rank + 1) / weight + k - 1), rank from 0.
function fuseByRank(lists, { k = 2, weights }) {
  const scores = new Map();
  lists.forEach((hits, list) => {
    hits.forEach(({ point }, rank) => {
      const score = 1 / ((rank + 1) / Number(weights?.[list] ?? 1) + k - 1);
      scores.set(point, (scores.get(point) ?? 0) + score);
    });
  });
  return [...scores].map(([point, score]) => ({ point, score }));
}

// score += (s - (mean - 3 deviations)) / (6 deviations), of the sample; 0.5 where the list has no spread.
function fuseByDistribution(lists) {
  const scores = new Map();
  for (const hits of lists) {
    const mean = hits.reduce((total, { score }) => total + score, 0) / hits.length;
    const variance = hits.reduce((total, { score }) => total + (score - mean) ** 2, 0) / (hits.length - 1);
    const deviation = Math.sqrt(variance);
    for (const { point, score } of hits) {
      const normal = hits.length < 2 || deviation === 0 ? 0.5 : (score - (mean - 3 * deviation)) / (6 * deviation);
      scores.set(point, (scores.get(point) ?? 0) + normal);
    }
  }
  return [...scores].map(([point, score]) => ({ point, score }));
}

/** The parts of a payload that with_payload asks for: true, ['a.b'], { include } or { exclude }. */
function selected(payload, wanted) {
  if (wanted === true) return payload;
  const include = Array.isArray(wanted) ? wanted : wanted.include;
  const paths = (include ?? wanted.exclude).map((path) => parsePath(path) ?? [path]);
  const begins = (path, other) => other.every((step, i) => i >= path.length || step === path[i]);
  // What stands on the way to a path stays, too, whatever it is; elements of arrays are their "[]".
  const kept =
    include === undefined || include === null
      ? (path) => !paths.some((one) => one.length <= path.length && begins(path, one))
      : (path) => paths.some((one) => begins(path, one));
  const walk = (value, path) => {
    if (Array.isArray(value)) {
      const inner = [...path, '[]'];
      return kept(inner) ? value.map((each) => walk(each, inner)) : [];
    }
    if (!isObject(value)) return value;
    const members = Object.entries(value).filter(([key]) => kept([...path, key]));
    return Object.fromEntries(members.map(([key, each]) => [key, walk(each, [...path, key])]));
  };
  return walk(payload, []);
}

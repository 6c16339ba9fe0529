// A fake Chroma: REST v2 as the local server of 1.5 speaks it, plain loops, exact distances. What it does is in
// ../shared/contracts/remote-contracts.md, in the recordings that tests/js/fakes-chroma.test.mjs replays, and where there is
// a real server it is compared with that one.
//
// Not there: search, forks, functions (the local server refuses the first two, and so does the fake). What the Cloud's
// token check answers is a guess.

import { randomUUID } from 'node:crypto';

import { describe } from './api-description.mjs';
import { BadRegex, BadWhere, NotIndexed, documentWhere, kind, longestList, where } from './chroma-where.mjs';
import { Fake, Reply, json } from './fake.mjs';
import { Kept } from './kept.mjs';
import { Real, isNumber, print, single } from './lossless.mjs';

const maxVariables = 32_766; // of SQLite
const uuidPattern = /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i;

export class FakeChroma extends Fake {
  /**
   * token: asked for as x-chroma-token where given, as Chroma Cloud does. cors: the allowed origins (['*']), none by
   * default. maxBatchSize: what pre-flight-checks advertises; a longer write is taken, and a violation.
   */
  constructor({
    token,
    cors = null,
    allowReset = false,
    maxBatchSize = 5461,
    maxBytes = 40 * 1024 * 1024,
    validate = true,
    now,
  } = {}) {
    super({
      name: 'chroma',
      description: validate ? describe('chroma', { amend }) : null,
      now,
      allowedHeaders: ['x-chroma-token'],
    });
    Object.assign(this, { token, cors, allowReset, maxBatchSize, maxBytes });
    this.reset();
  }

  reset() {
    this.tenants = new Map([['default_tenant', new Map([['default_database', randomUUID()]])]]);
    this.collections = []; // in order of their names, as the server lists them
  }

  route(request) {
    const allowed = this.cors === null ? {} : this.allowOrigin(request);
    try {
      const answer = this.dispatch(request);
      if (!answer.reset) answer.headers = { ...allowed, ...answer.headers };
      return answer;
    } catch (error) {
      if (!(error instanceof Reply)) throw error;
      // A body that no server could take; a wrong dimension or a name are no such thing.
      const text = error.body.text ?? '';
      if (improper.test(text)) this.violate(text, request);
      Object.assign(error.headers, allowed, { 'chroma-trace-id': '0'.repeat(32) });
      throw error;
    }
  }

  allowOrigin({ headers }) {
    if (this.cors.includes('*')) return { 'access-control-allow-origin': '*' };
    return this.cors.includes(headers.origin) ? { 'access-control-allow-origin': headers.origin } : {};
  }

  malformed({ kind: what, line, column }) {
    const text = { eof: 'EOF while parsing a value', range: 'number out of range', depth: 'recursion limit exceeded' }[
      what
    ];
    return refuse(
      400,
      `Failed to parse the request body as JSON: ${text ?? 'expected value'} at line ${line} column ${column}`,
    );
  }

  dispatch(request) {
    const { method, url, headers, parts } = request;
    if (parts[0] === 'api' && parts[1] === 'v1') {
      throw new Reply(410, json({ error: 'Unimplemented', message: 'The v1 API is deprecated. Please use /v2 apis' }));
    }
    if (url.pathname === '/openapi.json' && method === 'GET' && this.description !== null)
      return ok(this.description.document);
    const found = routes.find(({ pattern }) => pattern.test(url.pathname));
    if (found === undefined) throw new Reply(404, '');
    if (method === 'OPTIONS' && this.cors !== null) {
      const wildcard = { 'access-control-allow-methods': '*', 'access-control-allow-headers': '*' };
      return { status: 200, headers: { ...wildcard, allow: found.allow }, body: '' };
    }
    const handler = found.methods[method === 'HEAD' ? 'GET' : method];
    if (handler === undefined) throw new Reply(405, '', { allow: found.allow });
    if (this.token !== undefined && headers['x-chroma-token'] !== this.token) refuse(401, 'Unauthorized');
    if (request.bytes > this.maxBytes) throw new Reply(413, 'Payload too large');
    if (request.text !== '') {
      const type = headers['content-type'] ?? '';
      if (type !== '' && !/^application\/json\b/.test(type)) {
        refuse(415, 'Expected request with `Content-Type: application/json`');
      }
    }
    const args = found.pattern.exec(url.pathname).slice(1).map(decodeURIComponent);
    return handler.call(this, args, request);
  }

  // --- tenants and databases ---

  createTenant(_, { json: body }) {
    const { name } = body;
    if (name.length < 3) {
      refuse(400, `Validation error: name: Validation error: length [{"value": String("${name}"), "min": Number(3)}]`);
    }
    if (this.tenants.has(name)) refuse(409, `Tenant [${name}] already exists`);
    this.tenants.set(name, new Map());
    return ok({});
  }

  getTenant([name]) {
    if (!this.tenants.has(name)) refuse(404, `Tenant [${name}] not found`);
    return ok({ name, resource_name: null });
  }

  createDatabase([tenant], { json: body }) {
    const { name } = body;
    checkName(name, '');
    const databases = this.tenants.get(tenant) ?? new Map();
    if (databases.has(name)) refuse(409, `Database [${name}] already exists`);
    databases.set(name, randomUUID());
    return ok({});
  }

  listDatabases([tenant]) {
    return ok([...(this.tenants.get(tenant) ?? [])].map(([name, id]) => ({ id, name, tenant })));
  }

  database(tenant, name) {
    const id = this.tenants.get(tenant)?.get(name);
    if (id === undefined) refuse(404, `Database [${name}] not found. Are you sure it exists?`);
    return { id, name, tenant };
  }

  // --- collections ---

  here(tenant, database) {
    return this.collections.filter((one) => one.tenant === tenant && one.database === database);
  }

  named(tenant, database, name) {
    const found = this.here(tenant, database).find((one) => one.name === name);
    if (found === undefined) refuse(404, `Collection [${name}] does not exist`);
    return found;
  }

  identified(tenant, database, id) {
    if (!uuidPattern.test(id)) refuse(400, 'Collection ID is not a valid UUIDv4');
    const found = this.here(tenant, database).find((one) => one.id === id.toLowerCase());
    if (found === undefined) refuse(404, `Collection [${id}] does not exist.`);
    return found;
  }

  createCollection([tenant, database], { json: body }) {
    const { name, get_or_create: either = false, configuration, metadata, schema } = body;
    if (typeof name !== 'string') wrongType('missing field `name`');
    const space = configuration?.hnsw?.space ?? configuration?.spann?.space;
    if (space !== undefined && space !== null && !['l2', 'cosine', 'ip'].includes(space)) {
      wrongType(`configuration.hnsw.space: unknown variant \`${space}\`, expected one of \`l2\`, \`cosine\`, \`ip\``);
    }
    for (const [key, value] of Object.entries(metadata ?? {})) {
      if (metadataKind(value) === null)
        wrongType(`metadata.${key}: data did not match any variant of untagged enum MetadataValue`);
    }
    checkName(name, 'Validation error: name: ');
    if (metadata && Object.keys(metadata).length === 0)
      refuse(400, 'Validation error: metadata: Metadata cannot be empty');
    if (configuration?.hnsw && configuration?.spann) refuse(400, 'Multiple vector index configurations provided');
    if (print(schema ?? null).includes('sparse_vector_index')) {
      refuse(400, 'Failed to reconcile schema: Invalid schema input: Sparse vector indexing is not enabled in local');
    }
    const known = this.here(tenant, database).find((one) => one.name === name);
    if (known !== undefined) {
      if (!either) refuse(409, `Collection [${name}] already exists`);
      return ok(known.described());
    }
    const collection = new Collection({ name, tenant, database, configuration, metadata: metadata ?? null });
    this.collections.push(collection);
    this.sort();
    return ok(collection.described());
  }

  sort() {
    this.collections.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  updateCollection([tenant, database, id], { json: body }) {
    const collection = this.identified(tenant, database, id);
    const { new_name: name, new_metadata: metadata, new_configuration: configuration } = body;
    if (name) {
      checkName(name, 'Validation error: new_name: ');
      collection.name = name;
      this.sort();
    }
    if (metadata) collection.metadata = metadata;
    if (configuration?.hnsw) collection.hnsw = { ...collection.hnsw, ...configuration.hnsw };
    return ok({});
  }

  deleteCollection([tenant, database, name]) {
    const collection = this.named(tenant, database, name);
    this.collections.splice(this.collections.indexOf(collection), 1);
    return ok({});
  }

  // --- records ---

  write(how) {
    return ([tenant, database, id], request) => {
      const body = request.json;
      checkRecords(body, how);
      if (body.ids.length > this.maxBatchSize) this.violate(`${body.ids.length} records at once`, request);
      for (const metadata of body.metadatas ?? []) {
        for (const key of Object.keys(metadata ?? {}))
          if (key.startsWith('chroma:')) this.violate(`metadata key ${key}`, request);
      }
      const collection = this.identified(tenant, database, id);
      collection.write(body, how);
      return { status: how === 'add' ? 201 : 200, body: json({}) };
    };
  }

  matching(collection, body, request) {
    if (longestList(body.where ?? null) > maxVariables || (body.ids?.length ?? 0) > maxVariables) {
      this.violate('more values than SQLite takes variables', request);
      fail('Error executing plan: Internal error: error returned from database: (code: 1) too many SQL variables');
    }
    const tests = [];
    try {
      if (body.where !== undefined && body.where !== null) tests.push(where(body.where));
    } catch (error) {
      clauseError(error, 'Invalid where clause');
    }
    try {
      if (body.where_document !== undefined && body.where_document !== null)
        tests.push(documentWhere(body.where_document));
    } catch (error) {
      clauseError(error, 'Invalid where document clause');
    }
    const ids = body.ids ? new Set(body.ids) : null;
    if (tests.length === 0 && ids === null) return collection.records.list();
    return collection.records
      .list()
      .filter((record) => (ids === null || ids.has(record.id)) && tests.every((test) => test(record)));
  }

  get([tenant, database, id], request) {
    const body = request.json;
    checkStrings('ids', body.ids);
    const include = checkInclude(body.include, ['documents', 'metadatas']);
    const found = this.matching(this.identified(tenant, database, id), body, request);
    const from = body.offset ?? 0;
    const records = found.slice(from, from + (body.limit ?? Infinity));
    return ok({ ids: records.map((record) => record.id), ...columns(records, include), include });
  }

  query([tenant, database, id], request) {
    const body = request.json;
    checkStrings('ids', body.ids);
    if (body.query_embeddings === undefined) wrongType('missing field `query_embeddings`');
    body.query_embeddings.forEach((embedding, i) => {
      if (typeof embedding === 'string') {
        wrongType(`query_embeddings[${i}]: invalid type: string ${JSON.stringify(embedding)}, expected a sequence`);
      }
    });
    const wanted = body.n_results ?? 10;
    if (wanted < 0) wrongType(`n_results: invalid value: integer \`${wanted}\`, expected u32`);
    const include = checkInclude(body.include, ['documents', 'metadatas', 'distances']);
    const collection = this.identified(tenant, database, id);
    const candidates = this.matching(collection, body, request);
    if (new Set(body.query_embeddings.map((embedding) => embedding.length)).size > 1) {
      refuse(400, 'Inconsistent dimensions in provided embeddings');
    }
    for (const embedding of body.query_embeddings) collection.checkDimension(embedding.length);
    if (body.ids?.some((one) => !collection.records.has(one))) {
      this.violate('a query among ids that are not there', request);
      fail('Error executing plan: Internal error: Error finding id');
    }
    if (wanted === 0) {
      this.violate('n_results 0, which may break the connection', request);
      if (!body.where && !body.where_document && !body.ids) return { status: 0, reset: true };
    }
    const rows = body.query_embeddings.map((embedding) => {
      const floats = Float32Array.from(embedding, Number);
      const hits = candidates.map((record) => ({
        record,
        distance: distances[collection.hnsw.space](floats, record.embedding),
      }));
      return hits.sort((a, b) => a.distance - b.distance).slice(0, wanted);
    });
    const nested = rows.map((row) =>
      columns(
        row.map(({ record }) => record),
        include,
      ),
    );
    const column = (name) => (include.includes(name) ? nested.map((row) => row[name]) : null);
    return ok({
      ids: rows.map((row) => row.map(({ record }) => record.id)),
      embeddings: column('embeddings'),
      documents: column('documents'),
      uris: column('uris'),
      metadatas: column('metadatas'),
      distances: include.includes('distances') ? rows.map((row) => row.map(({ distance }) => single(distance))) : null,
      include,
    });
  }

  delete([tenant, database, id], request) {
    const body = request.json;
    checkStrings('ids', body.ids);
    const filtered = [body.where, body.where_document].some((clause) => clause !== undefined && clause !== null);
    if (body.limit !== undefined && body.limit !== null && !filtered) {
      refuse(400, 'Validation error: limit, where: limit can only be specified when a where clause is provided');
    }
    if (body.ids?.length === 0 && !filtered)
      refuse(400, 'Validation error: ids, where: Either ids or where must be specified');
    const collection = this.identified(tenant, database, id);
    if (!filtered && !body.ids) {
      this.violate('a delete of nothing', request);
      return ok({ deleted: 0 });
    }
    const found = this.matching(collection, body, request).slice(0, body.limit ?? Infinity);
    for (const record of found) collection.records.delete(record.id);
    return ok({ deleted: filtered ? found.length : body.ids.length });
  }
}

const improper =
  /"message":"(Invalid where|Failed to (deserialize|parse the req)|Validation error: (embeddings|metadatas|ids|limit)|Empty ID|Inconsistent number|Regex)/;

// The description leaves out that a null takes a key away.
function amend({ components }) {
  components.schemas.HashMap.additionalProperties.oneOf.push({ type: 'null' });
}

const ok = (value) => ({ status: 200, body: json(value) });

const errorNames = { 400: 'InvalidArgumentError', 404: 'NotFoundError', 500: 'InternalError' };

function refuse(status, message) {
  throw new Reply(status, json({ error: errorNames[status] ?? 'ChromaError', message }));
}

const fail = (message) => refuse(500, message);

const wrongType = (what) =>
  refuse(422, `Failed to deserialize the JSON body into the target type: ${what} at line 1 column 1`);

function clauseError(error, message) {
  if (error instanceof BadRegex) {
    refuse(400, `Regex syntax errror: regex parse error:\n    ${error.message}\n    ^\nerror: unclosed group`);
  }
  if (error instanceof NotIndexed) {
    refuse(400, `Cannot filter using metadata key '${error.message}' with type 'Str' because indexing is disabled`);
  }
  if (!(error instanceof BadWhere)) throw error;
  refuse(400, message);
}

function checkName(name, prefix) {
  if (/^[a-zA-Z0-9][a-zA-Z0-9._-]{1,510}[a-zA-Z0-9]$/.test(name) && !name.includes('..')) return;
  refuse(
    400,
    `${prefix}Expected a name containing 3-512 characters from [a-zA-Z0-9._-], starting and ending with a character in [a-zA-Z0-9]. Got: ${name}`,
  );
}

function checkStrings(name, list) {
  list?.forEach((entry, i) => {
    if (typeof entry !== 'string')
      wrongType(`${name}[${i}]: invalid type: integer \`${print(entry)}\`, expected a string`);
  });
}

function checkInclude(include = undefined, fallback) {
  include?.forEach((name, i) => {
    if (['distances', 'documents', 'embeddings', 'metadatas', 'uris'].includes(name)) return;
    wrongType(
      `include[${i}]: unknown variant \`${name}\`, expected one of \`distances\`, \`documents\`, \`embeddings\`, \`metadatas\`, \`uris\``,
    );
  });
  return include ?? fallback;
}

const isSparse = (value) => typeof value === 'object' && value !== null && 'indices' in value && 'values' in value;

/** What a metadata value is, or null: scalars, lists of one kind, null. */
function metadataKind(value) {
  if (value === null) return 'null';
  if (Array.isArray(value)) {
    const kinds = new Set(value.map(kind));
    // A list of integers and floats is one of floats.
    if (kinds.size === 2 && kinds.has('int') && kinds.has('float')) return 'list';
    return kinds.size > 1 || kinds.has(null) ? null : 'list';
  }
  if (isSparse(value)) return 'sparse';
  return kind(value);
}

function checkRecords(body, how) {
  if (body.ids === undefined) wrongType('missing field `ids`');
  checkStrings('ids', body.ids);
  if (how !== 'update') {
    if (body.embeddings === undefined) wrongType('missing field `embeddings`');
    const strings = (list) => list.every((entry) => typeof entry === 'string');
    const lists = (list) => list.every((entry) => Array.isArray(entry) && entry.every(isNumber));
    if (!Array.isArray(body.embeddings) || !(strings(body.embeddings) || lists(body.embeddings))) {
      wrongType('embeddings: data did not match any variant of untagged enum EmbeddingsPayload');
    }
  }
  body.metadatas?.forEach((metadata, i) => {
    for (const [key, value] of Object.entries(metadata ?? {})) {
      // What is new has nothing that a null could take away.
      if (metadataKind(value) !== null && !(how === 'add' && value === null)) continue;
      const type = how === 'add' ? 'MetadataValue' : 'UpdateMetadataValue';
      wrongType(`metadatas[${i}].${key}: data did not match any variant of untagged enum ${type}`);
    }
  });
  if (body.embeddings?.some((embedding) => embedding?.length === 0)) {
    refuse(400, 'Validation error: embeddings: Each embedding must have at least 1 dimension');
  }
  body.metadatas?.forEach((metadata, i) => {
    for (const [key, value] of Object.entries(metadata ?? {})) {
      const unsorted =
        metadataKind(value) === 'sparse' && value.indices.some((index, at) => at > 0 && index <= value.indices[at - 1]);
      if (key === '' || /^[#$]/.test(key) || unsorted)
        refuse(400, `Validation error: metadatas: Invalid metadata at index ${i}`);
    }
  });
  if (body.ids.includes('')) refuse(400, 'Empty ID, ID must have at least one character');
}

function floatsOf(embedding, at) {
  let floats;
  if (typeof embedding === 'string') {
    const bytes = Buffer.from(embedding, 'base64');
    floats = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  } else floats = Float32Array.from(embedding, Number);
  if (typeof embedding !== 'string' && !floats.every(Number.isFinite)) {
    refuse(400, 'Validation error: embeddings: Embeddings must not contain NaN or Infinity values');
  }
  const bad = floats.find((value) => !Number.isFinite(value));
  if (bad !== undefined) {
    refuse(
      400,
      `Non-finite float value at embedding index ${at}: ${Number.isNaN(bad) ? 'NaN' : bad > 0 ? 'inf' : '-inf'}`,
    );
  }
  return floats;
}

function columns(records, include) {
  const column = (name, read) => (include.includes(name) ? records.map(read) : null);
  return {
    embeddings: column('embeddings', (record) => record.embedding),
    documents: column('documents', (record) => record.document),
    uris: column('uris', (record) => record.uri),
    // The URI is kept as metadata of another name: with one, there is metadata.
    metadatas: column('metadatas', ({ metadata, uri }) =>
      Object.keys(metadata).length === 0 && uri === null ? null : metadata,
    ),
  };
}

const sum = (a, b, term) => {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += term(a[i], b[i]);
  return total;
};
const dot = (a, b) => sum(a, b, (x, y) => x * y);

const distances = {
  l2: (a, b) => sum(a, b, (x, y) => (x - y) ** 2),
  ip: (a, b) => 1 - dot(a, b),
  cosine: (a, b) => {
    const lengths = Math.sqrt(dot(a, a) * dot(b, b));
    return lengths === 0 ? 1 : 1 - dot(a, b) / lengths;
  },
};

const legacy = {
  'hnsw:space': 'space',
  'hnsw:construction_ef': 'ef_construction',
  'hnsw:search_ef': 'ef_search',
  'hnsw:M': 'max_neighbors',
  'hnsw:resize_factor': 'resize_factor',
  'hnsw:sync_threshold': 'sync_threshold',
};

class Collection {
  constructor({ name, tenant, database, configuration, metadata }) {
    Object.assign(this, { id: randomUUID(), name, tenant, database, metadata, dimension: null, records: new Kept() });
    this.hnsw = {
      space: configuration?.spann?.space ?? 'l2',
      ef_construction: 100,
      ef_search: 100,
      max_neighbors: 16,
      resize_factor: new Real(1.2),
      sync_threshold: 1000,
    };
    for (const [key, field] of Object.entries(legacy))
      if (metadata?.[key] !== undefined) this.hnsw[field] = metadata[key];
    for (const [key, value] of Object.entries(configuration?.hnsw ?? {})) if (value !== null) this.hnsw[key] = value;
  }

  described() {
    const { space, ...rest } = this.hnsw;
    const hnsw = { ...rest, num_threads: 2, batch_size: 100 };
    const on = { enabled: true, config: {} };
    const off = { enabled: false, config: {} };
    return {
      id: this.id,
      name: this.name,
      configuration_json: { hnsw: this.hnsw, spann: null, embedding_function: null },
      schema: {
        defaults: {
          string: { fts_index: off, string_inverted_index: on },
          float_list: { vector_index: { enabled: false, config: { space, hnsw } } },
          sparse_vector: {
            sparse_vector_index: { enabled: false, config: { embedding_function: { type: 'unknown' }, bm25: false } },
          },
          int: { int_inverted_index: on },
          float: { float_inverted_index: on },
          bool: { bool_inverted_index: on },
        },
        keys: {
          '#document': { string: { fts_index: on, string_inverted_index: off } },
          '#embedding': {
            float_list: { vector_index: { enabled: true, config: { space, source_key: '#document', hnsw } } },
          },
        },
      },
      metadata: this.metadata,
      dimension: this.dimension,
      tenant: this.tenant,
      database: this.database,
      log_position: 0,
      version: 0,
    };
  }

  checkDimension(found) {
    if (this.dimension === null || found === this.dimension) return;
    refuse(400, `Collection expecting embedding with dimension of ${this.dimension}, got ${found}`);
  }

  /** how: add (what is there stays), upsert (merges), update (what is not there is ignored). */
  write({ ids, embeddings, metadatas, documents, uris }, how) {
    for (const list of [embeddings, metadatas, documents, uris]) {
      if (list && list.length !== ids.length)
        refuse(400, 'Inconsistent number of IDs, embeddings, documents, URIs and metadatas');
    }
    const floats = embeddings?.map((embedding, at) => (embedding === null ? null : floatsOf(embedding, at)));
    const sizes = new Set(floats?.filter(Boolean).map((vector) => vector.length));
    if (sizes.size > 1) refuse(400, 'Inconsistent dimensions in provided embeddings');
    for (const size of sizes) this.checkDimension(size);
    for (const metadata of metadatas ?? []) {
      for (const [key, value] of Object.entries(metadata ?? {})) {
        if (value !== null && isSparse(value))
          refuse(501, `Unimplemented: Sparse vector is not supported for local chroma: ${key}`);
      }
    }
    for (const size of sizes) this.dimension ??= size;
    ids.forEach((id, i) => {
      let record = this.records.get(id);
      if (how === 'add' && record !== undefined) return;
      if (record === undefined) {
        if (how === 'update') return;
        record = { id, embedding: null, metadata: {}, document: null, uri: null };
        this.records.set(id, record);
      }
      record.embedding = floats?.[i] ?? record.embedding;
      record.document = documents?.[i] ?? record.document;
      record.uri = uris?.[i] ?? record.uri;
      const merged = new Map(Object.entries(record.metadata));
      for (const [key, value] of Object.entries(metadatas?.[i] ?? {})) {
        if (key === 'chroma:document') record.document = value;
        else if (value === null || (Array.isArray(value) && value.length === 0)) merged.delete(key);
        else merged.set(key, stored(value));
      }
      record.metadata = Object.fromEntries(merged);
    });
  }
}

// Beyond i64 an integer becomes a float; a float stays one when it is whole.
const stored = (value) => {
  if (Array.isArray(value)) {
    const floats = value.some((entry) => kind(entry) === 'float');
    return floats ? value.map((entry) => new Real(Number(entry))) : value;
  }
  return kind(value) === 'float' ? new Real(Number(value)) : value;
};

const tenant = '/api/v2/tenants/([^/]+)';
const collections = `${tenant}/databases/([^/]+)/collections`;
const records = `${collections}/([^/]+)`;

const routes = Object.entries({
  '/api/v2/version': { GET: () => ok('1.0.0') },
  '/api/v2/heartbeat': {
    GET() {
      return ok({ 'nanosecond heartbeat': BigInt(this.now()) * 1_000_000n + 1n });
    },
  },
  '/api/v2/healthcheck': { GET: () => ok({ is_executor_ready: true, is_log_client_ready: true }) },
  '/api/v2/pre-flight-checks': {
    GET() {
      return ok({ max_batch_size: this.maxBatchSize, supports_base64_encoding: true });
    },
  },
  '/api/v2/auth/identity': {
    GET: () => ok({ user_id: '', tenant: 'default_tenant', databases: ['default_database'] }),
  },
  '/api/v2/reset': {
    POST() {
      if (!this.allowReset) refuse(403, 'Reset is disabled by config');
      this.reset();
      return ok(true);
    },
  },
  '/api/v2/tenants': { POST: FakeChroma.prototype.createTenant },
  [tenant]: { GET: FakeChroma.prototype.getTenant },
  [`${tenant}/databases`]: { POST: FakeChroma.prototype.createDatabase, GET: FakeChroma.prototype.listDatabases },
  [`${tenant}/databases/([^/]+)`]: {
    GET([owner, name]) {
      return ok(this.database(owner, name));
    },
    DELETE([owner, name]) {
      this.database(owner, name);
      this.tenants.get(owner).delete(name);
      return ok({});
    },
  },
  [`${tenant}/databases/([^/]+)/collections_count`]: {
    GET([owner, database]) {
      return ok(this.here(owner, database).length);
    },
  },
  [collections]: {
    POST: FakeChroma.prototype.createCollection,
    GET([owner, database], { query }) {
      const from = Number(query.get('offset') ?? 0);
      const page = this.here(owner, database).slice(from, from + Number(query.get('limit') ?? Infinity));
      return ok(page.map((one) => one.described()));
    },
  },
  [`${collections}/by-id/([^/]+)`]: {
    GET([owner, database, id]) {
      return ok(this.identified(owner, database, id).described());
    },
  },
  [records]: {
    GET([owner, database, name]) {
      return ok(this.named(owner, database, name).described());
    },
    PUT: FakeChroma.prototype.updateCollection,
    DELETE: FakeChroma.prototype.deleteCollection,
  },
  [`${records}/count`]: {
    GET([owner, database, id]) {
      return ok(this.identified(owner, database, id).records.size);
    },
  },
  [`${records}/indexing_status`]: { GET: () => fail('Method scout_logs is not implemented') },
  [`${records}/search`]: {
    POST: () =>
      refuse(501, 'Error executing plan: Not implemented: Search operation is not implemented for local executor'),
  },
  [`${records}/fork`]: { POST: () => refuse(501, 'Collection forking is unsupported for local chroma') },
  [`${records}/get`]: { POST: FakeChroma.prototype.get },
  [`${records}/query`]: { POST: FakeChroma.prototype.query },
  [`${records}/delete`]: { POST: FakeChroma.prototype.delete },
  ...Object.fromEntries(
    ['add', 'upsert', 'update'].map((how) => [
      `${records}/${how}`,
      {
        POST(args, request) {
          return this.write(how)(args, request);
        },
      },
    ]),
  ),
}).map(([pattern, methods]) => ({
  pattern: new RegExp(`^${pattern}$`),
  methods,
  allow: Object.keys(methods)
    .flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method]))
    .join(','),
}));

// A fake Weaviate: REST and as much of GraphQL as searching takes (Get with nearVector, bm25 or hybrid and where;
// Aggregate's meta count), as of 1.40, one node, plain loops, exact distances. What it does is in
// ../shared/contracts/remote-contracts.md and in the recordings that tests/js/fakes-weaviate.test.mjs replays.
//
// Not there: tenants, references, nested objects, geo, groupBy, sort, vectorizers, backups, explainScore's text. Asking for one of
// these is a violation, and so is what auto-schema would have to guess.

import { describe } from './api-description.mjs';
import { Fake, Reply, json } from './fake.mjs';
import { Enum, SyntaxProblem, Variable, location, parseQuery } from './graphql.mjs';
import { Kept } from './kept.mjs';
import { Real, isInteger, isNumber, print, shortest } from './lossless.mjs';
import { BadFilter, stopwords, tokens, where } from './weaviate-where.mjs';

const maxResults = 10_000;
const uuidPattern = /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i;
const unnamed = ''; // the only vector of a class without vectorConfig

const corsHeaders = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': '*',
  'access-control-allow-headers':
    'Content-Type, Authorization, Batch, X-Weaviate-Api-Key, X-Weaviate-Cluster-Url, X-Weaviate-Client',
};

export class FakeWeaviate extends Fake {
  /** apiKey: asked for as a bearer token where given. validate: false for benchmarks. */
  constructor({ apiKey, validate = true, now } = {}) {
    super({
      name: 'weaviate',
      description: validate ? describe('weaviate', { amend }) : null,
      now,
      allowedHeaders: ['authorization'],
    });
    this.apiKey = apiKey;
    this.classes = new Map();
  }

  route(request) {
    const { method, parts, headers } = request;
    if (method === 'OPTIONS') return { status: 200, headers: corsHeaders, body: '' };
    const path = parts.slice(1);
    if (
      parts[0] === 'v1' &&
      path[0] === '.well-known' &&
      ['live', 'ready'].includes(path[1]) &&
      request.url.search === ''
    ) {
      return { status: 200, body: '' };
    }
    try {
      if (this.apiKey !== undefined) this.authorize(headers);
      const answer = parts[0] === 'v1' ? this.dispatch(request, method, path) : undefined;
      if (answer === undefined) {
        this.violate('the fake does not know this operation', request);
        return {
          status: 404,
          headers: { ...corsHeaders },
          body: json({ code: 404, message: `path ${request.url.pathname} was not found` }),
        };
      }
      answer.headers = { ...corsHeaders, ...answer.headers };
      return answer;
    } catch (error) {
      if (!(error instanceof Reply)) throw error;
      error.headers = { ...corsHeaders, ...error.headers };
      throw error;
    }
  }

  authorize({ authorization }) {
    if (authorization === undefined) {
      const message =
        'anonymous access not enabled. Please authenticate through one of the available methods: [API-keys]';
      throw new Reply(401, `{"code":401,"message": "${message}" }`, { 'content-type': 'text/plain; charset=utf-8' });
    }
    if (authorization !== `Bearer ${this.apiKey}`) {
      throw new Reply(401, json({ code: 401, message: 'unauthorized: invalid api key' }));
    }
  }

  malformed({ kind, found }) {
    const why = kind === 'eof' ? 'unexpected EOF' : `invalid character '${found}' looking for beginning of value`;
    throw new Reply(400, json({ code: 400, message: `parsing body body from "" failed, because ${why}` }));
  }

  dispatch(request, method, path) {
    const key = `${method} ${path[0]}${path[1] === 'batch' || path[1] === 'objects' ? `/${path[1]}` : ''}`;
    switch (key) {
      case 'GET meta':
        return ok({ hostname: 'http://127.0.0.1', modules: {}, version: '1.40.0-dev', grpcMaxMessageSize: 104858000 });
      case 'GET schema':
        if (path.length === 1)
          return ok({ classes: [...this.classes.values()].map(({ schema }) => shownClass(schema)) });
        return path.length === 2 ? ok(shownClass(this.named(path[1]).schema)) : undefined;
      case 'POST schema':
        if (path.length === 1) return this.createClass(request.json);
        return path.length === 3 && path[2] === 'properties' ? this.addProperty(path[1], request.json) : undefined;
      case 'DELETE schema':
        if (path.length !== 2) return undefined;
        this.classes.delete(capital(path[1]));
        return { status: 200, body: '' };
      case 'GET objects':
        return path.length === 1 ? this.list(request) : this.getObject(path, request);
      case 'HEAD objects':
        return { status: this.find(path) === undefined ? 404 : 204, body: '' };
      case 'DELETE objects':
        if (path.length !== 3) return undefined;
        return this.deleteObject(path);
      case 'POST batch/objects':
        return this.writeBatch(request);
      case 'DELETE batch/objects':
        return this.deleteBatch(request.json);
      case 'POST graphql':
        return ok(this.graphql(request.json, request));
      case 'POST graphql/batch':
        return ok(request.json.map((query) => this.graphql(query, request)));
      case 'POST backups':
        return unprocessable(
          `no backup backend "${path[1]}": backup: ${path[1]} not found, did you enable the right module?`,
        );
    }
    return undefined;
  }

  // --- classes ---

  named(name) {
    const found = this.classes.get(capital(name));
    if (found === undefined) throw new Reply(404, '');
    return found;
  }

  createClass(body) {
    const name = capital(body.class ?? '');
    if (!/^[A-Z][_0-9A-Za-z]{0,254}$/.test(name)) refused(`'${name}' is not a valid class name`);
    if (this.classes.has(name)) refused(`class name ${name} already exists`);
    const vectors = body.vectorConfig ?? { [unnamed]: body };
    for (const [vector, { vectorIndexConfig: { distance = 'cosine' } = {} }] of Object.entries(vectors)) {
      if (distance in distances) continue;
      refused(
        `updating db: TYPE_ADD_CLASS: apply add class: create index: init shard fake of index ${name.toLowerCase()}: init shard vectors: cannot create vector index for "${vector}": init vector index: unrecognized distance metric "${distance}",choose one of ["cosine", "dot", "l2-squared", "manhattan","hamming"]`,
      );
    }
    const created = new Class({ ...body, class: name });
    this.classes.set(name, created);
    return ok(shownClass(created.schema));
  }

  addProperty(name, property) {
    const { schema } = this.named(name);
    if (schema.properties.some((one) => one.name === property.name)) {
      refused(
        `class "${schema.class}": conflict for property "${property.name}": already in use or provided multiple times`,
      );
    }
    schema.properties.push(described(property));
    return ok(described(property));
  }

  // --- objects ---

  find([, name, id]) {
    return id === undefined ? undefined : this.classes.get(capital(name))?.objects.get(id.toLowerCase());
  }

  getObject(path, { query }) {
    const object = this.find(path);
    if (object === undefined) throw new Reply(404, '');
    return ok(shown(object, query.get('include')));
  }

  deleteObject([, name, id]) {
    const found = this.classes.get(capital(name));
    if (found === undefined) {
      const message = `could not delete object from vector repo: delete from non-existing index for ${name}`;
      throw new Reply(500, json({ error: [{ message }] }));
    }
    found.objects.delete(id.toLowerCase());
    return { status: 204, body: '' };
  }

  list(request) {
    const { query } = request;
    const name = query.get('class');
    if (name === null) {
      this.violate('objects of every class', request);
      return ok({ deprecations: [], objects: [] });
    }
    const found = this.classes.get(capital(name));
    if (found === undefined) throw new Reply(404, '');
    const limit = Number(query.get('limit') ?? 10);
    const offset = Number(query.get('offset') ?? 0);
    const after = query.get('after');
    if (offset + limit > maxResults) {
      return unprocessable(`msg:offset or limit code:400 err:${tooMany(offset, limit)}`);
    }
    if (after && query.has('offset')) this.violate('after and offset at once', request);
    const all = after === null ? found.objects.list() : found.objects.sorted((a, b) => (a < b ? -1 : 1));
    const from = after === null || after === '' ? offset : all.findIndex(({ id }) => id > after.toLowerCase());
    const page = from < 0 ? [] : all.slice(from, from + limit);
    const objects = page.map((object) => shown(object, query.get('include')));
    return ok({ deprecations: [], objects, ...(objects.length > 0 ? { totalResults: objects.length } : {}) });
  }

  writeBatch(request) {
    const { objects } = request.json;
    if (objects.length === 0)
      return unprocessable("invalid param 'objects': cannot be empty, need at least one object for batching");
    objects.forEach(({ id }, i) => {
      if (id !== undefined && uuidPattern.test(id)) return;
      if (id === undefined) this.violate('an object without an id', request);
      throw new Reply(
        422,
        json({ code: 601, message: `body.objects.${i}.id in body must be of type uuid: ${JSON.stringify(id)}` }),
      );
    });
    const time = this.now();
    return ok(
      objects.map((given) => {
        const result = this.writeObject(given, time, request);
        return {
          ...result.object,
          deprecations: null,
          result: result.error === null ? { status: 'SUCCESS' } : failed(result.error),
        };
      }),
    );
  }

  writeObject(given, time, request) {
    const name = capital(given.class);
    if (!this.classes.has(name)) {
      this.violate(`an object of the class ${name}, which is not there`, request);
      this.createClass({
        class: name,
        vectorConfig: { default: { vectorizer: { none: {} }, vectorIndexType: 'hnsw', vectorIndexConfig: {} } },
      });
    }
    const found = this.classes.get(name);
    const id = given.id.toLowerCase();
    const vectors = { ...given.vectors };
    // The vector of an object goes to the one named vector, where there is one.
    const names = Object.keys(found.distances);
    if (given.vector !== undefined) vectors[names[0]] = given.vector;
    // An empty vector is none.
    const filled = Object.entries(vectors).filter(([, list]) => list.length > 0);
    const floats = Object.fromEntries(filled.map(([key, list]) => [key, Float32Array.from(list, Number)]));
    const object = {
      class: name,
      creationTimeUnix: found.objects.get(id)?.creationTimeUnix ?? time,
      id,
      lastUpdateTimeUnix: time,
      properties: found.stored(given.properties ?? {}),
      vectors: floats,
    };
    const error = this.wrong(found, object, request);
    if (error === null) {
      found.objects.set(id, object);
      found.measure(object.properties);
      for (const [key, vector] of Object.entries(floats)) found.dimensions[key] ??= vector.length;
    }
    return { object: { ...object, ...printed(object) }, error };
  }

  /** Why an object is refused, or null. */
  wrong(found, { id, properties, vectors }, request) {
    for (const [name, value] of Object.entries(properties)) {
      const property = found.schema.properties.find((one) => one.name === name);
      if (property === undefined) {
        this.violate(`a property ${name} that the class does not declare`, request);
        continue;
      }
      if (value === null) continue;
      const why = misfit(value, property.dataType[0]);
      if (why !== null)
        return `invalid ${why.type} property '${name}' on class '${found.schema.class}': ${why.message}`;
    }
    for (const [name, vector] of Object.entries(vectors)) {
      if (!(name in found.distances))
        return `collection ${found.schema.class} does not have configuration for vector ${name}`;
      const known = found.dimensions[name];
      if (known !== undefined && known !== vector.length) {
        return `Validate vector index ${name} for target vector ${id}: new node has a vector with length ${vector.length}. Existing nodes have vectors with length ${known}: vector dimensions do not match the index dimensions`;
      }
    }
    return null;
  }

  deleteBatch(body) {
    const { match, output = 'minimal', dryRun = false } = body;
    const found = this.classes.get(capital(match.class));
    if (found === undefined) return unprocessable(`validate: failed to get class: ${match.class}`);
    let test;
    try {
      test = where(match.where, found.schema);
    } catch (error) {
      if (!(error instanceof BadFilter)) throw error;
      return unprocessable(
        `validate: ${error.message.startsWith('invalid where filter') ? 'failed to parse where filter' : 'invalid where filter'}: ${error.message}`,
      );
    }
    const objects = [...found.objects.values()].filter(test).slice(0, maxResults);
    if (!dryRun) for (const { id } of objects) found.objects.delete(id);
    const status = dryRun ? 'DRYRUN' : 'SUCCESS';
    return ok({
      deletionTimeUnixMilli: -62135596800000,
      dryRun,
      match: { ...match, where: { operands: null, ...match.where } },
      output,
      results: {
        failed: 0,
        limit: maxResults,
        matches: objects.length,
        objects: output === 'verbose' ? objects.map(({ id }) => ({ id, status })) : null,
        successful: dryRun ? 0 : objects.length,
      },
    });
  }

  // --- GraphQL ---

  graphql({ query }, request) {
    if (this.classes.size === 0) {
      unprocessable(
        'no graphql provider present, this is most likely because no schema is present. Import a schema first!',
      );
    }
    let parsed;
    try {
      parsed = parseQuery(query);
    } catch (error) {
      if (!(error instanceof SyntaxProblem)) throw error;
      this.violate(`GraphQL: ${error.expected}, found ${error.found}`, request);
      const { line, column } = location(query, error.at);
      const source = query.split('\n')[line - 1];
      const message = `Syntax Error GraphQL request (${line}:${column}) ${error.expected}, found ${error.found}\n\n${line}: ${source}\n${' '.repeat(column + 2)}^\n`;
      return { errors: [{ locations: [{ column, line }], message, path: null }] };
    }
    const wrong = this.typeError(parsed, query);
    if (wrong !== null) {
      // A class may be gone without the adapter knowing it.
      if (!/^Cannot query field .* "(Get|Aggregate)ObjectsObj"/.test(wrong.message))
        this.violate(`GraphQL: ${wrong.message}`, request);
      return { errors: [{ ...wrong, path: null }] };
    }
    const data = {};
    const errors = [];
    for (const root of parsed.fields) {
      data[root.alias] = {};
      for (const field of root.fields) {
        try {
          const found = this.classes.get(field.name);
          data[root.alias][field.alias] =
            root.name === 'Get'
              ? this.getField(found, field, request)
              : [{ meta: { count: this.searched(found, field).length } }];
        } catch (error) {
          if (!(error instanceof QueryError)) throw error;
          if (/pagination|no value<Type>|no operands|does not take|alpha/.test(error.message))
            this.violate(`GraphQL: ${error.message}`, request);
          data[root.alias][field.alias] = null;
          errors.push({
            locations: [location(query, field.at)],
            message: error.message,
            path: [root.alias, field.alias],
          });
        }
      }
    }
    return errors.length === 0 ? { data } : { data, errors };
  }

  /** What does not fit the schema: { locations, message }, or null. */
  typeError({ variables, fields }, query) {
    const unknown = (field, type) => ({
      locations: [location(query, field.at)],
      message: `Cannot query field "${field.name}" on type "${type}".`,
    });
    for (const root of fields) {
      if (!['Get', 'Aggregate'].includes(root.name)) return unknown(root, 'WeaviateObj');
      for (const field of root.fields) {
        const found = this.classes.get(field.name);
        if (found === undefined) return unknown(field, root.name === 'Get' ? 'GetObjectsObj' : 'AggregateObjectsObj');
        const vector = field.arguments.nearVector?.vector;
        if (vector instanceof Variable) {
          const { type, at } = variables[vector.name];
          return {
            locations: [location(query, at), location(query, vector.at)],
            message: `Variable "$${vector.name}" of type "${type}" used in position expecting type "GetObjects${field.name}NearVectorVectorScalar".`,
          };
        }
        const allowed = root.name === 'Get' ? getArguments : ['where'];
        for (const name of Object.keys(field.arguments)) {
          if (allowed.includes(name)) continue;
          return {
            locations: [location(query, field.at)],
            message: `Unknown argument "${name}" on field "${field.name}" of type "GetObjectsObj".`,
          };
        }
        if (root.name !== 'Get') continue;
        for (const inner of field.fields) {
          if (inner.name !== '_additional' && !found.schema.properties.some(({ name }) => name === inner.name)) {
            return unknown(inner, field.name);
          }
          for (const additional of inner.name === '_additional' ? inner.fields : []) {
            if (!additionalFields.includes(additional.name)) return unknown(additional, `${field.name}Additional`);
          }
        }
      }
    }
    return null;
  }

  searched(found, field) {
    const clause = field.arguments.where;
    const objects = [...found.objects.values()];
    if (clause === undefined) return objects;
    const plain = (one) => ({
      ...one,
      operator: one.operator instanceof Enum ? one.operator.name : one.operator,
      ...(one.operands ? { operands: [one.operands].flat().map(plain) } : {}),
      ...(one.path ? { path: [one.path].flat() } : {}),
    });
    try {
      return objects.filter(where(plain(clause), found.schema));
    } catch (error) {
      if (!(error instanceof BadFilter)) throw error;
      if (error.message.startsWith('invalid where filter'))
        throw new QueryError(`could not extract filters: ${error.message}`);
      throw new QueryError(
        error.invalid ? `invalid 'where' filter: ${error.message}` : `explorer: get class: ${error.message}`,
      );
    }
  }

  getField(found, field, request) {
    const { nearVector, bm25, hybrid, limit = 100, offset = 0, after } = field.arguments;
    const { tenant, sort, groupBy, nearText, nearObject } = field.arguments;
    if ([tenant, sort, groupBy, nearText, nearObject].some((one) => one !== undefined)) {
      this.violate('an argument of Get that the fake does not know', request);
    }
    const what =
      nearVector !== undefined
        ? 'get class: concurrentTargetVectorSearch): explorer: get class: vector search'
        : bm25 !== undefined || hybrid !== undefined
          ? 'get class: vector search'
          : 'list class: search';
    const prefix = `explorer: ${what}: invalid pagination params: `;
    const alpha = hybrid === undefined ? 0 : Number(hybrid.alpha ?? 0.75);
    if (alpha < 0 || alpha > 1)
      throw new QueryError('failed to extract hybrid params: alpha should be between 0.0 and 1.0');
    const candidates = this.searched(found, field);
    if (limit === 0) throw new QueryError(`${prefix}invalid default limit: 0`);
    if (offset + limit > maxResults) {
      throw new QueryError(`${prefix}${tooMany(offset, limit)}`);
    }
    let hits;
    if (nearVector !== undefined) {
      hits = found.near(nearVector, candidates);
      const most =
        nearVector.distance ?? (nearVector.certainty === undefined ? undefined : 2 - 2 * Number(nearVector.certainty));
      if (most !== undefined) hits = hits.filter(({ distance }) => distance <= Number(most));
    } else if (hybrid !== undefined) {
      hits = found.hybrid(hybrid, alpha, candidates, Math.max(100, offset + limit));
    } else if (bm25 !== undefined) {
      hits = found.bm25(bm25, candidates);
    } else {
      hits = candidates.map((object) => ({ object }));
      if (after !== undefined) {
        hits.sort((a, b) => (a.object.id < b.object.id ? -1 : 1));
        hits = hits.filter(({ object }) => object.id > after.toLowerCase());
      }
    }
    return hits.slice(offset, offset + limit).map((hit) => project(hit, field.fields, found));
  }
}

// Vectors are lists, which the description does not say.
function amend({ definitions }) {
  definitions.Vector = { type: 'array', items: { type: 'number' } };
}

class QueryError extends Error {}

const tooMany = (offset, limit) =>
  `query maximum results exceeded: the total limit calculated from the provided offset '${offset}' and limit '${limit}' exceeds the configured value for QUERY_MAXIMUM_RESULTS '${maxResults}'. If you've supplied a negative offset or limit, this may be an underflow error`;

const getArguments =
  'nearVector bm25 hybrid where limit offset after tenant sort groupBy nearText nearObject autocut consistencyLevel'.split(
    ' ',
  );
const additionalFields =
  'id distance certainty score explainScore vector vectors creationTimeUnix lastUpdateTimeUnix isConsistent'.split(' ');

const ok = (value) => ({ status: 200, body: json(value) });

function refused(message) {
  throw new Reply(422, json({ allowed: null, error: [{ message }] }));
}

function unprocessable(message) {
  throw new Reply(422, json({ error: [{ message }] }));
}

// No properties are null.
const shownClass = (schema) => ({ ...schema, properties: schema.properties.length === 0 ? null : schema.properties });

const failed = (message) => ({ errors: { error: [{ message }] }, status: 'FAILED' });

const capital = (name) => name.slice(0, 1).toUpperCase() + name.slice(1);

/** Floats as Go prints them: whole ones without a point. */
const numbers = (floats) => Array.from(floats, shortest);

function printed({ vectors }) {
  const named = Object.fromEntries(Object.entries(vectors).filter(([name]) => name !== unnamed));
  const out = {};
  if (Object.keys(named).length > 0)
    out.vectors = Object.fromEntries(Object.entries(named).map(([name, floats]) => [name, numbers(floats)]));
  else out.vectors = undefined;
  if (unnamed in vectors) out.vector = numbers(vectors[unnamed]);
  return out;
}

function shown(object, include) {
  const vectors = /(^|,)vector(,|$)/.test(include ?? '') ? printed(object) : { vectors: undefined };
  return { ...object, ...vectors, vectorWeights: null };
}

/** How a value does not fit a data type: { type, message }, or null. */
function misfit(value, dataType) {
  const shownValue = typeof value === 'string' ? value : print(value);
  const checks = {
    text: ['text', (one) => typeof one === 'string', () => `not a string, but ${goType(value)}`],
    int: [
      'integer',
      (one) => isInteger(one) || (one instanceof Real && Number.isInteger(one.value)),
      () =>
        isNumber(value)
          ? `the JSON number '${shownValue}' could not be converted to an int`
          : `requires an integer, the given value is '${shownValue}'`,
    ],
    number: ['number', isNumber, () => `requires a float, the given value is '${shownValue}'`],
    boolean: ['boolean', (one) => typeof one === 'boolean', () => `not a bool, but ${goType(value)}`],
    date: [
      'date',
      (one) =>
        typeof one === 'string' &&
        /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(one) &&
        !Number.isNaN(Date.parse(one)),
      () => `requires a string with a RFC3339 formatted date, but the given value is '${shownValue}'`,
    ],
  };
  const base = dataType.replace('[]', '');
  const [type, fits, message] = checks[base] ?? ['', () => true];
  if (base === dataType) return fits(value) ? null : { type, message: message() };
  if (!Array.isArray(value)) return { type: `${type} array`, message: `not a ${base} array, but ${goType(value)}` };
  return value.every(fits) ? null : { type: `${type} array`, message: `invalid ${base} array value: ${shownValue}` };
}

const goType = (value) =>
  Array.isArray(value)
    ? '[]interface {}'
    : typeof value === 'string'
      ? 'string'
      : typeof value === 'boolean'
        ? 'bool'
        : 'json.Number';

const sum = (a, b, term) => {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += term(a[i], b[i]);
  return total;
};
const dot = (a, b) => sum(a, b, (x, y) => x * y);

const distances = {
  cosine: (a, b) => {
    const lengths = Math.sqrt(dot(a, a) * dot(b, b));
    return lengths === 0 ? 1 : Math.max(0, 1 - dot(a, b) / lengths);
  },
  dot: (a, b) => -dot(a, b),
  'l2-squared': (a, b) => sum(a, b, (x, y) => (x - y) ** 2),
  manhattan: (a, b) => sum(a, b, (x, y) => Math.abs(x - y)),
  hamming: (a, b) => sum(a, b, (x, y) => Number(x !== y)),
};

function described(property) {
  const [dataType] = property.dataType;
  const text = dataType.startsWith('text');
  return {
    dataType: property.dataType,
    ...(property.description === undefined ? {} : { description: property.description }),
    indexFilterable: property.indexFilterable ?? true,
    indexRangeFilters: property.indexRangeFilters ?? false,
    indexSearchable: property.indexSearchable ?? text,
    name: property.name,
    ...(text ? { tokenization: property.tokenization ?? 'word' } : {}),
  };
}

const indexDefaults = {
  skip: false,
  cleanupIntervalSeconds: 300,
  maxConnections: 32,
  efConstruction: 128,
  ef: -1,
  dynamicEfMin: 100,
  dynamicEfMax: 500,
  dynamicEfFactor: 8,
  vectorCacheMaxObjects: 1000000000000,
  flatSearchCutoff: 40000,
  distance: 'cosine',
  pq: {
    enabled: false,
    bitCompression: false,
    segments: 0,
    centroids: 256,
    trainingLimit: 100000,
    encoder: { type: 'kmeans', distribution: 'log-normal' },
  },
  bq: { enabled: false },
  sq: { enabled: false, trainingLimit: 100000, rescoreLimit: 20 },
  rq: { enabled: false, bits: 8, rescoreLimit: 20 },
  filterStrategy: 'acorn',
  multivector: {
    enabled: false,
    muvera: { enabled: false, ksim: 4, dprojections: 16, repetitions: 10 },
    aggregation: 'maxSim',
  },
  skipDefaultQuantization: false,
  trackDefaultQuantization: false,
};

/** Settings that were given over the defaults, object by object. */
function over(defaults, given = {}) {
  const merged = { ...defaults };
  for (const [key, value] of Object.entries(given ?? {})) {
    const inner =
      typeof value === 'object' && value !== null && !Array.isArray(value) && typeof defaults[key] === 'object';
    merged[key] = inner ? over(defaults[key], value) : value;
  }
  return merged;
}

const wordsOf = (value, tokenization) => [value ?? []].flat().flatMap((text) => tokens(text, tokenization));

class Class {
  constructor(body) {
    const vector = (given) => ({
      vectorIndexConfig: over(indexDefaults, given.vectorIndexConfig),
      vectorIndexType: given.vectorIndexType ?? 'hnsw',
    });
    const named = body.vectorConfig;
    this.schema = {
      class: body.class,
      ...(body.description === undefined ? {} : { description: body.description }),
      invertedIndexConfig: over(
        {
          bm25: { b: new Real(0.75), k1: new Real(1.2) },
          cleanupIntervalSeconds: 60,
          stopwords: { additions: null, preset: 'en', removals: null },
          usingBlockMaxWAND: true,
        },
        body.invertedIndexConfig,
      ),
      multiTenancyConfig: over(
        { autoTenantActivation: false, autoTenantCreation: false, enabled: false },
        body.multiTenancyConfig,
      ),
      properties: (body.properties ?? []).map(described),
      shardingConfig: {
        virtualPerPhysical: 128,
        desiredCount: 1,
        actualCount: 1,
        desiredVirtualCount: 128,
        actualVirtualCount: 128,
        key: '_id',
        strategy: 'hash',
        function: 'murmur3',
      },
      replicationConfig: over(
        { deletionStrategy: 'TimeBasedResolution', factor: 1, asyncEnabled: false },
        body.replicationConfig,
      ),
      ...(named === undefined
        ? { vectorizer: body.vectorizer ?? 'none', ...vector(body) }
        : {
            vectorConfig: Object.fromEntries(
              Object.entries(named).map(([name, given]) => [
                name,
                { ...vector(given), vectorizer: given.vectorizer ?? { none: {} } },
              ]),
            ),
          }),
    };
    const indexed = named === undefined ? { [unnamed]: this.schema } : this.schema.vectorConfig;
    this.distances = Object.fromEntries(
      Object.entries(indexed).map(([name, one]) => [name, one.vectorIndexConfig.distance]),
    );
    this.dimensions = {};
    this.lengths = {}; // of the texts that were ever written, also of those that are gone: { sum, count } in words
    this.objects = new Kept(); // id -> object, in order of insertion
  }

  /** Properties as they are kept: an integer is a double to the server, and what is null is not kept. */
  stored(properties) {
    const kept = Object.entries(properties).filter(([, value]) => value !== null);
    const round = (value) =>
      typeof value === 'bigint' ? BigInt(Number(value)) : value instanceof Real ? value.value : value;
    return Object.fromEntries(
      kept.map(([name, value]) => [name, Array.isArray(value) ? value.map(round) : round(value)]),
    );
  }

  /** Counts the lengths of what is written; the server does not take them back when it is replaced. */
  measure(properties) {
    for (const { name, tokenization, indexSearchable } of this.schema.properties) {
      if (!indexSearchable) continue;
      const { length } = wordsOf(properties[name], tokenization);
      if (length === 0) continue;
      const lengths = (this.lengths[name] ??= { sum: 0, count: 0 });
      lengths.sum += length;
      lengths.count++;
    }
  }

  near({ vector, targetVectors }, candidates) {
    const names = Object.keys(this.distances);
    const name = [targetVectors ?? names[0]].flat()[0];
    if (!(name in this.distances)) {
      const index = this.schema.class.toLowerCase();
      throw new QueryError(
        `explorer: get class: concurrentTargetVectorSearch): explorer: get class: vector search: object vector search at index ${index}: shard ${index}_fake: index for target vector "${name}" not found`,
      );
    }
    const wanted = Float32Array.from(vector, Number);
    const known = this.dimensions[name];
    if (known !== undefined && known !== wanted.length) {
      throw new QueryError(
        `explorer: get class: concurrentTargetVectorSearch): explorer: get class: vector search: object vector search at index ${this.schema.class.toLowerCase()}: shard ${this.schema.class.toLowerCase()}_fake: vector search: knn search: distance between entrypoint and query node: ${known} vs ${wanted.length}: vector lengths don't match`,
      );
    }
    const distance = distances[this.distances[name]];
    const hits = candidates
      .filter((object) => name in object.vectors)
      .map((object) => ({ object, distance: Math.fround(distance(wanted, object.vectors[name])) }));
    // Equal distances stand in no order: here the newest first, which is not the order of ids.
    return hits.reverse().sort((a, b) => a.distance - b.distance);
  }

  /** score = sum over terms of idf * tf / (tf + k1 * (1 - b + b * length / mean length)). */
  bm25({ query, properties }, candidates) {
    const { k1, b } = this.schema.invertedIndexConfig.bm25;
    const searchable = this.schema.properties.filter((one) => one.indexSearchable);
    const chosen = (properties ?? searchable.map(({ name }) => name)).map((text) => {
      const [name, boost = '1'] = text.split('^');
      const property = searchable.find((one) => one.name === name);
      if (property === undefined) {
        throw new QueryError(
          `explorer: get class: local shard object search: property ${name} is not indexed for searching, set indexSearchable`,
        );
      }
      return { ...property, boost: Number(boost) };
    });
    const scores = new Map();
    for (const { name, tokenization, boost } of chosen) {
      const texts = new Map();
      for (const object of this.objects.values()) {
        texts.set(object, wordsOf(object.properties[name], tokenization));
      }
      const { sum: total, count } = this.lengths[name] ?? { sum: 0, count: 1 };
      const mean = total / count;
      const terms = new Set(
        tokens(query, tokenization).filter((term) => tokenization !== 'word' || !stopwords.has(term)),
      );
      for (const term of terms) {
        const having = [...texts].filter(([, words]) => words.includes(term)).length;
        const idf = Math.log(1 + (this.objects.size - having + 0.5) / (having + 0.5));
        for (const object of candidates) {
          const words = texts.get(object);
          const frequency = words.filter((word) => word === term).length;
          if (frequency === 0) continue;
          const weight = frequency / (frequency + Number(k1) * (1 - Number(b) + (Number(b) * words.length) / mean));
          scores.set(object, (scores.get(object) ?? 0) + boost * idf * weight);
        }
      }
    }
    const hits = [...scores].map(([object, score]) => ({ object, score }));
    return hits.sort((x, y) => y.score - x.score);
  }

  hybrid(given, alpha, candidates, most) {
    const legs = [];
    if (alpha < 1) legs.push({ weight: 1 - alpha, hits: this.bm25(given, candidates).slice(0, most) });
    if (alpha > 0) {
      if (given.vector === undefined) throw new QueryError('explorer: get class: vectorizer: no vectorizer configured');
      let hits = this.near(given, candidates);
      if (given.maxVectorDistance !== undefined)
        hits = hits.filter(({ distance }) => distance <= Number(given.maxVectorDistance));
      legs.push({
        weight: alpha,
        hits: hits.slice(0, most).map(({ object, distance }) => ({ object, score: 1 - distance })),
      });
    }
    const ranked = (given.fusionType?.name ?? 'relativeScoreFusion') === 'rankedFusion';
    const scores = new Map();
    for (const { weight, hits } of legs) {
      const all = hits.map(({ score }) => score);
      const [low, high] = [Math.min(...all), Math.max(...all)];
      hits.forEach(({ object, score }, rank) => {
        // Equal scores are all the best.
        const share = ranked ? 1 / (rank + 60) : high === low ? 1 : (score - low) / (high - low);
        scores.set(object, (scores.get(object) ?? 0) + weight * share);
      });
    }
    const hits = [...scores].map(([object, score]) => ({ object, score }));
    return hits.sort((x, y) => y.score - x.score);
  }
}

/** One hit as the query's fields want it. */
function project({ object, distance, score }, fields, found) {
  const out = {};
  for (const field of fields) {
    if (field.name !== '_additional') {
      const value = object.properties[field.name] ?? null;
      const [dataType] = found.schema.properties.find(({ name }) => name === field.name).dataType;
      // GraphQL's integers have 32 bits.
      const small = (one) => (isNumber(one) && Math.abs(Number(one)) < 2 ** 31 ? one : null);
      out[field.alias] =
        dataType === 'int' ? small(value) : dataType === 'int[]' && value !== null ? value.map(small) : value;
      continue;
    }
    const vectors = () => {
      const wanted = field.fields.find(({ name }) => name === 'vectors').fields.map(({ name }) => name);
      return Object.fromEntries(
        wanted.map((name) => [name, name in object.vectors ? numbers(object.vectors[name]) : null]),
      );
    };
    const decimal = (value) => {
      const text = String(shortest(Math.fround(value)));
      return text.includes('e') ? shortest(Math.fround(value)).toFixed(20).replace(/0+$/, '') : text;
    };
    const values = {
      id: () => object.id,
      distance: () => (distance === undefined ? null : shortest(distance)),
      certainty: () => (distance === undefined ? null : 1 - distance / 2),
      score: () => (score === undefined ? '0' : decimal(score)),
      explainScore: () => '',
      vector: () => (unnamed in object.vectors ? numbers(object.vectors[unnamed]) : []),
      vectors,
      creationTimeUnix: () => String(object.creationTimeUnix),
      lastUpdateTimeUnix: () => String(object.lastUpdateTimeUnix),
      isConsistent: () => true,
    };
    out[field.alias] = Object.fromEntries(field.fields.map(({ name, alias }) => [alias, values[name]()]));
  }
  return out;
}

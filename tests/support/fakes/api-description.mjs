// Judges requests by a server's API description (../shared/contracts/<name>-openapi.json): OpenAPI 3.0 and 3.1, Swagger 2.0.
//
// Stricter than the servers: an object with declared properties takes no others, a query takes only declared parameters.

import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import path from 'node:path';

import Ajv from 'ajv/dist/2020.js';

import { plain } from './lossless.mjs';

const project = path.dirname(path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url)))));

export const contracts = process.env.NEARFIELD_CONTRACTS ?? path.join(project, '..', 'shared', 'contracts');

const uuid = /^(urn:uuid:)?[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i;

/** The description of 'qdrant', 'chroma' or 'weaviate', or null with a message: it lies beside the project. */
export function describe(name, options = {}) {
  const file = path.join(contracts, `${name}-openapi.json`);
  if (!existsSync(file)) {
    if (!told.has(name)) console.log(`skipped: requests to the fake ${name} are not validated, ${file} is absent`);
    told.add(name);
    return null;
  }
  // Reading one takes a tenth of a second, and a test makes many fakes.
  if (!known.has(name)) known.set(name, new ApiDescription(JSON.parse(readFileSync(file, 'utf8')), options));
  return known.get(name);
}
const told = new Set();
const known = new Map();

export class ApiDescription {
  /** amend(document): mends what the description says wrongly. extra: paths that it leaves out, as pattern -> methods. */
  constructor(document, { amend = () => {} } = {}) {
    amend(document);
    this.document = document;
    this.ajv = new Ajv({ strict: false, validateFormats: true, logger: false });
    this.ajv.addFormat('uuid', uuid);
    for (const format of ['int', 'int32', 'int64', 'uint', 'uint8', 'uint16', 'uint32', 'uint64', 'float', 'double']) {
      this.ajv.addFormat(format, true);
    }
    this.ajv.addFormat('date-time', true);
    this.ajv.addFormat('binary', true);
    const definitions = document.components?.schemas ?? document.definitions;
    const converted = {};
    for (const [name, schema] of Object.entries(definitions)) converted[name] = this.convert(schema);
    this.ajv.addSchema({ $id: 'api', $defs: converted });
    this.base = document.basePath ?? '';
    this.routes = [];
    for (const [template, methods] of Object.entries(document.paths)) {
      const source = template.replaceAll(/[.$^+*?()|[\]\\]/g, '\\$&').replaceAll(/\{[^}]+\}/g, '([^/]+)');
      this.routes.push({ pattern: new RegExp(`^${this.base}${source}$`), template, methods });
    }
    // Literal paths before those with placeholders: /points/query before /points/{id}.
    this.routes.sort((a, b) => a.template.split('{').length - b.template.split('{').length);
    this.operations = new Map();
  }

  resolve(node) {
    while (node?.$ref !== undefined) {
      node = node.$ref
        .slice(2)
        .split('/')
        .reduce((at, key) => at[key.replaceAll('~1', '/').replaceAll('~0', '~')], this.document);
    }
    return node;
  }

  /** A schema of these dialects as one of JSON Schema 2020-12. */
  convert(schema) {
    if (typeof schema !== 'object' || schema === null) return schema;
    if (schema.$ref !== undefined) {
      return { $ref: `api#/$defs/${schema.$ref.slice(schema.$ref.lastIndexOf('/') + 1)}` };
    }
    // An object made of several: with additionalProperties false none of its parts would take the others' properties.
    if (schema.allOf?.length > 1) {
      const merged = { type: 'object', properties: {}, required: [] };
      for (const part of [schema, ...schema.allOf.map((inner) => this.resolve(inner))]) {
        Object.assign(merged.properties, part.properties);
        merged.required.push(...(part.required ?? []));
      }
      return this.convert(merged);
    }
    const out = {};
    for (const [key, value] of Object.entries(schema)) {
      if (['properties', 'patternProperties'].includes(key)) {
        out[key] = Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, this.convert(inner)]));
      } else if (['items', 'additionalProperties', 'not'].includes(key)) {
        out[key] = this.convert(value);
      } else if (['anyOf', 'allOf', 'oneOf'].includes(key)) {
        // Every integer is a number, too: "exactly one" cannot be meant.
        out[key === 'oneOf' ? 'anyOf' : key] = value.map((inner) => this.convert(inner));
      } else if (
        [
          'type',
          'required',
          'enum',
          'format',
          'minimum',
          'maximum',
          'minLength',
          'maxLength',
          'minItems',
          'maxItems',
        ].includes(key)
      ) {
        out[key] = value;
      }
    }
    if (out.required?.length === 0) delete out.required;
    if (out.properties !== undefined) out.additionalProperties ??= false;
    if (schema.nullable || schema['x-nullable']) {
      if (Object.keys(schema).length === 1) return { type: 'null' };
      return { anyOf: [{ type: 'null' }, out] };
    }
    return out;
  }

  operation(method, pathname) {
    for (const { pattern, template, methods } of this.routes) {
      if (!pattern.test(pathname)) continue;
      const found = methods[method.toLowerCase()] ?? (method === 'HEAD' ? methods.get : undefined);
      if (found === undefined) continue;
      const key = `${method} ${template}`;
      if (!this.operations.has(key)) this.operations.set(key, this.compile(found, methods.parameters ?? []));
      return this.operations.get(key);
    }
    return undefined;
  }

  compile(operation, shared) {
    const parameters = [...shared, ...(operation.parameters ?? [])].map((parameter) => this.resolve(parameter));
    const body = parameters.find((parameter) => parameter.in === 'body');
    const schema =
      body?.schema ?? this.resolve(operation.requestBody)?.content?.['application/json']?.schema ?? undefined;
    return {
      query: new Map(
        parameters
          .filter((parameter) => parameter.in === 'query')
          .map((parameter) => [parameter.name, this.resolve(parameter.schema ?? parameter)]),
      ),
      validate: schema === undefined ? null : this.ajv.compile(this.convert(schema)),
      required: body?.required ?? this.resolve(operation.requestBody)?.required ?? false,
    };
  }

  /** What is wrong with a request, each as a text; empty: nothing. */
  judge({ method, url, text, tree }) {
    const operation = this.operation(method, url.pathname);
    if (operation === undefined) return ['no such operation in the API description'];
    const wrong = [];
    for (const [name, value] of url.searchParams) {
      const schema = operation.query.get(name);
      if (schema === undefined) wrong.push(`no query parameter ${name} in the API description`);
      else if (!fits(value, schema)) wrong.push(`query parameter ${name}=${value} is not of type ${schema.type}`);
    }
    if (operation.validate === null) {
      if (text !== '') wrong.push('a body where the API description has none');
    } else if (text === '') {
      if (operation.required) wrong.push('no body');
    } else {
      const { value, error, plain: asIs } = tree();
      if (error !== undefined) wrong.push(`body is not JSON: ${error.message}`);
      else if (!operation.validate(asIs ? value : plain(value))) {
        const { instancePath, message, params } = operation.validate.errors.at(-1);
        wrong.push(`body${instancePath} ${message} ${JSON.stringify(params)}`);
      }
    }
    return wrong;
  }
}

function fits(value, schema) {
  const types = [schema.type].flat();
  if (types.includes('integer')) return /^\d+$/.test(value);
  if (types.includes('number')) return value !== '' && Number.isFinite(Number(value));
  if (types.includes('boolean')) return value === 'true' || value === 'false';
  return true;
}

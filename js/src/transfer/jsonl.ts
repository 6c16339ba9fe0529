// Points as JSON Lines: a header, then a point a line. FORMAT.md describes it.
import { encodeJson, isObject, isWellFormed, shown } from '../check.js';
import { reasonOf } from '../errors.js';
import { metrics, type Metric } from '../generated/metrics.js';
import type { RawPoint } from '../raw.js';
import { vectorText } from './floats.js';
import { membersOf } from './json.js';
import type { Bytes } from './lines.js';

export const formatName = 'nearfield-points';
export const formatVersion = 1;
const maxDimension = 65_536;
// As core/collection/collection.h has them.
const maxIdBytes = 1024;
const maxTextBytes = 16 << 20;
const maxPayloadBytes = 1 << 20;
// {"id":"a"} and the line's end.
const leastPointBytes = 11;

/** Where the vectors are: in the lines, or in a file beside them. */
export type VectorPlace = 'inline' | 'npy' | 'fvecs';

export interface PointsHeader {
  /** What made the vectors; '' where nobody said. */
  model: string;
  /** 0: there are none. */
  dimension: number;
  metric: Metric;
  /** Points in the file. */
  count: number;
  vectors: VectorPlace;
}

/** Without the line's end. */
export function headerLine({ model, dimension, metric, count, vectors }: PointsHeader): string {
  const where = vectors === 'inline' ? {} : { vectors };
  const named = model === '' ? {} : { model };
  return JSON.stringify({ format: formatName, version: formatVersion, ...named, dimension, metric, ...where, count });
}

/** `row`: of the vector in the file beside; -1: there is no such file. */
export function pointLine({ id, text, payload, vector }: RawPoint, row: number): string {
  let line = `{"id":${JSON.stringify(id)}`;
  if (vector !== undefined) line += row < 0 ? `,"vector":${vectorText(vector)}` : `,"row":${row}`;
  if (text !== undefined) line += `,"text":${JSON.stringify(text)}`;
  if (payload !== undefined) line += `,"payload":${payload}`;
  return `${line}}`;
}

/** Whether the first line of a file is meant as a header. */
export function looksLikeHeader(line: string): boolean {
  return /^\s*\{\s*"format"\s*:/.test(line);
}

/** Throws FormatError, also where the file is too short for what it announces. */
export function readHeader(line: string, bytes: Bytes): PointsHeader {
  const given = parseObject(line, bytes);
  const { format, version, model = '', dimension, metric, count, vectors = 'inline', ...rest } = given;
  const bad = (name: string, expected: string, value: unknown) =>
    bytes.wrong(`${name} of the header must be ${expected}, got ${shown(value)}`);
  if (format !== formatName) throw bad('format', `"${formatName}"`, format);
  if (version !== formatVersion) {
    throw bad('version', `${formatVersion}, the only one that this version of nearfield knows,`, version);
  }
  if (typeof model !== 'string' || !isWellFormed(model)) throw bad('model', 'a string', model);
  if (!isWhole(dimension) || dimension > maxDimension) throw bad('dimension', `0 to ${maxDimension}`, dimension);
  if (!(metrics as readonly unknown[]).includes(metric)) throw bad('metric', `one of ${metrics.join(', ')}`, metric);
  if (!isWhole(count)) throw bad('count', 'a whole number', count);
  if (vectors !== 'inline' && vectors !== 'npy' && vectors !== 'fvecs') throw bad('vectors', 'npy or fvecs', vectors);
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined) throw bytes.wrong(`the header has a member ${shown(unknown)}, which nobody knows`);
  const { bytesTotal } = bytes;
  if (bytesTotal !== undefined && count * leastPointBytes > bytesTotal - bytes.position + 1) {
    throw bytes.wrong(`the header announces ${count} points, for which ${bytesTotal} bytes are too few`);
  }
  return { model, dimension, metric: metric as Metric, count, vectors };
}

/** A point, and which row of the file beside its vector is: -1: none, undefined: the line does not say. */
export interface PointLine {
  point: RawPoint;
  row: number | undefined;
}

/** `dimension`: of vectors in the line; undefined: vectors are in the file beside. Throws FormatError. */
export function readPoint(line: string, dimension: number | undefined, bytes: Bytes): PointLine {
  const given = parseObject(line, bytes);
  const { id, vector, row, text, payload } = given;
  for (const name of Object.keys(given)) {
    if (!['id', 'vector', 'row', 'text', 'payload'].includes(name)) {
      throw bytes.wrong(`a point has no member ${shown(name)}; it has id, vector, text and payload`);
    }
  }
  const bad = (name: string, expected: string, value: unknown) =>
    bytes.wrong(`${name} must be ${expected}, got ${shown(value)}`);
  if (typeof id !== 'string' || id === '') throw bad('id', 'a string that is not empty', id);
  if (id.includes('\0')) throw bytes.wrong('the id holds a NUL character');
  if (!isWellFormed(id)) throw bytes.wrong('the id holds half of a surrogate pair, which has no UTF-8 form');
  if (longerThan(id, maxIdBytes)) throw bytes.wrong(`the id is longer than ${maxIdBytes} bytes`);
  const point: RawPoint = { id };
  if (vector !== undefined) {
    if (dimension === undefined) throw bytes.wrong('it has a vector, which belongs in the file beside');
    point.vector = readVector(vector, dimension, bytes);
  }
  if (row !== undefined && (dimension !== undefined || !isWhole(row))) {
    throw dimension === undefined ? bad('row', 'a whole number', row) : bytes.wrong('there is no file for row');
  }
  if (text !== undefined) {
    if (typeof text !== 'string') throw bad('text', 'a string', text);
    if (!isWellFormed(text)) throw bytes.wrong('text holds half of a surrogate pair, which has no UTF-8 form');
    if (longerThan(text, maxTextBytes)) throw bytes.wrong(`text is longer than ${maxTextBytes} bytes`);
    if (text !== '') point.text = text;
  }
  if (payload !== undefined) point.payload = readPayload(line, payload, bytes);
  else spans(line, bytes);
  return { point, row: row as number | undefined };
}

function readVector(given: unknown, dimension: number, bytes: Bytes): Float32Array {
  if (!Array.isArray(given)) throw bytes.wrong(`vector must be an array of numbers, got ${shown(given)}`);
  if (given.length !== dimension) {
    throw bytes.wrong(`Vector dimension mismatch: expected ${dimension}, got ${given.length}`);
  }
  const vector = new Float32Array(given.length);
  for (let i = 0; i < given.length; i++) {
    const component: unknown = given[i];
    if (typeof component !== 'number') throw bytes.wrong(`component ${i} must be a number, got ${shown(component)}`);
    vector[i] = component;
    if (!Number.isFinite(vector[i])) throw bytes.wrong(`component ${i} is beyond the range of a 32-bit float`);
  }
  return vector;
}

function readPayload(line: string, payload: unknown, bytes: Bytes): string {
  if (!isObject(payload)) throw bytes.wrong(`payload must be an object, got ${shown(payload)}`);
  const { begin, end } = spans(line, bytes).get('payload')!;
  const text = line.slice(begin, end);
  if (longerThan(text, maxPayloadBytes)) throw bytes.wrong(`payload is longer than ${maxPayloadBytes} bytes`);
  // Valid JSON that is no data: half of a surrogate pair, numbers beyond a double.
  if (/\\u[dD]|\d[eE]|\d{300}/.test(text)) {
    try {
      encodeJson(payload, 'payload');
    } catch (error) {
      throw bytes.wrong(reasonOf(error));
    }
  }
  return text;
}

function parseObject(line: string, bytes: Bytes): Record<string, unknown> {
  let given: unknown;
  try {
    given = JSON.parse(line);
  } catch (cause) {
    throw bytes.wrong(line.trim() === '' ? 'the line is empty' : `this is not JSON: ${reasonOf(cause).slice(0, 200)}`);
  }
  if (!isObject(given)) throw bytes.wrong(`an object is expected, got ${shown(given)}`);
  return given;
}

function spans(line: string, bytes: Bytes): ReturnType<typeof membersOf> {
  try {
    return membersOf(line);
  } catch (why) {
    throw typeof why === 'string' ? bytes.wrong(why) : why;
  }
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

const encoder = new TextEncoder();

function longerThan(text: string, bytes: number): boolean {
  if (text.length * 3 <= bytes) return false;
  return text.length > bytes || encoder.encode(text).length > bytes;
}

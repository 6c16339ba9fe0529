// What callers hand in, checked and copied before anything else happens: options, ids, vectors, plain JSON.
//
// The engine checks again. Here the messages can still name the caller's own object, and nothing that a getter, a proxy
// or a detached buffer does later can change what was checked: every value is read once.
import { NearfieldError, invalid } from './errors.js';
import type { Code } from './generated/codes.js';

/** Nesting of payloads and filters, as in core/base/json.h. */
const maxDepth = 64;

/** A short text for messages: `"abc"`, `384`, `an array`, `a Map`. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
  if (typeof value === 'number' || typeof value === 'boolean' || value == null) return String(value);
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value !== 'object') return `a ${typeof value}`;
  if (Array.isArray(value)) return 'an array';
  let maker: unknown;
  try {
    maker = (value as { constructor?: { name?: unknown } }).constructor?.name;
  } catch {
    // A getter or a proxy of somebody's.
  }
  return typeof maker === 'string' && maker !== 'Object' && maker !== '' ? `a ${maker}` : 'an object';
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Reads an object of options: each property once, undefined ones left out. A key that is not `known` is refused;
 * `unsupported` says, for keys that exist in the design but not in this version, what to do instead.
 */
export function readOptions<Key extends string>(
  options: unknown,
  what: string,
  known: readonly Key[],
  unsupported: Readonly<Record<string, string>> = {},
): { [key in Key]?: unknown } {
  if (options === undefined) return {};
  if (!isObject(options)) throw invalid(`${what} must be an object, got ${shown(options)}`, options);
  const out: { [key in Key]?: unknown } = {};
  for (const key of Object.keys(options)) {
    const value = options[key];
    if (value === undefined) continue;
    if (!known.includes(key as Key)) {
      if (Object.hasOwn(unsupported, key)) {
        const why = `${what}: ${key} is not supported: ${unsupported[key]}`;
        throw new NearfieldError('Unsupported', why, { value: key });
      }
      throw new NearfieldError('ConfigError', `${what}: unknown option ${shown(key)}; known are ${known.join(', ')}`, {
        value: key,
      });
    }
    out[key as Key] = value;
  }
  return out;
}

export function isWellFormed(text: string): boolean {
  const check = (text as { isWellFormed?: () => boolean }).isWellFormed;
  return check ? check.call(text) : !/\p{Surrogate}/u.test(text);
}

export function readText(value: unknown, what: string): string {
  if (typeof value !== 'string') throw invalid(`${what} must be a string, got ${shown(value)}`, value);
  if (!isWellFormed(value)) throw invalid(`${what} holds half of a surrogate pair, which has no UTF-8 form`, value);
  return value;
}

export function readId(value: unknown, what: string): string {
  const id = readText(value, what);
  if (id === '') throw invalid(`${what} is empty`, id);
  if (id.includes('\0')) throw invalid(`${what} holds a NUL character`, id);
  return id;
}

export function readBoolean(value: unknown, what: string): boolean {
  if (typeof value !== 'boolean') throw invalid(`${what} must be true or false, got ${shown(value)}`, value);
  return value;
}

export function readWhole(value: unknown, what: string, least: number, most = Number.MAX_SAFE_INTEGER): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
    const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
    throw invalid(`${what} must be a whole number ${range}, got ${shown(value)}`, value);
  }
  return value;
}

export function readNumber(value: unknown, what: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    throw invalid(`${what} must be a finite number, got ${shown(value)}`, value);
  }
  return value;
}

export function readChoice<Choice extends string>(value: unknown, what: string, choices: readonly Choice[]): Choice {
  if (!choices.includes(value as Choice)) {
    throw new NearfieldError('ConfigError', `${what} must be one of ${choices.join(', ')}; got ${shown(value)}`, {
      value,
    });
  }
  return value as Choice;
}

/** Vectors may be given as any of these; doubles are rounded to 32-bit floats. */
export type Vector = Float32Array | Float64Array | readonly number[];

// Of all typed arrays.
const typedLength = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Float32Array.prototype), 'length')!.get!;

/**
 * A copy as 32-bit floats, in `room` if that is given. `dimension` is what the collection stores, and the size of
 * `room`; 0: it stores no vectors.
 */
export function readVector(value: unknown, what: string, dimension: number, room?: Float32Array): Float32Array {
  let numbers: ArrayLike<unknown>;
  const typed = ArrayBuffer.isView(value) && (value instanceof Float32Array || value instanceof Float64Array);
  if (Array.isArray(value) || typed) {
    numbers = value;
  } else {
    throw invalid(`${what} must be a Float32Array, a Float64Array or an array of numbers, got ${shown(value)}`);
  }
  // What a subclass says of its length is not asked for.
  const length = typed ? (typedLength.call(value) as number) : numbers.length;
  if (dimension === 0) throw invalid(`${what}: this collection stores no vectors (its schema has no dimension)`);
  if (length !== dimension) {
    const detached = length === 0 && typed ? ' (is its buffer detached?)' : '';
    throw new NearfieldError(
      'DimensionMismatch',
      `Vector dimension mismatch: expected ${dimension}, got ${length}${detached}`,
      { value: length, details: { what, expected: dimension } },
    );
  }
  const copy = room ?? new Float32Array(length);
  if (typed) {
    copy.set(value);
    // Times zero, finite numbers are zero and the others are not.
    let zero = 0;
    for (let i = 0; i < length; i++) zero += copy[i]! * 0;
    if (zero === 0) return copy;
  }
  for (let i = 0; i < length; i++) {
    const component = numbers[i];
    if (typeof component !== 'number') {
      throw invalid(`${what}: component ${i} must be a number, got ${shown(component)}`, component);
    }
    copy[i] = component;
    // Also catches doubles beyond the range of a float.
    if (!Number.isFinite(copy[i])) {
      throw invalid(`${what}: component ${i} is ${component}, which is not a finite 32-bit float`, component);
    }
  }
  return copy;
}

/**
 * JSON text of plain data: null, booleans, finite numbers, BigInts of 64 bits, strings, arrays and objects without a class. Properties that
 * are undefined are left out, as JSON.stringify does; everything else is refused with the path to it.
 */
export function encodeJson(value: unknown, path: string, code: Code = 'InvalidArgument'): string {
  return encode(value, path, code, []);
}

function encode(value: unknown, path: string, code: Code, ancestors: object[]): string {
  const refuse = (why: string): NearfieldError => new NearfieldError(code, `${path} ${why}`, { details: { path } });
  switch (typeof value) {
    case 'string':
      if (!isWellFormed(value)) throw refuse('holds half of a surrogate pair, which has no UTF-8 form');
      return JSON.stringify(value);
    case 'number':
      if (!Number.isFinite(value)) throw refuse(`is ${value}, which JSON cannot hold`);
      return numberText(value);
    case 'bigint':
      if (value < -(2n ** 63n) || value >= 2n ** 64n) throw refuse(`is ${value}n; whole numbers have 64 bits`);
      return String(value);
    case 'boolean':
      return String(value);
    case 'object':
      break;
    default:
      throw refuse(`is ${value === undefined ? 'undefined' : `a ${typeof value}`}, which JSON cannot hold`);
  }
  if (value === null) return 'null';
  if (ancestors.includes(value)) throw refuse('contains itself');
  if (ancestors.length >= maxDepth) throw refuse(`is nested deeper than ${maxDepth} levels`);
  ancestors.push(value);
  const parts: string[] = [];
  let text: string;
  if (Array.isArray(value)) {
    const length = value.length;
    for (let i = 0; i < length; i++) parts.push(encode(value[i], `${path}[${i}]`, code, ancestors));
    text = `[${parts.join(',')}]`;
  } else {
    if (!isPlain(value)) throw refuse(`is ${shown(value)}; only plain objects can be stored`);
    for (const key of Object.keys(value)) {
      const member: unknown = (value as Record<string, unknown>)[key];
      if (member === undefined) continue;
      if (!isWellFormed(key)) throw refuse('has a key with half of a surrogate pair, which has no UTF-8 form');
      parts.push(`${JSON.stringify(key)}:${encode(member, `${path}.${key}`, code, ancestors)}`);
    }
    text = `{${parts.join(',')}}`;
  }
  ancestors.pop();
  return text;
}

// JavaScript writes whole numbers of up to 21 digits without a sign that they are doubles, and with digits that are not
// theirs; with one they are not taken for integers of 64 bits.
function numberText(value: number): string {
  const text = JSON.stringify(value);
  return Number.isInteger(value) && !Number.isSafeInteger(value) && !text.includes('e') ? `${text}.0` : text;
}

// A prototype of null, or one that has none itself: Object.prototype, also of another realm.
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** Throws Aborted when the signal has fired. */
export function checkSignal(signal: unknown): void {
  if (signal === undefined) return;
  if (!isObject(signal) || typeof signal['aborted'] !== 'boolean' || typeof signal['addEventListener'] !== 'function') {
    throw invalid(`signal must be an AbortSignal, got ${shown(signal)}`);
  }
  if (signal['aborted']) {
    throw new NearfieldError('Aborted', 'the call was cancelled by its signal', { cause: signal['reason'] });
  }
}

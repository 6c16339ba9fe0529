// JSON without loss: what JSON.parse rounds or forgets stays as it was sent.
//
// parse() answers what JSON.parse does, but an integer beyond 2^53 is a BigInt, and a whole number written with a
// fraction or a positive exponent (1.0, 1e3) is a Real: servers tell 1 and 1.0 apart. print() writes all of them back, and
// Float32Arrays as the shortest texts that read back as the same floats.

/** A number with a fraction, though its value may be whole. */
export class Real {
  constructor(value) {
    this.value = value;
  }
  valueOf() {
    return this.value;
  }
}

/** A score of single precision, as servers in Rust print it. */
export const single = (value) => new Real(shortest(Math.fround(value)));

/** Why a text is not JSON: kind 'eof', 'value', 'range', 'depth' or 'trailing'; offset in UTF-16 units. */
export class JsonError extends Error {
  constructor(kind, text, offset) {
    super(`${kind} at ${offset}`);
    this.kind = kind;
    this.offset = offset;
    const before = text.slice(0, offset);
    this.line = before.split('\n').length;
    this.column = offset - (before.lastIndexOf('\n') + 1);
    this.found = text[offset];
  }
}

/**
 * Whether JSON.parse would do: no run of 16 digits, no "1.0", no positive exponent, not even in a string. A loop over
 * characters, as bodies are megabytes of vectors and a pattern takes longer than JSON.parse itself.
 */
export function isPlain(text) {
  const digit = (c) => c >= 48 && c <= 57;
  let run = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (digit(c)) {
      if (++run === 16) return false;
      continue;
    }
    if (run > 0 && c === 46) {
      let next = i + 1;
      while (text.charCodeAt(next) === 48) next++;
      if (!digit(text.charCodeAt(next))) return false;
    } else if (run > 0 && (c === 101 || c === 69)) {
      const next = text.charCodeAt(i + 1);
      if (next === 43 || digit(next)) return false;
    }
    run = 0;
  }
  return true;
}

const maxDepth = 128;

export function parse(text) {
  if (isPlain(text)) {
    try {
      return JSON.parse(text);
    } catch {
      // Read again below, to say where.
    }
  }
  let at = 0;

  const fail = (kind, offset = at) => {
    throw new JsonError(offset >= text.length && kind !== 'range' ? 'eof' : kind, text, Math.min(offset, text.length));
  };
  const space = () => {
    for (let c = text.charCodeAt(at); c === 32 || c === 10 || c === 13 || c === 9; c = text.charCodeAt(at)) at++;
  };
  const number = /-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
  const string = () => {
    let end = at + 1;
    for (;;) {
      const c = text.charCodeAt(end);
      if (Number.isNaN(c)) fail('eof', text.length);
      if (c === 34) break;
      end += c === 92 ? 2 : 1;
    }
    const quoted = text.slice(at, end + 1);
    let value;
    try {
      value = JSON.parse(quoted);
    } catch {
      fail('value');
    }
    at = end + 1;
    return value;
  };
  const value = (depth) => {
    if (depth > maxDepth) fail('depth');
    space();
    switch (text[at]) {
      case '{': {
        const object = {};
        at++;
        space();
        if (text[at] === '}') return (at++, object);
        for (;;) {
          space();
          if (text[at] !== '"') fail('value');
          const key = string();
          space();
          if (text[at] !== ':') fail('value');
          at++;
          const inner = value(depth + 1);
          // Assigning to __proto__ would not make a key.
          if (key === '__proto__') {
            Object.defineProperty(object, key, { value: inner, enumerable: true, configurable: true, writable: true });
          } else object[key] = inner;
          space();
          if (text[at] === '}') return (at++, object);
          if (text[at] !== ',') fail('value');
          at++;
        }
      }
      case '[': {
        const array = [];
        at++;
        space();
        if (text[at] === ']') return (at++, array);
        for (;;) {
          array.push(value(depth + 1));
          space();
          if (text[at] === ']') return (at++, array);
          if (text[at] !== ',') fail('value');
          at++;
        }
      }
      case '"':
        return string();
      default: {
        for (const [word, meaning] of [
          ['true', true],
          ['false', false],
          ['null', null],
        ]) {
          if (text.startsWith(word, at)) return ((at += word.length), meaning);
        }
        number.lastIndex = at;
        const match = number.exec(text);
        if (match === null) return fail('value');
        at = number.lastIndex;
        const parsed = Number(match[0]);
        if (!Number.isFinite(parsed)) fail('range');
        if (match[2] !== undefined || match[3] !== undefined)
          return Number.isInteger(parsed) ? new Real(parsed) : parsed;
        return Number.isSafeInteger(parsed) ? parsed : BigInt(match[0]);
      }
    }
  };
  const all = value(1);
  space();
  if (at < text.length) fail('trailing');
  return all;
}

const powers = Array.from({ length: 23 }, (_, exponent) => 10 ** exponent);

/** The double whose shortest text is the shortest text of the float. */
export function shortest(float) {
  if (Number.isInteger(float) && Math.abs(float) < 1e15) return float;
  const magnitude = Math.floor(Math.log10(Math.abs(float)));
  // A float below the normal ones has fewer digits.
  for (let digits = magnitude < -37 ? 1 : 6; digits <= 9; digits++) {
    const places = digits - 1 - magnitude;
    // Below 10^22 a power of ten is exact, and so the quotient is the double nearest to the decimal.
    const candidate =
      places >= 0 && places <= 22
        ? Math.round(float * powers[places]) / powers[places]
        : Number(float.toPrecision(digits));
    if (Math.fround(candidate) === float) return candidate;
  }
  return float;
}

const real = (value) => (Number.isInteger(value) && Math.abs(value) < 1e21 ? `${value}.0` : String(value));

export function print(value) {
  switch (typeof value) {
    case 'bigint':
      return String(value);
    case 'number':
      return Object.is(value, -0) ? '-0' : JSON.stringify(value);
    case 'object': {
      if (value === null) return 'null';
      if (value instanceof Real) return real(value.value);
      if (value instanceof Float32Array) return `[${Array.from(value, (float) => real(shortest(float))).join(',')}]`;
      if (Array.isArray(value))
        return `[${value.map((entry) => (entry === undefined ? 'null' : print(entry))).join(',')}]`;
      const fields = [];
      for (const key of Object.keys(value)) {
        if (value[key] !== undefined) fields.push(`${JSON.stringify(key)}:${print(value[key])}`);
      }
      return `{${fields.join(',')}}`;
    }
    default:
      return JSON.stringify(value);
  }
}

/** The same with plain numbers, rounded where they must be: for those who only look at types and sizes. */
export function plain(value) {
  if (typeof value === 'bigint') return Number(value);
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Real) return value.value;
  if (value instanceof Float32Array) return Array.from(value, shortest);
  if (Array.isArray(value)) return value.map(plain);
  const object = {};
  for (const key of Object.keys(value)) {
    Object.defineProperty(object, key, {
      value: plain(value[key]),
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
  return object;
}

export const isInteger = (value) => typeof value === 'bigint' || (typeof value === 'number' && Number.isInteger(value));
export const isNumber = (value) => typeof value === 'number' || typeof value === 'bigint' || value instanceof Real;

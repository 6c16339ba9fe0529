// Filters in JavaScript, for stores that cannot be asked with one: what core/filter/filter.h says, over payloads.
import { isObject, shown } from './check.js';
import { parseJson } from './engine.js';
import { NearfieldError } from './errors.js';
import { filterOperators } from './generated/operators.js';
import { encodeFilter } from './search.js';

/** `payload`: undefined where the point has none. */
export type PayloadTest = (payload: unknown) => boolean;

const joining = ['$and', '$or', '$not'];
const inField = filterOperators.filter((name) => !joining.includes(name));
const [maxLevels, maxClauses, maxValues] = [32, 1000, 10_000];

/** Throws FilterError, with the path of what is wrong, as the engine does. */
export function readPayloadFilter(filter: unknown): PayloadTest {
  // A copy: what the caller changes later changes nothing.
  return readFilter(parseJson(encodeFilter(filter)), 'filter', 1, { clauses: 0 });
}

interface Budget {
  clauses: number;
}

function wrong(path: string, why: string, value: unknown): NearfieldError {
  return new NearfieldError('FilterError', `${path}: ${why}`, { value });
}

function spend(budget: Budget, path: string, value: unknown): void {
  if (++budget.clauses > maxClauses) throw wrong(path, `the filter has more than ${maxClauses} clauses`, value);
}

function readFilter(json: unknown, path: string, level: number, budget: Budget): PayloadTest {
  if (!isObject(json)) throw wrong(path, 'a filter is an object', json);
  if (level > maxLevels) throw wrong(path, `nested deeper than ${maxLevels} levels`, json);
  const tests: PayloadTest[] = [];
  for (const [name, value] of Object.entries(json)) {
    const at = `${path}.${name}`;
    spend(budget, at, value);
    if (!name.startsWith('$')) {
      tests.push(...readField(name.split('.'), value, at, budget));
    } else if (joining.includes(name)) {
      tests.push(readJoining(name, value, at, level, budget));
    } else if ((inField as readonly string[]).includes(name)) {
      throw wrong(at, `${name} stands inside a field, as in {"field": {"${name}": ...}}`, value);
    } else {
      throw wrong(at, `unknown operator; known here are ${joining.join(', ')}`, value);
    }
  }
  return (payload) => tests.every((test) => test(payload));
}

function readJoining(name: string, json: unknown, path: string, level: number, budget: Budget): PayloadTest {
  if (name === '$not') {
    const test = readFilter(json, path, level + 1, budget);
    return (payload) => !test(payload);
  }
  if (!Array.isArray(json)) throw wrong(path, 'takes an array of filters', json);
  const tests = json.map((each: unknown, i) => {
    spend(budget, `${path}[${i}]`, each);
    return readFilter(each, `${path}[${i}]`, level + 1, budget);
  });
  return name === '$and'
    ? (payload) => tests.every((test) => test(payload))
    : (payload) => tests.some((test) => test(payload));
}

function readField(names: string[], json: unknown, path: string, budget: Budget): PayloadTest[] {
  if (!isObject(json))
    return [
      (payload) =>
        anyAt(
          payload,
          names,
          withElements((value) => sameJson(value, json)),
        ),
    ];
  const operators = Object.entries(json);
  // {"year": {"gte": 3}} is far more often a forgotten $ than a comparison with an object.
  if (operators.length === 0) {
    throw wrong(path, 'an object here holds operators; compare with an object by {"$eq": {...}}', json);
  }
  return operators.map(([name, operand]) => {
    const at = `${path}.${name}`;
    spend(budget, at, operand);
    if (joining.includes(name)) throw wrong(at, `${name} stands beside fields, not inside one`, operand);
    return readOperator(names, name, operand, at);
  });
}

function readOperator(names: string[], name: string, operand: unknown, path: string): PayloadTest {
  const ordered = (test: (order: number) => boolean): PayloadTest => {
    if (!isNumber(operand) && typeof operand !== 'string') throw wrong(path, 'takes a number or a string', operand);
    const one = withElements((value) => {
      if (isNumber(value) && isNumber(operand)) return test(value < operand ? -1 : value > operand ? 1 : 0);
      return typeof value === 'string' && typeof operand === 'string' && test(orderTexts(value, operand));
    });
    return (payload) => anyAt(payload, names, one);
  };
  const isIn = () => {
    if (!Array.isArray(operand)) throw wrong(path, 'takes an array of values', operand);
    if (operand.length > maxValues) {
      throw wrong(path, `has ${operand.length} values; at most ${maxValues} are allowed`, operand);
    }
    return withElements((value) => operand.some((one) => sameJson(value, one)));
  };
  const isEqual = withElements((value) => sameJson(value, operand));
  switch (name) {
    case '$eq':
      return (payload) => anyAt(payload, names, isEqual);
    case '$ne':
      return (payload) => !anyAt(payload, names, isEqual);
    case '$gt':
      return ordered((order) => order > 0);
    case '$gte':
      return ordered((order) => order >= 0);
    case '$lt':
      return ordered((order) => order < 0);
    case '$lte':
      return ordered((order) => order <= 0);
    case '$in': {
      const one = isIn();
      return (payload) => anyAt(payload, names, one);
    }
    case '$nin': {
      const one = isIn();
      return (payload) => !anyAt(payload, names, one);
    }
    case '$contains':
      return (payload) => anyAt(payload, names, (value) => contains(value, operand));
    case '$exists':
      if (typeof operand !== 'boolean') throw wrong(path, 'takes true or false', operand);
      return (payload) => anyAt(payload, names, () => true) === operand;
    default:
      throw wrong(
        path,
        `unknown operator; known here are ${inField.join(', ')} (compare with an object by {"$eq": {...}})`,
        operand,
      );
  }
}

// Into each element of an array on the way.
function anyAt(value: unknown, names: readonly string[], test: PayloadTest): boolean {
  const [name, ...rest] = names;
  if (name === undefined) return test(value);
  if (Array.isArray(value)) return value.some((element) => anyAt(element, names, test));
  return isObject(value) && Object.hasOwn(value, name) && anyAt(value[name], rest, test);
}

function withElements(test: PayloadTest): PayloadTest {
  const deep: PayloadTest = (value) => test(value) || (Array.isArray(value) && value.some(deep));
  return deep;
}

function contains(value: unknown, operand: unknown): boolean {
  if (typeof value === 'string') return typeof operand === 'string' && value.includes(operand);
  if (!Array.isArray(value)) return false;
  return value.some((one: unknown) => sameJson(one, operand) || (Array.isArray(one) && contains(one, operand)));
}

function isNumber(value: unknown): value is number | bigint {
  return typeof value === 'number' || typeof value === 'bigint';
}

/** Whether two values are the same JSON; numbers by what they are worth, exactly. */
export function sameJson(a: unknown, b: unknown): boolean {
  // Of a number and a BigInt, == compares exactly.
  if (isNumber(a) && isNumber(b)) return a == b;
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((one, i) => sameJson(one, b[i]));
  }
  if (!isObject(a) || !isObject(b)) return a === b;
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length &&
    names.every((name) => Object.hasOwn(b, name) && sameJson(a[name], b[name]))
  );
}

/** As bytes of UTF-8 are ordered, which is not how JavaScript orders strings with surrogates. */
export function orderTexts(a: string, b: string): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (x !== y) return codeRank(x) - codeRank(y);
  }
  return a.length - b.length;
}

// Code points of two units are above all of one.
function codeRank(unit: number): number {
  return unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}

/** What a clause is named by in messages. */
export function shownFilter(filter: unknown): string {
  const text = JSON.stringify(filter, (_, value: unknown) => (typeof value === 'bigint' ? shown(value) : value));
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

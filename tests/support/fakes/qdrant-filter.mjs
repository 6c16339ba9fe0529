// Qdrant's filters, one condition after the other over one payload. Semantics: ../shared/contracts/remote-contracts.md 2.3.

import { Real, isInteger, isNumber } from './lossless.mjs';

/** "a.b", "a[].b", "a[0]", "\"a.b\".c" as keys, numbers and '[]'. */
export function parsePath(text) {
  const steps = [];
  const step = /\.?(?:"([^"\\]*)"|([\p{L}\p{N}_-]+)|(?:\[(\d*)\]))/uy;
  let at = 0;
  while (at < text.length) {
    step.lastIndex = at;
    const match = step.exec(text);
    if (match === null) return null;
    const [, quoted, bare, index] = match;
    steps.push(index === undefined ? (quoted ?? bare) : index === '' ? '[]' : Number(index));
    at = step.lastIndex;
  }
  return steps.length === 0 ? null : steps;
}

/** What stands at a path: several where [] went into arrays. */
export function valuesAt(payload, path) {
  let found = [payload];
  for (const step of parsePath(path) ?? [path]) {
    const next = [];
    for (const value of found) {
      if (step === '[]') {
        if (Array.isArray(value)) next.push(...value);
      } else if (typeof step === 'number') {
        if (Array.isArray(value) && step < value.length) next.push(value[step]);
      } else if (isObject(value) && Object.hasOwn(value, step)) next.push(value[step]);
    }
    found = next;
  }
  return found;
}

export const isObject = (value) =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Real);

// A condition looks at each element of an array, one level deep.
const elements = (values) => values.flatMap((value) => (Array.isArray(value) ? value : [value]));

/** Milliseconds of what Qdrant takes for a date, or null. */
export function parseDate(text) {
  if (typeof text !== 'string') return null;
  const match = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?))?(Z|[+-]\d\d:?\d\d)?$/i.exec(text.trim());
  if (match === null) return null;
  const [, day, time = '00:00:00', zone = 'Z'] = match;
  const withColon = /^[zZ]$/.test(zone) ? 'Z' : zone.replace(/^(...):?(..)$/, '$1:$2');
  const value = Date.parse(`${day}T${time.length === 5 ? `${time}:00` : time}${withColon}`);
  return Number.isNaN(value) ? null : value;
}

const isEmpty = (value) => value === null || (Array.isArray(value) && value.length === 0);

const words = (text) => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];

function matchesValue(match, values, index) {
  const equal = (value, wanted) => typeof value === typeof wanted && value === wanted;
  if ('value' in match) return values.some((value) => equal(value, match.value));
  if ('any' in match) return values.some((value) => match.any.some((wanted) => equal(value, wanted)));
  if ('except' in match) {
    return values.some((value) => value !== null && !match.except.some((wanted) => equal(value, wanted)));
  }
  const texts = values.filter((value) => typeof value === 'string');
  if ('text' in match) {
    if (index !== 'text') return texts.some((text) => text.includes(match.text));
    return texts.some((text) => words(match.text).every((word) => words(text).includes(word)));
  }
  if ('text_any' in match) {
    return texts.some((text) => words(match.text_any).some((word) => words(text).includes(word)));
  }
  if ('phrase' in match)
    return texts.some((text) => ` ${words(text).join(' ')} `.includes(` ${words(match.phrase).join(' ')} `));
  throw new Error(`match ${JSON.stringify(match)}`);
}

function inRange(range, values) {
  const dates = Object.values(range).some((bound) => typeof bound === 'string');
  return values.some((value) => {
    const number = dates ? parseDate(value) : isNumber(value) ? Number(value) : null;
    if (number === null) return false;
    const bound = (name) => (dates ? parseDate(range[name]) : Number(range[name]));
    const has = (name) => range[name] !== undefined && range[name] !== null;
    return (
      (!has('lt') || number < bound('lt')) &&
      (!has('lte') || number <= bound('lte')) &&
      (!has('gt') || number > bound('gt')) &&
      (!has('gte') || number >= bound('gte'))
    );
  });
}

const predicates = [
  'match',
  'range',
  'geo_bounding_box',
  'geo_radius',
  'geo_polygon',
  'values_count',
  'is_empty',
  'is_null',
];

/** The conditions of a clause, which may be one or a list. */
export const listed = (clause) => (clause === undefined || clause === null ? [] : [clause].flat());

/**
 * What a filter is refused for: { status, error }, or null. `at` is where it stands, as Qdrant says it. What is legal and
 * still not to be sent goes to `violate`.
 */
export function judgeFilter(filter, at, violate) {
  for (const clause of ['must', 'should', 'must_not', 'min_should']) {
    const conditions = clause === 'min_should' ? listed(filter.min_should?.conditions) : listed(filter[clause]);
    if (filter[clause] !== undefined && conditions.length === 0) violate(`an empty ${clause}`);
    for (const [i, condition] of conditions.entries()) {
      const here = `${at}.${clause}[${i}]`;
      if ('key' in condition) {
        const present = predicates.filter((name) => condition[name] !== undefined && condition[name] !== null);
        if (present.length === 0) {
          return {
            status: 422,
            error: `Validation error in JSON body: [${here}.__all__: Validation error: At least one field condition must be specified [{}]]`,
          };
        }
        if (present.length > 1) violate(`${present.join(' and ')} in one condition: Qdrant takes either`);
        const { match } = condition;
        if (match && !knownMatch(match)) {
          return {
            status: 400,
            error: 'Format error in JSON body: data did not match any variant of untagged enum MatchInterface',
          };
        }
        if (parsePath(condition.key) === null) {
          return { status: 400, error: `Format error in JSON body: Invalid json path: '${condition.key}'` };
        }
      } else if ('nested' in condition) {
        const wrong = judgeFilter(condition.nested.filter, `${here}.nested.filter`, violate);
        if (wrong !== null) return wrong;
      } else if (['must', 'should', 'must_not', 'min_should'].some((name) => name in condition)) {
        const wrong = judgeFilter(condition, here, violate);
        if (wrong !== null) return wrong;
      } else if (!['is_empty', 'is_null', 'has_id', 'has_vector'].some((name) => name in condition)) {
        return {
          status: 400,
          error: 'Format error in JSON body: data did not match any variant of untagged enum Condition',
        };
      }
    }
  }
  return null;
}

function knownMatch(match) {
  const list = (values) => values.every((value) => typeof value === 'string') || values.every(isInteger);
  if ('value' in match) return ['string', 'boolean'].includes(typeof match.value) || isInteger(match.value);
  if ('any' in match) return Array.isArray(match.any) && list(match.any);
  if ('except' in match) return Array.isArray(match.except) && list(match.except);
  return ['text', 'text_any', 'phrase'].some((name) => typeof match[name] === 'string');
}

/** Every { key, condition } of a filter, and those of nested filters with the whole path. */
export function* fieldConditions(filter, prefix = '') {
  for (const clause of ['must', 'should', 'must_not']) yield* of(listed(filter[clause]));
  yield* of(listed(filter.min_should?.conditions));
  function* of(conditions) {
    for (const condition of conditions) {
      if ('key' in condition) yield { key: prefix + condition.key, condition };
      else if ('nested' in condition)
        yield* fieldConditions(condition.nested.filter, `${prefix}${condition.nested.key}[].`);
      else if ('is_empty' in condition || 'is_null' in condition) {
        yield { key: prefix + (condition.is_empty ?? condition.is_null).key, condition };
      } else yield* fieldConditions(condition, prefix);
    }
  }
}

/** Whether a point { id, payload, vectors } passes; indexes: Map of field to type. */
export function passes(filter, point, indexes = new Map()) {
  const all = listed(filter.must);
  const some = listed(filter.should);
  const none = listed(filter.must_not);
  const test = (condition) => holds(condition, point, indexes);
  if (!all.every(test)) return false;
  if (some.length > 0 && !some.some(test)) return false;
  if (none.some(test)) return false;
  if (filter.min_should) {
    const { conditions, min_count: least } = filter.min_should;
    if (conditions.filter(test).length < least) return false;
  }
  return true;
}

function holds(condition, point, indexes) {
  if ('has_id' in condition) return condition.has_id.some((id) => String(id).toLowerCase() === String(point.id));
  if ('has_vector' in condition) return condition.has_vector in point.vectors;
  if ('is_empty' in condition) {
    return valuesAt(point.payload, condition.is_empty.key).every(isEmpty);
  }
  if ('is_null' in condition)
    return elements(valuesAt(point.payload, condition.is_null.key)).some((value) => value === null);
  if ('nested' in condition) {
    const { key, filter } = condition.nested;
    return elements(valuesAt(point.payload, key)).some(
      (element) => isObject(element) && passes(filter, { ...point, payload: element }),
    );
  }
  if (!('key' in condition)) return passes(condition, point, indexes);

  const raw = valuesAt(point.payload, condition.key);
  const values = elements(raw);
  const index = indexes.get(condition.key);
  const has = (name) => condition[name] !== undefined && condition[name] !== null;
  if (has('match') && matchesValue(condition.match, values, index)) return true;
  // An index looks at the first predicate alone; the plain check takes either.
  if (has('match') && index !== undefined) return false;
  if (has('range') && inRange(condition.range, values)) return true;
  if (has('values_count')) {
    const count = (value) => (Array.isArray(value) ? value.length : value === null ? 0 : 1);
    if (raw.some((value) => inRange(condition.values_count, [count(value)]))) return true;
  }
  if (has('is_empty') && raw.every(isEmpty) === condition.is_empty) return true;
  if (has('is_null') && values.some((value) => value === null) === condition.is_null) return true;
  return false;
}

/** Which types of index would serve a condition. */
export function indexTypes(condition) {
  const { match, range } = condition;
  if (match) {
    const sample = match.value ?? match.any?.[0] ?? match.except?.[0];
    if ('text' in match || 'text_any' in match || 'phrase' in match) return ['text'];
    if (typeof sample === 'boolean') return ['bool'];
    return isInteger(sample) ? ['integer'] : ['keyword'];
  }
  if (range)
    return Object.values(range).some((bound) => typeof bound === 'string') ? ['datetime'] : ['integer', 'float'];
  return ['keyword', 'integer', 'float', 'bool', 'geo', 'datetime', 'text', 'uuid'];
}

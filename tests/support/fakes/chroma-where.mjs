// Chroma's where and where_document, one record at a time. Semantics: ../shared/contracts/remote-contracts.md 2.3.

import { Real, isInteger, isNumber } from './lossless.mjs';

const isObject = (value) =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Real);

/** 'string', 'boolean', 'int' or 'float': what a list must be of one of. */
export const kind = (value) =>
  typeof value === 'string' || typeof value === 'boolean'
    ? typeof value
    : isInteger(value) && !(typeof value === 'bigint' && BigInt.asIntN(64, value) !== value)
      ? 'int'
      : isNumber(value)
        ? 'float'
        : null;

const equal = (value, operand) =>
  isNumber(value) && isNumber(operand)
    ? compare(value, operand) === 0
    : typeof value === typeof operand && value === operand;

/**
 * A number with an operand. The server compares a float as a float, but an integer with the operand cut to one: 1 equals
 * 1.5. Where both are integers the comparison is exact.
 */
function compare(value, operand) {
  let [x, y] = [value, operand];
  if (kind(value) === 'float') [x, y] = [Number(value), Number(operand)];
  else if (kind(operand) === 'float') y = Math.trunc(Number(operand));
  return x < y ? -1 : x > y ? 1 : 0;
}

export class BadWhere extends Error {}
export class NotIndexed extends Error {}

const bad = () => {
  throw new BadWhere();
};

// An integer beyond i64 is no operand.
const known = (operand) => kind(operand) !== null && !(typeof operand === 'bigint' && kind(operand) === 'float');

const order = {
  $gt: (sign) => sign > 0,
  $gte: (sign) => sign >= 0,
  $lt: (sign) => sign < 0,
  $lte: (sign) => sign <= 0,
};

/** record -> boolean for a where clause; throws BadWhere. A record is { id, metadata, document, uri }. */
export function where(clause) {
  if (!isObject(clause) || Object.keys(clause).length !== 1) return bad();
  const [[key, operand]] = Object.entries(clause);
  if (key === '$and' || key === '$or') return combined(key, operand, where);
  if (key.startsWith('$')) return bad();
  if (key === '#document' && isObject(operand) && !('$eq' in operand)) return documentWhere(operand);
  if (key === '#document') throw new NotIndexed(key);
  if (!isObject(operand)) return known(operand) ? comparison(key, '$eq', operand) : bad();
  if (Object.keys(operand).length !== 1) return bad();
  const [[operator, value]] = Object.entries(operand);
  return comparison(key, operator, value);
}

function combined(key, clauses, one) {
  if (!Array.isArray(clauses)) return bad();
  const tests = clauses.map(one);
  if (key === '$and') return (record) => tests.every((test) => test(record));
  return (record) => tests.some((test) => test(record));
}

function comparison(key, operator, operand) {
  const own = key === 'chroma:uri' ? 'uri' : key === 'chroma:document' ? 'document' : undefined;
  const value = (record) => {
    if (own !== undefined) return record[own] ?? undefined;
    return Object.hasOwn(record.metadata, key) ? record.metadata[key] : undefined;
  };
  switch (operator) {
    case '$eq':
    case '$ne': {
      if (!known(operand)) return bad();
      const same = (record) => value(record) !== undefined && equal(value(record), operand);
      return operator === '$eq' ? same : (record) => !same(record);
    }
    case '$gt':
    case '$gte':
    case '$lt':
    case '$lte':
      if (!isNumber(operand) || !known(operand)) return bad();
      return (record) => isNumber(value(record)) && order[operator](compare(value(record), operand));
    case '$in':
    case '$nin': {
      if (!Array.isArray(operand) || operand.length === 0) return bad();
      // The first one tells the type; an integer is a float, too.
      const floats = kind(operand[0]) === 'float';
      if (!operand.every((entry) => known(entry) && (floats ? isNumber(entry) : kind(entry) === kind(operand[0]))))
        return bad();
      const wanted = floats ? operand.map((entry) => new Real(Number(entry))) : operand;
      const among = (record) => value(record) !== undefined && wanted.some((entry) => equal(value(record), entry));
      return operator === '$in' ? among : (record) => !among(record);
    }
    case '$contains':
    case '$not_contains': {
      if (kind(operand) === null) return bad();
      // A list of integers holds no 1.0, and a list of floats no 1.
      const same = (entry) => kind(entry) === kind(operand) && equal(entry, operand);
      const holds = (record) => Array.isArray(value(record)) && value(record).some(same);
      return operator === '$contains' ? holds : (record) => !holds(record);
    }
  }
  return bad();
}

/** The same for where_document. A record without a document passes only what is negative. */
export function documentWhere(clause) {
  if (!isObject(clause) || Object.keys(clause).length !== 1) return bad();
  const [[operator, operand]] = Object.entries(clause);
  if (operator === '$and' || operator === '$or') return combined(operator, operand, documentWhere);
  if (typeof operand !== 'string') return bad();
  const positive = {
    $contains: () => (text) => text.includes(operand),
    $regex: () => {
      const pattern = expression(operand);
      return (text) => pattern.test(text);
    },
  };
  const make = positive[operator.replace('not_', '')];
  if (make === undefined) return bad();
  const test = make();
  const holds = ({ document }) => document !== null && test(document);
  return operator.startsWith('$not_') ? (record) => !holds(record) : holds;
}

export class BadRegex extends Error {}

function expression(text) {
  const insensitive = text.startsWith('(?i)');
  try {
    return new RegExp(insensitive ? text.slice(4) : text, insensitive ? 'iu' : 'u');
  } catch {
    throw new BadRegex(text);
  }
}

/** The longest list of values in a clause, which SQLite limits. */
export function longestList(clause) {
  if (Array.isArray(clause)) return Math.max(clause.length, ...clause.slice(0, 1000).map(longestList), 0);
  return isObject(clause) ? Math.max(0, ...Object.values(clause).map(longestList)) : 0;
}

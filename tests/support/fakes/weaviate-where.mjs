// Weaviate's where, one object after the other. Semantics: ../shared/contracts/remote-contracts.md 2.3.
//
// A clause is what the REST body holds: { path, operator, operands, value<Type> or value<Type>Array }; GraphQL has the same,
// with lists in value<Type>.

import { isInteger, isNumber, print } from './lossless.mjs';

/** Refused: the message without what the caller puts before it; `invalid`: seen before anything was searched. */
export class BadFilter extends Error {
  constructor(message, invalid = true) {
    super(message);
    this.invalid = invalid;
  }
}

class OnlyStopwords extends BadFilter {
  constructor() {
    super(
      'invalid search term, only stopwords provided. Stopwords can be configured in class.invertedIndexConfig.stopwords',
      false,
    );
  }
}

export function tokens(text, tokenization, wildcards = false) {
  switch (tokenization) {
    case 'field':
      return [text.trim()];
    case 'whitespace':
      return text.split(/\s+/).filter(Boolean);
    case 'lowercase':
      return text.toLowerCase().split(/\s+/).filter(Boolean);
  }
  return text.toLowerCase().match(wildcards ? /[\p{L}\p{N}*?]+/gu : /[\p{L}\p{N}]+/gu) ?? [];
}

// The preset 'en'.
export const stopwords = new Set(
  `a an and are as at be but by for if in into is it no not of on or such that the their then there these they this to was
   will with`.split(/\s+/),
);

const valueTypes = {
  valueText: 'text',
  valueString: 'text',
  valueInt: 'int',
  valueNumber: 'number',
  valueBoolean: 'boolean',
  valueDate: 'date',
};

const literals = {
  text: (value) => typeof value === 'string',
  int: isInteger,
  number: isNumber,
  boolean: (value) => typeof value === 'boolean',
  date: (value) => typeof value === 'string' && !Number.isNaN(Date.parse(value)),
};

const base = (type) => type.replace('[]', '');
const capital = (type) => type[0].toUpperCase() + type.slice(1);

/** object -> boolean for a clause over objects { id, properties } of a class; throws BadFilter. */
export function where(clause, schema) {
  const { operator, operands, path = [] } = clause;
  if (['And', 'Or', 'Not'].includes(operator)) {
    if (!Array.isArray(operands) || operands.length === 0) {
      throw new BadFilter(
        `invalid where filter: operator '${operator}', but no operands set - add at least one operand`,
      );
    }
    const tests = operands.map((operand) => where(operand, schema));
    if (operator === 'Not') return (object) => !tests[0](object);
    return operator === 'And'
      ? (object) => tests.every((test) => test(object))
      : (object) => tests.some((test) => test(object));
  }
  const given = Object.keys(clause).filter((key) => key.startsWith('value'));
  const [key] = given;
  const value = clause[key];
  if (given.length !== 1 || value === null || (Array.isArray(value) && value.length === 0)) {
    throw new BadFilter(`invalid where filter: got operator '${operator}', but no value<Type> field set`);
  }
  const type = valueTypes[key.replace(/Array$/, '')];
  if (type === undefined) throw new BadFilter(`the fake does not know ${key}`);
  for (const one of [value].flat()) {
    if (!literals[type](one)) throw new BadFilter(`invalid where filter: ${key} does not take ${print(one)}`);
  }
  const [name] = path;
  if (name === 'id' || name === '_id') return byId(operator, value);
  const property = schema.properties.find((one) => one.name === name);
  if (property === undefined) {
    throw new BadFilter(
      `no such prop with name '${name}' found in class '${schema.class}' in the schema. Check your schema files for which properties in this class are available`,
    );
  }
  const held = (object) => object.properties[name];
  if (operator === 'IsNull') {
    if (type !== 'boolean') throw new BadFilter(`operator IsNull requires a booleanValue, got ${key} instead`);
    if (!schema.invertedIndexConfig.indexNullState) {
      throw new BadFilter(
        'Nullstate must be indexed to be filterable! Add `indexNullState: true` to the invertedIndexConfig',
        false,
      );
    }
    // What has no length is null: also an empty list and an empty text.
    const isNull = (found) => found === undefined || found === null || found.length === 0;
    return (object) => isNull(held(object)) === value;
  }
  const [dataType] = property.dataType;
  if (type !== base(dataType)) {
    throw new BadFilter(
      `data type filter cannot use "${key.replace(/Array$/, '')}" on type "${dataType}", use "value${capital(base(dataType))}" instead`,
    );
  }
  if (!property.indexFilterable && !property.indexSearchable && !property.indexRangeFilters) {
    throw new BadFilter(
      `Filtering by property '${name}' requires inverted index. Is \`indexFilterable\` option of property '${name}' enabled? Set it to \`true\` or leave empty`,
      false,
    );
  }
  const list = [value].flat();
  switch (operator) {
    case 'ContainsAny': {
      // Values of nothing but stopwords are left out, unless all are.
      const tests = list.flatMap((one) => {
        try {
          return [compare('Equal', one, property, held)];
        } catch (error) {
          if (!(error instanceof OnlyStopwords)) throw error;
          return [];
        }
      });
      if (tests.length === 0) throw new OnlyStopwords();
      return (object) => tests.some((test) => test(object));
    }
    case 'ContainsAll': {
      const tests = list.map((one) => compare('Equal', one, property, held));
      return (object) => tests.every((test) => test(object));
    }
    case 'ContainsNone': {
      const tests = list.map((one) => compare('Equal', one, property, held));
      return (object) => !tests.some((test) => test(object));
    }
  }
  return compare(operator, value, property, held);
}

function byId(operator, value) {
  const wanted = [value].flat().map((id) => id.toLowerCase());
  switch (operator) {
    case 'Equal':
    case 'ContainsAny':
      return ({ id }) => wanted.includes(id);
    case 'NotEqual':
    case 'ContainsNone':
      return ({ id }) => !wanted.includes(id);
  }
  throw new BadFilter(`the fake does not know ${operator} on an id`);
}

const signs = {
  GreaterThan: (a, b) => a > b,
  GreaterThanEqual: (a, b) => a >= b,
  LessThan: (a, b) => a < b,
  LessThanEqual: (a, b) => a <= b,
};

/** One operator with one value: any element of a list may match. */
function compare(operator, value, property, held) {
  const [dataType] = property.dataType;
  const type = base(dataType);
  const keys = keysOf(type, property.tokenization);
  // A text is several terms, and each of them must pass.
  const terms =
    type !== 'text'
      ? [number(type, value)]
      : operator === 'Like'
        ? tokens(value, property.tokenization, true)
        : queryTerms(value, property.tokenization);
  if (terms.length === 0) throw new OnlyStopwords();
  const stored = (object) => {
    const found = held(object);
    return found === undefined || found === null ? [] : [found].flat().flatMap(keys);
  };
  const one = (term) => {
    switch (operator) {
      case 'Equal':
        return (object) => stored(object).includes(term);
      case 'NotEqual':
        return (object) => !stored(object).includes(term);
      case 'Like': {
        const source = term
          .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
          .replaceAll('*', '.*')
          .replaceAll('?', '.');
        const pattern = new RegExp(`^${source}$`, 'su');
        return (object) => stored(object).some((key) => pattern.test(key));
      }
    }
    if (!(operator in signs)) throw new BadFilter(`the fake does not know ${operator}`);
    return (object) => stored(object).some((key) => signs[operator](key, term));
  };
  const tests = terms.map(one);
  return (object) => tests.every((test) => test(object));
}

function queryTerms(text, tokenization) {
  const all = tokens(text, tokenization);
  return tokenization === 'word' ? all.filter((term) => !stopwords.has(term)) : all;
}

const number = (type, value) => {
  if (type === 'date') return Date.parse(value);
  return isNumber(value) ? Number(value) : value;
};

const keysOf = (type, tokenization) =>
  type === 'text' ? (value) => tokens(value, tokenization) : (value) => [number(type, value)];

// Reads the GraphQL that adapters send: one operation, fields with aliases, arguments of literals, no fragments.
//
// parseQuery(text) answers { variables, fields }; a field is { name, alias, arguments, fields, at }, and `at` where it
// begins. Values are JavaScript's, but a whole number beyond 2^53 is a BigInt, a number with a fraction a Real, a bare word
// an Enum and $v a Variable.

import { Real } from './lossless.mjs';

export class Enum {
  constructor(name) {
    this.name = name;
  }
}

export class Variable {
  constructor(name, at) {
    Object.assign(this, { name, at });
  }
}

export class SyntaxProblem extends Error {
  constructor(expected, found, text, at) {
    super(expected);
    Object.assign(this, { expected, found, text, at });
  }
}

export function parseQuery(text) {
  const tokens = [];
  const token =
    /[\s,\uFEFF]+|#[^\n\r]*|(?<name>[_A-Za-z]\w*)|(?<number>-?(?:0|[1-9]\d*)(?<fraction>(?:\.\d+)?(?:[eE][+-]?\d+)?))|(?<string>"(?:[^"\\\n\r]|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*")|(?<mark>[!$():=@[\]{|}]|\.\.\.)/y;
  for (let at = 0; at < text.length;) {
    token.lastIndex = at;
    const match = token.exec(text);
    if (match === null) throw new SyntaxProblem('Unexpected character', JSON.stringify(text[at]), text, at);
    const { name, number, fraction, string, mark } = match.groups;
    if (name !== undefined) tokens.push({ kind: 'Name', value: name, at });
    if (number !== undefined) tokens.push({ kind: fraction ? 'Float' : 'Int', value: number, at });
    if (string !== undefined) tokens.push({ kind: 'String', value: JSON.parse(string), at });
    if (mark !== undefined) tokens.push({ kind: mark, value: mark, at });
    at = token.lastIndex;
  }
  tokens.push({ kind: 'EOF', at: text.length });
  let next = 0;

  const fail = (expected) => {
    const { kind, value, at } = tokens[next];
    const found =
      kind === 'EOF' ? 'EOF' : kind === 'Name' || kind === 'Int' || kind === 'Float' ? `${kind} "${value}"` : kind;
    throw new SyntaxProblem(`Expected ${expected}`, found, text, at);
  };
  const is = (kind) => tokens[next].kind === kind;
  const take = (kind) => (is(kind) ? tokens[next++] : fail(kind));
  const taken = (kind) => is(kind) && tokens[next++] !== undefined;
  const until = (end, one) => {
    const list = [];
    do list.push(one());
    while (!taken(end));
    return list;
  };

  const value = () => {
    const { kind, value: found, at } = tokens[next];
    switch (kind) {
      case 'Int':
        next++;
        return Number.isSafeInteger(Number(found)) ? Number(found) : BigInt(found);
      case 'Float':
        next++;
        return new Real(Number(found));
      case 'String':
        next++;
        return found;
      case 'Name':
        next++;
        return found === 'true' ? true : found === 'false' ? false : found === 'null' ? null : new Enum(found);
      case '$':
        next++;
        return new Variable(take('Name').value, at);
      case '[':
        next++;
        return taken(']') ? [] : until(']', value);
      case '{': {
        next++;
        if (taken('}')) return {};
        return Object.fromEntries(
          until('}', () => {
            const name = take('Name').value;
            take(':');
            return [name, value()];
          }),
        );
      }
    }
    return fail('a value');
  };
  const field = () => {
    const first = take('Name');
    const { at } = first;
    let name = first.value;
    let alias = name;
    if (taken(':')) name = take('Name').value;
    const found = { name, alias, at, arguments: {}, fields: null };
    if (taken('(')) {
      const list = until(')', () => {
        const key = take('Name').value;
        take(':');
        return [key, value()];
      });
      found.arguments = Object.fromEntries(list);
    }
    if (taken('{')) found.fields = until('}', field);
    return found;
  };

  const variables = {};
  if (is('Name')) {
    if (tokens[next].value !== 'query') fail('query');
    next++;
    if (is('Name')) next++;
    if (taken('(')) {
      until(')', () => {
        const { at } = take('$');
        const name = take('Name').value;
        take(':');
        const from = tokens[next].at;
        while (!is(')') && !is('$') && !is('EOF')) next++;
        variables[name] = { type: text.slice(from, tokens[next].at).trim(), at };
      });
    }
  }
  take('{');
  const fields = until('}', field);
  take('EOF');
  return { variables, fields };
}

/** { line, column } of an offset, both from 1. */
export function location(text, at) {
  const before = text.slice(0, at);
  return { column: at - (before.lastIndexOf('\n') + 1) + 1, line: before.split('\n').length };
}

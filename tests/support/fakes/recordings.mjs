// Replays the recordings of real servers (../shared/contracts/recordings) against a fake, in order.

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { contracts } from './api-description.mjs';
import { JsonError, Real, parse, print } from './lossless.mjs';

/** The exchanges of a recording, or null with a message where the folder is absent. */
export function recording(name) {
  const file = path.join(contracts, 'recordings', `${name}.jsonl`);
  if (!existsSync(file)) {
    console.log(`skipped: ${file} is absent`);
    return null;
  }
  return readFileSync(file, 'utf8').split('\n').filter(Boolean).slice(1).map(parse);
}

const number = (value) => (value instanceof Real ? value.value : typeof value === 'bigint' ? Number(value) : value);

/**
 * Where two answers differ, as text; undefined: nowhere. Numbers may differ by a millionth, which is what a sum in
 * single precision loses, and by what the recorder's JSON.parse rounded.
 */
export function difference(actual, expected, at = '') {
  const [a, b] = [number(actual), number(expected)];
  if (typeof a === 'number' && typeof b === 'number') {
    return Math.abs(a - b) <= 1e-6 * Math.max(1, Math.abs(b)) ? undefined : `${at || 'body'}: ${a}, recorded ${b}`;
  }
  if (
    typeof a !== 'object' ||
    typeof b !== 'object' ||
    a === null ||
    b === null ||
    Array.isArray(a) !== Array.isArray(b)
  ) {
    return a === b ? undefined : `${at || 'body'}: ${short(a)}, recorded ${short(b)}`;
  }
  for (const key of new Set([...Object.keys(b), ...Object.keys(a)])) {
    const found = difference(a[key], b[key], `${at}${Array.isArray(b) ? `[${key}]` : `.${key}`}`);
    if (found !== undefined) return found;
  }
  return undefined;
}

const short = (value) => (value === undefined ? 'nothing' : print(value).slice(0, 400));

/** A value with some of its fields left out, wherever they stand; `change` may replace any other value. */
export function without(value, names, change = (inner) => inner) {
  if (typeof value !== 'object' || value === null || value instanceof Real) return change(value);
  if (Array.isArray(value)) return change(value.map((inner) => without(inner, names, change)));
  const kept = Object.entries(value).filter(([name]) => !names.includes(name));
  return change(Object.fromEntries(kept.map(([name, inner]) => [name, without(inner, names, change)])));
}

/** A list of hits with equal scores in an order of its own: servers promise none. */
export function settleTies(hits, score, id) {
  return hits
    .map((hit, at) => ({ hit, at }))
    .sort((a, b) => (near(score(a.hit), score(b.hit)) ? compare(id(a.hit), id(b.hit)) : a.at - b.at))
    .map(({ hit }) => hit);
}
const near = (a, b) => Math.abs(number(a) - number(b)) <= 1e-6;
const compare = (a, b) => (String(a) < String(b) ? -1 : 1);

/**
 * outOfScope: exchange -> reason, or undefined. fakeFor: exchange -> the fake it goes to. request: may replace a recorded
 * request. normalise(body, exchange): both sides before they are compared. Answers what was matched, what was left out and
 * why, and what differs.
 */
export function replay(
  exchanges,
  { outOfScope, fakeFor, request = (exchange) => exchange.request, normalise, headers = [] },
) {
  const matched = [];
  const left = [];
  const failures = [];
  for (const exchange of exchanges) {
    const reason = outOfScope(exchange);
    if (reason !== undefined) {
      left.push({ ...exchange, reason });
      continue;
    }
    const { method, path: target, headers: sent, body } = request(exchange);
    const text = body === null || body === undefined ? '' : typeof body === 'string' ? body : print(body);
    const fake = fakeFor(exchange);
    const before = fake.violations.length;
    const answer = fake.answer({ method, path: target, headers: sent, body: text });
    const violations = fake.violations.splice(before);
    let got = answer.body;
    try {
      if (/json/.test(answer.headers['content-type'] ?? '')) got = parse(answer.body);
    } catch (error) {
      if (!(error instanceof JsonError)) throw error;
    }
    const recorded = exchange.response;
    const status = answer.reset ? null : answer.status;
    let found =
      status === recorded.status
        ? difference(normalise(got, exchange), normalise(recorded.body, exchange))
        : `status ${status}, recorded ${recorded.status}: ${answer.body.slice(0, 300)}`;
    for (const name of headers) {
      if (answer.headers[name] === recorded.headers?.[name]) continue;
      found ??= `header ${name}: ${answer.headers[name]}, recorded ${recorded.headers?.[name]}`;
    }
    if (found === undefined) matched.push({ ...exchange, violations });
    else failures.push(`${exchange.n} ${exchange.name}: ${found}`);
  }
  return { matched, left, failures };
}

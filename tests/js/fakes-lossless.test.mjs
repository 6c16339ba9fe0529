// The JSON of the fakes: nothing is rounded, and errors say where.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { JsonError, Real, isPlain, parse, print, shortest } from '../support/fakes/lossless.mjs';

test('numbers keep their digits and their kind', () => {
  const text =
    '{"a":9007199254740993,"b":[1.0,1,-0.5,1e3,18446744073709551615],"__proto__":{"c":-9223372036854775808}}';
  const value = parse(text);
  assert.equal(value.a, 9007199254740993n);
  assert.deepEqual(value.b, [new Real(1), 1, -0.5, new Real(1000), 18446744073709551615n]);
  assert.deepEqual(Object.keys(value), ['a', 'b', '__proto__']);
  assert.equal(print(value), text.replace('1e3', '1000.0'));
});

test('whether JSON.parse would do is seen in the text', () => {
  for (const text of ['1.0', '[1.00]', '1e3', '1E+3', '1234567890123456', '"1.0"', '2.'])
    assert.equal(isPlain(text), false, text);
  for (const text of ['1.05', '10.50', '1e-7', '[0.1,100]', '123456789012345', 'a.b', 'e5', '0.001'])
    assert.equal(isPlain(text), true, text);
});

test('what parses, parses as JSON.parse has it', () => {
  const texts = ['"\\u00fc\\n"', ' [ ] ', '{"a":[{}, null, true],"b":"x"}', '-0', '[[[]]]', '0.1'];
  // The second makes it take the long way.
  for (const text of texts)
    for (const form of [text, `[1.0,${text}]`]) assert.deepEqual(JSON.parse(print(parse(form))), JSON.parse(form));
});

test('what does not parse says why and where', () => {
  const cases = {
    '{"a":1.0,': 'eof',
    '[1.0,NaN]': 'value',
    '[1.0,1e999]': 'range',
    '[1.0] x': 'trailing',
    '{"a" 1.0}': 'value',
    '"\\x 1.0"': 'value',
  };
  for (const [text, kind] of Object.entries(cases)) {
    assert.throws(
      () => parse(text),
      (error) => error instanceof JsonError && error.kind === kind,
      text,
    );
  }
  assert.throws(() => parse('[1.0' + '['.repeat(1000)), JsonError);
});

test('floats are printed with the fewest digits that read back', () => {
  const bits = new Uint32Array(1);
  const floats = new Float32Array(bits.buffer);
  for (let i = 0; i < 100_000; i++) {
    bits[0] = Math.imul(i, 0x9e3779b1);
    const [float] = floats;
    if (!Number.isFinite(float)) continue;
    let fewest;
    for (let digits = 1; Math.fround(fewest) !== float; digits++) fewest = Number(float.toPrecision(digits));
    assert.equal(Math.fround(shortest(float)), float);
    assert.ok(String(shortest(float)).length <= String(fewest).length, `${float}: ${shortest(float)}, ${fewest}`);
  }
  assert.equal(print(Float32Array.of(0.1, 1, 123456.789, 1e-8)), '[0.1,1.0,123456.79,1e-8]');
});

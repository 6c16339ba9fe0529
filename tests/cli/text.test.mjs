// What becomes of a document's text on its way to a terminal.

import assert from 'node:assert/strict';
import test from 'node:test';

import { snippet } from '../../dist/cli/snippet.js';
import * as terminal from '../../dist/cli/terminal.js';

const plain = (pieces) => pieces.map((piece) => piece.text).join('');
const matches = (pieces) => pieces.filter((piece) => piece.match).map((piece) => piece.text);

function ranges(text, word) {
  return [...text.matchAll(new RegExp(word, 'g'))].map((found) => [found.index, found.index + found[0].length]);
}

test('a short text is shown whole', () => {
  const text = 'The uploader\n  retries with backoff.';
  const pieces = snippet(text, ranges(text, 'retries'));
  assert.equal(plain(pieces), 'The uploader retries with backoff.');
  assert.deepEqual(matches(pieces), ['retries']);
});

test('a long text is cut where most different words matched', () => {
  const filler = 'lorem ipsum dolor sit amet '.repeat(40);
  const text = `${filler}upload upload upload ${filler}upload retry backoff ${filler}`;
  const highlights = [...ranges(text, 'upload'), ...ranges(text, 'retry'), ...ranges(text, 'backoff')].sort(
    (a, b) => a[0] - b[0],
  );
  const pieces = snippet(text, highlights);
  assert.deepEqual(matches(pieces), ['upload', 'retry', 'backoff']);
  assert.match(plain(pieces), /^… \S.*\S …$/s);
  assert.ok(plain(pieces).length <= 264, String(plain(pieces).length));
});

test('snippets of every shape keep their bounds', () => {
  for (const unit of ['a', 'word ', '漢字', '😀', '\n', ' ', '\x1b[2J', 'é']) {
    for (const length of [0, 1, 239, 240, 241, 260, 261, 500, 5000]) {
      const text = unit.repeat(Math.ceil(length / unit.length)).slice(0, length);
      for (const highlights of [
        [],
        [[0, length]],
        [[Math.floor(length / 2), length]],
        [[Math.max(0, length - 1), length]],
      ]) {
        const kept = highlights.filter(([begin, end]) => begin < end);
        const pieces = snippet(text, kept);
        assert.doesNotMatch(plain(pieces), /[\x00-\x1f]/);
        if (unit === '😀' && length % 2 === 0) assert.ok(plain(pieces).isWellFormed?.() ?? true);
        if (unit !== '\x1b[2J') assert.ok(plain(pieces).length <= 280, `${JSON.stringify(unit)} ${length}`);
      }
    }
  }
});

test('what could act on a terminal is escaped', () => {
  assert.equal(terminal.printable('a\x1b[31mb\x07\x9bc\u202ed\r\n\te'), 'a\\x1b[31mb\\x07\\x9bc\\u{202e}d e');
  assert.equal(terminal.printableLines('a\r\nb\tc\x1b\rd'), 'a\nb    c\\x1b\\x0dd');
  assert.equal(terminal.jsonLine({ a: '\x9b\u2028é' }), '{"a":"\\u009b\\u2028é"}');
  assert.deepEqual(JSON.parse(terminal.jsonLine({ a: '\x9b\u2028\ufeff' })), { a: '\x9b\u2028\ufeff' });
});

test('lines break between words and at most at the width', () => {
  const pieces = [
    { text: 'the up', match: false },
    { text: 'loader', match: true },
    { text: ', which is patient, retries ', match: false },
    { text: 'x'.repeat(25), match: true },
    { text: ' 漢字漢字漢字漢字漢字漢字', match: false },
  ];
  const lines = terminal.wrap(pieces, 10).map(plain);
  assert.deepEqual(lines, [
    'the',
    'uploader,',
    'which is',
    'patient,',
    'retries',
    'x'.repeat(10),
    'x'.repeat(10),
    'xxxxx',
    '漢字漢字漢',
    '字漢字漢字',
    '漢字',
  ]);
  for (const line of lines) assert.ok(terminal.columns(line) <= 10);
  assert.deepEqual(terminal.wrap([{ text: '    - one two three', match: false }], 12).map(plain), [
    '    - one',
    'two three',
  ]);
  const long = [
    { text: 'x'.repeat(10), match: false },
    { text: 'y'.repeat(12), match: true },
  ];
  assert.deepEqual(terminal.wrap(long, 10).map(plain), ['x'.repeat(10), 'y'.repeat(10), 'yy']);
  assert.deepEqual(terminal.wrap([], 10), []);
  assert.deepEqual(terminal.wrap([{ text: '漢', match: false }], 1).map(plain), ['漢']);
});

test('numbers for people', () => {
  assert.equal(terminal.grouped(999), '999');
  assert.equal(terminal.grouped(1234567), '1,234,567');
  assert.equal(terminal.bytesText(7_800_000), '7.8 MB');
  assert.equal(terminal.durationText(61_000), '1 min 1 s');
  assert.equal(terminal.counted(1, 'file'), '1 file');
});

test('colours: the flag, then FORCE_COLOR, then NO_COLOR, then the terminal', () => {
  const colors = (flag, isTTY, environment) => terminal.wantsColor(flag, { isTTY }, environment);
  assert.equal(colors('auto', true, {}), true);
  assert.equal(colors('auto', false, {}), false);
  assert.equal(colors('auto', true, { TERM: 'dumb' }), false);
  assert.equal(colors('auto', true, { NO_COLOR: '1' }), false);
  assert.equal(colors('auto', false, { FORCE_COLOR: '1' }), true);
  assert.equal(colors('auto', true, { FORCE_COLOR: '0' }), false);
  assert.equal(colors('always', false, { NO_COLOR: '1' }), true);
  assert.equal(colors('never', true, { FORCE_COLOR: '1' }), false);
});

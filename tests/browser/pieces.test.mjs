// The parts of the page that need no browser: marked text, snippets, the address.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { joined, markedPieces, snippet } from '../../demo/snippet.js';
import { nameOf } from '../../demo/results.js';
import { filterOf, readState, writeState } from '../../demo/state.js';

const marks = (pieces) => pieces.filter(({ marked }) => marked).map(({ text }) => text);

test('marked pieces join to the text, whatever the offsets', () => {
  const text = 'The 🦈 retries uploads, twice.';
  const good = [
    [7, 14],
    [15, 22],
  ];
  assert.deepEqual(marks(markedPieces(text, good)), ['retries', 'uploads']);
  for (const offsets of [
    [],
    good,
    [...good].reverse(),
    [[-1, 3]],
    [[0, 999]],
    [[5, 5]],
    [
      [7, 14],
      [10, 20],
    ],
    [[NaN, 2]],
  ]) {
    assert.equal(joined(markedPieces(text, offsets)), text);
  }
  assert.deepEqual(markedPieces('', []), []);
});

test('a snippet is the stretch with the most matches, cut between words', () => {
  const filler = 'lorem ipsum dolor sit amet '.repeat(40);
  const text = `upload ${filler}retry the upload with the retry policy ${filler}`;
  const offsets = [...text.matchAll(/retry|upload/g)].map(({ index, 0: word }) => [index, index + word.length]);
  const pieces = snippet(text, offsets);
  assert.deepEqual(marks(pieces), ['retry', 'upload', 'retry']);
  const shown = joined(pieces);
  assert.match(shown, /^… \S.* …$/);
  for (const word of shown.replaceAll('…', '').trim().split(' ')) assert.ok(text.split(' ').includes(word), word);
});

test('a snippet stays within its budget on text of any shape', () => {
  for (const [name, text] of Object.entries({
    empty: '',
    short: 'one word',
    spaceless: 'x'.repeat(5000),
    surrogates: '🦈'.repeat(3000),
    odd: `a${'🦈'.repeat(3000)}`,
    japanese: '検索結果が見つからない場合、'.repeat(300),
    blank: ' \n\t'.repeat(400),
    lines: '# Title\n\n- [ ] **item** `code`\n'.repeat(200),
  })) {
    for (const begin of [0, 1, 77, 1001, 2998]) {
      const shown = joined(snippet(text, begin + 4 <= text.length ? [[begin, begin + 4]] : []));
      assert.ok(shown.length <= 280 + 4, `${name}: ${shown.length}`);
      assert.ok(!/[\n\t]/.test(shown), name);
    }
    // Cut at no offset, the ends of a snippet are whole characters.
    const plain = joined(snippet(text, []));
    assert.equal(Buffer.from(plain).toString(), plain, name);
  }
});

test('a first line that only repeats the title is not shown twice', () => {
  assert.equal(
    joined(snippet('### Requirement 1: Retry\n\nUploads go on.', [], 'Requirement 1: Retry')),
    'Uploads go on.',
  );
  assert.equal(joined(snippet('- [x] 2.1 Write tests\n  for the pump', [], 'Write tests')), 'for the pump');
  assert.equal(joined(snippet('### Only a heading', [], 'Only a heading')), 'Only a heading');
  assert.equal(joined(snippet('Another line\nand more', [], 'Title')), 'Another line and more');
});

test("a snippet leaves out markdown's signs, not those of the text", () => {
  const shown = (text) => joined(snippet(text, []));
  assert.equal(
    shown('- [x] **Retry** the *whole* `upload`\n  - of a_b_c\n  - 2 * 3 - 1'),
    'Retry the whole upload · of a_b_c · 2 * 3 - 1',
  );
  assert.equal(shown('## Heading\n\nFirst.\n\n---\n\n1. one\n2. two'), 'Heading First. · one · two');
  assert.equal(shown('```ts\nconst x = y_;\n```\n#hash _check()'), 'const x = y_; #hash _check()');
  assert.deepEqual(
    snippet('fast upload - slow', [[5, 11]]).map(({ text }) => text),
    ['fast ', 'upload', ' - slow'],
  );
});

test('a block without a title is called by its number, or by its first words', () => {
  const payload = (title, ...tags) => ({ title, tags, source: 'a.md', lines: [3, 9] });
  assert.equal(nameOf('text', payload('Retry', 'req_1')), 'Retry');
  assert.equal(nameOf('text', payload('', 'req_1', 'ac_2')), 'Requirement 1, criterion 2');
  assert.equal(nameOf('text', payload('', 'user_story', 'req_1.4')), 'Requirement 1.4');
  assert.equal(nameOf('# **Some** words', payload('')), 'Some words');
  assert.equal(nameOf('', payload('')), 'a.md:3-9');
});

test('the address holds the whole search and nothing else', () => {
  const start = readState('');
  assert.equal(writeState(start), '');
  const state = {
    query: 'a & b #c=1,ü検',
    mode: 'text',
    library: 'folder-2',
    types: ['design', 'task'],
    statuses: ['done'],
    corpora: ['cc-sdd'],
  };
  assert.deepEqual(readState(writeState(state)), state);
  assert.deepEqual(readState('#type=task,evil&status=__proto__&mode=constructor&q=%E0%A4%A&unknown=1'), {
    ...start,
    query: readState('#q=%E0%A4%A').query,
    types: ['task'],
  });
});

test('chips become the filter grammar', () => {
  assert.equal(filterOf(readState('')), undefined);
  assert.deepEqual(filterOf(readState('#type=task&status=todo,done&corpus=a,b')), {
    $and: [
      { type: { $in: ['task'] } },
      { status: { $in: ['todo', 'done'] } },
      { $or: [{ source: { $contains: 'a/' } }, { source: { $contains: 'b/' } }] },
    ],
  });
});

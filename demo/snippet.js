// Pieces of text with the matched words marked, ready to become text nodes.
//
// Offsets are UTF-16 units, half-open, ascending and disjoint; those that are not are left out rather than trusted.

/** @typedef {{ text: string, marked: boolean }} Piece */

/**
 * The whole of `text`.
 * @param {string} text @param {[number, number][]} highlights @returns {Piece[]}
 */
export function markedPieces(text, highlights, begin = 0, end = text.length) {
  /** @type {Piece[]} */
  const pieces = [];
  let position = begin;
  for (const [from, to] of highlights) {
    if (from < position || to > end || to <= from) continue;
    if (from > position) pieces.push({ text: text.slice(position, from), marked: false });
    pieces.push({ text: text.slice(from, to), marked: true });
    position = to;
  }
  if (position < end) pieces.push({ text: text.slice(position, end), marked: false });
  return pieces;
}

/** The text of pieces. @param {Piece[]} pieces */
export const joined = (pieces) => pieces.map(({ text }) => text).join('');

// Inside a snippet markdown's own signs are noise: emphasis, code ticks, heading marks, rules and line breaks. Items of
// a list are set apart by a dot. What stands at the start of a line is told by the line break before it.
const quiet = (/** @type {string} */ text) =>
  text
    .replace(/\n\s*-{3,}[ \t]*(?=\n)|\n\s*```[^\n]*|\n\s*#+\s+/g, ' ')
    .replace(/\n\s*(?:[-*+]|\d+\.)\s+(?:\[.?\]\*?\s*)?/g, ' · ')
    .replace(/\*\*|`+|(?<=^|[\s(])\*(?=\S)|(?<=\S)\*(?=$|[\s.,;:)])/gm, '')
    .replace(/\s+/g, ' ');

/** Where the text goes on after a first line that only repeats `title`. @param {string} text @param {string} title */
export function bodyStart(text, title) {
  const lineEnd = text.indexOf('\n');
  // A title is short; a longer line is not one.
  if (!title || lineEnd < 0 || lineEnd > 500) return 0;
  const bare = (/** @type {string} */ line) =>
    line
      .replace(/[^\p{L}\p{N}]+/gu, ' ')
      .trim()
      .toLowerCase();
  const first = bare(text.slice(0, lineEnd));
  return first && (first === bare(title) || first.endsWith(bare(title))) && text.slice(lineEnd).trim()
    ? lineEnd + 1
    : 0;
}

/**
 * The stretch of about `budget` characters that holds the most matched words, cut at word boundaries, with an ellipsis
 * where something was left out.
 * @param {string} text @param {[number, number][]} highlights @returns {Piece[]}
 */
export function snippet(text, highlights, title = '', budget = 280) {
  const first = bodyStart(text, title);
  const inside = highlights.filter(([from, to]) => from >= first && to > from && to <= text.length);
  let begin = first;
  let most = 0;
  for (const [i, [from]] of inside.entries()) {
    const start = Math.max(first, from - 60);
    let end = i;
    while ((inside[end]?.[1] ?? Infinity) <= start + budget) end++;
    if (end - i > most) {
      most = end - i;
      begin = start;
    }
  }
  // A window that almost reaches back to the beginning begins there.
  if (begin - first < 80) begin = first;
  let end = Math.min(text.length, begin + budget);
  const within = (/** @type {number} */ at) => inside.some(([from, to]) => from < at && at < to);
  const isCut = (/** @type {number} */ at) =>
    !within(at) && (/\s/.test(text[at - 1] ?? ' ') || /\s/.test(text[at] ?? ' '));
  if (begin > first) for (let step = 0; step < 24 && !isCut(begin); step++) begin++;
  if (end < text.length) for (let step = 0; step < 24 && !isCut(end); step++) end--;
  // Text without spaces is cut where it is, only never inside a surrogate pair.
  if (/[\udc00-\udfff]/.test(text[begin] ?? '')) begin++;
  if (/[\udc00-\udfff]/.test(text[end] ?? '')) end--;

  const pieces = markedPieces(
    text,
    inside.filter(([from, to]) => from >= begin && to <= end),
    begin,
    end,
  )
    .map(({ text: words, marked }, i) => {
      if (i > 0) return { text: quiet(words), marked };
      // The first piece begins a line, or a word inside one; neither needs a dot or a space before it.
      return { text: quiet(begin === first ? `\n${words}` : words).replace(/^[ ·]+/, ''), marked };
    })
    .filter(({ text: words }) => words);
  if (begin > first) pieces.unshift({ text: '… ', marked: false });
  if (text.slice(end).trim()) pieces.push({ text: ' …', marked: false });
  return pieces;
}

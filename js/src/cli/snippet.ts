// Snippet: the part of a block that shows best why it was found.

import { printable, printableLines } from './terminal.js';
import type { Piece } from './terminal.js';

/** Ranges of UTF-16 units [begin, end), ascending and apart. */
export type Ranges = readonly (readonly [number, number])[];

const snippetUnits = 240;
const leadUnits = 40; // of context before the first match
const snapUnits = 20; // how far a cut moves to fall between words

/** About `snippetUnits` of `text`, on one line, around the place where most different words matched. */
export function snippet(text: string, highlights: Ranges): Piece[] {
  // A little over is shown whole: an ellipsis for five characters helps nobody.
  if (text.length <= snippetUnits + snapUnits) return marked(text, 0, text.length, highlights, printable);
  const first = highlights[bestStart(text, highlights)]?.[0] ?? 0;
  // Near the end of the text the window moves back: a short tail would waste it.
  const wanted = Math.max(0, Math.min(first - leadUnits, text.length - snippetUnits));
  const begin = wordStart(text, wanted, Math.min(first, wanted + snapUnits));
  const end = wordEnd(text, begin + snippetUnits);
  const pieces = marked(text, begin, end, highlights, printable);
  trimEnds(pieces);
  if (begin > 0) pieces.unshift({ text: '… ', match: false });
  if (end < text.length) pieces.push({ text: ' …', match: false });
  return pieces;
}

/** The whole of `text`, lines kept, with what matched. */
export function wholeText(text: string, highlights: Ranges): Piece[] {
  return marked(text, 0, text.length, highlights, printableLines);
}

// The index of the highlight to start at: most different words within a window, then most matches, then the earliest.
function bestStart(text: string, highlights: Ranges): number {
  const inside = new Map<string, number>(); // word -> how often it stands in the window
  let best = 0;
  let bestWords = 0;
  let bestMatches = 0;
  let end = 0;
  const word = (i: number) => text.slice(highlights[i]![0], highlights[i]![1]).toLowerCase();
  for (let start = 0; start < highlights.length; ++start) {
    const limit = highlights[start]![0] + snippetUnits - leadUnits;
    for (; end < highlights.length && highlights[end]![1] <= limit; ++end) {
      inside.set(word(end), (inside.get(word(end)) ?? 0) + 1);
    }
    const matches = end - start;
    if (inside.size > bestWords || (inside.size === bestWords && matches > bestMatches)) {
      best = start;
      bestWords = inside.size;
      bestMatches = matches;
    }
    if (end === start) {
      end = start + 1; // a match longer than the window
    } else {
      const left = inside.get(word(start))! - 1;
      if (left === 0) inside.delete(word(start));
      else inside.set(word(start), left);
    }
  }
  return best;
}

// The first beginning of a word in [from, until], otherwise `from`, never inside a surrogate pair.
function wordStart(text: string, from: number, until: number): number {
  if (from <= 0) return 0;
  for (let at = from; at <= until; ++at) {
    if (/\s/.test(text[at - 1]!) && !/\s/.test(text[at] ?? ' ')) return at;
  }
  return outsidePair(text, from);
}

function wordEnd(text: string, wanted: number): number {
  if (wanted >= text.length) return text.length;
  for (let at = wanted; at > wanted - snapUnits; --at) {
    if (/\s/.test(text[at]!)) return at;
  }
  return outsidePair(text, wanted);
}

function outsidePair(text: string, at: number): number {
  const code = text.charCodeAt(at);
  return code >= 0xdc00 && code <= 0xdfff ? at + 1 : at;
}

// text[begin, end) cut at the highlights, each piece made safe to print.
function marked(text: string, begin: number, end: number, highlights: Ranges, safe: (text: string) => string): Piece[] {
  const pieces: Piece[] = [];
  let at = begin;
  const push = (until: number, match: boolean) => {
    if (until > at) pieces.push({ text: safe(text.slice(at, until)), match });
    at = Math.max(at, until);
  };
  for (const [first, last] of highlights) {
    if (last <= begin || first >= end) continue;
    push(Math.min(first, end), false);
    push(Math.min(last, end), true);
  }
  push(end, false);
  return pieces;
}

function trimEnds(pieces: Piece[]): void {
  const first = pieces[0];
  const last = pieces.at(-1);
  if (first !== undefined) first.text = first.text.trimStart();
  if (last !== undefined) last.text = last.text.trimEnd();
}

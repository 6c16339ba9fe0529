// Hits: one block as people read it.

import type { SpecBlock, SpecHit } from '../specs.js';
import type { Output } from './output.js';
import { snippet, wholeText } from './snippet.js';
import type { Ranges } from './snippet.js';
import { printable, wrap } from './terminal.js';
import type { Piece, Style } from './terminal.js';

export interface HitForm {
  /** The whole block in place of a snippet. */
  full: boolean;
  /** Each side's score and rank. */
  explain: boolean;
}

/** `number` counts from 1 over all pages. */
export function printHit(hit: SpecHit, number: number, form: HitForm, output: Output): void {
  const { style } = output;
  const indent = ' '.repeat(String(number).length + 2);
  const highlights: Ranges = hit.highlights ?? [];
  // Many a task is nothing but its title; it is said once, with its matches.
  const bare = hit.text.trim() === hit.payload.title.trim();
  const title = bare ? marked(snippet(hit.text, highlights), style.bold, style) : undefined;
  output.line(`${style.dim(`${number}.`)} ${heading(hit, style, title)}  ${style.cyan(hit.score.toFixed(3))}`);
  output.line(indent + place(hit, style));
  if (form.explain && hit.parts !== undefined) output.line(indent + style.dim(legs(hit.parts)));
  if (bare) return;
  if (form.full) printText(wholeText(hit.text, highlights), indent, output);
  else printText(snippet(hit.text, highlights), indent, output);
}

export function printBlock(block: SpecBlock, output: Output): void {
  const { payload } = block;
  const { style } = output;
  output.line(heading(block, style));
  output.line(place(block, style));
  const more: string[] = [];
  if (payload.feature !== '') more.push(`feature ${printable(payload.feature)}`);
  if (payload.tags.length > 0) more.push(`tags ${payload.tags.map(printable).join(', ')}`);
  if (payload.pinned) more.push('pinned');
  if (more.length > 0) output.line(style.dim(more.join(' · ')));
  if (payload.links.length > 0) output.line(style.dim(`links ${payload.links.map(printable).join(' ')}`));
  output.line();
  printText(wholeText(block.text, []), '', output);
}

function heading({ payload }: SpecBlock, style: Style, markedTitle?: string): string {
  const title = payload.title === '' ? payload.source.slice(payload.source.lastIndexOf('/') + 1) : payload.title;
  const kind: string[] = [payload.type];
  // "active" is what everything but a task is; it tells nothing.
  if (payload.status !== 'active') kind.push(payload.status.replaceAll('_', ' '));
  return `${markedTitle ?? style.bold(printable(title))} ${style.dim('·')} ${kind.map(printable).join(` ${style.dim('·')} `)}`;
}

// file:first-last is what terminals and editors make a link of.
function place({ id, payload }: SpecBlock, style: Style): string {
  const [first, last] = payload.lines;
  return `${style.green(`${printable(payload.source)}:${first}${last > first ? `-${last}` : ''}`)}  ${style.dim(printable(id))}`;
}

function legs(parts: NonNullable<SpecHit['parts']>): string {
  const told: string[] = [];
  if (parts.dense !== undefined) told.push(`meaning ${parts.dense.score.toFixed(3)}, rank ${parts.dense.rank}`);
  if (parts.text !== undefined) told.push(`words ${parts.text.score.toFixed(3)}, rank ${parts.text.rank}`);
  return told.join(' · ');
}

function printText(pieces: readonly Piece[], indent: string, output: Output): void {
  for (const line of linesOf(pieces)) {
    for (const row of wrap(line, output.width - indent.length)) {
      output.line((indent + marked(row, (text) => text, output.style)).trimEnd());
    }
  }
}

function marked(pieces: readonly Piece[], rest: (text: string) => string, style: Style): string {
  return pieces.map(({ text, match }) => (match ? style.match(text) : rest(text))).join('');
}

function linesOf(pieces: readonly Piece[]): Piece[][] {
  const lines: Piece[][] = [[]];
  for (const { text, match } of pieces) {
    text.split('\n').forEach((part, i) => {
      if (i > 0) lines.push([]);
      if (part !== '') lines.at(-1)!.push({ text: part, match });
    });
  }
  return lines;
}

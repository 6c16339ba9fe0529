// Terminal: colours, widths, and the rule that text from documents never reaches a terminal raw.

export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
  cyan(text: string): string;
  match(text: string): string;
}

/**
 * `flag` is --color. In auto, FORCE_COLOR (unless "0" or "false") turns colours on, NO_COLOR turns them off, and
 * otherwise a terminal that is not dumb gets them.
 */
export function wantsColor(
  flag: 'auto' | 'always' | 'never',
  stream: { isTTY?: boolean },
  environment: NodeJS.ProcessEnv,
): boolean {
  if (flag !== 'auto') return flag === 'always';
  const forced = environment['FORCE_COLOR'];
  if (forced !== undefined && forced !== '') return forced !== '0' && forced !== 'false';
  if (environment['NO_COLOR']) return false;
  return stream.isTTY === true && environment['TERM'] !== 'dumb';
}

export function makeStyle(colors: boolean): Style {
  const sgr = (open: string, close: string) => (text: string) =>
    colors && text !== '' ? `\x1b[${open}m${text}\x1b[${close}m` : text;
  return {
    bold: sgr('1', '22'),
    dim: sgr('2', '22'),
    red: sgr('31', '39'),
    green: sgr('32', '39'),
    cyan: sgr('36', '39'),
    match: sgr('1;33', '22;39'),
  };
}

// Control characters (C0, DEL, C1) drive terminals; the others turn the direction of text or end a line in disguise.
const unsafe = /[\x00-\x1f\x7f-\x9f\u200e\u200f\u061c\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/g;

/** Text on one line: white space becomes one space, other characters that could act on a terminal become \xNN or \u{...}. */
export function printable(text: string): string {
  return text.replace(/[\t\n\r\v\f ]+/g, ' ').replace(unsafe, escaped);
}

/** As printable, but lines stay lines. Tabs become spaces, CR LF becomes a line end. */
export function printableLines(text: string): string {
  return text
    .replace(/\r\n/g, '\n')
    .replace(/\t/g, '    ')
    .replace(unsafe, (one) => (one === '\n' ? one : escaped(one)));
}

function escaped(one: string): string {
  const code = one.charCodeAt(0);
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
}

/** JSON on one line that is safe to print: what JSON.stringify leaves raw is escaped as well. */
export function jsonLine(value: unknown): string {
  return stringify(value).replace(unsafe, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

// Whole numbers of 64 bits keep their digits: they travel as texts, with a mark that nobody can have written.
function stringify(value: unknown): string {
  const mark = crypto.randomUUID();
  let marked = false;
  const text = JSON.stringify(value, (_, each: unknown) => {
    if (typeof each !== 'bigint') return each;
    marked = true;
    return `${mark}${each}`;
  });
  return marked ? text.replaceAll(new RegExp(`"${mark}(-?\\d+)"`, 'g'), '$1') : text;
}

/** How many columns text takes, roughly: two for East Asian wide characters and emoji, none for combining marks. */
export function columns(text: string): number {
  let width = 0;
  for (const one of text) {
    const code = one.codePointAt(0)!;
    if (code < 0x300) width += 1;
    else if (/\p{Mn}|\p{Me}|\p{Cf}/u.test(one)) width += 0;
    else width += wide.test(one) ? 2 : 1;
  }
  return width;
}
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}|[\u{20000}-\u{3fffd}]/u;

export interface Piece {
  text: string;
  match: boolean;
}

/** Breaks a line into rows of at most `width` columns, at spaces where there are any; its indentation stays. */
export function wrap(pieces: readonly Piece[], width: number): Piece[][] {
  if (width === Infinity) return [[...pieces]];
  const rows: Piece[][] = [[]];
  let used = 0;
  const push = (text: string, match: boolean) => {
    if (text !== '') rows.at(-1)!.push({ text, match });
    used += columns(text);
  };
  const newRow = () => {
    rows.push([]);
    used = 0;
  };
  wordsOf(pieces).forEach((word, i) => {
    const length = word.pieces.reduce((sum, piece) => sum + columns(piece.text), 0);
    if (i > 0 && used + word.space.length + length > width) newRow();
    else push(word.space.slice(0, width - used), false);
    for (const { text, match } of word.pieces) {
      let rest = text;
      // A word that is longer than a row is cut between characters.
      while (used + columns(rest) > width) {
        if (used >= width) newRow();
        const head = fitting(rest, width - used);
        push(head, match);
        rest = rest.slice(head.length);
        if (rest === '') break;
        newRow();
      }
      push(rest, match);
    }
  });
  return rows.filter((row) => row.length > 0);
}

// Words with the spaces before them; a word may run across pieces, as in "**retried**,".
function wordsOf(pieces: readonly Piece[]): { space: string; pieces: Piece[] }[] {
  const words: { space: string; pieces: Piece[] }[] = [];
  for (const { text, match } of pieces) {
    for (const part of text.match(/ +|[^ ]+/g) ?? []) {
      const last = words.at(-1);
      if (part.startsWith(' ')) words.push({ space: part, pieces: [] });
      else if (last === undefined) words.push({ space: '', pieces: [{ text: part, match }] });
      else last.pieces.push({ text: part, match });
    }
  }
  return words;
}

// The longest beginning of `text` of at most `width` columns, but at least one character.
function fitting(text: string, width: number): string {
  let head = '';
  let used = 0;
  for (const one of text) {
    used += columns(one);
    if (used > width && head !== '') break;
    head += one;
  }
  return head;
}

/** 12345 as 12,345, the same on every machine. */
export function grouped(number: number): string {
  return String(Math.round(number)).replace(/\B(?=(\d{3})+$)/g, ',');
}

export function bytesText(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} kB`;
  if (bytes < 1e9) return `${(bytes / 1e6).toFixed(1)} MB`;
  return `${(bytes / 1e9).toFixed(1)} GB`;
}

export function durationText(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 60_000) return `${(milliseconds / 1000).toFixed(1)} s`;
  return `${Math.floor(milliseconds / 60_000)} min ${Math.round((milliseconds % 60_000) / 1000)} s`;
}

/** `1 file`, `2 files`. */
export function counted(number: number, noun: string): string {
  return `${grouped(number)} ${noun}${number === 1 ? '' : 's'}`;
}

// JSON text without loss: where its members lie, and whether two texts mean the same. Numbers stay text, so that integers
// of 64 bits are what they were.
import { isWellFormed } from '../check.js';

/** Nesting, as in core/base/json.h. */
const maxDepth = 64;

/** The members of an object, as they lie in the text. */
export type Members = Map<string, { begin: number; end: number }>;

/** REQUIRES: JSON.parse() takes `text`. Throws a text that says why not, for what the engine would refuse. */
export function membersOf(text: string): Members {
  const members: Members = new Map();
  const scanner = new Scanner(text);
  scanner.object(1, (name, begin, end) => members.set(name, { begin, end }));
  return members;
}

// Walks over valid JSON; looks for what is valid and refused all the same: depth, names that stand twice.
class Scanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  object(depth: number, member?: (name: string, begin: number, end: number) => void): void {
    this.#deepEnough(depth);
    this.#space();
    this.#at++; // {
    const names = new Set<string>();
    for (this.#space(); this.#text[this.#at] !== '}'; this.#space()) {
      const name = this.#name();
      if (names.has(name)) throw `the name ${JSON.stringify(name.slice(0, 80))} stands twice in one object`;
      names.add(name);
      this.#space();
      this.#at++; // :
      this.#space();
      const begin = this.#at;
      this.#value(depth);
      member?.(name, begin, this.#at);
      this.#space();
      if (this.#text[this.#at] === ',') this.#at++;
      this.#space();
    }
    this.#at++;
  }

  #value(depth: number): void {
    switch (this.#text[this.#at]) {
      case '"':
        this.#string();
        return;
      case '{':
        this.object(depth + 1);
        return;
      case '[':
        this.#array(depth + 1);
        return;
      default:
        this.#scalar();
    }
  }

  #array(depth: number): void {
    this.#deepEnough(depth);
    this.#at++;
    for (this.#space(); this.#text[this.#at] !== ']'; this.#space()) {
      this.#value(depth);
      this.#space();
      if (this.#text[this.#at] === ',') this.#at++;
    }
    this.#at++;
  }

  // A number, true, false or null: up to what cannot belong to it.
  #scalar(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      // , ] } white space, or the end
      if (code === 44 || code === 93 || code === 125 || code <= 32 || code !== code) return;
      this.#at++;
    }
  }

  #string(): void {
    for (let at = this.#at + 1; ;) {
      const quote = this.#text.indexOf('"', at);
      let slashes = 0;
      while (this.#text.charCodeAt(quote - 1 - slashes) === 92) slashes++;
      at = quote + 1;
      if (slashes % 2 === 0) {
        this.#at = at;
        return;
      }
    }
  }

  #name(): string {
    const begin = this.#at;
    this.#string();
    const name = JSON.parse(this.#text.slice(begin, this.#at)) as string;
    if (!isWellFormed(name)) throw 'a name holds half of a surrogate pair';
    return name;
  }

  #space(): void {
    while (this.#text.charCodeAt(this.#at) <= 32) this.#at++;
  }

  #deepEnough(depth: number): void {
    if (depth > maxDepth) throw `it is nested deeper than ${maxDepth} levels`;
  }
}

/** Whether two JSON texts mean the same: members in any order, 1.0 as 1, integers of 64 bits to the last digit. */
export function sameJson(one: string, other: string): boolean {
  return one === other || same(exact(one), exact(other));
}

const tokens = /"(?:[^"\\]+|\\.)*"|-?\d[\d.eE+-]*/g;

// Its value with every number as a text '#...' and every text as '$...'.
function exact(text: string): unknown {
  return JSON.parse(text.replace(tokens, (token) => (token[0] === '"' ? `"$${token.slice(1)}` : `"#${plain(token)}"`)));
}

function plain(number: string): string {
  if (/^-?\d{1,20}$/.test(number)) return String(BigInt(number));
  const value = Number(number);
  return Number.isSafeInteger(value) ? String(BigInt(value)) : String(value);
}

function same(one: unknown, other: unknown): boolean {
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return one === other;
  if (Array.isArray(one) !== Array.isArray(other)) return false;
  const keys = Object.keys(one);
  if (keys.length !== Object.keys(other).length) return false;
  const [a, b] = [one as Record<string, unknown>, other as Record<string, unknown>];
  return keys.every((key) => Object.hasOwn(b, key) && same(a[key], b[key]));
}

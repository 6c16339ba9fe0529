// Bytes of a source: taken in pieces of a wanted length, or line by line. What is asked for is all that is kept.
import { NearfieldError } from '../errors.js';
import { bytesOf, type Source } from '../sinks.js';

/** Of one line, in bytes. A text of 16 MiB fits with every other character escaped. */
export const maxLineBytes = 64 << 20;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const newline = 10;

/** Throws FormatError, which names the place, for all that is wrong with what is read. */
export class Bytes {
  readonly #source: Source;
  readonly #noun: string;
  #rest = new Uint8Array(0);
  #ended = false;
  /** Of the next byte. */
  position = 0;
  /** Of the line that was read last, from 1. */
  line = 0;
  #lineStart = 0;

  constructor(source: Source, noun: string) {
    this.#source = source;
    this.#noun = noun;
  }

  get bytesTotal(): number | undefined {
    return this.#source.bytesTotal;
  }

  async #more(): Promise<boolean> {
    while (!this.#ended) {
      const chunk = await this.#source.read();
      if (chunk === undefined) {
        this.#ended = true;
        break;
      }
      const bytes = bytesOf(chunk, this.#noun);
      if (bytes.length === 0) continue;
      if (this.#rest.length === 0) {
        this.#rest = bytes;
      } else {
        const joined = new Uint8Array(this.#rest.length + bytes.length);
        joined.set(this.#rest);
        joined.set(bytes, this.#rest.length);
        this.#rest = joined;
      }
      return true;
    }
    return false;
  }

  /** Exactly `length` bytes, or none at the end. REQUIRES: `length` is small, or was checked. */
  async take(length: number, what: string): Promise<Uint8Array | undefined> {
    while (this.#rest.length < length && (await this.#more()));
    if (this.#rest.length === 0 && length > 0) return undefined;
    if (this.#rest.length < length) {
      throw this.wrong(`${what} is cut short: ${length} bytes are expected, and ${this.#rest.length} are there`);
    }
    const taken = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(length);
    this.position += length;
    return taken;
  }

  /** Without its end, LF or CR LF; undefined after the last one. */
  async nextLine(): Promise<string | undefined> {
    const pieces: Uint8Array[] = [];
    let length = 0;
    this.#lineStart = this.position;
    this.line++;
    for (;;) {
      if (this.#rest.length === 0 && !(await this.#more())) {
        if (length > 0) break;
        return undefined;
      }
      const end = this.#rest.indexOf(newline);
      const piece = this.#rest.subarray(0, end < 0 ? this.#rest.length : end);
      length += piece.length;
      if (length > maxLineBytes) throw this.wrong(`the line is longer than ${maxLineBytes} bytes`);
      pieces.push(piece);
      const taken = piece.length + (end < 0 ? 0 : 1);
      this.#rest = this.#rest.subarray(taken);
      this.position += taken;
      if (end >= 0) break;
    }
    return this.#decoded(pieces, length);
  }

  #decoded(pieces: Uint8Array[], length: number): string {
    let bytes = pieces[0] as Uint8Array;
    if (pieces.length > 1) {
      bytes = new Uint8Array(length);
      let at = 0;
      for (const piece of pieces) {
        bytes.set(piece, at);
        at += piece.length;
      }
    }
    if (bytes.at(-1) === 13) bytes = bytes.subarray(0, -1);
    if (this.line === 1 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) {
      throw this.wrong('it begins with a byte order mark, which JSON has none of; save it as UTF-8 without one');
    }
    try {
      return decoder.decode(bytes);
    } catch {
      throw this.wrong('the line is not UTF-8');
    }
  }

  /** FormatError for the line that was read last, or for this place. */
  wrong(why: string): NearfieldError {
    const place = this.line > 0 ? `line ${this.line} (from byte ${this.#lineStart})` : `byte ${this.position}`;
    return new NearfieldError('FormatError', `${this.#noun}, ${place}: ${why}`, {
      value: this.line > 0 ? this.line : this.position,
      details: this.line > 0 ? { line: this.line, byte: this.#lineStart } : { byte: this.position },
    });
  }

  async close(): Promise<void> {
    await this.#source.close().catch(() => {});
  }
}

// Messages to the engine, as wasm/marshal.h reads them: the length of a JSON text, the text, zero bytes to a multiple
// of four, then a binary part. Built in JavaScript's own memory and copied over in one go.
import { NearfieldError } from './errors.js';

const encoder = new TextEncoder();

/** More than this in one message cannot be meant, and would not fit beside the data in 4 GiB. */
const maxMessageBytes = 1 << 30;

export class Message {
  #bytes = new Uint8Array(1024);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** `options` is the JSON text of an object. */
  constructor(options: string) {
    this.string(options);
    this.align();
  }

  word(value: number): this {
    this.#reserve(4);
    this.#view.setUint32(this.#length, value, true);
    this.#length += 4;
    return this;
  }

  /** A length in bytes, then the text as UTF-8. */
  string(text: string): this {
    // A UTF-16 unit takes at most three bytes.
    this.#reserve(4 + text.length * 3);
    const start = this.#length + 4;
    const { written } = encoder.encodeInto(text, this.#bytes.subarray(start));
    this.word(written);
    this.#length += written;
    return this;
  }

  strings(texts: readonly string[]): this {
    this.word(texts.length);
    for (const text of texts) this.string(text);
    return this;
  }

  bytes(bytes: Uint8Array): this {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  /** REQUIRES: the length is a multiple of four. */
  floats(values: Float32Array): this {
    return this.bytes(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }

  align(): this {
    const padding = -this.#length & 3;
    this.#reserve(padding);
    this.#bytes.fill(0, this.#length, this.#length + padding);
    this.#length += padding;
    return this;
  }

  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #reserve(more: number): void {
    const wanted = this.#length + more;
    if (wanted <= this.#bytes.length) return;
    if (wanted > maxMessageBytes) {
      throw new NearfieldError('LimitExceeded', 'the call carries more than 1 GiB; split it', { value: wanted });
    }
    const grown = new Uint8Array(Math.max(wanted, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}

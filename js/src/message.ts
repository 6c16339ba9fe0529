// Messages to the engine, as wasm/marshal.h reads them: the length of a JSON text, the text, zero bytes to a multiple
// of four, then a binary part. Built in JavaScript's own memory and copied over in one go.
import { NearfieldError } from './errors.js';

const encoder = new TextEncoder();

/** More than this in one message cannot be meant, and would not fit beside the data in 4 GiB. */
const maxMessageBytes = 1 << 30;

/** A message that grew larger is not kept for the next call. */
const keptBytes = 1 << 16;

export class Message {
  #bytes = new Uint8Array(1024);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** `options` is the JSON text of an object, or empty. */
  constructor(options: string) {
    this.begin(options);
  }

  /** Empties the message and begins another one. */
  begin(options: string): this {
    this.#length = 0;
    return this.string(options).align();
  }

  word(value: number): this {
    this.#reserve(4);
    this.#view.setUint32(this.#length, value, true);
    this.#length += 4;
    return this;
  }

  double(value: number): this {
    this.#reserve(8);
    this.#view.setFloat64(this.#length, value, true);
    this.#length += 8;
    return this;
  }

  /** A length in bytes, then the text as UTF-8. */
  string(text: string): this {
    if (text === '') return this.word(0);
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

  /** Room for `count` floats, to be filled before anything else is written. REQUIRES: as floats(). */
  room(count: number): Float32Array {
    this.#reserve(count * 4);
    const room = new Float32Array(this.#bytes.buffer, this.#length, count);
    this.#length += count * 4;
    return room;
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

  /** Whether it takes little memory. */
  get small(): boolean {
    return this.#bytes.length <= keptBytes;
  }

  /** Makes room once for what is known to come. */
  reserve(more: number): this {
    this.#reserve(more);
    return this;
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

let spare: Message | undefined;

/**
 * Hands an empty message without options to `use`, which must be done with it when it returns. To make one takes longer
 * than a small search, so there is one for all calls; a second one where a getter of the caller's calls in between.
 */
export function withMessage<Result>(use: (message: Message) => Result): Result {
  const message = spare?.begin('') ?? new Message('');
  spare = undefined;
  try {
    return use(message);
  } finally {
    if (message.small) spare = message;
  }
}

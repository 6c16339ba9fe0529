// The engine's memory: the only file that touches it.
//
// Any call into the engine may grow the memory, which detaches every older view. So each function here makes a fresh
// view, or makes sure that the one it has is still of the memory, and copies; a Reader is good until the next call.

// A text may begin with what looks like a byte order mark.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Strings that lie together are decoded together up to this size: each then keeps the memory of all of them. */
const joinedBytes = 4096;

export class Memory {
  #memory: { readonly buffer: ArrayBuffer };
  // Of the buffer as it was last; made again when that is another one.
  #view = new DataView(new ArrayBuffer(0));

  constructor(memory: WebAssembly.Memory) {
    this.#memory = memory;
  }

  /** Up to 4 GiB that nobody will read again, and that the next instance may need. */
  release(): void {
    this.#memory = { buffer: new ArrayBuffer(0) };
    this.#view = new DataView(this.#memory.buffer);
  }

  get byteLength(): number {
    return this.#memory.buffer.byteLength;
  }

  write(offset: number, bytes: Uint8Array): void {
    new Uint8Array(this.#memory.buffer, offset, bytes.length).set(bytes);
  }

  /** Of what stands at `offset`. */
  reader(offset: number): Reader {
    const { buffer } = this.#memory;
    if (this.#view.buffer !== buffer) this.#view = new DataView(buffer);
    return new Reader(this.#view, offset);
  }

  text(offset: number, length: number): string {
    return decoder.decode(new Uint8Array(this.#memory.buffer, offset, length));
  }

  bytes(offset: number, length: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#memory.buffer, offset, length).slice() as Uint8Array<ArrayBuffer>;
  }

  /** Fills `room`. */
  readFloats(offset: number, room: Float32Array): void {
    room.set(new Float32Array(this.#memory.buffer, offset, room.length));
  }

  floats(offset: number, count: number): Float32Array {
    return new Float32Array(this.#memory.buffer, offset, count).slice();
  }
}

/** Reads values that stand one behind the other. Good until the next call into the engine. */
export class Reader {
  readonly #view: DataView;
  #at: number;

  constructor(view: DataView, offset: number) {
    this.#view = view;
    this.#at = offset;
  }

  /** Another one, which begins where this one is now; this one goes on `bytes` later. */
  split(bytes: number): Reader {
    const other = new Reader(this.#view, this.#at);
    this.#at += bytes;
    return other;
  }

  /** A u32. */
  word(): number {
    const value = this.#view.getUint32(this.#at, true);
    this.#at += 4;
    return value;
  }

  /** An f64. */
  double(): number {
    const value = this.#view.getFloat64(this.#at, true);
    this.#at += 8;
    return value;
  }

  text(bytes: number): string {
    const text = decoder.decode(new Uint8Array(this.#view.buffer, this.#at, bytes));
    this.#at += bytes;
    return text;
  }

  /** Strings of `bytes` together. */
  texts(bytes: number): Texts {
    return new Texts(this.split(bytes), bytes);
  }
}

/** Strings that lie together; their lengths stand elsewhere. */
export class Texts {
  readonly #reader: Reader;
  // All of them, where a byte is a character.
  readonly #joined: string | undefined;
  #at = 0;

  constructor(reader: Reader, bytes: number) {
    this.#reader = reader;
    if (bytes === 0 || bytes > joinedBytes) return;
    const joined = reader.split(0).text(bytes);
    if (joined.length === bytes) this.#joined = joined;
  }

  next(bytes: number): string {
    if (this.#joined === undefined) return this.#reader.text(bytes);
    const begin = this.#at;
    this.#at += bytes;
    return this.#joined.slice(begin, this.#at);
  }
}

// The engine's memory: the only file that touches it.
//
// Any call into the engine may grow the memory, which detaches every older view. So each function here makes a fresh
// view, copies, and lets go of it.

const decoder = new TextDecoder();

export class Memory {
  #memory: { readonly buffer: ArrayBuffer };

  constructor(memory: WebAssembly.Memory) {
    this.#memory = memory;
  }

  /** Up to 4 GiB that nobody will read again, and that the next instance may need. */
  release(): void {
    this.#memory = { buffer: new ArrayBuffer(0) };
  }

  get byteLength(): number {
    return this.#memory.buffer.byteLength;
  }

  write(offset: number, bytes: Uint8Array): void {
    new Uint8Array(this.#memory.buffer, offset, bytes.length).set(bytes);
  }

  /** A u32. */
  word(offset: number): number {
    return new DataView(this.#memory.buffer).getUint32(offset, true);
  }

  text(offset: number, length: number): string {
    return decoder.decode(new Uint8Array(this.#memory.buffer, offset, length));
  }

  bytes(offset: number, length: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#memory.buffer, offset, length).slice() as Uint8Array<ArrayBuffer>;
  }

  floats(offset: number, count: number): Float32Array {
    return new Float32Array(this.#memory.buffer, offset, count).slice();
  }
}

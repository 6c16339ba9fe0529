// A volume that is gone with the process.
import {
  checkName,
  manifestOf,
  nameTaken,
  newestGeneration,
  noSuchFile,
  otherGeneration,
  otherLength,
  type FileEntry,
  type Volume,
} from './volume.js';

// `bytes` may be longer than the file: logs grow by doubling.
interface File {
  bytes: Uint8Array;
  length: number;
}

export class MemoryVolume implements Volume {
  readonly kind = 'memory';
  readonly path: string;
  readonly #files = new Map<string, File>();

  constructor(path = 'memory') {
    this.path = path;
  }

  async list(): Promise<FileEntry[]> {
    return [...this.#files].map(([name, { length }]) => ({ name, length }));
  }

  async read(name: string, offset: number, length: number): Promise<Uint8Array> {
    checkName(name);
    const file = this.#files.get(name);
    if (file === undefined) throw noSuchFile(this.path, name);
    return file.bytes.slice(Math.min(offset, file.length), Math.min(offset + length, file.length));
  }

  async write(name: string, bytes: Uint8Array): Promise<void> {
    checkName(name);
    if (this.#files.has(name)) throw nameTaken(this.path, name);
    this.#files.set(name, { bytes: bytes.slice(), length: bytes.length });
  }

  async append(name: string, offset: number, generation: number, bytes: Uint8Array): Promise<void> {
    checkName(name);
    this.#checkGeneration(generation);
    const file = this.#files.get(name) ?? { bytes: new Uint8Array(0), length: 0 };
    if (file.length !== offset) throw otherLength(this.path, name, file.length, offset);
    const length = offset + bytes.length;
    if (length > file.bytes.length) {
      const grown = new Uint8Array(Math.max(length, file.bytes.length * 2));
      grown.set(file.bytes.subarray(0, file.length));
      file.bytes = grown;
    }
    file.bytes.set(bytes, offset);
    file.length = length;
    this.#files.set(name, file);
  }

  async commit(generation: number, manifest: Uint8Array, obsolete: readonly string[]): Promise<number> {
    this.#checkGeneration(generation);
    this.#files.set(manifestOf(generation + 1), { bytes: manifest.slice(), length: manifest.length });
    for (const name of obsolete) this.#files.delete(name);
    return generation + 1;
  }

  // There is no other handle on it: nobody to lock out, and nobody to hear of.
  async lock(): Promise<void> {}

  async unlock(): Promise<void> {}

  watch(): () => void {
    return () => {};
  }

  async close(): Promise<void> {}

  #checkGeneration(expected: number): void {
    const found = newestGeneration(this.#files.keys());
    if (found !== expected) throw otherGeneration(this.path, found, expected);
  }
}

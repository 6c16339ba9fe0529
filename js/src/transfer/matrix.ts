// Files of nothing but vectors: NumPy's .npy and the .fvecs of benchmarks. Little-endian.
import { shown } from '../check.js';
import type { Bytes } from './lines.js';

const maxDimension = 65_536;
const magic = '\x93NUMPY';
/** What of a header of our own is reserved: a count of any size fits without moving the rest. */
const headerBytes = 128;
const maxHeaderBytes = 65_536;

/** Version 1.0, two dimensions of '<f4', 128 bytes whatever the number of rows. */
export function npyHeader(rows: number, dimension: number): Uint8Array<ArrayBuffer> {
  const about = `{'descr': '<f4', 'fortran_order': False, 'shape': (${rows}, ${dimension}), }`;
  const length = headerBytes - 10;
  const bytes = new Uint8Array(headerBytes).fill(32);
  for (let i = 0; i < magic.length; i++) bytes[i] = magic.charCodeAt(i);
  bytes.set([1, 0, length & 255, length >> 8], magic.length);
  for (let i = 0; i < about.length; i++) bytes[10 + i] = about.charCodeAt(i);
  bytes[headerBytes - 1] = 10;
  return bytes;
}

/** Rows of a page, one behind the other; fvecs has each row's length before it. */
export function rowBytes(vectors: readonly Float32Array[], lengths: boolean): Uint8Array<ArrayBuffer> {
  const total = vectors.reduce((sum, vector) => sum + vector.length * 4 + (lengths ? 4 : 0), 0);
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const vector of vectors) {
    if (lengths) view.setInt32(at, vector.length, true);
    if (lengths) at += 4;
    for (let i = 0; i < vector.length; i++, at += 4) view.setFloat32(at, vector[i]!, true);
  }
  return bytes;
}

/** Vectors of a file, one after the other. Throws FormatError. */
export interface Rows {
  /** 0: there are none, in .fvecs, which then says nothing. */
  readonly dimension: number;
  /** undefined: as many as there are. */
  readonly count: number | undefined;
  /** undefined after the last one. */
  next(): Promise<Float32Array | undefined>;
}

export async function readNpy(bytes: Bytes): Promise<Rows> {
  const start = await bytes.take(8, 'the header');
  if (start === undefined) throw bytes.wrong('the file is empty');
  for (let i = 0; i < magic.length; i++) {
    if (start[i] !== magic.charCodeAt(i)) throw bytes.wrong('this is no .npy file: it does not begin with \\x93NUMPY');
  }
  const [major, minor] = [start[6]!, start[7]!];
  if (major < 1 || major > 3 || minor !== 0) throw bytes.wrong(`version ${major}.${minor} of .npy is not known`);
  const lengthBytes = await bytes.take(major === 1 ? 2 : 4, 'the header');
  if (lengthBytes === undefined) throw bytes.wrong('the header is cut short');
  const length = lengthBytes.reduceRight((sum, byte) => sum * 256 + byte, 0);
  if (length > maxHeaderBytes) throw bytes.wrong(`a header of ${length} bytes; at most ${maxHeaderBytes} can be meant`);
  const header = await bytes.take(length, 'the header');
  if (header === undefined) throw bytes.wrong('the header is cut short');
  const text = String.fromCharCode(...header);
  const descr = /'descr'\s*:\s*'([^']{0,20})'/.exec(text)?.[1];
  const order = /'fortran_order'\s*:\s*(True|False)/.exec(text)?.[1];
  const shape = /'shape'\s*:\s*\(\s*(\d{1,16})\s*,\s*(\d{1,16})\s*,?\s*\)/.exec(text);
  if (descr !== '<f4' && descr !== '<f8') throw bytes.wrong(`numbers must be '<f4' or '<f8', got ${shown(descr)}`);
  if (order !== 'False') throw bytes.wrong('rows must lie one behind the other (fortran_order False)');
  if (shape === null) throw bytes.wrong('an array of two dimensions is expected');
  const [count, dimension] = [Number(shape[1]), Number(shape[2])];
  if (dimension < 1 || dimension > maxDimension)
    throw bytes.wrong(`rows have ${dimension} components; 1 to ${maxDimension} can be meant`);
  const width = descr === '<f8' ? 8 : 4;
  const wanted = count * dimension * width;
  const { bytesTotal } = bytes;
  if (!Number.isSafeInteger(wanted) || (bytesTotal !== undefined && bytesTotal - bytes.position !== wanted)) {
    const there = bytesTotal === undefined ? 'fewer' : bytesTotal - bytes.position;
    throw bytes.wrong(`${count} rows of ${dimension} take ${wanted} bytes, and there are ${there}`);
  }
  let row = 0;
  const next = async (): Promise<Float32Array | undefined> => {
    if (row === count) {
      if ((await bytes.take(1, 'it')) !== undefined) throw bytes.wrong(`there are bytes behind the ${count} rows`);
      return undefined;
    }
    const raw = await bytes.take(dimension * width, `row ${row}`);
    if (raw === undefined) throw bytes.wrong(`the file ends before row ${row} of ${count}`);
    return decode(raw, width, row++, bytes);
  };
  return { dimension, count, next };
}

export async function readFvecs(bytes: Bytes): Promise<Rows> {
  let row = 0;
  let dimension = 0;
  const next = async (): Promise<Float32Array | undefined> => {
    const head = await bytes.take(4, `the length of row ${row}`);
    if (head === undefined) return undefined;
    const length = new DataView(head.buffer, head.byteOffset).getInt32(0, true);
    if (row === 0 && length >= 1 && length <= maxDimension) dimension = length;
    if (length !== dimension) {
      const wanted = row === 0 ? `1 to ${maxDimension} can be meant` : `row 0 has ${dimension}`;
      throw bytes.wrong(`row ${row} has ${length} components; ${wanted}`);
    }
    const raw = await bytes.take(length * 4, `row ${row}`);
    if (raw === undefined) throw bytes.wrong(`row ${row} is cut short`);
    return decode(raw, 4, row++, bytes);
  };
  let first = await next();
  return {
    dimension,
    count: undefined,
    next: async () => {
      const kept = first;
      first = undefined;
      return kept ?? next();
    },
  };
}

function decode(raw: Uint8Array, width: number, row: number, bytes: Bytes): Float32Array {
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  const vector = new Float32Array(raw.length / width);
  for (let i = 0; i < vector.length; i++) {
    vector[i] = width === 8 ? view.getFloat64(i * 8, true) : view.getFloat32(i * 4, true);
    if (!Number.isFinite(vector[i])) throw bytes.wrong(`component ${i} of row ${row} is not a finite 32-bit float`);
  }
  return vector;
}

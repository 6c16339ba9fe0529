// Getting at the WebAssembly instances behind databases, to break them for real.
import { readFileSync } from 'node:fs';

export const engineFile = new URL('../../dist/nearfield.wasm', import.meta.url);

/** The memories of all instances made from now on, in order, until the test ends. */
export function watchMemories(test) {
  const memories = [];
  const { instantiate } = WebAssembly;
  test.mock.method(WebAssembly, 'instantiate', async (module, imports) => {
    const made = await instantiate(module, imports);
    memories.push(Object.values(made.exports).find((value) => value instanceof WebAssembly.Memory));
    return made;
  });
  return memories;
}

/** Makes the next call into the instance trap: no pointer in it leads anywhere. */
export function breakMemory(memory) {
  new Uint8Array(memory.buffer).fill(0xff);
}

/** The engine's file with a memory that grows to `pages` of 64 KiB and no further. */
export function engineWithPages(pages) {
  const bytes = Uint8Array.from(readFileSync(engineFile));
  let at = 8;
  const number = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const section = bytes[at++];
    const end = number() + at;
    if (section !== 5) {
      at = end;
      continue;
    }
    // One memory, with a maximum; its minimum is skipped and the maximum written over in as many bytes as it has.
    if (number() !== 1 || bytes[at++] !== 1) throw new Error('the memory is declared in another way');
    number();
    let rest = pages;
    for (; at < end; at++) {
      bytes[at] = (rest & 127) | (at + 1 < end ? 128 : 0);
      rest >>= 7;
    }
    if (rest > 0) throw new Error(`${pages} pages do not fit in the declaration`);
    return bytes;
  }
  throw new Error('no memory is declared');
}

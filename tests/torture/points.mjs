// The named points at which a Node writer can be killed: before, after and in the middle of everything it asks of its
// files. They cost the product nothing: the functions of node:fs/promises are replaced, in this process only.
//
// A point is called <file>.<call>.<before|half|after>: manifest.link.before, log.write.half, folder.sync.after.
import files from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { basename, dirname } from 'node:path';

const calls = ['access', 'copyFile', 'link', 'mkdir', 'readFile', 'readdir', 'rename', 'stat', 'unlink'];
const handleCalls = ['close', 'read', 'stat', 'sync', 'truncate', 'write'];

/** Calls `reached(name)` at every point of the database in `folder`, before going on. */
export function watchPoints(folder, reached) {
  const kindOf = (path) => {
    const text = String(path);
    if (text === folder || folder.startsWith(`${text}/`)) return 'folder';
    if (dirname(text) !== folder) return undefined;
    return /^(log|manifest|segment|index|lock)(?=-|\.|$)/i.exec(basename(text))?.[0].toLowerCase() ?? 'other';
  };
  const around = (call, kind, original) =>
    async function (...args) {
      reached(`${kind}.${call}.before`);
      const result = await original.apply(this, args);
      reached(`${kind}.${call}.after`);
      return result;
    };
  for (const call of calls) {
    const original = files[call];
    files[call] = (path, ...rest) => {
      const kind = kindOf(path);
      return kind === undefined ? original(path, ...rest) : around(call, kind, original)(path, ...rest);
    };
  }
  const open = files.open;
  files.open = async (path, ...rest) => {
    const kind = kindOf(path);
    if (kind === undefined) return open(path, ...rest);
    const handle = await around('open', kind, open)(path, ...rest);
    for (const call of handleCalls) {
      const original = handle[call];
      if (call !== 'write') {
        handle[call] = around(call, kind, original);
        continue;
      }
      handle.write = async (bytes, offset, length, position) => {
        reached(`${kind}.write.before`);
        // A write in two pieces is one that any system may make of it.
        const half = Math.floor(length / 2);
        const { bytesWritten: first } = await original.call(handle, bytes, offset, half, position);
        reached(`${kind}.write.half`);
        const { bytesWritten: rest } = await original.call(
          handle,
          bytes,
          offset + first,
          length - first,
          position + first,
        );
        reached(`${kind}.write.after`);
        return { bytesWritten: first + rest, buffer: bytes };
      };
    }
    return handle;
  };
  syncBuiltinESMExports();
}

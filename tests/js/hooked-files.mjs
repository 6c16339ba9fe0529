// node:fs/promises with a hook around every operation, also those of the file handles it opens: for failing, cutting
// short, or letting something else happen in between.
import * as files from 'node:fs/promises';

/**
 * `around(operation, args, call)` is called for each operation, such as 'open' or 'handle.write', and answers what the
 * operation answers; `call(...args)` carries it out.
 */
export function hookedFiles(around) {
  const wrapped = (target, prefix) =>
    new Proxy(target, {
      get(_, key) {
        const value = target[key];
        // Watching is no operation that could fail half-way.
        if (typeof value !== 'function' || key === 'watch') return value;
        return async (...args) => {
          const result = await around(prefix + key, args, (...given) => value.apply(target, given));
          return prefix + key === 'open' ? wrapped(result, 'handle.') : result;
        };
      },
    });
  return wrapped({ ...files }, '');
}

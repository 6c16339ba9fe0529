// The files of a configuration. Node only; config.ts loads this file when it is asked to look for some.
import { NearfieldError, invalid, reasonOf } from './errors.js';
import { builtin } from './host.js';
import { maxConfigBytes } from './toml.js';

export interface ConfigFile {
  /** As messages say it. */
  name: string;
  text: string;
}

export interface FindOptions {
  /** In place of those that are looked for. */
  file?: string | undefined;
  /** Must have a file. */
  env?: string | undefined;
  /** Counts where it has one. */
  usualEnv?: string | undefined;
  folder?: string | undefined;
}

const stems = ['.codeweaver', '.specmem'];
const endings = ['.toml', '.json'];

/**
 * The files that are there, in the order in which they are merged: the plain one, that of the environment, and then each
 * with `.local`.
 *
 * Throws NotFound, StorageFailed, LimitExceeded, InvalidArgument, and InvalidConfig where a file is there as TOML and as
 * JSON, or is no text.
 */
export async function readConfigFiles({ file, env, usualEnv, folder = '.' }: FindOptions): Promise<ConfigFile[]> {
  const { join } = await builtin<typeof import('node:path')>('node:path');
  if (env !== undefined) checkEnv(env, 'env');
  else if (usualEnv) checkEnv(usualEnv, 'NEARFIELD_ENV');
  const chosen = env ?? (usualEnv || undefined);
  const found: ConfigFile[] = [];
  let ofEnv = 0;
  for (const stem of file === undefined ? stems : [file]) {
    const variants: [name: string, isOfEnv: boolean][] = [['', false]];
    if (chosen !== undefined) variants.push([`.${chosen}`, true]);
    variants.push(['.local', false]);
    if (chosen !== undefined) variants.push([`.${chosen}.local`, true]);
    for (const [variant, isOfEnv] of variants) {
      const names = namesOf(stem, variant, file !== undefined);
      const present: ConfigFile[] = [];
      for (const name of names) {
        const text = await readConfigFile(join(folder, name), name);
        if (text !== undefined) present.push({ name, text });
      }
      if (present.length > 1) {
        const message = `${present[0]!.name} and ${present[1]!.name} are both there; keep one of them`;
        throw new NearfieldError('InvalidConfig', message, { value: present[1]!.name });
      }
      if (present.length === 0 && file !== undefined && variant === '') {
        throw new NearfieldError('NotFound', `there is no configuration ${file}`, { value: file });
      }
      if (isOfEnv) ofEnv += present.length;
      found.push(...present);
    }
  }
  if (env !== undefined && ofEnv === 0) {
    const wanted = namesOf(file ?? stems[0]!, `.${env}`, file !== undefined)[0]!;
    throw new NearfieldError('NotFound', `env ${env} has no file, such as ${wanted}`, { value: env });
  }
  return found;
}

// It becomes part of a file's name.
function checkEnv(env: string, what: string): void {
  if (/^[\w-]{1,64}$/.test(env) && env !== 'local') return;
  throw invalid(
    `${what} must be letters, digits, _ and -, and not local; got ${JSON.stringify(env.slice(0, 80))}`,
    env,
  );
}

function namesOf(stem: string, variant: string, isFile: boolean): string[] {
  if (!isFile) return endings.map((ending) => `${stem}${variant}${ending}`);
  if (variant === '') return [stem];
  const dot = stem.search(/\.[^./\\]*$/);
  const cut = dot > 0 ? dot : stem.length;
  return [`${stem.slice(0, cut)}${variant}${stem.slice(cut)}`];
}

async function readConfigFile(path: string, name: string): Promise<string | undefined> {
  const { readFile, stat } = await builtin<typeof import('node:fs/promises')>('node:fs/promises');
  if (path.includes('\0')) throw invalid('the name of a configuration file holds a NUL character');
  try {
    const found = await stat(path);
    // A pipe would never end.
    if (!found.isFile()) throw new NearfieldError('InvalidConfig', `${name} is no file`, { value: name });
    if (found.size > maxConfigBytes) {
      const message = `${name} has ${found.size} bytes; a configuration has at most ${maxConfigBytes}`;
      throw new NearfieldError('LimitExceeded', message, { value: found.size });
    }
    const bytes = await readFile(path);
    return decode(bytes, name);
  } catch (error) {
    if (error instanceof NearfieldError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new NearfieldError('StorageFailed', `${name} cannot be read: ${code ?? reasonOf(error)}`, { value: name });
  }
}

function decode(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new NearfieldError('InvalidConfig', `${name} is not UTF-8`, { value: name });
  }
}

// Configuration: both published dialects, from files, texts, objects and the environment.
//
// What is found here is put in order, and handed to the engine, which decides everything else (core/config/README.md).
import { registeredBackends } from './backends.js';
import { encodeJson, isObject, isWellFormed, readBoolean, readOptions, readText, shown } from './check.js';
import { compiled } from './connect-file.js';
import { Engine } from './engine.js';
import { NearfieldError, errorFromEngine, invalid } from './errors.js';
import type { Code } from './errors.js';
import { isNode } from './host.js';
import { Message } from './message.js';
import { maxConfigBytes, tomlLayer } from './toml.js';
import type { WasmSource } from './wasm.js';

/** Tables as an object, or the text of a file: JSON where it begins with {, or else TOML. */
export type ConfigSource = string | Record<string, unknown>;

export interface ConfigOptions {
  /** One or several, of which later ones win. Default: the files that are found. */
  config?: ConfigSource | readonly ConfigSource[] | undefined;
  /** Node: a file in place of .codeweaver.toml and .specmem.toml; those with the environment's name are looked for beside it. */
  configFile?: string | undefined;
  /** Node: which `.codeweaver.<env>.toml` counts; default NEARFIELD_ENV of the environment. */
  env?: string | undefined;
  /** What ${NAME} is looked up in, and the CW_ variables; default: in Node that of the process, elsewhere none. */
  environment?: Readonly<Record<string, string | undefined>> | undefined;
  /** Tables that win over everything else. */
  override?: Record<string, unknown> | undefined;
  /** Default true; false: keys nobody knows are warnings. */
  strict?: boolean | undefined;
  /** Node: where files are looked for; default the working folder. */
  folder?: string | undefined;
  /** nearfield-connect.wasm. Default: the file beside this package's code. */
  wasm?: WasmSource | undefined;
}

export interface ConfigProblem {
  /** Of problems only. */
  code?: Code;
  /** From the top, with dots; '' of the whole. */
  key: string;
  /** The file, the variable, or 'override'; '' of a default. */
  source: string;
  /** From 1, where it is known. */
  line?: number;
  reason: string;
  /** What to write instead. */
  alternative?: string;
  /** All of it in one sentence. */
  message: string;
}

export interface ConfigKey {
  key: string;
  /** As it was written: variables are not looked up, secrets are '***'. */
  value: unknown;
  source: string;
  line?: number;
  /** reported: nothing happens, and a warning says why. unsupported: a later version will. */
  state: 'implemented' | 'reported' | 'rejected' | 'unsupported' | 'unknown';
  /** How, or why not. */
  note: string;
}

export interface ConfigReport {
  /** There are no problems. */
  ok: boolean;
  dialect: 'vectordb' | 'backend';
  backend: 'embedded' | 'qdrant' | 'chroma' | 'weaviate' | 'custom';
  /** What the configuration comes to, defaults included; secrets are '***' or null. */
  settings: Record<string, unknown>;
  /** Every key that was given; of one given several times the one that counts. */
  keys: ConfigKey[];
  /** Keys that were not given and count all the same. */
  defaults: { key: string; value: unknown }[];
  problems: ConfigProblem[];
  warnings: ConfigProblem[];
}

/** What the engine answers. */
export interface ConfigAnswer extends ConfigReport {
  error?: { code: number; message: string; value: unknown };
}

/** Names that connect() knows, besides those that are built in. */
export interface Registered {
  backends?: readonly string[];
  embedders?: readonly string[];
}

const optionKeys = ['config', 'configFile', 'env', 'environment', 'override', 'strict', 'folder', 'wasm'] as const;

/**
 * Reads a configuration and says what becomes of each key on the backend that it chooses. Problems are in the report, all
 * of them; no text in it holds a secret.
 *
 * ```js
 * const { ok, backend, problems } = await checkConfig({ config: '[backend]\nprovider = "memory"' });
 * ```
 *
 * Throws NotFound and StorageFailed for files that cannot be read, LimitExceeded above 1 MiB, InvalidArgument, ConfigError,
 * and what load() throws.
 */
export async function checkConfig(options?: ConfigOptions): Promise<ConfigReport> {
  const { error: _, ...report } = await askEngine(options);
  return report;
}

/**
 * As checkConfig(), but throws where there are problems: the first, with their number in the message and all of them in
 * `details.problems`.
 */
export async function requireConfig(options?: ConfigOptions): Promise<ConfigReport> {
  const { error, ...report } = await askEngine(options);
  if (error !== undefined) throw configError(error, report.problems);
  return report;
}

/** Private to the package: what is thrown for the problems of a configuration. */
export function configError({ code, message, value }: NonNullable<ConfigAnswer['error']>, problems: ConfigProblem[]) {
  const first = errorFromEngine(code, message, value);
  return new NearfieldError(first.code, message, { value, details: { problems } });
}

async function askEngine(options: ConfigOptions | undefined): Promise<ConfigAnswer> {
  const { wasm, ...given } = readOptions(options, 'config', optionKeys);
  const message = new Message(await configMessage(given as ConfigOptions, { backends: registeredBackends() })).finish();
  const engine = await Engine.create(await compiled(wasm as WasmSource | undefined));
  try {
    return engine.call<ConfigAnswer>('_config', message);
  } finally {
    engine.dispose();
  }
}

/** Private to the package: the JSON text that core/config/configuration.h reads. It holds secrets. */
export async function configMessage(given: ConfigOptions, registered: Registered = {}): Promise<string> {
  const options = readOptions(given, 'config', optionKeys);
  const strict = options.strict === undefined ? true : readBoolean(options.strict, 'strict');
  const environment = readEnvironment(options.environment);
  const layers = await readLayers(options, environment);
  const parts = [`"layers":[${layers.join(',')}]`];
  if (options.override !== undefined) parts.push(`"options":${await sourceLayer('override', options.override)}`);
  const rest = JSON.stringify({ environment, strict, host: hostName(), ...registered });
  return `{${parts.join(',')},${rest.slice(1)}`;
}

async function readLayers(
  options: { [key in (typeof optionKeys)[number]]?: unknown },
  environment: Record<string, string>,
): Promise<string[]> {
  const { config, configFile, env, folder } = options;
  if (config !== undefined) {
    for (const [name, value] of Object.entries({ configFile, env, folder })) {
      if (value === undefined) continue;
      throw new NearfieldError('ConfigError', `config: ${name} does nothing beside config`, { value: name });
    }
    const sources: readonly unknown[] = Array.isArray(config) ? config : [config];
    const several = sources.length > 1;
    return Promise.all(sources.map((each, i) => sourceLayer(several ? `config[${i}]` : 'config', each)));
  }
  if (!isNode()) {
    for (const [name, value] of Object.entries({ configFile, env, folder })) {
      if (value === undefined) continue;
      throw new NearfieldError('Unsupported', `config: ${name} is for Node; give the text as config`, { value: name });
    }
    return [];
  }
  const { readConfigFiles } = await import('./config-files.js');
  const files = await readConfigFiles({
    file: configFile === undefined ? undefined : readText(configFile, 'configFile'),
    env: env === undefined ? undefined : readText(env, 'env'),
    usualEnv: environment['NEARFIELD_ENV'],
    folder: folder === undefined ? undefined : readText(folder, 'folder'),
  });
  return Promise.all(files.map(({ name, text }) => textLayer(name, text)));
}

async function sourceLayer(name: string, source: unknown): Promise<string> {
  if (typeof source === 'string') {
    if (source.length > maxConfigBytes) {
      throw new NearfieldError('LimitExceeded', `${name} has more than ${maxConfigBytes} bytes`, {
        value: source.length,
      });
    }
    return textLayer(name, source);
  }
  if (!isObject(source)) throw invalid(`${name} must be a text or an object of tables, got ${shown(source)}`);
  return `{"name":${JSON.stringify(name)},"values":${encodeJson(source, name, 'InvalidConfig')}}`;
}

// The engine reads JSON by itself: its parser knows keys that stand twice, and where the text is wrong.
async function textLayer(name: string, text: string): Promise<string> {
  const start = text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  if (/\.json$/i.test(name) || /^\s*\{/.test(start)) {
    return isWellFormed(start)
      ? JSON.stringify({ name, text: start })
      : JSON.stringify({ name, broken: 'is not JSON: it holds half of a surrogate pair', line: 0 });
  }
  return tomlLayer(name, text);
}

function readEnvironment(given: unknown): Record<string, string> {
  if (given !== undefined && !isObject(given)) {
    throw invalid(`environment must be an object of strings, got ${shown(given)}`);
  }
  const source = given ?? (isNode() ? process.env : {});
  const out: Record<string, string> = Object.create(null);
  for (const name of Object.keys(source)) {
    const value: unknown = (source as Record<string, unknown>)[name];
    // Of the process there may be some that are no text; nobody can have meant them.
    if (typeof value === 'string' && isWellFormed(value) && isWellFormed(name)) out[name] = value;
    else if (given !== undefined && value !== undefined) throw invalid(`environment: ${shown(name)} must be a string`);
  }
  return out;
}

function hostName(): 'node' | 'browser' | 'edge' {
  if (isNode()) return 'node';
  return 'document' in globalThis || 'importScripts' in globalThis ? 'browser' : 'edge';
}

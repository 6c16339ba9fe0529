// Requests to servers: performs what the engine's HTTP client asks for. Retries, back-off and deadlines over several
// attempts are the engine's (core/remote/http_client.h); here is one attempt.
//
// A module of its own, handed to the pump by those who talk to servers, so that nobody else carries it.
import { NearfieldError, reasonOf } from './errors.js';
import { builtin, isNode } from './host.js';

export interface HttpRequest {
  method: string;
  /** As the engine's parser read it: `url` must have this one in the platform's parser too. */
  origin: string;
  url: string;
  headers: readonly (readonly [string, string])[];
  body: Uint8Array | undefined;
  /** Milliseconds, for all of it. */
  timeout: number;
  /** Of the answer's body in bytes, decoded. */
  limit: number;
}

export interface HttpAnswer {
  status: number;
  headers: { name: string; value: string }[];
  bytes: Uint8Array;
}

/** How servers are reached. */
export interface HttpOptions {
  /** In place of the global one. It is called as `fetch(url, init)` and gives a standard `Response`. */
  fetch?: typeof globalThis.fetch;
  /** Only in Node, with the package `undici`. */
  tls?: TlsOptions;
}

export interface TlsOptions {
  /** A PEM file. With `key`, the certificate this client shows; alone, an authority to trust besides the usual ones. */
  cert?: string;
  /** A PEM file: the private key of `cert`. */
  key?: string;
  /** `false` accepts any certificate, so that anybody on the way can read and change everything. Default: true. */
  verify?: boolean;
}

/** A failure of one request. */
export class HttpError extends NearfieldError {
  /** The server has nothing of the request. */
  readonly notSent: boolean;

  constructor(code: NearfieldError['code'], message: string, notSent = false) {
    // Without a cause: what fetch throws may name headers.
    super(code, message);
    this.notSent = notSent;
  }
}

/** Milliseconds without a byte of an answer that has begun, after which it is taken for lost. */
const idleBody = 15_000;

type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** The headers of an answer that the engine looks at. Set-Cookie is none of them. */
const wantedHeaders = ['content-type', 'retry-after'];

/** Of system errors, before a connection exists. */
const unreachable = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'UND_ERR_CONNECT_TIMEOUT',
]);

const tlsFailure =
  /^(ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|HOSTNAME_MISMATCH|EPROTO$|INVALID_CA)/;

export class Http {
  readonly #options: HttpOptions;
  #fetch: Promise<Fetch> | undefined;
  #close: (() => Promise<void>) | undefined;

  constructor(options: HttpOptions = {}) {
    this.#options = options;
  }

  /**
   * The server's answer, whatever its status. Rejects with an HttpError: NetworkFailed, TlsFailed, Timeout,
   * LimitExceeded, RemoteProtocolError (a redirect), HostNotAllowed, Unsupported; with Aborted as soon as `signal` fires.
   */
  async send(request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> {
    checkRequest(request);
    // One for both reasons: not every host has AbortSignal.any().
    const ending = new AbortController();
    let why: HttpError | undefined;
    let end: (error: HttpError) => void;
    // Also where fetch does not look at its signal.
    const ended = new Promise<never>((_, reject) => {
      end = (error) => {
        why ??= error;
        reject(why);
        ending.abort();
      };
    });
    ended.catch(() => {});
    const abort = () => end(new HttpError('Aborted', 'the call was cancelled by its signal'));
    const timer = setTimeout(
      () => end(new HttpError('Timeout', `no answer within ${request.timeout} ms`)),
      request.timeout,
    );
    let idle: ReturnType<typeof setTimeout> | undefined;
    const goesOn = () => {
      clearTimeout(idle);
      idle = setTimeout(
        () => end(new HttpError('Timeout', `the answer stopped in its middle for ${idleBody} ms`)),
        idleBody,
      );
    };
    signal.addEventListener('abort', abort);
    if (signal.aborted) abort();
    try {
      const answer = this.#perform(request, ending.signal, goesOn);
      answer.catch(() => {});
      return await Promise.race([answer, ended]);
    } catch (error) {
      // Ended requests fail in ways of their own.
      throw why ?? error;
    } finally {
      clearTimeout(timer);
      clearTimeout(idle);
      signal.removeEventListener('abort', abort);
      // Frees the connection of an answer that was not read to its end.
      ending.abort();
    }
  }

  /** Gives back what was made for the TLS options. */
  async close(): Promise<void> {
    await this.#fetch?.catch(() => {});
    await this.#close?.();
  }

  async #perform(request: HttpRequest, signal: AbortSignal, goesOn: () => void): Promise<HttpAnswer> {
    const fetch = await (this.#fetch ??= this.#makeFetch());
    if (signal.aborted) throw new HttpError('Aborted', 'the call was cancelled by its signal', true);
    let response: Response;
    try {
      response = await fetch(request.url, {
        method: request.method,
        headers: request.headers.map(([name, value]): [string, string] => [name, value]),
        ...(request.body === undefined ? {} : { body: request.body as BodyInit }),
        signal,
        ...policy(),
      });
    } catch (cause) {
      throw failure(cause, request);
    }
    if (response.redirected || (response.status >= 300 && response.status < 400)) {
      throw redirected();
    }
    const headers = [];
    for (const name of wantedHeaders) {
      const value = response.headers.get(name);
      if (value !== null) headers.push({ name, value });
    }
    return { status: response.status, headers, bytes: await readBody(response, request, goesOn) };
  }

  async #makeFetch(): Promise<Fetch> {
    const { fetch, tls } = this.#options;
    if (tls === undefined || (tls.cert === undefined && tls.key === undefined && tls.verify !== false)) {
      return fetch ?? ((url, init) => globalThis.fetch(url, init));
    }
    if (!isNode()) {
      throw new HttpError(
        'Unsupported',
        'tls_cert_path, tls_key_path and verify_ssl = false are for Node; here, the platform decides about certificates',
        true,
      );
    }
    if (fetch !== undefined) {
      throw new HttpError(
        'Unsupported',
        'certificates are a matter of the `fetch` that was given; leave one away',
        true,
      );
    }
    if (tls.key !== undefined && tls.cert === undefined) {
      throw new HttpError('Unsupported', 'tls_key_path needs tls_cert_path, the certificate that the key is for', true);
    }
    const { readFile } = await builtin<typeof import('node:fs/promises')>('node:fs/promises');
    const read = async (name: string, path: string | undefined) => {
      if (path === undefined) return undefined;
      try {
        return await readFile(path);
      } catch (cause) {
        throw new HttpError('TlsFailed', `${name} cannot be read: ${reasonOf(cause)}`, true);
      }
    };
    const [cert, key] = [await read('tls_cert_path', tls.cert), await read('tls_key_path', tls.key)];
    const undici = await loadUndici();
    const usual = cert !== undefined && key === undefined ? await usualAuthorities() : [];
    let agent: Awaited<ReturnType<typeof loadUndici>>['Agent']['prototype'];
    try {
      agent = new undici.Agent({
        connect: {
          rejectUnauthorized: tls.verify !== false,
          ...(key !== undefined ? { cert, key } : cert !== undefined ? { ca: [...usual, cert] } : {}),
        },
      });
    } catch (cause) {
      throw new HttpError('TlsFailed', `the TLS options are not accepted: ${reasonOf(cause)}`, true);
    }
    this.#close = () => agent.destroy();
    // Its own fetch: the global one is of another version of undici and does not take this agent.
    return (url, init) => undici.fetch(url, { ...init, dispatcher: agent });
  }
}

interface Undici {
  Agent: new (options: object) => { destroy(): Promise<void> };
  fetch(url: string, init: object): Promise<Response>;
}

async function loadUndici(): Promise<Undici> {
  try {
    return await builtin<Undici>('undici');
  } catch {
    throw new HttpError(
      'Unsupported',
      'tls_cert_path, tls_key_path and verify_ssl = false need the package undici: npm install undici',
      true,
    );
  }
}

async function usualAuthorities(): Promise<readonly string[]> {
  return (await builtin<typeof import('node:tls')>('node:tls')).rootCertificates;
}

/** What no request does: follow a redirect, send cookies, use a cache, or tell where it comes from. */
function policy(): RequestInit {
  // This host knows no other members, and refuses 'error'; an answer that redirects is found by its status.
  if (globalThis.navigator?.userAgent === 'Cloudflare-Workers') return { redirect: 'manual' };
  return { redirect: 'error', credentials: 'omit', cache: 'no-store', referrerPolicy: 'no-referrer' };
}

/** Before fetch, because its own errors would repeat what they found. */
function checkRequest({ url, origin, headers }: HttpRequest): void {
  let parsed: URL | undefined;
  try {
    parsed = new URL(url);
  } catch {
    // Said below.
  }
  // The engine compares hosts before it asks for anything; here it shows that both mean the same one.
  // The start keeps out blob:, which has the origin of what follows.
  const same = url.startsWith(`${origin}/`) && parsed?.origin === origin && parsed.href === url && !url.includes('#');
  if (!same) {
    throw new HttpError('HostNotAllowed', `${origin}: this platform reads another address in the request`, true);
  }
  for (const [name, value] of headers) {
    if (/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name) && /^[\t\x20-\x7e]*$/.test(value)) continue;
    throw new HttpError('InvalidArgument', `the header ${JSON.stringify(name)} cannot be sent`, true);
  }
}

async function readBody(response: Response, request: HttpRequest, goesOn: () => void): Promise<Uint8Array> {
  const reader = response.body?.getReader();
  if (reader === undefined) return new Uint8Array(0);
  const pieces: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    let read: ReadableStreamReadResult<Uint8Array>;
    goesOn();
    try {
      read = await reader.read();
    } catch (cause) {
      throw failure(cause, request);
    }
    if (read.done) break;
    length += read.value.length;
    if (length > request.limit) {
      reader.cancel().catch(() => {});
      throw new HttpError('LimitExceeded', `the answer is longer than ${request.limit} bytes`);
    }
    pieces.push(read.value);
  }
  if (pieces.length === 1) return pieces[0]!;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

function redirected(): HttpError {
  return new HttpError(
    'RemoteProtocolError',
    'the server answers with a redirect, which is not followed; configure the address it leads to',
  );
}

/** From what fetch, or reading a body, threw. */
function failure(cause: unknown, request: HttpRequest): HttpError {
  if (!isNode()) {
    const page = globalThis.location?.origin;
    const from = page === undefined || page === 'null' ? '' : ` for the page ${page}`;
    return new HttpError(
      'NetworkFailed',
      `network or CORS: ${request.origin} cannot be reached, or does not answer${from} (${reasonOf(cause)})`,
    );
  }
  // Node hides the reason one level down, and each address that was tried below that.
  let reason: unknown = cause;
  while (reason instanceof Error && reason.cause instanceof Error) reason = reason.cause;
  const code = String((reason as { code?: unknown }).code ?? '');
  if (tlsFailure.test(code)) return new HttpError('TlsFailed', `${reasonOf(reason)} (${code})`, true);
  if (reasonOf(reason) === 'unexpected redirect') return redirected();
  // An AggregateError's own message is empty.
  const text = reasonOf(reason) || code || 'fetch failed';
  return new HttpError(
    'NetworkFailed',
    code === '' || text.includes(code) ? text : `${text} (${code})`,
    unreachable.has(code),
  );
}

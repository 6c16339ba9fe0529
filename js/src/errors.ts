// The one error class. Codes come from core/base/status.def; tests and callers look at `code`, people read `message`.
import { codes, retryableCodes, type Code } from './generated/codes.js';

export type { Code };

/**
 * What every failing call of this package throws or rejects with.
 *
 * ```js
 * try {
 *   await notes.search({ vector });
 * } catch (error) {
 *   if (error instanceof NearfieldError && error.code === 'DimensionMismatch') console.log(error.value);
 * }
 * ```
 */
export class NearfieldError extends Error {
  override readonly name = 'NearfieldError';
  readonly code: Code;
  /** The value that is to blame, where there is one. */
  readonly value?: unknown;
  readonly details?: Record<string, unknown>;
  /** The same call may succeed later with nothing changed by the caller. */
  readonly retryable: boolean;

  constructor(
    code: Code,
    message: string,
    extra: { value?: unknown; details?: Record<string, unknown>; cause?: unknown } = {},
  ) {
    super(message, 'cause' in extra ? { cause: extra.cause } : undefined);
    this.code = code;
    if (extra.value !== undefined) this.value = extra.value;
    if (extra.details !== undefined) this.details = extra.details;
    this.retryable = retryableCodes.has(code);
  }
}

export function invalid(message: string, value?: unknown): NearfieldError {
  return new NearfieldError('InvalidArgument', message, { value });
}

/** From the number that crosses the line. */
export function errorFromEngine(code: number, message: string, value: unknown): NearfieldError {
  return new NearfieldError(codes[code - 1] ?? 'Internal', message, { value });
}

export function codeNumber(code: Code): number {
  return codes.indexOf(code) + 1;
}

/** The message of whatever was thrown. */
export function reasonOf(cause: unknown): string {
  try {
    return cause instanceof Error ? cause.message : String(cause);
  } catch {
    return 'something without a text';
  }
}

// Made by scripts/generate.mjs from core/base/status.def.

/** What went wrong, and whose fault it is. The position, from 1, is the number the engine uses. */
export const codes = [
  /** Caller: a value is outside its documented range. */
  'InvalidArgument',
  /** Caller: a vector does not have the collection's number of components. */
  'DimensionMismatch',
  /** Caller: a filter does not follow the grammar. */
  'FilterError',
  /** Caller: an option or configuration key is unknown, misspelt or contradictory. */
  'ConfigError',
  /** Caller: the collection exists with a different schema. */
  'SchemaMismatch',
  /** Caller: a named collection, file or folder does not exist. */
  'NotFound',
  /** Caller: a valid request that this version or this store cannot carry out. */
  'Unsupported',
  /** Limits: an input is larger than a documented bound. */
  'LimitExceeded',
  /** Limits: the memory for a call could not be had; the message says what became of it. */
  'OutOfMemory',
  /** Limits: the disk or the browser's quota is full; nothing was committed. */
  'QuotaExceeded',
  /** Data: bytes from outside do not follow their format. */
  'FormatError',
  /** Data: a stored file fails its checks and nothing older can stand in for it. */
  'StorageCorrupt',
  /** Data: a file was written by a newer version; it was left untouched. */
  'VersionError',
  /** Host: reading or writing the store failed. */
  'StorageFailed',
  /** Host: the store cannot be written. */
  'ReadOnly',
  /** Host: another process or tab writes to this database. */
  'DatabaseLocked',
  /** Host: the store moved on to another generation since it was opened. */
  'Conflict',
  /** Caller: the database or collection was closed. */
  'Closed',
  /** Caller: the call was cancelled by its signal. */
  'Aborted',
  /** Us: the WebAssembly instance trapped and refuses further work. */
  'InstancePoisoned',
  /** Us: something that cannot happen did; please report it. */
  'Internal',
  /** Caller: a configuration key is unknown, out of range, or not for this backend; the message names it and what to use. */
  'InvalidConfig',
  /** Host: a server could not be reached, or the connection broke. */
  'NetworkFailed',
  /** Host: a server's certificate was not accepted. */
  'TlsFailed',
  /** Host: the deadline of a call passed; what it wrote may or may not be there. */
  'Timeout',
  /** Caller: an address is not among allowed_hosts, or not one that requests are sent to. */
  'HostNotAllowed',
  /** Server: it wants a key, or another one. */
  'Unauthorized',
  /** Server: it takes no more requests for now. */
  'RateLimited',
  /** Limits: more requests wait for a server than are kept. */
  'Backpressure',
  /** Server: it failed or is overloaded, or failed so often that it is left alone for a while. */
  'RemoteUnavailable',
  /** Server: it refused the request; the message has its words. */
  'RemoteRejected',
  /** Server: its answer is not what its interface promises. */
  'RemoteProtocolError',
] as const;
export type Code = (typeof codes)[number];

/** The same call may succeed later with nothing changed by the caller. */
export const retryableCodes: ReadonlySet<Code> = new Set<Code>([
  'QuotaExceeded',
  'StorageFailed',
  'DatabaseLocked',
  'Conflict',
  'NetworkFailed',
  'Timeout',
  'RateLimited',
  'Backpressure',
  'RemoteUnavailable',
]);

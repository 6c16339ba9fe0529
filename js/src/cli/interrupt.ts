// Interrupt: Ctrl-C once stops at the next sound place, twice at once.

export interface Interrupt {
  readonly signal: AbortSignal;
  /** 128 + the number of the signal that came, if one did. */
  readonly exitCode: number | undefined;
}

/** Takes over SIGINT and SIGTERM for the rest of the process. `onFirst` tells the user that it was heard. */
export function watchInterrupt(onFirst: () => void): Interrupt {
  const controller = new AbortController();
  const interrupt: { signal: AbortSignal; exitCode: number | undefined } = {
    signal: controller.signal,
    exitCode: undefined,
  };
  const stop = (code: number) => () => {
    if (interrupt.exitCode !== undefined) process.exit(code);
    interrupt.exitCode = code;
    onFirst();
    controller.abort();
  };
  process.on('SIGINT', stop(130));
  process.on('SIGTERM', stop(143));
  return interrupt;
}

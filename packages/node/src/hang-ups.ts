// SIGHUP from the first line of a daemon's process on. Its default action ends a process: a reload that an
// operator asks for while the daemon starts, or in the last moment of its stop, must not.

let wasAsked = false;
let reload: (() => void) | undefined;

/** Takes SIGHUP over for as long as this process lives; what comes before `onReload` is remembered. */
export function holdHangUps(): void {
  process.on("SIGHUP", () => {
    wasAsked = reload === undefined;
    reload?.();
  });
}

/**
 * Calls `act` at each SIGHUP from now on, and at once when one came before: what was read at the start may be
 * older than it.
 */
export function onReload(act: () => void): void {
  reload = act;
  if (!wasAsked) return;
  wasAsked = false;
  act();
}

// Several test files side by side, as many as the processors carry.
import { availableParallelism } from "node:os";

export interface Load {
  /** What a file takes when it has the machine for itself, s. */
  readonly seconds: number;
  /** Processors that it keeps busy meanwhile, a part of one included. */
  readonly processors: number;
}

/** Two at least: tests wait for the kernel and for timers, too. No more than was ever tried. */
export const PROCESSORS = Math.min(4, Math.max(2, availableParallelism()));

export interface LaneOptions {
  readonly processors: number;
  readonly loadOf: (file: string) => Load;
  readonly apart?: (file: string) => string | undefined;
  readonly isBackground?: (file: string) => boolean;
}

/**
 * Runs `work` for every file, side by side as long as what they load together is no more than `processors`.
 * What needs more than there are runs alone. The heaviest begin, since little runs beside them; of the
 * others the longest, since who begins last decides when all is done. Where `apart` gives files one name, no
 * two of them run at the same time. Those in the background take what the others leave, one a processor:
 * beside any, since those that are alone wait for timers, too.
 */
export async function inLanes(
  files: readonly string[],
  options: LaneOptions,
  work: (file: string) => Promise<void>,
): Promise<void> {
  const { processors, loadOf, apart, isBackground = () => false } = options;
  const weightOf = (file: string) => Math.min(processors, loadOf(file).processors);
  const isAlone = (file: string) => weightOf(file) >= processors;
  // Beyond one processor there is seldom room for it later, when small ones have begun.
  const beyondOne = (file: string) => Math.max(1, weightOf(file));
  const waiting = [...files].sort(
    (a, b) => beyondOne(b) - beyondOne(a) || loadOf(b).seconds - loadOf(a).seconds,
  );
  const running = new Map<string, Promise<void>>();
  const fits = (file: string) => {
    const all = [...running.keys()];
    const name = apart?.(file);
    if (name !== undefined && all.some((other) => apart?.(other) === name)) return false;
    if (isBackground(file)) return all.filter(isBackground).length < processors;
    const others = all.filter((other) => !isBackground(other));
    if (isAlone(file) || others.some(isAlone)) return others.length === 0;
    const load = others.reduce((sum, other) => sum + weightOf(other), weightOf(file));
    return load <= processors + 1e-6;
  };
  while (waiting.length > 0 || running.size > 0) {
    for (let index = waiting.findIndex(fits); index >= 0; index = waiting.findIndex(fits)) {
      const [file] = waiting.splice(index, 1) as [string];
      running.set(
        file,
        work(file).finally(() => running.delete(file)),
      );
    }
    await Promise.race(running.values());
  }
}

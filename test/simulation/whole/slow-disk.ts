// A disk whose reads and flushes take their time, and that writes behind only now and then.
import { MemoryDisk, type Store } from "@holdfast/sync/testing";
import type { SimulatedClock } from "../clock.ts";

const SETTLE_PERIOD_MS = 40;
const SLOW_MS = 400;
const FAST_MS = 0.5;

export class SimulatedDisk {
  isSlow = false;
  readonly #disk = new MemoryDisk();

  open(clock: SimulatedClock): Store {
    const store = this.#disk.open();
    const after = <Value>(make: () => Promise<Value>): Promise<Value> =>
      new Promise((resolve) => {
        clock.after(this.isSlow ? SLOW_MS : FAST_MS, () => void make().then(resolve));
      });
    const settle = () => {
      this.#disk.settle();
      clock.after(this.isSlow ? SLOW_MS : SETTLE_PERIOD_MS, settle);
    };
    clock.after(SETTLE_PERIOD_MS, settle);
    return {
      ...store,
      load: () => after(() => store.load()),
      flush: () => after(() => store.flush()),
      close: () => after(() => store.close()),
    };
  }

  crash(disk: "kept" | "lost"): void {
    if (disk === "kept") this.#disk.crash();
    else this.#disk.wipe();
  }
}

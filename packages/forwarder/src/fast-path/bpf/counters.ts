// Totals per CPU, summed up.

import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import { libbpf } from "../../kernel/libbpf.ts";
import { COUNTER_BASE, DROP_REASON, EVENT, PUNT_REASON } from "./abi.ts";
import { dropName, eventName, puntName } from "./names.ts";

const NAMES = namesByNumber();

function namesByNumber(): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  const add = (
    constants: Readonly<Record<string, number>>,
    base: number,
    kind: string,
    name: (constant: string) => string,
  ) => {
    for (const [constant, number] of Object.entries(constants)) {
      if (constant !== "COUNT" && constant !== "REASON_COUNT")
        names.set(base + number, kind + name(constant));
    }
  };
  add(DROP_REASON, COUNTER_BASE.DROP, "drop.", dropName);
  add(PUNT_REASON, COUNTER_BASE.PUNT, "punt.", puntName);
  add(EVENT, COUNTER_BASE.EVENT, "", eventName);
  return names;
}

/** Per-CPU values come for every possible CPU, not for those that are there. */
export function possibleCpuCount(): number {
  try {
    const text = readFileSync("/sys/devices/system/cpu/possible", "utf8").trim();
    const last = text.split(",").at(-1)?.split("-").at(-1);
    return Number(last) + 1;
  } catch {
    return cpus().length;
  }
}

export class CounterMap {
  readonly #fd: number;
  readonly #cpuCount = possibleCpuCount();

  constructor(fd: number) {
    this.#fd = fd;
  }

  totals(): Map<string, number> {
    const totals = new Map<string, number>();
    const key = Buffer.alloc(4);
    const value = Buffer.alloc(8 * this.#cpuCount);
    for (const [number, name] of NAMES) {
      key.writeUInt32LE(number);
      if (libbpf().lookup(this.#fd, key, value) !== 0) continue;
      let sum = 0;
      for (let cpu = 0; cpu < this.#cpuCount; cpu++) sum += Number(value.readBigUInt64LE(cpu * 8));
      totals.set(name, sum);
    }
    return totals;
  }
}

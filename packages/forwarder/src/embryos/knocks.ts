// INITs that were refused under pressure. A client whose INIT was dropped sends the same again; a flood has
// others to send. So of those for which there is no room, the ones that come again get in.
import type { Random } from "@holdfast/model";
import type { ForwarderLimits } from "../limits.ts";
import { keyedHash } from "../nat-ports/allocator.ts";

/**
 * A later one at the same place takes it over: with 30,000 refused a second, one in ten is forgotten within a
 * second.
 */
const KNOCK_COUNT = 262_144;

export class Knocks {
  readonly #limits: Pick<ForwarderLimits, "initAgainLeastMs" | "initAgainMostMs">;
  /** Secret, so that nobody outside can aim at a place. */
  readonly #seed: number;
  readonly #marks = new Uint32Array(KNOCK_COUNT);
  readonly #atMs = new Float64Array(KNOCK_COUNT);

  constructor(random: Random, limits: Pick<ForwarderLimits, "initAgainLeastMs" | "initAgainMostMs">) {
    this.#seed = random.uint32();
    this.#limits = limits;
  }

  /**
   * Whether the INIT of this key (`Embryo.key`) was here before: not just now, and not long ago. It is
   * remembered from now on, so that repeating one for ever gains nothing.
   */
  again(key: string, nowMs: number): boolean {
    const mark = keyedHash(this.#seed, key);
    const place = mark % KNOCK_COUNT;
    const known = this.#marks[place] === mark;
    const ageMs = nowMs - (this.#atMs[place] as number);
    const { initAgainLeastMs, initAgainMostMs } = this.#limits;
    if (known && ageMs < initAgainLeastMs) return false;
    this.#marks[place] = mark;
    this.#atMs[place] = nowMs;
    return known && ageMs <= initAgainMostMs;
  }
}

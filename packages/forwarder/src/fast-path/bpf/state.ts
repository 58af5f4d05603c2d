// The one entry that tells the programs whether the daemon lives and what it can bear.
import { libbpf } from "../../kernel/libbpf.ts";
import { BUDGET, BUDGET_RATE, STATE } from "./abi.ts";

/** A sign of life older than this is a dead daemon's: the death verdict of the default failure detection. */
export const DEAD_AFTER_MS_DEFAULT = 150;

/** Packets a second and the burst on top, of one kind of punt. */
export interface PuntBudget {
  readonly perSecond: number;
  readonly burst: number;
}

export type PuntBudgets = Readonly<Record<Exclude<keyof typeof BUDGET, "SLOT_COUNT">, PuntBudget>>;

// The slow path takes about 30,000 INITs a second on one core; what is above that would wait in the ring until it is too
// old, so that it is better dropped here.
export const PUNT_BUDGETS_DEFAULT: PuntBudgets = {
  /** Control chunks with the right tag, INIT-ACKs of endpoints, addresses to learn. */
  PROVEN: { perSecond: 200_000, burst: 20_000 },
  /** What a slow path with half a processor does beside everything else; what is beyond comes again. */
  INIT: { perSecond: 10_000, burst: 2_000 },
  INIT_ACK: { perSecond: 40_000, burst: 4_000 },
  HANDSHAKE: { perSecond: 40_000, burst: 4_000 },
  MISS: { perSecond: 20_000, burst: 2_000 },
  WRONG_TAG: { perSecond: 1_000, burst: 200 },
  /** Packets of flows that are too big, or whose hop limit is used up. */
  ERROR: { perSecond: 10_000, burst: 2_000 },
  /** Strangers'; an ICMP error that quotes an association's tag is proven. */
  FRAGMENT: { perSecond: 3_000, burst: 500 },
  ICMP: { perSecond: 3_000, burst: 500 },
  NDP: { perSecond: 3_000, burst: 500 },
  /** Of addresses that have associations, all together and each. */
  FRAGMENT_KNOWN: { perSecond: 20_000, burst: 4_000 },
  SOURCE: { perSecond: 5_000, burst: 1_000 },
  /** Packets of flows without a next hop: the slow path sends them. */
  BULK: { perSecond: 50_000, burst: 5_000 },
  PREFIX: { perSecond: 30_000, burst: 3_000 },
  FLOW: { perSecond: 1_000, burst: 100 },
  /** What comes again beyond the budget of INITs. */
  INIT_AGAIN: { perSecond: 10_000, burst: 1_000 },
  /** A SYN is less work than an INIT: there is no cookie to look into. */
  SYN: { perSecond: 25_000, burst: 3_000 },
  SYN_AGAIN: { perSecond: 10_000, burst: 1_000 },
  DATAGRAM: { perSecond: 20_000, burst: 2_000 },
  STRAY: { perSecond: 10_000, burst: 1_000 },
  END: { perSecond: 50_000, burst: 5_000 },
};

export interface StateSettings {
  readonly layoutNumber: number;
  readonly flowCountMax: number;
  readonly deadAfterMs: number;
  readonly budgets: PuntBudgets;
}

const KEY = Buffer.alloc(4);

/** Writes the settings, and with them a sign of life. */
export function writeState(fd: number, settings: StateSettings): void {
  const value = Buffer.alloc(STATE.SIZE);
  value.writeBigUInt64LE(process.hrtime.bigint(), STATE.aliveNs);
  value.writeBigUInt64LE(BigInt(Math.round(settings.deadAfterMs * 1e6)), STATE.deadAfterNs);
  value.writeUInt32LE(settings.layoutNumber, STATE.abiVersion);
  value.writeUInt32LE(settings.flowCountMax, STATE.flowCountMax);
  for (const [name, { perSecond, burst }] of Object.entries(settings.budgets)) {
    const at = STATE.rates + BUDGET[name as keyof PuntBudgets] * BUDGET_RATE.SIZE;
    const cost = Math.round(1e9 / perSecond);
    value.writeBigUInt64LE(BigInt(cost), at + BUDGET_RATE.costNs);
    value.writeBigUInt64LE(BigInt(cost * burst), at + BUDGET_RATE.burstNs);
  }
  libbpf().update(fd, KEY, value, 0);
}

/** The sign of life alone. The caller keeps `value` (STATE.SIZE bytes), which is read once. */
export function beat(fd: number, value: Buffer): void {
  value.writeBigUInt64LE(process.hrtime.bigint(), STATE.aliveNs);
  libbpf().update(fd, KEY, value, 0);
}

export function readState(fd: number): Buffer {
  const value = Buffer.alloc(STATE.SIZE);
  libbpf().lookup(fd, KEY, value);
  return value;
}

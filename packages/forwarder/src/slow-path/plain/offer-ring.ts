// Offers of one service at one VIP: those that wait for SYNs, and what was begun from them.
import { type Address, REPLICATE_AFTER_DEFAULT_MS, type Service } from "@holdfast/model";
import type { OfferedService } from "../../fast-path/plain.ts";
import { Fifo } from "../../fifo.ts";
import type { ServiceEntry } from "../../services/registry.ts";
import type { Offered } from "./offered.ts";

/** Offers of a VIP and port that wait for SYNs: so many at first, and at most, as they are used. */
const WAITING_COUNT_MIN = 128;
const WAITING_COUNT_MAX = 4_096;
/** Between two looks at a connection. */
const LOOK_PERIOD_MS = 1_000;
const LOOK_PERIOD_MIN_MS = 50;

export interface Ring {
  readonly service: OfferedService;
  entry: ServiceEntry;
  /** What its offers follow from. */
  readonly facts: string;
  readonly waiting: Fifo<Offered>;
  /** In the order in which they are due. */
  readonly taken: Fifo<Offered>;
  readonly periodMs: number;
  wanted: number;
  /** As many as the fast path has room for, when that was met. */
  most: number;
  /** There were fewer ports than were wanted: newcomers come before handshakes that nobody ended. */
  isShort: boolean;
}

export function sourcesOf({ service }: ServiceEntry): readonly Address[] {
  return [...service.vips, ...(service.sourceAddresses ?? [])];
}

export function ringOf(entry: ServiceEntry, vip: Address): Ring {
  const { service } = entry;
  const afterMs = service.replicateAfterMs ?? REPLICATE_AFTER_DEFAULT_MS;
  return {
    service: { vip, port: service.port },
    entry,
    facts: factsOf(service),
    waiting: new Fifo(),
    taken: new Fifo(),
    periodMs: Math.min(LOOK_PERIOD_MS, Math.max(LOOK_PERIOD_MIN_MS, afterMs)),
    wanted: WAITING_COUNT_MIN,
    most: WAITING_COUNT_MAX,
    isShort: false,
  };
}

/** What its offers follow from. */
export function factsOf(service: Service): string {
  const { id, stateless, endpoints, leaving, selection, sourceAddresses, removal, replicateAfterMs } =
    service;
  return JSON.stringify([
    ...[id, stateless, endpoints, leaving, selection, sourceAddresses, removal, replicateAfterMs],
  ]);
}

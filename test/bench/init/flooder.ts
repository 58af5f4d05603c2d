// INITs from a host of the lab as fast as a core makes them, or as fast as is asked.
import type { Address } from "@holdfast/model";
import type { Host } from "@holdfast/testkit";
import { Generator } from "../forward/ordered-thread.ts";

/** The receiver window in a flood's INITs, by which they are known again behind the translation. */
export const FLOOD_WINDOW = 0x000f_100d;

/** Whose INITs they are. */
export interface Origin {
  /** The first address; the others follow. */
  readonly source: Address;
  /** A power of two. */
  readonly sourceCount: number;
}

/** Nobody's: every packet comes from another prefix before one comes again. */
export const SPOOFED: Origin = { source: "100.64.0.0", sourceCount: 4_194_304 };

export interface FloodTarget {
  readonly network: string;
  /** Whom the host's cable leads to, for `vip`. */
  readonly mac: string;
  readonly vip: Address;
  readonly port: number;
}

export interface FloodData {
  readonly namespace: string;
  readonly mac: string;
  readonly target: FloodTarget;
  readonly origin: Origin;
}

export interface FloodOrder {
  /** INITs a second; 0: as many as can be. */
  readonly perSecond: number;
  readonly durationMs: number;
}

export class Flooder extends Generator<FloodOrder> {
  constructor(host: Host, target: FloodTarget, origin: Origin) {
    const data: FloodData = {
      namespace: host.namespace,
      mac: host.mac(target.network),
      target,
      origin,
    };
    super(new URL("./flooder-thread.ts", import.meta.url), data);
  }
}

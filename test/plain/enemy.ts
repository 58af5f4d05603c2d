// One kind of packet again and again, as fast as a core makes it, from a host of the lab.
import type { Host } from "@holdfast/testkit";
import { Generator } from "../bench/forward/ordered-thread.ts";

/** A whole IPv4 packet of TCP or UDP, which comes from `flowCount` addresses and ports, from its own on. */
export interface EnemyOrder {
  readonly packet: Uint8Array;
  readonly flowCount: number;
  /** Of those only so many addresses, a power of two, with ever other ports. */
  readonly sourceCount?: number;
  readonly durationMs: number;
}

export interface EnemyData {
  readonly namespace: string;
  readonly network: string;
  readonly sourceMac: string;
  readonly destinationMac: string;
}

export class Enemy extends Generator<EnemyOrder> {
  /** `destinationMac`: whom the packets reach on `network`. */
  constructor(host: Host, network: string, destinationMac: string) {
    const data: EnemyData = {
      ...{ namespace: host.namespace, network, destinationMac },
      sourceMac: host.mac(network),
    };
    super(new URL("./enemy-thread.ts", import.meta.url), data);
  }
}

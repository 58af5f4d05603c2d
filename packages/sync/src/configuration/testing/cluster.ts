// Members' configuration documents without a network: messages wait until a test delivers them.
import assert from "node:assert/strict";
import {
  type Address,
  PROTOCOL_SCTP,
  type Random,
  type Service,
  seededRandom,
  serviceIdOf,
} from "@holdfast/model";
import { ConfigurationDocument } from "../configuration-document.ts";

/** Short, so that a test goes through many epochs. */
export const HISTORY_COUNT_MAX = 48;

export interface Sent {
  readonly from: number;
  readonly to: number;
  readonly heads: readonly string[];
  readonly changes: readonly Uint8Array[];
}

/** Members whose messages wait until the test delivers them. */
export class Cluster {
  readonly documents: ConfigurationDocument[] = [];
  readonly kept: (() => Uint8Array)[] = [];
  readonly refusals: string[] = [];
  readonly random: Random;
  queue: Sent[] = [];
  cut = false;

  constructor(count: number, seed = 1) {
    this.random = seededRandom(seed);
    for (let number = 0; number < count; number++) this.documents.push(this.make(number, seed));
  }

  make(number: number, seed: number): ConfigurationDocument {
    return new ConfigurationDocument({
      random: seededRandom(seed * 1000 + number),
      send: (to, heads, changes) => {
        if (this.cut) return;
        for (const other of to === undefined ? this.documents.keys() : [to]) {
          if (other !== number) this.queue.push({ from: number, to: other, heads, changes });
        }
      },
      keep: (save) => {
        this.kept[number] = save;
      },
      historyCountMax: HISTORY_COUNT_MAX,
      refused: (_from, reason) => this.refusals.push(reason),
    });
  }

  /** Everybody meets everybody. */
  heal(): void {
    this.cut = false;
    for (const a of this.documents.keys()) {
      for (const b of this.documents.keys()) if (a !== b) this.documents[a]?.connected(b);
    }
  }

  deliver(): void {
    let count = 0;
    while (this.queue.length > 0) {
      assert.ok(count++ < 5_000, "the members talk without end");
      const [sent] = this.queue.splice(this.random.below(this.queue.length), 1);
      if (sent !== undefined) this.documents[sent.to]?.receive(sent.from, sent.heads, sent.changes);
    }
  }

  agree(): void {
    this.heal();
    this.deliver();
    for (const document of this.documents) assert.equal(document.version(), this.documents[0]?.version());
  }
}

export function service(vip: Address, over: Partial<Service> = {}): Service {
  return {
    id: serviceIdOf(PROTOCOL_SCTP, vip, 38412),
    name: "s",
    protocol: 132,
    vips: [vip],
    port: 38412,
    selection: "leastAssociations",
    endpoints: [],
    idleTimeoutS: 900,
    restartNewAddresses: "abort",
    clientPrefixes: [],
    withdrawWhenDown: false,
    ...over,
  };
}

export const endpoint = (address: Address, weight = 1) => ({
  address,
  port: 9999,
  weight,
  state: "active" as const,
});

// What both sides of the comparison share: an established association with numbered messages, endpoints that
// count the flood's INITs, and the slice of time in which a flood of one rate is measured.
import { type Host, type Peer, until } from "@holdfast/testkit";
import { FLOOD_WINDOW, Flooder, type FloodOrder, type FloodTarget, type Origin, SPOOFED } from "./flooder.ts";

/** Messages a second of the established association. */
export const MESSAGE_RATE = 200;
/** Before a slice, so that what the last one left behind is over. */
const REST_MS = 1_200;
const SETTLE_LIMIT_MS = 10_000;
const CHUNK_INIT = 1;
const CHUNK_INIT_ACK = 2;

export type FloodKind = "answered" | "unanswered";

/** Addresses of the clients' network that lead to the flooder's host, so that answers arrive there. */
const GENUINE: Origin = { source: "198.18.32.0", sourceCount: 8_192 };
export const GENUINE_PREFIX = "198.18.32.0/19";
const ORIGINS: Readonly<Record<FloodKind, Origin>> = { answered: GENUINE, unanswered: SPOOFED };

export interface Subject {
  readonly name: string;
  readonly client: Peer;
  readonly servers: readonly Peer[];
  readonly endpointHosts: readonly Host[];
  readonly flooderHost: Host;
  readonly target: FloodTarget;
  /** Totals of what the subject did with INITs, by name; nothing when it does not say. */
  counters(): Promise<ReadonlyMap<string, number>>;
  close(): Promise<void>;
}

/** One slice. Rates are a second. */
export interface Slice {
  readonly subject: string;
  readonly kind: FloodKind | "none";
  readonly offered: number;
  /** INITs that reached an endpoint, and INIT-ACKs that came back to where the INITs had come from. */
  readonly forwarded: number;
  readonly answers: number;
  /** By the subject's own names. */
  readonly counters: ReadonlyMap<string, number>;
  readonly messages: number;
  readonly messagesLost: number;
  readonly gapP99Ms: number;
  readonly gapLongestMs: number;
}

export class FloodBench {
  readonly #subject: Subject;
  readonly #flooders = new Map<FloodKind, Flooder>();

  constructor(subject: Subject) {
    this.#subject = subject;
    for (const host of subject.endpointHosts) countPackets(host, CHUNK_INIT);
    countPackets(subject.flooderHost, CHUNK_INIT_ACK);
  }

  async measure(kind: FloodKind | "none", order: FloodOrder): Promise<Slice> {
    const { client, servers, endpointHosts, flooderHost } = this.#subject;
    for (const host of endpointHosts) silence(host, kind === "unanswered");
    await new Promise((resolve) => setTimeout(resolve, REST_MS));
    const flooder = kind === "none" ? undefined : this.#flooder(kind);
    const counted = () => ({
      inits: endpointHosts.reduce((sum, host) => sum + packetCount(host), 0),
      answers: packetCount(flooderHost),
    });
    await gapsOf(servers);
    const before = counted();
    const countersBefore = await this.#subject.counters();
    const countersBeforeMs = performance.now();
    const flooded = await (flooder?.send(order) ?? nothing(order.durationMs));
    const after = counted();
    const countersAfter = await this.#subject.counters();
    const countersS = (performance.now() - countersBeforeMs) / 1_000;
    const [gaps] = await gapsOf(servers);
    if (gaps === undefined) throw new Error("no message of the established association arrived");
    const seconds = flooded.durationMs / 1_000;
    const counters = new Map<string, number>();
    for (const [name, count] of countersAfter) {
      const rate = (count - (countersBefore.get(name) ?? 0)) / countersS;
      if (rate > 0) counters.set(name, rate);
    }
    return {
      subject: this.#subject.name,
      kind,
      offered: flooded.sent / seconds,
      forwarded: (after.inits - before.inits) / seconds,
      answers: (after.answers - before.answers) / seconds,
      counters,
      messages: gaps.count,
      messagesLost: await lost(client, servers),
      gapP99Ms: gaps.p99Ms,
      gapLongestMs: gaps.longestMs,
    };
  }

  async close(): Promise<void> {
    for (const flooder of this.#flooders.values()) await flooder.close();
  }

  #flooder(kind: FloodKind): Flooder {
    let flooder = this.#flooders.get(kind);
    if (flooder === undefined) {
      flooder = new Flooder(this.#subject.flooderHost, this.#subject.target, ORIGINS[kind]);
      this.#flooders.set(kind, flooder);
    }
    return flooder;
  }
}

async function nothing(durationMs: number) {
  await new Promise((resolve) => setTimeout(resolve, durationMs));
  return { sent: 0, durationMs };
}

async function gapsOf(servers: readonly Peer[]) {
  return (await Promise.all(servers.map((server) => server.gaps()))).flat();
}

/** Messages that do not come although there is time for it; all of them when the association is over. */
async function lost(client: Peer, servers: readonly Peer[]): Promise<number> {
  const missing = async () => {
    const [figure] = await client.associations();
    const receipts = (await Promise.all(servers.map((server) => server.receipts()))).flat();
    const received = receipts.find((receipt) => receipt.client === figure?.id);
    if (figure === undefined || received === undefined) return Number.POSITIVE_INFINITY;
    return figure.up && figure.lost + figure.restarts === 0
      ? received.missing
      : figure.sent - received.received;
  };
  try {
    return await until(
      "all messages to arrive",
      async () => (await missing()) === 0 && 0,
      SETTLE_LIMIT_MS,
      50,
    );
  } catch {
    return missing();
  }
}

/** Counts packets whose first chunk is of `type`; INITs only those of the flood. */
function countPackets(host: Host, type: number): void {
  const window = type === CHUNK_INIT ? `@th,160,32 ${FLOOD_WINDOW}` : "";
  nft(
    host,
    `table ip flood {
      chain arriving {
        type filter hook prerouting priority -300
        ip protocol sctp @th,96,8 ${type} ${window} counter
      }
    }`,
  );
}

function packetCount(host: Host): number {
  const text = host.run("nft", ["list", "table", "ip", "flood"]);
  return Number(/packets (\d+)/.exec(text)?.[1] ?? Number.NaN);
}

/** The endpoint's stack hears nothing of the flood, or hears it again. */
function silence(host: Host, silent: boolean): void {
  nft(host, "table ip silence\ndelete table ip silence");
  if (!silent) return;
  nft(
    host,
    `table ip silence {
      chain arriving {
        type filter hook prerouting priority -200
        ip protocol sctp @th,96,8 ${CHUNK_INIT} @th,160,32 ${FLOOD_WINDOW} drop
      }
    }`,
  );
}

function nft(host: Host, rules: string): void {
  host.run("nft", ["-f", "-"], `${rules}\n`);
}

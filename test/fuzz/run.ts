// All targets, each with its share of the packets.
import { encodeSession, type Random, SessionView, seededRandom } from "@holdfast/model";
import { addSession } from "@holdfast/node/testing";
import {
  actorOf,
  documentActorOf,
  EMPTY_HEAD,
  encodeChange,
  encodeLinkMessage,
  encodePayload,
  encodePeerMessage,
  PROTOCOL_VERSION,
} from "@holdfast/sync/testing";
import { Corpus, packetSeeds } from "./corpus.ts";
import { BlockCoverage } from "./coverage.ts";
import { runTarget, type Target, type TargetReport } from "./target.ts";
import { ApiTarget } from "./targets/api.ts";
import { CodecTarget } from "./targets/codec.ts";
import { ConfigurationTarget } from "./targets/configuration.ts";
import { ENTRY_TEXTS, MessagesTarget } from "./targets/messages.ts";
import { OracleTarget } from "./targets/oracle.ts";
import { PeersTarget } from "./targets/peers.ts";
import { SlowPathTarget } from "./targets/slow-path.ts";
import type { Watch } from "./watch.ts";

export interface FuzzOptions {
  readonly packets: number;
  readonly seed: number;
  /** Only targets whose name contains this. */
  readonly only?: string;
  /** Guided by block coverage (default), or blind, which is faster. */
  readonly guided?: boolean;
  /** Sees how far it is, each 100,000 inputs of a target. */
  readonly onProgress?: (target: string, inputs: number, count: number) => void;
  readonly watch?: Watch;
  readonly onReport?: (report: TargetReport) => void;
  /** Takes the inputs that reached new code. */
  readonly onFound?: (kind: string, inputs: readonly Uint8Array[]) => void;
}

/** Shares of `packets` that are packets; the rest come on top, since they are not. */
const SHARES = { codec: 0.2, "slow-path": 0.3, "fast-path": 0.5 } as const;
const MESSAGE_SHARE = 0.2;
const PEER_SHARE = 0.1;
const API_SHARE = 0.01;
const CONFIGURATION_SHARE = 0.005;

/** The last one needs root. */
export const TARGET_NAMES = [
  "codec",
  "slow-path",
  "messages",
  "peers",
  "api",
  "loxilb-api",
  "configuration",
  "fast-path",
] as const;

export async function fuzz(options: FuzzOptions): Promise<TargetReport[]> {
  const { packets, seed } = options;
  const packetCorpus = new Corpus("packet", packetSeeds());
  // Of its own: it keeps whole batches, since what an input does there depends on those before it.
  const slowPathCorpus = new Corpus("packet", packetSeeds());
  const messageCorpus = new Corpus("message", messageSeeds(seededRandom(seed)));
  const root = process.getuid?.() === 0;
  const plan: readonly (readonly [(typeof TARGET_NAMES)[number], number, () => Target])[] = [
    ["codec", packets * SHARES.codec, () => new CodecTarget(packetCorpus)],
    ["slow-path", packets * (root ? SHARES["slow-path"] : 0.8), () => new SlowPathTarget(slowPathCorpus)],
    ["messages", packets * MESSAGE_SHARE, () => new MessagesTarget(messageCorpus)],
    ["peers", packets * PEER_SHARE, () => new PeersTarget(seed)],
    ["api", packets * API_SHARE, () => new ApiTarget("api")],
    ["loxilb-api", packets * API_SHARE, () => new ApiTarget("loxilb-api")],
    ["configuration", packets * CONFIGURATION_SHARE, () => new ConfigurationTarget()],
    // Last: it is without guidance, since the programs' blocks are not V8's.
    ...(root
      ? [["fast-path", packets * SHARES["fast-path"], () => new OracleTarget(seed, packetCorpus)] as const]
      : []),
  ];
  const reports: TargetReport[] = [];
  const coverage = options.guided === false ? undefined : new BlockCoverage();
  try {
    for (const [name, share, make] of plan) {
      if (options.only !== undefined && !name.includes(options.only)) continue;
      if (name === "fast-path") coverage?.close();
      const report = await runTarget(make(), {
        count: Math.max(1, Math.round(share)),
        random: seededRandom(seed + name.length),
        coverage: name === "fast-path" ? undefined : coverage,
        watch: options.watch,
        onProgress: options.onProgress,
      });
      reports.push(report);
      options.onReport?.(report);
    }
  } finally {
    coverage?.close();
  }
  options.onFound?.("packet", packetCorpus.found());
  options.onFound?.("message", messageCorpus.found());
  return reports;
}

export function messageSeeds(random: Random): Uint8Array[] {
  const view = new SessionView();
  addSession(view, {
    primary: "203.0.113.1",
    port: 38_412,
    client: "100.80.1.1",
    clientPort: 1_000,
    endpoint: "10.0.0.5",
    natPort: 2_000,
  });
  const [record] = [...view.values()];
  if (record === undefined) throw new Error("no record");
  const delta = encodeSession(record);
  const actor = actorOf(3, 1_790_000_000_000, seededRandom(1));
  const payload = encodePayload([
    { kind: "header", previousTicks: 7, base: 0 },
    { kind: "delta", bytes: delta },
    { kind: "floor", floor: { member: 1, counter: 5, positions: [{ counter: 4, segment: 1, ticks: 9 }] } },
  ]);
  const change = encodeChange(documentActorOf(actor, 0), 0, EMPTY_HEAD, payload).bytes;
  const hash = random.bytes(32);
  const summary = {
    incarnation: actor,
    journals: [{ actor, base: 0, segments: [{ segment: 0, ticks: 1, head: hash, sealed: false }] }],
    connected: [0, 1],
    floors: [[1, 5]] as [number, number][],
    caughtUp: true,
  };
  return [
    delta,
    payload,
    change,
    encodePeerMessage({ kind: "hello", summary }),
    encodePeerMessage({ kind: "tick", actor, segment: 0, tick: 0, change }),
    encodePeerMessage({ kind: "fetch", actor, segment: 1, fromTick: 3 }),
    encodePeerMessage({ kind: "segment", actor, segment: 1, fromTick: 0, changes: [change], sealed: true }),
    encodePeerMessage({
      kind: "acknowledge",
      actor,
      held: { segment: 1, ticks: 4 },
      joined: { segment: 1, ticks: 3 },
    }),
    encodePeerMessage({ kind: "base", actor, base: 2 }),
    encodePeerMessage({
      kind: "ask",
      question: 5,
      about: { kind: "natPort", endpoint: "10.0.0.5", endpointPort: 9, natPort: 4_096 },
    }),
    encodePeerMessage({ kind: "answer", question: 5, records: [delta] }),
    encodePeerMessage({
      kind: "configuration",
      heads: [hash.reduce((t, b) => t + b.toString(16).padStart(2, "0"), "")],
      changes: [change],
    }),
    encodePeerMessage({ kind: "request", id: 1, topic: "counters", body: delta }),
    encodePeerMessage({ kind: "response", id: 1, body: delta }),
    encodeLinkMessage({
      kind: "greeting",
      greeting: {
        versionLowest: PROTOCOL_VERSION,
        versionHighest: PROTOCOL_VERSION,
        clusterId: "lab",
        memberName: "m1",
        memberNumber: 1,
        memberNumberCount: 64,
        instance: random.bytes(16),
      },
    }),
    encodeLinkMessage({ kind: "refused", reason: "cluster", explanation: "another cluster" }),
  ].concat([
    ...ENTRY_TEXTS.map(([key, text]) => Buffer.from(`${key}\n${text}`)),
    Buffer.from([PROTOCOL_VERSION]),
  ]);
}

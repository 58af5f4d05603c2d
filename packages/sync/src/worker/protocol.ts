// What the main thread and the engine's thread say to each other beside the engine link: start, logs,
// counters, end.
import type { MessagePort } from "node:worker_threads";
import type { Revocation } from "../certificates/revocation.ts";
import type { MemberTls } from "../certificates/verify.ts";
import type { ReplicationSettings } from "../engine/settings.ts";
import type { StoreCounters } from "../store/file-store.ts";
import type { ConfiguredMember, HostPort, JoinAddress, LinkTiming } from "../transport/settings.ts";
import type { TransportCounters } from "../transport/websocket.ts";

/** Plain data: it crosses to the thread by structured clone. */
export interface HostOptions {
  readonly clusterId: string;
  readonly memberName: string;
  readonly memberNumber: number;
  readonly memberNumberCount: number;
  readonly listen: readonly HostPort[];
  /** At first; this member may be among them. */
  readonly members: readonly ConfiguredMember[];
  readonly join?: readonly JoinAddress[];
  readonly tls: MemberTls | "plain";
  readonly revoked?: readonly Revocation[];
  /** undefined keeps nothing on disk. */
  readonly storeDirectory: string | undefined;
  readonly settings: Partial<ReplicationSettings>;
  readonly timing: Partial<LinkTiming>;
  /** Default PEER_QUEUE_BYTES_MAX. */
  readonly queueBytesMax: number | undefined;
}

export interface HostCounters {
  readonly transport: TransportCounters;
  /** undefined without a store on disk. */
  readonly store: StoreCounters | undefined;
  /** Longest and 99.9th percentile delay of the thread's event loop since the last report, ms. */
  readonly loopDelayMaxMs: number;
  readonly loopDelayP999Ms: number;
  /** Of the thread's V8 heap; WASM memory and buffers count as external. */
  readonly heapBytes: number;
  readonly externalBytes: number;
}

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error";

export type ToHost =
  | { readonly kind: "start"; readonly options: HostOptions; readonly port: MessagePort }
  | { readonly kind: "counters"; readonly token: number }
  | { readonly kind: "tls"; readonly tls: MemberTls }
  /** Certificates that are not believed from now on; links to whoever shows one end. */
  | { readonly kind: "revoked"; readonly list: readonly Revocation[] }
  /** Answered at once: the thread's event loop turns. */
  | { readonly kind: "beat" }
  | { readonly kind: "stop" };

export type FromHost =
  | { readonly kind: "started"; readonly bound: readonly HostPort[] }
  /** An operator's mistake, found at start: code and details make the error again. */
  | {
      readonly kind: "refused";
      readonly code: string;
      readonly details: Readonly<Record<string, string | number>>;
    }
  | { readonly kind: "log"; readonly level: LogLevel; readonly fields: object; readonly message: string }
  | { readonly kind: "counters"; readonly token: number; readonly counters: HostCounters }
  | { readonly kind: "beat" }
  | { readonly kind: "stopped" };

// What main thread and probe thread tell each other. Structured clones, so plain data only.
import type { Address, MemberName } from "@holdfast/model";
import type { MemberConfiguration, Timing } from "../configuration.ts";
import type { MembershipEffect } from "../membership/state.ts";
import type { ClusterView } from "../view.ts";
import type { Claim, Refusal } from "../wire/message.ts";

/**
 * A module that beats the data plane's sign of life; loaded by the probe thread, so that this package knows
 * no map.
 */
export interface SignOfLifeModule {
  /** `data` is what the option carried. Called once, in the probe thread. */
  open(data: unknown): SignOfLife | Promise<SignOfLife>;
}

export interface SignOfLife {
  /** Must not block. */
  beat(): void;
  close(): void;
}

export interface ThreadData {
  readonly self: MemberName;
  readonly members: readonly MemberConfiguration[];
  readonly timing: Timing;
  /** Seals hellos. */
  readonly key: Uint8Array;
  /** Hellos that it sealed are taken, too: the cluster changes over. */
  readonly otherKeys?: readonly Uint8Array[];
  readonly boot: number;
  readonly incarnation: number;
  /** IP TTL of probes. 1: a probe never takes a detour over a router, so "heard on this network" is true. */
  readonly hopLimit: number;
  /** One Int32 that the main loop counts up while it is alive. */
  readonly mainPulse: SharedArrayBuffer;
  /** Absent: the cluster's secret proves who is who. */
  readonly credentials: { readonly moduleUrl: string; readonly data: unknown } | undefined;
  readonly signOfLife: { readonly moduleUrl: string; readonly data: unknown } | undefined;
}

export interface NetworkFact {
  readonly network: string;
  readonly carrier: boolean;
  readonly routerHeard: boolean;
}

/** Main to probe thread. */
export type Command =
  | {
      readonly kind: "facts";
      readonly ready?: boolean;
      readonly caughtUp?: boolean;
      readonly draining?: boolean;
      readonly networks?: readonly NetworkFact[];
      readonly claims?: readonly Claim[];
      readonly unserved?: readonly Address[];
    }
  | { readonly kind: "hint"; readonly member: MemberName }
  /** The main thread has acted on the view of this epoch. */
  | { readonly kind: "applied"; readonly epoch: number }
  /** Loaded anew by the module that the thread began with. */
  | { readonly kind: "credentials"; readonly data: unknown }
  /** What is not believed any more, as the credentials' module understands it. */
  | { readonly kind: "revoked"; readonly list: unknown }
  /** All members from now on, this one included, as it was. */
  | { readonly kind: "members"; readonly members: readonly MemberConfiguration[] }
  /** The first seals hellos from now on, each opens them. */
  | { readonly kind: "keys"; readonly keys: readonly Uint8Array[] }
  | { readonly kind: "leave" }
  | { readonly kind: "close" };

/** What membership reports, without what it sends. */
export type Notice =
  /** A member's hello is not believed: its certificate is bad, or revoked. */
  | { readonly kind: "distrusted"; readonly member: MemberName; readonly reason: string }
  | Exclude<MembershipEffect, { kind: "send" } | { kind: "changed" } | { kind: "refused" }>;

export interface ProbeCounters {
  readonly sent: number;
  readonly received: number;
  readonly sendFailures: number;
  /** Sockets that could not be opened, by network, with the system's word; empty when all is well. */
  readonly closedNetworks: Readonly<Record<string, string>>;
  readonly refused: Readonly<Partial<Record<Refusal, number>>>;
}

/** Probe thread to main. */
export type Report =
  | {
      readonly kind: "view";
      readonly view: ClusterView;
      readonly notices: readonly Notice[];
      /** Rises whenever this member was frozen or displaced. */
      readonly epoch: number;
      readonly counters: ProbeCounters;
    }
  /** For the log. */
  | { readonly kind: "warning"; readonly fields: Readonly<Record<string, string>>; readonly told: string }
  | { readonly kind: "closed" };

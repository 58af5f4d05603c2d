// The link between the thread with the view (main) and the thread with the engine. All messages are plain data
// that structured clone takes; Uint8Arrays own their buffers and may be transferred.
//
//   forwarder ── SessionReplica (main thread: SessionView) ══ EngineLink ══ ReplicationEngine ── Transport, Store

import type { MemberName, SessionId, SessionQuestion } from "@holdfast/model";
import type { Applicant, Listing } from "../transport/settings.ts";
import type { EngineState, EngineStatus } from "./engine.ts";
import type { StoreState } from "./store.ts";

/** Deltas as bytes, one after the other, each with a varint length before it. */
export interface DeltaBatch {
  readonly count: number;
  readonly bytes: Uint8Array;
}

/** Ids as bytes, 16 each. */
export type IdList = Uint8Array;

export type ToEngine =
  /** Facts that this member observed. `sequence` rises by one per message. */
  | {
      readonly kind: "local";
      readonly sequence: number;
      readonly urgent: boolean;
      readonly deltas: DeltaBatch;
    }
  /** A delivered batch was joined: credit returns. `covered`: its records that now equal the view's (per index, a bit). */
  | {
      readonly kind: "joined";
      readonly batch: number;
      readonly covered: Uint8Array;
      readonly contradicted: IdList;
    }
  | {
      readonly kind: "exported";
      readonly request: number;
      readonly deltas: DeltaBatch;
    }
  | {
      readonly kind: "release";
      readonly token: number;
      readonly id: SessionId;
      /** Local messages up to here must be with the others. */
      readonly sequence: number;
      /** Owners of the service's other VIPs; empty: one other member is enough. */
      readonly members: readonly number[];
    }
  | { readonly kind: "ask"; readonly token: number; readonly about: SessionQuestion }
  | { readonly kind: "found"; readonly request: number; readonly records: readonly Uint8Array[] }
  /** To one member, or to all. */
  | {
      readonly kind: "configuration";
      readonly to: number | undefined;
      readonly heads: readonly string[];
      readonly changes: readonly Uint8Array[];
    }
  /** Keeps a small named value in the store; with a token, `stored` says when it is on disk. */
  | {
      readonly kind: "keep";
      readonly name: string;
      readonly value: Uint8Array;
      readonly token: number | undefined;
    }
  | {
      readonly kind: "request";
      readonly token: number;
      readonly member: number;
      readonly topic: string;
      readonly body: Uint8Array;
    }
  | { readonly kind: "response"; readonly token: number; readonly body: Uint8Array }
  /** The members of the cluster from now on, this one among them. */
  | { readonly kind: "members"; readonly listing: Listing }
  | { readonly kind: "status"; readonly token: number };

export type ToView =
  /** Deltas of other members, to be joined in order. `sequence`: the last `local` message that was taken in. */
  | {
      readonly kind: "deliver";
      readonly batch: number;
      readonly sequence: number;
      readonly deltas: DeltaBatch;
    }
  /** Send what must be written again of each id. */
  | {
      readonly kind: "export";
      readonly request: number;
      /** The last `local` message that the engine had taken in. */
      readonly sequence: number;
      readonly ids: IdList;
    }
  /** No journal carries these any longer. `sequence`: the last `local` message that the engine had taken in. */
  | { readonly kind: "forget"; readonly sequence: number; readonly ids: IdList }
  | { readonly kind: "released"; readonly token: number; readonly ok: boolean }
  /** `complete`: every other configured member has answered. */
  | { readonly kind: "answered"; readonly token: number; readonly complete: boolean }
  | { readonly kind: "lookup"; readonly request: number; readonly about: SessionQuestion }
  | {
      readonly kind: "configuration";
      readonly from: number;
      readonly heads: readonly string[];
      readonly changes: readonly Uint8Array[];
    }
  /** The queue to the member was dropped: of the configuration, too, it may have missed something. */
  | { readonly kind: "dropped"; readonly member: number }
  /** Once, at the start: what `keep` stored in earlier lives, and what the store found damaged. */
  | {
      readonly kind: "kept";
      readonly values: ReadonlyMap<string, Uint8Array>;
      readonly damaged: readonly string[];
    }
  /** What `keep` with this token gave is on disk; with a failure: it is not yet, and goes on being tried. */
  | { readonly kind: "stored"; readonly token: number; readonly failure: string | undefined }
  /** How the store on disk is; after its start, and when it changes. */
  | { readonly kind: "store"; readonly state: StoreState }
  | {
      readonly kind: "request";
      readonly token: number;
      readonly from: number;
      readonly topic: string;
      readonly body: Uint8Array;
    }
  | { readonly kind: "response"; readonly token: number; readonly body: Uint8Array | undefined }
  | { readonly kind: "status"; readonly token: number; readonly status: EngineStatus }
  /** A listed member says that this one was taken out of the list, or that its certificate is revoked. */
  | { readonly kind: "excluded" | "revoked"; readonly by: MemberName }
  | { readonly kind: "applied"; readonly applicant: Applicant }
  /** Sent when `ready` or the set of connected members changes. */
  | { readonly kind: "state"; readonly state: EngineState };

/** One end of the link. In order, without loss. */
export interface EngineLink<Out, In> {
  post(message: Out): void;
  /** Call once. */
  listen(listener: (message: In) => void): void;
}

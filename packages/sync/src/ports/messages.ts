// What members say to each other.

import type { SessionQuestion } from "@holdfast/model";
import type { Actor, JournalPosition, Summary } from "./journals.ts";

/**
 * What members say to each other once the transport has authenticated both and agreed on cluster and version.
 * `kind` numbers on the wire are append-only.
 */
export type PeerMessage =
  /** First message of the engine on a new connection, both ways. */
  | { readonly kind: "hello"; readonly summary: Summary }
  /** Every few seconds and after a dropped queue. */
  | { readonly kind: "summary"; readonly summary: Summary }
  /** One live change of the sender's own journal, or relayed. */
  | {
      readonly kind: "tick";
      readonly actor: Actor;
      readonly segment: number;
      readonly tick: number;
      readonly change: Uint8Array;
    }
  /** "Send me this segment from that tick on." */
  | { readonly kind: "fetch"; readonly actor: Actor; readonly segment: number; readonly fromTick: number }
  /** Answer to `fetch`, in parts: changes of ticks fromTick, fromTick + 1, … */
  | {
      readonly kind: "segment";
      readonly actor: Actor;
      readonly segment: number;
      readonly fromTick: number;
      readonly changes: readonly Uint8Array[];
      readonly sealed: boolean;
    }
  /**
   * How far the sender is with a journal of the receiver's; both cumulative. `held`: verified and kept in the sender's
   * own copy, which it relays, writes to its store and joins. `joined`: its view shows it.
   */
  | {
      readonly kind: "acknowledge";
      readonly actor: Actor;
      readonly held: JournalPosition;
      readonly joined: JournalPosition;
    }
  /** The writer seals a segment / advances its base (a hint; the journal itself says so too). */
  | { readonly kind: "base"; readonly actor: Actor; readonly base: number }
  | { readonly kind: "ask"; readonly question: number; readonly about: SessionQuestion }
  /** `records`: canonical bytes of session records. Empty: the sender does not know either. */
  | { readonly kind: "answer"; readonly question: number; readonly records: readonly Uint8Array[] }
  /** The configuration document's sync: changes that the receiver lacks (each verified by its receiver). */
  | {
      readonly kind: "configuration";
      readonly heads: readonly string[];
      readonly changes: readonly Uint8Array[];
    }
  /** For the node: collect counters, health verdicts and the like from another member. `body` is the node's business. */
  | { readonly kind: "request"; readonly id: number; readonly topic: string; readonly body: Uint8Array }
  | { readonly kind: "response"; readonly id: number; readonly body: Uint8Array };

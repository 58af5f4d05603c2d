// What becomes of a packet.
import type { MalformedReason } from "@holdfast/sctp";
import type { PlainRefusal } from "../../packet/plain/header.ts";
import type { PuntReason } from "../port.ts";
import type { FlowEntry } from "./flow-entry.ts";
import type { PlainFlowEntry } from "./plain/entry.ts";

/** Stable names; totals carry them as `drop.NAME`. */
export type DropReason =
  | MalformedReason
  | PlainRefusal
  /** A FIN or RST of TCP that is nowhere near its connection's numbers. */
  | "tcp-window"
  /** Userspace only: the way out computes the header checksum anew, and would bless a wrong one. */
  | "ip-checksum"
  | "not-sctp"
  | "icmp-other"
  | "not-owned"
  | "port-not-served"
  | "source-not-allowed"
  | "wrong-tag"
  | "unverified-destination"
  | "punt-rate"
  | "punt-queue"
  | "send-failed";

/** Of TCP and UDP. */
export interface PlainVerdict {
  readonly action: "forwardPlain";
  readonly entry: PlainFlowEntry;
  /** 4 or 16 bytes. */
  readonly destination: Uint8Array;
  /** The packet as it arrived goes to the slow path, too, as `learn`; or as `end`. */
  readonly learn: boolean;
  readonly end: boolean;
  /** Of a FIN or RST: whether it counts. */
  readonly claim: "counts" | "unproven" | undefined;
  /** It ends the handshake of its flow. */
  readonly opens: boolean;
  /** It is a SYN or SYN-ACK of a flow that awaits one. */
  readonly begins: boolean;
  /** See Egress. */
  readonly device?: number;
}

export type Verdict =
  | PlainVerdict
  /** Not for a local address: the host's business. */
  | { readonly action: "pass" }
  | { readonly action: "drop"; readonly reason: DropReason }
  /** Left alone and given to the slow path. `session` is 0 without a flow; `mtu` comes with "tooBig". */
  | {
      readonly action: "punt";
      readonly reason: PuntReason;
      readonly session: number;
      readonly mtu?: number;
      /** See Punt. Of a fragment the engine says it. */
      readonly proven?: boolean;
    }
  /** An echo request, or a neighbour solicitation to the VIP itself, for a VIP that this member owns. */
  | { readonly action: "answer"; readonly what: "echo" | "neighbour" }
  | {
      readonly action: "forward";
      readonly entry: FlowEntry;
      /** Reply-only packets of down flows go to the address last heard. */
      readonly reply: boolean;
      /** 4 or 16 bytes: `entry.newDestination` or `entry.replyDestination`. */
      readonly destination: Uint8Array;
      /** The packet as it arrived goes to the slow path, too. */
      readonly learn: boolean;
      /** See Egress. */
      readonly device?: number;
    };

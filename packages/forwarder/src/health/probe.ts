// One question to an endpoint and its outcome, whatever it is asked with.
import type { Address, HealthKind, StatusRange } from "@holdfast/model";

export type ProbeOutcome =
  | { readonly kind: "answered" }
  /** Counts towards down: "unanswered", "not sent", "status 503". */
  | { readonly kind: "missed"; readonly what: string }
  /** Down at once. `refused`: by its host itself, which has nobody that speaks SCTP. */
  | { readonly kind: "down"; readonly reason: string; readonly refused: boolean };

/** A question under way. */
export interface ProbeAttempt {
  /** No outcome will be told any more. */
  cancel(): void;
  /** What it means that nothing came in time. */
  readonly atTimeout: ProbeOutcome;
}

export interface ProbeQuestion {
  readonly kind: HealthKind;
  readonly address: Address;
  readonly port: number;
  readonly path: string;
  readonly send: string;
  /** "": any answer will do. */
  readonly expect: string;
  /** http, https: what is an answer. */
  readonly status: readonly StatusRange[];
}

/** Tells the outcome once, perhaps before it returns, and never after `cancel`. */
export type Ask = (question: ProbeQuestion, tell: (outcome: ProbeOutcome) => void) => ProbeAttempt;

export const UNANSWERED: ProbeOutcome = { kind: "missed", what: "unanswered" };
export const ANSWERED: ProbeOutcome = { kind: "answered" };

/**
 * Where probes leave and answers arrive, from an address of this node; SCTP packets are without IP header.
 */
export interface ProbeChannel {
  /** false: there is no way to send there now. */
  send(to: Address, packet: Uint8Array): boolean;
  /**
   * Every SCTP packet that arrives for this node; the listener recognises its own. Valid only during the
   * call.
   */
  onPacket(listener: (packet: Uint8Array) => void): void;
  /**
   * ICMP destination unreachable about a packet to `to`; `quoted` is its SCTP part, possibly cut off.
   * `refused`: by the host itself, which has nobody that speaks SCTP (protocol or port unreachable); else by
   * somebody on the way.
   */
  onUnreachable(listener: (to: Address, quoted: Uint8Array, refused: boolean) => void): void;
  /** An ICMP echo request with these bytes. Absent: nobody can be pinged here, and pings are not answered. */
  ping?(to: Address, payload: Uint8Array): boolean;
  /** What came back in an echo reply for this node. Valid only during the call. */
  onEcho?(listener: (payload: Uint8Array) => void): void;
  close(): void;
}

// Between this member and every other.

import type { MemberName } from "@holdfast/model";
import type { Applicant, Listing } from "../transport/settings.ts";
import type { PeerMessage } from "./messages.ts";

export interface PeerIdentity {
  readonly name: MemberName;
  /** From its certificate; names its NAT port slots. */
  readonly number: number;
  /** What its greeting offers (messages/capabilities.ts); absent: nothing. */
  readonly capabilities?: readonly string[];
}

export interface TransportHandlers {
  /** Authenticated, same cluster, compatible version; at most one connection a peer at a time. */
  connected(peer: PeerIdentity): void;
  disconnected(peer: PeerIdentity, reason: string): void;
  /** Decoded and within the limits above. Buffers belong to the receiver. In order per connection. */
  message(peer: PeerIdentity, message: PeerMessage): void;
  /** The queue to the peer was dropped as it was full: what was sent and not delivered is lost, the link is up. */
  dropped(peer: PeerIdentity): void;
  /** A listed member says that this one was taken out of the list, or that its certificate is revoked. */
  turnedAway?(by: MemberName, why: "excluded" | "revoked"): void;
  /** Somebody with a certificate of the cluster, who is not on the list, wants to be a member. */
  applied?(applicant: Applicant): void;
}

/** Between this member and every other. Implementations: ws with TLS; in memory, for tests and simulation. */
export interface Transport {
  /** Call once. Connects, and goes on trying, to all configured members. */
  start(handlers: TransportHandlers): void;
  /** Connected and authenticated now, by ascending number. */
  peers(): readonly PeerIdentity[];
  /** Queues a message. false: not connected, or the queue was full (then `dropped` follows). */
  send(peer: number, message: PeerMessage): boolean;
  /** Bytes that wait to be sent to a peer. */
  queuedBytes(peer: number): number;
  /** Closes the connection because the peer broke the rules; it may come back after a pause. */
  refuse(peer: number, reason: string): void;
  /** The list is another one: connections to whoever is not on it end, and those that are new are connected with. */
  setMembers(listing: Listing): void;
  stop(): Promise<void>;
}

// Ports between the forwarder, which observes facts, and whatever replicates them. The forwarder never learns
// how members agree; sync never learns what a packet is. `SessionView` (view.ts) is the one implementation of
// the table; sync wraps it.
import type { Address } from "../address.ts";
import type { Protocol, ServiceId } from "../service.ts";
import type { Needle } from "../session-table/needle.ts";
import type { DeltaOf, SessionKind } from "./kind.ts";
import type { SessionEnvelope, SessionId, SessionRecord, Tag } from "./record.ts";

export type Origin = "local" | "remote";

export interface SessionChange<R extends SessionEnvelope = SessionRecord> {
  readonly previous: R | undefined;
  /** undefined: forgotten (tombstone expired or evicted). */
  readonly record: R | undefined;
  readonly origin: Origin;
}

/** The sessions of one kind. */
export interface SessionTable<R extends SessionEnvelope = SessionRecord> {
  readonly kind: SessionKind<R>;
  readonly size: number;
  get(id: SessionId): R | undefined;
  /** false: it is not there, or surely says nothing of one of the needles (an address, a port, a tag). */
  maySpeakOf(id: SessionId, needles: readonly Needle[]): boolean;
  /**
   * Ids of all for which `maySpeakOf` is true, in no order, a step of some tenths of a millisecond at a time.
   * Sessions that come or go between two steps may or may not be among them.
   */
  speakingOf(needles: readonly Needle[]): Iterable<readonly SessionId[]>;
  /** Sessions of a service with this client address and port; the winner of the conflict rule first. */
  byClient(serviceId: ServiceId, client: Address, clientPort: number): readonly R[];
  /**
   * Sessions that hold this NAT port at this endpoint (address and port), the committed first. Default
   * protocol: the kind's first.
   */
  byNatPort(endpoint: Address, endpointPort: number, natPort: number, protocol?: Protocol): readonly R[];
  /**
   * Sessions that packets name by this number, wherever they come from: of SCTP's an INIT-ACK carried it as
   * initiate tag.
   */
  byEndpointTag(tag: Tag): readonly R[];
  /** Sessions that hold a NAT port at this endpoint, in no order; costs what they are, not what all are. */
  byEndpoint(endpoint: Address, endpointPort: number): Iterable<R>;
  values(): IterableIterator<R>;
  /**
   * Joins facts that this member observed, and hands them to replication. `urgent` asks for a flush at once
   * (INIT-ACK, COOKIE-ACK) instead of the next tick. Returns the joined record.
   */
  apply(delta: DeltaOf<R>, options?: { readonly urgent?: boolean }): R;
  /** Called after every change, in order, never re-entrantly with the record half made. */
  subscribe(listener: (change: SessionChange<R>) => void): () => void;
}

/** What a member asks the others when a packet arrives without state. */
export type SessionQuestion =
  | {
      readonly kind: "client";
      readonly serviceId: ServiceId;
      readonly client: Address;
      readonly clientPort: number;
    }
  | {
      readonly kind: "natPort";
      readonly endpoint: Address;
      readonly endpointPort: number;
      readonly natPort: number;
      /** Absent: SCTP. */
      readonly protocol?: Protocol;
    };

export interface Replication {
  /**
   * Resolves true when the owners of the service's other VIPs, or else one other member, hold the record as
   * it is now; false when that took longer than the limit (20 ms) or nobody is there. `none` resolves true at
   * once.
   */
  released(id: SessionId): Promise<boolean>;
  /**
   * Asks all members. Resolves when answers were joined, at most 50 ms later: true when every other
   * configured member has answered, false when one is missing or was late.
   */
  ask(question: SessionQuestion): Promise<boolean>;
}

/** A single member: nothing to wait for, nobody to ask. */
export const noReplication: Replication = {
  released: () => Promise.resolve(true),
  ask: () => Promise.resolve(true),
};

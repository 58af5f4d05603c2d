// Settings and limits of the ws transport. What happens at each maximum stands beside it.
import type { Address, Clock, Logger, MemberName, Random } from "@holdfast/model";
import type { Revocation } from "../certificates/revocation.ts";
import type { MemberTls } from "../certificates/verify.ts";

/** Where a member listens or is dialled. */
export interface HostPort {
  readonly host: Address;
  /** 1 … 65535; 0 in `listen` means any free port, for tests. */
  readonly port: number;
}

export interface ConfiguredMember {
  readonly name: MemberName;
  /** As in its certificate; a member that says another one is refused. */
  readonly number: number;
  /** On every network that it has: any that works is used. At most ADDRESS_COUNT_MAX. */
  readonly addresses: readonly HostPort[];
}

/**
 * Where a member that does not know the list yet finds somebody who does: an address, or a name to be
 * resolved.
 */
export interface JoinAddress {
  readonly host: string;
  /** 1 … 65535. */
  readonly port: number;
}

/** Who the members are, as far as links are concerned. */
export interface Listing {
  /** This member may be among them. */
  readonly members: readonly ConfiguredMember[];
  /** Names that were on the list: whoever comes as one of them is told so. */
  readonly removed?: readonly MemberName[];
  /**
   * Not empty: this member does not know the list. These are dialled, one after the other, and whoever has a
   * certificate of the cluster is believed to be a member.
   */
  readonly join?: readonly JoinAddress[];
  /**
   * Of a list that was changed at run time and has this member; whom it dials is told. 0, absent: the list is
   * a file's, or not one that counts.
   */
  readonly version?: number;
}

/** Somebody with a certificate of the cluster who is not on the list. */
export interface Applicant {
  readonly name: MemberName;
  readonly number: number;
  /** Those of its certificate; none there: the one that it came from. */
  readonly addresses: readonly Address[];
  /** Where it came from. */
  readonly from?: Address;
  /** It dials this member as one of its own list, which is later than the one here: its version. */
  readonly listVersion?: number;
}

export interface WsTransportOptions {
  readonly clusterId: string;
  readonly memberName: MemberName;
  readonly memberNumber: number;
  readonly memberNumberCount: number;
  readonly listen: readonly HostPort[];
  /** At first, see `setMembers`; this member may be among them. Who is not listed is refused. */
  readonly members: readonly ConfiguredMember[];
  /** At first, see Listing. */
  readonly join?: readonly JoinAddress[];
  /**
   * "plain" sends sessions and tags in clear and believes any name: for loopback and labs, and only when the
   * configuration says so.
   */
  /** Certificates that are not believed, from the beginning; see setRevoked. */
  readonly revoked?: readonly Revocation[];
  readonly tls: MemberTls | "plain";
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly timing?: Partial<LinkTiming>;
  /** Bytes that wait for one peer; beyond, its queue is dropped. Default PEER_QUEUE_BYTES_MAX. */
  readonly queueBytesMax?: number;
}

/** Milliseconds. */
export interface LinkTiming {
  /** From the dial to the upgraded connection; then the next address has its turn. */
  readonly dialMs: number;
  /** RFC 8305: after this long without an answer the next address is dialled beside it. */
  readonly staggerMs: number;
  /** From the upgrade to the mutual `accepted`. */
  readonly greetMs: number;
  /** First pause after all addresses failed; doubles up to `backoffMaxMs`, each with ± 50 % jitter. */
  readonly backoffMs: number;
  readonly backoffMaxMs: number;
  /** A link on which nothing came for this long gets a ping; it counts as dead after `silenceMs`. */
  readonly pingMs: number;
  readonly silenceMs: number;
  /** How long a second instance with a connected member's number waits for the first to answer a ping. */
  readonly challengeMs: number;
  /** A peer that broke the rules stays away this long. */
  readonly refusalPauseMs: number;
  /** Of two members the one whose name sorts later lets the other dial first. */
  readonly yieldMs: number;
}

export const LINK_TIMING: LinkTiming = {
  dialMs: 2_000,
  staggerMs: 300,
  greetMs: 3_000,
  backoffMs: 100,
  backoffMaxMs: 3_000,
  pingMs: 1_000,
  silenceMs: 4_000,
  challengeMs: 500,
  refusalPauseMs: 5_000,
  yieldMs: 150,
};

/** Addresses of one member; further ones are ignored with a warning. */
export const ADDRESS_COUNT_MAX = 16;
/**
 * Bytes handed to the socket and not yet taken by the kernel; what comes then waits in the link's own queue.
 */
export const SOCKET_BYTES_MAX = 512 * 1024;
/** Bytes received and not yet handled; beyond, the socket is paused and TCP slows the sender down. */
export const INBOX_BYTES_MAX = 4 * 1024 * 1024;
/** Milliseconds of one peer's messages before another peer, and everything else, has its turn. */
export const INBOX_SLICE_MS = 4;

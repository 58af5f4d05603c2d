// What members say to each other in one datagram. Numbers on the wire are append-only.
//
//  0        2       3      4       6      8              16             22             28          32
//  36
//  +--------+-------+------+-------+------+--------------+--------------+--------------+-----------+----------+
//  | "HF"   |version| kind | from  |  to  | incarnation  |     boot     |     echo     | sequence  |  key id
//  |
//  +--------+-------+------+-------+------+--------------+--------------+--------------+-----------+----------+
//  | body, by kind …                                                                    | tag, 16 bytes
//  |
//  +------------------------------------------------------------------------------------+---------------------+
//
// All integers are big endian. `boot` is random for every process; `echo` repeats the receiver's boot as the
// sender knows it. Only a message that echoes the receiver's own boot proves life: everything recorded before
// the receiver started fails that, and everything recorded since fails the sequence or the incarnation.
//
// The tag is HMAC-SHA256 over all before it and the id of the network that it is sent over, cut to 128 bits
// (RFC 2104 §5): a copy on another network is none. Its key is the one that sender and receiver alone have
// (../keys/keyring.ts), named by the key id; only a hello, by which they come to it, goes under the cluster's
// key, whose id is 0.
import type { Address } from "@holdfast/model";
import { ADDRESS_COUNT_MAX, CLUSTER_VIP_COUNT_MAX } from "../configuration.ts";

export const MAGIC = 0x4846;
/**
 * Highest and lowest version that is spoken here. A probe says the highest (bits 2–7 of its flags, above
 * version 2, where version 2 has zeros that nobody reads), and its sender is answered in the lower one of
 * both; who has not been heard yet, in the lowest. Hellos are of version 2 for ever. From version 3 on fields
 * may follow the body: number(1), length(1), bytes, by ascending number, those that are not known passed
 * over.
 */
export const PROTOCOL_VERSION = 3;
export const PROTOCOL_VERSION_LOWEST = 2;
/** Since which fields may follow. */
export const VERSION_OF_FIELDS = 3;
export const MAGIC_OFFSET = 0;
export const VERSION_OFFSET = 2;
export const KIND_OFFSET = 3;
export const FROM_OFFSET = 4;
export const TO_OFFSET = 6;
export const INCARNATION_OFFSET = 8;
export const BOOT_OFFSET = 16;
export const ECHO_OFFSET = 22;
export const SEQUENCE_OFFSET = 28;
export const KEY_ID_OFFSET = 32;
export const HEADER_SIZE = 36;
export const TAG_SIZE = 16;

export const KIND_PROBE = 1;
export const KIND_ASK = 2;
export const KIND_ANSWER = 3;
export const KIND_LEAVE = 4;
export const KIND_HELLO = 5;

/** Subjects of one ask or answer; more silent members than that are asked for in the next one. */
export const SUBJECT_COUNT_MAX = 128;
export const NETWORK_COUNT_MAX = ADDRESS_COUNT_MAX;
export const CLAIM_COUNT_MAX = CLUSTER_VIP_COUNT_MAX;
/**
 * Claims and VIPs that are not served, together: no member claims what it does not serve, but for a moment.
 */
export const CLAIM_AND_UNSERVED_COUNT_MAX = CLAIM_COUNT_MAX;
/**
 * Header, probe body, networks, 1,024 IPv6 claims and the tag are 19.7 KiB. Longer datagrams are refused
 * unread.
 */
export const DATAGRAM_SIZE_MAX = 20_480;
/** An age of this or more is "not heard". */
export const AGE_NEVER_MS = 0xffff;

export const OPINIONS = ["unknown", "alive", "suspect", "dead", "left"] as const;
export type Opinion = (typeof OPINIONS)[number];

export interface Envelope {
  readonly from: number;
  readonly to: number;
  /** Rises with every refutation and every start; below 2^53. */
  readonly incarnation: number;
  /** 48 random bits, never 0. */
  readonly boot: number;
  /** The receiver's boot as the sender knows it; 0: not known yet. */
  readonly echo: number;
  /** Rises with every message of an incarnation; copies over several networks share one. */
  readonly sequence: number;
}

export interface NetworkState {
  readonly id: number;
  readonly carrier: boolean;
  /** A member that hears us back, or a router, was heard on it. */
  readonly heard: boolean;
}

/** "I announce this VIP": `grade` and `rank` are where the claimant stands in its list, 0 is best. */
export interface Claim {
  readonly vip: Address;
  readonly grade: number;
  readonly rank: number;
}

/** What a member says of itself; sent until the receiver acknowledges the version. */
export interface AdvertisedState {
  readonly ready: boolean;
  readonly caughtUp: boolean;
  readonly draining: boolean;
  /** Came back from a wrong verdict a moment ago; takes nothing as long as others can. */
  readonly settling: boolean;
  readonly mainAlive: boolean;
  readonly networks: readonly NetworkState[];
  readonly claims: readonly Claim[];
  /**
   * VIPs that it cannot serve, whatever its networks: an interface of it has the address. No claim is among
   * them.
   */
  readonly unserved: readonly Address[];
}

export interface Probe extends Envelope {
  readonly kind: "probe";
  /** Highest sequence heard from the receiver in this boot: proves that this probe is younger than that. */
  readonly echoSequence: number;
  /** What the sender believes of the receiver, and of which incarnation. */
  readonly opinion: Opinion;
  readonly opinionIncarnation: number;
  /** Version of the receiver's state that the sender holds: the acknowledgement. */
  readonly stateVersionHeld: number;
  readonly stateVersion: number;
  /** The receiver should probe back at once: after a start, or after the sender was frozen. */
  readonly answerNow: boolean;
  /** Networks on which the sender has heard the receiver lately. */
  readonly heardNetworks: readonly number[];
  readonly state: AdvertisedState | undefined;
}

export interface Subject {
  readonly number: number;
  readonly incarnation: number;
}

/** "When did you hear these, directly?" */
export interface Ask extends Envelope {
  readonly kind: "ask";
  readonly nonce: number;
  readonly subjects: readonly Subject[];
}

export interface SubjectAge extends Subject {
  /** Whole ms since the witness heard the subject itself; AGE_NEVER_MS: not, or too long ago. */
  readonly ageMs: number;
}

export interface Answer extends Envelope {
  readonly kind: "answer";
  readonly nonce: number;
  readonly ages: readonly SubjectAge[];
}

/** A graceful end: nothing will come after it in this incarnation. */
export interface Leave extends Envelope {
  readonly kind: "leave";
}

export type Message = Probe | Ask | Answer | Leave;

/** Why a datagram was refused; each has a counter of that name. */
export const REFUSALS = [
  "tooLong",
  "tooShort",
  "notOurs",
  "version",
  "tag",
  "kind",
  "malformed",
  "unknownSender",
  "otherReceiver",
  "oldIncarnation",
  "replay",
  /**
   * No key of that id is shared with the sender; or a hello under one, or another message under the
   * cluster's.
   */
  "unknownKey",
  /** The hello's certificate or signature is not the sender's. */
  "credentials",
  "revoked",
  "helloRate",
  /** From somewhere else than a member's address, beyond what is looked at of those. */
  "overrun",
] as const;
export type Refusal = (typeof REFUSALS)[number];

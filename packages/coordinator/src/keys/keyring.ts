// The keys of the probes: one for each other member, agreed by hellos (../wire/hello.ts) and known to the two
// alone. Bound to both boots, so that a restart of either makes another; of two in use the older stays valid
// until the newer was heard. No clock and no socket: what is to be sent is returned.
import {
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from "node:crypto";
import type { Hello } from "../wire/hello.ts";
import { encodeHello, NONCE_SIZE, PUBLIC_KEY_SIZE } from "../wire/hello.ts";
import type { Refusal } from "../wire/message.ts";
import type { Credentials } from "./credentials.ts";

/**
 * Hellos of one member that are looked at: so many at once, and so many a second. A signature takes a fifth
 * of a millisecond.
 */
const HELLO_BURST = 8;
const HELLOS_PER_SECOND = 20;
/** Hellos whose copies are known: those of a whole handshake overtake each other. */
const LOOKED_COUNT_MAX = 16;
/**
 * What comes again within this time came over another network; later it is asked again, since the answer was
 * lost.
 */
const COPY_WINDOW_MS = 20;

export interface PairKey {
  /** Never 0: that is the cluster's key. */
  readonly id: number;
  readonly key: Uint8Array;
}

/** A sealed hello for each network. */
export type SealedHello = (key: Uint8Array, network: number) => Uint8Array;

interface Peer {
  readonly number: number;
  /** What our next hello asks to be echoed; a new one after each hello that was believed. */
  nonce: Uint8Array;
  /** The last that it sent. */
  theirNonce: Uint8Array;
  shown: Uint8Array | undefined;
  current: PairKey | undefined;
  previous: PairKey | undefined;
  /** It has used the current one. */
  confirmed: boolean;
  /**
   * Of the hellos that were believed last, oldest first: each comes over every network, and again while it is
   * not answered.
   */
  readonly looked: { readonly signed: Uint8Array; readonly signature: Uint8Array; atMs: number }[];
  /**
   * Our latest, for as long as it would be the same: a member that is gone is greeted five times a second.
   */
  said: { readonly nonce: Uint8Array; readonly echo: Uint8Array; readonly sealed: SealedHello } | undefined;
  tokens: number;
  refilledAtMs: number;
}

export interface KeyringOptions {
  readonly self: number;
  readonly boot: number;
  readonly others: readonly number[];
  readonly credentials: Credentials;
}

export type HelloOutcome =
  | { readonly kind: "refused"; readonly refusal: Refusal; readonly reason?: string }
  /** `keyed`: there is a key now that was none before. `reply`: it should hear ours. */
  | { readonly kind: "taken"; readonly keyed: boolean; readonly reply: boolean };

export class Keyring {
  readonly #self: number;
  readonly #boot: number;
  readonly #peers = new Map<number, Peer>();
  #credentials: Credentials;
  #private: KeyObject;
  #public: Uint8Array;

  constructor({ self, boot, others, credentials }: KeyringOptions) {
    this.#self = self;
    this.#boot = boot;
    this.#credentials = credentials;
    ({ privateKey: this.#private, publicKey: this.#public } = newPair());
    for (const number of others) this.#peers.set(number, newPeer(number));
  }

  /** With whom keys are agreed from now on; `anew`: another member has that number than before. */
  relist(numbers: readonly number[], anew: readonly number[]): void {
    const listed = new Set(numbers);
    for (const number of this.#peers.keys())
      if (!listed.has(number) || anew.includes(number)) this.#peers.delete(number);
    for (const number of listed) if (!this.#peers.has(number)) this.#peers.set(number, newPeer(number));
  }

  /** What the member's datagrams are sealed with; undefined: a hello has to come first. */
  sealingKey(number: number): PairKey | undefined {
    return this.#peers.get(number)?.current;
  }

  /** The key of that id, when the member may use it. */
  keyOf(number: number, id: number): Uint8Array | undefined {
    const peer = this.#peers.get(number);
    if (peer?.current?.id === id) return peer.current.key;
    return peer?.previous?.id === id ? peer.previous.key : undefined;
  }

  /** A datagram under this key has proven itself. */
  heard(number: number, id: number): void {
    const peer = this.#peers.get(number);
    if (peer?.current?.id !== id || peer.confirmed) return;
    peer.confirmed = true;
    peer.previous = undefined;
  }

  /** The member has not shown yet that it holds the current key. */
  needsHello(number: number): boolean {
    return this.#peers.get(number)?.confirmed === false;
  }

  hello(number: number): SealedHello | undefined {
    const peer = this.#peers.get(number);
    if (peer === undefined) return undefined;
    const { nonce, theirNonce: echo, said } = peer;
    if (said !== undefined && same(said.nonce, nonce) && same(said.echo, echo)) return said.sealed;
    const sealed = encodeHello(
      {
        from: this.#self,
        to: number,
        boot: this.#boot,
        nonce,
        echoNonce: echo,
        publicKey: this.#public,
        shown: this.#credentials.shown,
      },
      (bytes) => this.#credentials.sign(bytes),
    );
    peer.said = { nonce, echo, sealed };
    return sealed;
  }

  /** A hello whose tag fits. */
  take(hello: Hello, nowMs: number): HelloOutcome {
    const peer = this.#peers.get(hello.from);
    if (peer === undefined) return { kind: "refused", refusal: "unknownSender" };
    if (hello.to !== this.#self) return { kind: "refused", refusal: "otherReceiver" };
    // Word for word: a signature that was seen says nothing about other words.
    const before = peer.looked.find(
      ({ signed, signature }) => same(hello.signature, signature) && same(hello.signed, signed),
    );
    if (before !== undefined && nowMs - before.atMs < COPY_WINDOW_MS)
      return { kind: "taken", keyed: false, reply: false };
    if (!take(peer, nowMs)) return { kind: "refused", refusal: "helloRate" };
    if (before !== undefined) before.atMs = nowMs;
    else {
      const refused = this.#refusalOf(hello);
      if (refused !== undefined) return refused;
      peer.looked.push({ signed: hello.signed, signature: hello.signature, atMs: nowMs });
      if (peer.looked.length > LOOKED_COUNT_MAX) peer.looked.shift();
    }
    peer.theirNonce = hello.nonce;
    // Perhaps a recording: it proves itself by echoing ours.
    if (!same(hello.echoNonce, peer.nonce)) return { kind: "taken", keyed: false, reply: true };
    const key = this.#agree(peer.number, hello);
    if (key === undefined) return { kind: "refused", refusal: "malformed" };
    peer.nonce = randomBytes(NONCE_SIZE);
    peer.shown = hello.shown;
    if (peer.current?.id === key.id) return { kind: "taken", keyed: false, reply: !peer.confirmed };
    peer.previous = peer.current;
    peer.current = key;
    peer.confirmed = false;
    return { kind: "taken", keyed: true, reply: true };
  }

  #refusalOf(hello: Hello): HelloOutcome | undefined {
    const proof = this.#credentials.verify(hello.shown, hello.signed, hello.signature);
    if (!proof.ok)
      return {
        kind: "refused",
        refusal: proof.revoked ? "revoked" : "credentials",
        reason: proof.reason,
      };
    if (proof.number === hello.from) return undefined;
    return { kind: "refused", refusal: "credentials", reason: `it is number ${proof.number}'s` };
  }

  /** A new certificate and key: the keys in use stay valid until new ones are agreed. */
  renew(credentials: Credentials): void {
    this.#credentials = credentials;
    ({ privateKey: this.#private, publicKey: this.#public } = newPair());
    for (const peer of this.#peers.values()) {
      peer.nonce = randomBytes(NONCE_SIZE);
      peer.said = undefined;
      peer.confirmed = false;
    }
  }

  /** Members whose certificate is not believed any more lose their keys at once. Their numbers. */
  revoke(list: unknown): number[] {
    this.#credentials.revoke(list);
    const lost: number[] = [];
    for (const peer of this.#peers.values()) {
      peer.looked.length = 0;
      if (peer.shown === undefined || !this.#credentials.isRevoked(peer.shown)) continue;
      this.#peers.set(peer.number, newPeer(peer.number));
      lost.push(peer.number);
    }
    return lost;
  }

  /** Both sides put the smaller number first, and come to the same. */
  #agree(number: number, hello: Hello): PairKey | undefined {
    let secret: Uint8Array;
    try {
      secret = diffieHellman({ privateKey: this.#private, publicKey: publicKeyOf(hello.publicKey) });
    } catch {
      // A point of small order: nothing to be agreed.
      return undefined;
    }
    const own = ends(this.#self, this.#boot, this.#public);
    const other = ends(number, hello.boot, hello.publicKey);
    const salt = this.#self < number ? Buffer.concat([own, other]) : Buffer.concat([other, own]);
    const made = Buffer.from(hkdfSync("sha256", secret, salt, "holdfast probe pair v1", 36));
    return { id: made.readUInt32BE(32) || 1, key: new Uint8Array(made.subarray(0, 32)) };
  }
}

function newPeer(number: number): Peer {
  return {
    number,
    nonce: randomBytes(NONCE_SIZE),
    theirNonce: new Uint8Array(NONCE_SIZE),
    shown: undefined,
    current: undefined,
    previous: undefined,
    confirmed: false,
    looked: [],
    said: undefined,
    tokens: HELLO_BURST,
    refilledAtMs: Number.NEGATIVE_INFINITY,
  };
}

function take(peer: Peer, nowMs: number): boolean {
  const elapsedMs = Math.max(0, nowMs - peer.refilledAtMs);
  peer.tokens = Math.min(HELLO_BURST, peer.tokens + (elapsedMs * HELLOS_PER_SECOND) / 1_000);
  peer.refilledAtMs = nowMs;
  if (peer.tokens < 1) return false;
  peer.tokens -= 1;
  return true;
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}

function ends(number: number, boot: number, publicKey: Uint8Array): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt16BE(number);
  head.writeUIntBE(boot, 2, 6);
  return Buffer.concat([head, publicKey]);
}

/** DER around the 32 bytes of an X25519 key (RFC 8410). */
const PUBLIC_PREFIX = Buffer.from("302a300506032b656e032100", "hex");

function newPair(): { privateKey: KeyObject; publicKey: Uint8Array } {
  const { privateKey, publicKey } = generateKeyPairSync("x25519");
  const der = publicKey.export({ format: "der", type: "spki" });
  return { privateKey, publicKey: new Uint8Array(der.subarray(der.length - PUBLIC_KEY_SIZE)) };
}

function publicKeyOf(bytes: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([PUBLIC_PREFIX, bytes]), format: "der", type: "spki" });
}

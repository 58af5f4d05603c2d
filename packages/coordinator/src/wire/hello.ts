// The hello: how two members come to a key that nobody else has, before the first probe. A kind of its own,
// under the cluster's key (key id 0), which keeps strangers from costing a signature; believed for its
// signature alone.
//
//  0                                                            36
//  +------------------------------------------------------------+-------------+-------------+-------------+
//  | header as of every message; incarnation and sequence are 0 | nonce, 16   | echo of the | public key, |
//  |                                                            |             | other's, 16 | X25519, 32  |
//  +------------------------------------------------------------+------+------+-------------+-------------+
//  | length of what is shown, 2 | certificate … | length, 1 | signature over all before it, tag not | tag, 16
//  |
//  +----------------------------+---------------+-----------+---------------------------------------+---------+
//
// Fresh is a hello that echoes the nonce which its receiver sent last: nothing that was recorded before, in
// this boot of either or in an earlier one, does.
import assert from "node:assert/strict";
import { SHOWN_SIZE_MAX, SIGNATURE_SIZE_MAX } from "../keys/credentials.ts";
import { seal, writeHeader } from "./encode.ts";
import * as wire from "./message.ts";

export const NONCE_SIZE = 16;
export const PUBLIC_KEY_SIZE = 32;
const NONCE_OFFSET = wire.HEADER_SIZE;
const ECHO_NONCE_OFFSET = NONCE_OFFSET + NONCE_SIZE;
const PUBLIC_KEY_OFFSET = ECHO_NONCE_OFFSET + NONCE_SIZE;
const SHOWN_LENGTH_OFFSET = PUBLIC_KEY_OFFSET + PUBLIC_KEY_SIZE;
const SHOWN_OFFSET = SHOWN_LENGTH_OFFSET + 2;

export interface Hello {
  readonly from: number;
  readonly to: number;
  readonly boot: number;
  readonly nonce: Uint8Array;
  /** Zeros: none of the receiver's is known. */
  readonly echoNonce: Uint8Array;
  readonly publicKey: Uint8Array;
  readonly shown: Uint8Array;
  /** What the signature is over. */
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
}

export type HelloFields = Omit<Hello, "signed" | "signature">;

/** The hello without its tag, which is another one on each network. */
export function encodeHello(
  fields: HelloFields,
  sign: (bytes: Uint8Array) => Uint8Array,
): (key: Uint8Array, network: number) => Uint8Array {
  const { from, to, boot, nonce, echoNonce, publicKey, shown } = fields;
  assert(shown.length <= SHOWN_SIZE_MAX && nonce.length === NONCE_SIZE && echoNonce.length === NONCE_SIZE);
  const head = new Uint8Array(SHOWN_OFFSET + shown.length);
  writeHeader(head, wire.KIND_HELLO, 0, { from, to, incarnation: 0, boot, echo: 0, sequence: 0 });
  head.set(nonce, NONCE_OFFSET);
  head.set(echoNonce, ECHO_NONCE_OFFSET);
  head.set(publicKey, PUBLIC_KEY_OFFSET);
  head[SHOWN_LENGTH_OFFSET] = shown.length >>> 8;
  head[SHOWN_LENGTH_OFFSET + 1] = shown.length & 0xff;
  head.set(shown, SHOWN_OFFSET);
  const signature = sign(signedOf(head));
  assert(signature.length <= SIGNATURE_SIZE_MAX);
  const body = new Uint8Array(head.length + 1 + signature.length + wire.TAG_SIZE);
  body.set(head);
  body[head.length] = signature.length;
  body.set(signature, head.length + 1);
  return (key, network) => seal(body, key, network);
}

/** Fields of a datagram whose tag fits; undefined: it is malformed. Total. */
export function decodeHello(bytes: Uint8Array): Hello | undefined {
  const end = bytes.length - wire.TAG_SIZE;
  if (end < SHOWN_OFFSET + 1) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const shownEnd = SHOWN_OFFSET + view.getUint16(SHOWN_LENGTH_OFFSET);
  if (shownEnd + 1 > end || shownEnd - SHOWN_OFFSET > SHOWN_SIZE_MAX) return undefined;
  if (shownEnd + 1 + view.getUint8(shownEnd) !== end) return undefined;
  const boot = view.getUint16(wire.BOOT_OFFSET) * 2 ** 32 + view.getUint32(wire.BOOT_OFFSET + 2);
  if (boot === 0) return undefined;
  const part = (from: number, to: number) => bytes.slice(from, to);
  return {
    from: view.getUint16(wire.FROM_OFFSET),
    to: view.getUint16(wire.TO_OFFSET),
    boot,
    nonce: part(NONCE_OFFSET, ECHO_NONCE_OFFSET),
    echoNonce: part(ECHO_NONCE_OFFSET, PUBLIC_KEY_OFFSET),
    publicKey: part(PUBLIC_KEY_OFFSET, SHOWN_LENGTH_OFFSET),
    shown: part(SHOWN_OFFSET, shownEnd),
    signed: signedOf(part(0, shownEnd)),
    signature: part(shownEnd + 1, end),
  };
}

const DOMAIN = new TextEncoder().encode("holdfast hello v1\0");

function signedOf(head: Uint8Array): Uint8Array {
  const signed = new Uint8Array(DOMAIN.length + head.length);
  signed.set(DOMAIN);
  signed.set(head, DOMAIN.length);
  return signed;
}

// Messages to bytes. Our own messages keep the limits of message.ts; breaking one is our bug.

import assert from "node:assert/strict";
import { addressBytes, familyOf } from "@holdfast/model";
import * as wire from "./message.ts";
import { writeTag } from "./tag.ts";

const KINDS = {
  probe: wire.KIND_PROBE,
  ask: wire.KIND_ASK,
  answer: wire.KIND_ANSWER,
  leave: wire.KIND_LEAVE,
};
/**
 * Probe body before networks and state: echoSequence, opinion, its incarnation, two versions, flags, two
 * counts.
 */
export const PROBE_FIXED_SIZE = 4 + 1 + 8 + 4 + 4 + 1 + 1;
export const PROBE_FLAG_ANSWER_NOW = 1;
export const PROBE_FLAG_STATE = 2;
/** Of the flags within a probe's body, and of the highest version within the flags. */
export const PROBE_FLAGS_OFFSET = 4 + 1 + 8 + 4 + 4;
export const PROBE_VERSION_SHIFT = 2;
export const STATE_FLAG_READY = 1;
export const STATE_FLAG_CAUGHT_UP = 2;
export const STATE_FLAG_DRAINING = 4;
export const STATE_FLAG_SETTLING = 8;
export const STATE_FLAG_MAIN_ALIVE = 16;
export const NETWORK_FLAG_CARRIER = 1;
export const NETWORK_FLAG_HEARD = 2;

export interface SealingKey {
  readonly id: number;
  readonly key: Uint8Array;
}

/** The authentic datagram for `message` on one network. */
export function encode(message: wire.Message, { id, key }: SealingKey, network: number): Uint8Array {
  return seal(encodeUnsealed(message, id), key, network);
}

/**
 * Everything but the tag, for which there is room: the same on all networks. `version`: one that the
 * receiver speaks; `highest`: the highest that we do.
 */
export function encodeUnsealed(
  message: wire.Message,
  keyId: number,
  version = wire.PROTOCOL_VERSION_LOWEST,
  highest = wire.PROTOCOL_VERSION,
): Uint8Array {
  const bytes = new Uint8Array(sizeOf(message) + wire.TAG_SIZE);
  writeHeader(bytes, KINDS[message.kind], keyId, message);
  bytes[wire.VERSION_OFFSET] = version;
  const writer = new Writer(bytes, wire.HEADER_SIZE);
  if (message.kind === "probe") writeProbe(writer, message, highest);
  if (message.kind === "ask") writeAsk(writer, message);
  if (message.kind === "answer") writeAnswer(writer, message);
  assert.equal(writer.offset, bytes.length - wire.TAG_SIZE);
  return bytes;
}

export function writeHeader(bytes: Uint8Array, kind: number, keyId: number, envelope: wire.Envelope): void {
  const writer = new Writer(bytes, 0);
  writer.u16(wire.MAGIC);
  writer.u8(wire.PROTOCOL_VERSION_LOWEST);
  writer.u8(kind);
  writer.u16(envelope.from);
  writer.u16(envelope.to);
  writer.u53(envelope.incarnation);
  writer.u48(envelope.boot);
  writer.u48(envelope.echo);
  writer.u32(envelope.sequence);
  writer.u32(keyId);
}

/** A copy with the tag for one network. */
export function seal(unsealed: Uint8Array, key: Uint8Array, network: number): Uint8Array {
  const sealed = new Uint8Array(unsealed);
  writeTag(sealed, key, network);
  return sealed;
}

function sizeOf(message: wire.Message): number {
  if (message.kind === "probe") {
    const state = message.state;
    if (state === undefined) return wire.HEADER_SIZE + PROBE_FIXED_SIZE + message.heardNetworks.length * 2;
    let size =
      wire.HEADER_SIZE + PROBE_FIXED_SIZE + message.heardNetworks.length * 2 + 4 + state.networks.length * 3;
    for (const claim of state.claims) size += 3 + (familyOf(claim.vip) === 4 ? 4 : 16);
    size += 2;
    for (const vip of state.unserved) size += 1 + (familyOf(vip) === 4 ? 4 : 16);
    return size;
  }
  if (message.kind === "ask") return wire.HEADER_SIZE + 5 + message.subjects.length * 10;
  if (message.kind === "answer") return wire.HEADER_SIZE + 5 + message.ages.length * 12;
  return wire.HEADER_SIZE;
}

function writeProbe(writer: Writer, probe: wire.Probe, highest: number): void {
  assert(probe.heardNetworks.length <= wire.NETWORK_COUNT_MAX);
  writer.u32(probe.echoSequence);
  writer.u8(wire.OPINIONS.indexOf(probe.opinion));
  writer.u53(probe.opinionIncarnation);
  writer.u32(probe.stateVersionHeld);
  writer.u32(probe.stateVersion);
  writer.u8(
    (probe.answerNow ? PROBE_FLAG_ANSWER_NOW : 0) |
      (probe.state === undefined ? 0 : PROBE_FLAG_STATE) |
      ((highest - wire.PROTOCOL_VERSION_LOWEST) << PROBE_VERSION_SHIFT),
  );
  writer.u8(probe.heardNetworks.length);
  for (const id of probe.heardNetworks) writer.u16(id);
  if (probe.state === undefined) return;
  const { state } = probe;
  assert(state.networks.length <= wire.NETWORK_COUNT_MAX && state.claims.length <= wire.CLAIM_COUNT_MAX);
  writer.u8(
    (state.ready ? STATE_FLAG_READY : 0) |
      (state.caughtUp ? STATE_FLAG_CAUGHT_UP : 0) |
      (state.draining ? STATE_FLAG_DRAINING : 0) |
      (state.settling ? STATE_FLAG_SETTLING : 0) |
      (state.mainAlive ? STATE_FLAG_MAIN_ALIVE : 0),
  );
  writer.u8(state.networks.length);
  for (const network of state.networks) {
    writer.u16(network.id);
    writer.u8((network.carrier ? NETWORK_FLAG_CARRIER : 0) | (network.heard ? NETWORK_FLAG_HEARD : 0));
  }
  writer.u16(state.claims.length);
  for (const claim of state.claims) {
    writer.u8(familyOf(claim.vip));
    writer.u8(claim.grade);
    writer.u8(Math.min(claim.rank, 0xff));
    writer.bytesOf(addressBytes(claim.vip));
  }
  assert(state.claims.length + state.unserved.length <= wire.CLAIM_AND_UNSERVED_COUNT_MAX);
  writer.u16(state.unserved.length);
  for (const vip of state.unserved) {
    writer.u8(familyOf(vip));
    writer.bytesOf(addressBytes(vip));
  }
}

function writeAsk(writer: Writer, ask: wire.Ask): void {
  assert(ask.subjects.length <= wire.SUBJECT_COUNT_MAX);
  writer.u32(ask.nonce);
  writer.u8(ask.subjects.length);
  for (const subject of ask.subjects) {
    writer.u16(subject.number);
    writer.u53(subject.incarnation);
  }
}

function writeAnswer(writer: Writer, answer: wire.Answer): void {
  assert(answer.ages.length <= wire.SUBJECT_COUNT_MAX);
  writer.u32(answer.nonce);
  writer.u8(answer.ages.length);
  for (const age of answer.ages) {
    writer.u16(age.number);
    writer.u53(age.incarnation);
    writer.u16(Math.min(age.ageMs, wire.AGE_NEVER_MS));
  }
}

class Writer {
  offset: number;
  private readonly bytes: Uint8Array;
  private readonly view: DataView;

  constructor(bytes: Uint8Array, offset: number) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.offset = offset;
  }

  u8(value: number): void {
    this.view.setUint8(this.offset, value);
    this.offset += 1;
  }

  u16(value: number): void {
    this.view.setUint16(this.offset, value);
    this.offset += 2;
  }

  u32(value: number): void {
    this.view.setUint32(this.offset, value);
    this.offset += 4;
  }

  u48(value: number): void {
    this.u16(Math.floor(value / 2 ** 32));
    this.u32(value % 2 ** 32);
  }

  u53(value: number): void {
    this.u32(Math.floor(value / 2 ** 32));
    this.u32(value % 2 ** 32);
  }

  bytesOf(value: Uint8Array): void {
    this.bytes.set(value, this.offset);
    this.offset += value.length;
  }
}

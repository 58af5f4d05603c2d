// Bytes to messages. Decoding is total: hostile bytes end as a refusal with a name, never as a throw.

import { addressFromBytes } from "@holdfast/model";
import * as encoding from "./encode.ts";
import * as wire from "./message.ts";
import { hasTag } from "./tag.ts";

export type Decoded =
  /** `highestVersion`: that its sender speaks, if it is a probe. */
  | {
      readonly ok: true;
      readonly message: wire.Message;
      readonly keyId: number;
      readonly highestVersion: number | undefined;
    }
  | { readonly ok: false; readonly refusal: wire.Refusal };

const refuse = (refusal: wire.Refusal): Decoded => ({ ok: false, refusal });

/** The key that a member may use under an id; undefined: there is none. */
export type KeyLookup = (from: number, keyId: number) => Uint8Array | undefined;

/** Why the datagram is none that a key could be looked up for; undefined: it may be one. */
export function refusalOf(bytes: Uint8Array, highest = wire.PROTOCOL_VERSION): wire.Refusal | undefined {
  if (bytes.length > wire.DATAGRAM_SIZE_MAX) return "tooLong";
  if (bytes.length < wire.HEADER_SIZE + wire.TAG_SIZE) return "tooShort";
  if (bytes[wire.MAGIC_OFFSET] !== wire.MAGIC >>> 8 || bytes[wire.MAGIC_OFFSET + 1] !== (wire.MAGIC & 0xff))
    return "notOurs";
  const version = bytes[wire.VERSION_OFFSET] as number;
  if (version < wire.PROTOCOL_VERSION_LOWEST || version > highest) return "version";
  return undefined;
}

/**
 * The message of an authentic datagram that came over a network, or why there is none. Nothing of the body is
 * read before the tag fits. `highest`: the highest version that is spoken here.
 */
export function decode(
  bytes: Uint8Array,
  keys: KeyLookup,
  network: number,
  highest = wire.PROTOCOL_VERSION,
): Decoded {
  const refusal = refusalOf(bytes, highest);
  if (refusal !== undefined) return refuse(refusal);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = bytes.length - wire.TAG_SIZE;
  const keyId = view.getUint32(wire.KEY_ID_OFFSET);
  const key = keys(view.getUint16(wire.FROM_OFFSET), keyId);
  if (key === undefined) return refuse("unknownKey");
  if (!hasTag(bytes, key, network)) return refuse("tag");

  const envelope: wire.Envelope = {
    from: view.getUint16(wire.FROM_OFFSET),
    to: view.getUint16(wire.TO_OFFSET),
    incarnation:
      view.getUint32(wire.INCARNATION_OFFSET) * 2 ** 32 + view.getUint32(wire.INCARNATION_OFFSET + 4),
    boot: view.getUint16(wire.BOOT_OFFSET) * 2 ** 32 + view.getUint32(wire.BOOT_OFFSET + 2),
    echo: view.getUint16(wire.ECHO_OFFSET) * 2 ** 32 + view.getUint32(wire.ECHO_OFFSET + 2),
    sequence: view.getUint32(wire.SEQUENCE_OFFSET),
  };
  if (!Number.isSafeInteger(envelope.incarnation) || envelope.boot === 0) return refuse("malformed");
  const reader = new Reader(bytes, view, wire.HEADER_SIZE, end);
  const kind = view.getUint8(wire.KIND_OFFSET);
  const message =
    kind === wire.KIND_PROBE
      ? readProbe(reader, envelope)
      : kind === wire.KIND_ASK
        ? readAsk(reader, envelope)
        : kind === wire.KIND_ANSWER
          ? readAnswer(reader, envelope)
          : kind === wire.KIND_LEAVE
            ? { ...envelope, kind: "leave" as const }
            : undefined;
  if (message === undefined) return refuse("kind");
  if (view.getUint8(wire.VERSION_OFFSET) >= wire.VERSION_OF_FIELDS) skipFields(reader);
  if (reader.broken || !reader.atEnd()) return refuse("malformed");
  const highestVersion = kind === wire.KIND_PROBE ? highestVersionOf(view) : undefined;
  return { ok: true, message, keyId, highestVersion };
}

function highestVersionOf(view: DataView): number {
  const flags = view.getUint8(wire.HEADER_SIZE + encoding.PROBE_FLAGS_OFFSET);
  return wire.PROTOCOL_VERSION_LOWEST + (flags >>> encoding.PROBE_VERSION_SHIFT);
}

/** What later versions say behind a body. */
function skipFields(reader: Reader): void {
  for (let last = 0; !reader.broken && !reader.atEnd(); ) {
    const number = reader.u8();
    if (number <= last) reader.broken = true;
    last = number;
    reader.bytesOf(reader.u8());
  }
}

function readProbe(reader: Reader, envelope: wire.Envelope): wire.Probe {
  const echoSequence = reader.u32();
  const opinion = reader.oneOf(wire.OPINIONS);
  const opinionIncarnation = reader.u53();
  const stateVersionHeld = reader.u32();
  const stateVersion = reader.u32();
  const flags = reader.u8();
  const heardNetworks = reader.list(reader.count8(wire.NETWORK_COUNT_MAX), () => reader.u16());
  return {
    ...envelope,
    kind: "probe",
    echoSequence,
    opinion,
    opinionIncarnation,
    stateVersionHeld,
    stateVersion,
    answerNow: (flags & encoding.PROBE_FLAG_ANSWER_NOW) !== 0,
    heardNetworks,
    state: (flags & encoding.PROBE_FLAG_STATE) === 0 ? undefined : readState(reader),
  };
}

function readState(reader: Reader): wire.AdvertisedState {
  const flags = reader.u8();
  const networks = reader.list(reader.count8(wire.NETWORK_COUNT_MAX), () => {
    const id = reader.u16();
    const bits = reader.u8();
    return {
      id,
      carrier: (bits & encoding.NETWORK_FLAG_CARRIER) !== 0,
      heard: (bits & encoding.NETWORK_FLAG_HEARD) !== 0,
    };
  });
  const readVip = (family: number) => {
    if (family !== 4 && family !== 6) reader.broken = true;
    return addressFromBytes(reader.bytesOf(family === 4 ? 4 : 16));
  };
  const claims = reader.list(reader.count16(wire.CLAIM_COUNT_MAX), () => {
    const family = reader.u8();
    const grade = reader.u8();
    const rank = reader.u8();
    return { vip: readVip(family), grade, rank };
  });
  const unserved = reader.list(reader.count16(wire.CLAIM_AND_UNSERVED_COUNT_MAX - claims.length), () =>
    readVip(reader.u8()),
  );
  return {
    ready: (flags & encoding.STATE_FLAG_READY) !== 0,
    caughtUp: (flags & encoding.STATE_FLAG_CAUGHT_UP) !== 0,
    draining: (flags & encoding.STATE_FLAG_DRAINING) !== 0,
    settling: (flags & encoding.STATE_FLAG_SETTLING) !== 0,
    mainAlive: (flags & encoding.STATE_FLAG_MAIN_ALIVE) !== 0,
    networks,
    claims,
    unserved,
  };
}

function readAsk(reader: Reader, envelope: wire.Envelope): wire.Ask {
  const nonce = reader.u32();
  const subjects = reader.list(reader.count8(wire.SUBJECT_COUNT_MAX), () => ({
    number: reader.u16(),
    incarnation: reader.u53(),
  }));
  return { ...envelope, kind: "ask", nonce, subjects };
}

function readAnswer(reader: Reader, envelope: wire.Envelope): wire.Answer {
  const nonce = reader.u32();
  const ages = reader.list(reader.count8(wire.SUBJECT_COUNT_MAX), () => ({
    number: reader.u16(),
    incarnation: reader.u53(),
    ageMs: reader.u16(),
  }));
  return { ...envelope, kind: "answer", nonce, ages };
}

/**
 * Reads within bounds; past the end it returns zeros and is `broken`, so that no caller needs a check of its
 * own.
 */
class Reader {
  broken = false;
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private offset: number;
  private readonly end: number;

  constructor(bytes: Uint8Array, view: DataView, offset: number, end: number) {
    this.bytes = bytes;
    this.view = view;
    this.offset = offset;
    this.end = end;
  }

  /** The offset of the next `size` bytes, or undefined (and `broken`) when they are not there. */
  private take(size: number): number | undefined {
    if (this.broken || this.end - this.offset < size) {
      this.broken = true;
      return undefined;
    }
    this.offset += size;
    return this.offset - size;
  }

  u8(): number {
    const at = this.take(1);
    return at === undefined ? 0 : this.view.getUint8(at);
  }

  u16(): number {
    const at = this.take(2);
    return at === undefined ? 0 : this.view.getUint16(at);
  }

  u32(): number {
    const at = this.take(4);
    return at === undefined ? 0 : this.view.getUint32(at);
  }

  u53(): number {
    const value = this.u32() * 2 ** 32 + this.u32();
    if (!Number.isSafeInteger(value)) this.broken = true;
    return value;
  }

  bytesOf(size: number): Uint8Array {
    const at = this.take(size);
    return at === undefined ? new Uint8Array(size) : this.bytes.subarray(at, at + size);
  }

  count8(max: number): number {
    return this.checked(this.u8(), max);
  }

  count16(max: number): number {
    return this.checked(this.u16(), max);
  }

  private checked(count: number, max: number): number {
    if (count <= max) return count;
    this.broken = true;
    return 0;
  }

  list<T>(count: number, read: () => T): T[] {
    const items: T[] = [];
    for (let i = 0; i < count && !this.broken; i++) items.push(read());
    return items;
  }

  oneOf<T>(names: readonly T[]): T {
    const name = names[this.u8()];
    if (name !== undefined) return name;
    this.broken = true;
    return names[0] as T;
  }

  atEnd(): boolean {
    return this.offset === this.end;
  }
}

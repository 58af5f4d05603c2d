// Peer messages as bytes: kind (1 byte), then its fields. Integers are shortest LEB128, byte strings and
// lists carry their length or count first. Decoding is total and strict: every length has a named limit, what
// a later version added at the end is framed as fields (fields.ts), and one message has one encoding. A kind
// of a later version is passed over.
import { isIP } from "node:net";
import { type Address, RECORD_BYTES_MAX, type SessionQuestion } from "@holdfast/model";
import type { Actor, JournalPosition, JournalSummary, SegmentSummary, Summary } from "../ports/journals.ts";
import {
  ANSWER_RECORD_COUNT_MAX,
  CHANGE_BYTES_MAX,
  CONFIGURATION_CHANGE_BYTES_MAX,
  MEMBER_COUNT_MAX,
  PEER_MESSAGE_BYTES_MAX,
  REQUEST_BYTES_MAX,
  SEGMENT_MESSAGE_CHANGE_COUNT_MAX,
  SUMMARY_ENTRY_COUNT_MAX,
} from "../ports/limits.ts";
import type { PeerMessage } from "../ports/messages.ts";
import { MessageReader, MessageWriter } from "./bytes.ts";
import { readFields } from "./fields.ts";

/** Kinds on the wire: append-only. 1 … 15 are the link's own (greeting.ts). */
const KIND = {
  hello: 16,
  summary: 17,
  tick: 18,
  fetch: 19,
  segment: 20,
  // 21 was an acknowledgement of what was joined only, in version 1.
  base: 22,
  ask: 23,
  answer: 24,
  configuration: 25,
  request: 26,
  response: 27,
  acknowledge: 28,
} as const satisfies Record<PeerMessage["kind"], number>;

/** Kinds from here on are of peer messages; below are the link's own. */
const KIND_LOWEST = 16;

const QUESTION_KIND = { client: 1, natPort: 2, natPortOf: 3 } as const satisfies Record<
  SessionQuestion["kind"] | "natPortOf",
  number
>;

const ACTOR_BYTES = 16;
const HASH_BYTES = 32;
/** Segments and ticks are counted far below this. */
const COUNTER_MAX = 0xffff_ffff;
const INCARNATION_COUNTER_MAX = 2 ** 48 - 1;
const PORT_MAX = 65_535;
const ADDRESS_TEXT_MAX = 45;
const SERVICE_ID_TEXT_MAX = 64;
const TOPIC_TEXT_MAX = 64;
/** Heads of the configuration document, and its changes in one message. */
const CONFIGURATION_HEAD_COUNT_MAX = 256;
const CONFIGURATION_CHANGE_COUNT_MAX = 4_096;

export type DecodedMessage =
  /** `message` undefined: of a kind that only later versions know. */
  | { readonly ok: true; readonly message: PeerMessage | undefined }
  | { readonly ok: false; readonly reason: string };

/** One message as bytes. Throws RangeError on what no receiver would take: our bug, not the peer's. */
export function encodePeerMessage(message: PeerMessage): Uint8Array {
  const writer = new MessageWriter(sizeHintOf(message)).byte(KIND[message.kind]);
  switch (message.kind) {
    case "hello":
    case "summary":
      writeSummary(writer, message.summary);
      break;
    case "tick":
      writeActor(writer, message.actor);
      writer.varint(message.segment).varint(message.tick).sized(message.change);
      break;
    case "fetch":
      writeActor(writer, message.actor);
      writer.varint(message.segment).varint(message.fromTick);
      break;
    case "segment":
      writeActor(writer, message.actor);
      writer.varint(message.segment).varint(message.fromTick).varint(message.changes.length);
      for (const change of message.changes) writer.sized(change);
      writer.byte(message.sealed ? 1 : 0);
      break;
    case "acknowledge":
      writeActor(writer, message.actor);
      writer.varint(message.held.segment).varint(message.held.ticks);
      writer.varint(message.joined.segment).varint(message.joined.ticks);
      break;
    case "base":
      writeActor(writer, message.actor);
      writer.varint(message.base);
      break;
    case "ask":
      writer.varint(message.question);
      writeQuestion(writer, message.about);
      break;
    case "answer":
      writer.varint(message.question).varint(message.records.length);
      for (const record of message.records) writer.sized(record);
      break;
    case "configuration":
      writer.varint(message.heads.length);
      for (const head of message.heads) writer.raw(fromHex(head, HASH_BYTES));
      writer.varint(message.changes.length);
      for (const change of message.changes) writer.sized(change);
      break;
    case "request":
      writer.varint(message.id).text(message.topic).sized(message.body);
      break;
    case "response":
      writer.varint(message.id).sized(message.body);
      break;
  }
  const bytes = writer.finish();
  if (bytes.length > PEER_MESSAGE_BYTES_MAX)
    throw new RangeError(`a ${message.kind} message of ${bytes.length} bytes`);
  return bytes;
}

/** Never throws; `reason` is a stable word for counters and logs. */
export function decodePeerMessage(bytes: Uint8Array): DecodedMessage {
  if (bytes.length > PEER_MESSAGE_BYTES_MAX) return { ok: false, reason: "message-too-long" };
  const reader = new MessageReader(bytes);
  const message = readMessage(reader);
  if (reader.failure !== undefined) return { ok: false, reason: reader.failure };
  if (message === undefined && (bytes[0] as number) < KIND_LOWEST)
    return { ok: false, reason: "kind-unknown" };
  if (message !== undefined) readFields(reader);
  return reader.failure === undefined ? { ok: true, message } : { ok: false, reason: reader.failure };
}

function readMessage(reader: MessageReader): PeerMessage | undefined {
  switch (reader.byte()) {
    case KIND.hello:
      return { kind: "hello", summary: readSummary(reader) };
    case KIND.summary:
      return { kind: "summary", summary: readSummary(reader) };
    case KIND.tick:
      return {
        kind: "tick",
        actor: readActor(reader),
        segment: reader.varint(COUNTER_MAX),
        tick: reader.varint(COUNTER_MAX),
        change: reader.sized(CHANGE_BYTES_MAX),
      };
    case KIND.fetch:
      return {
        kind: "fetch",
        actor: readActor(reader),
        segment: reader.varint(COUNTER_MAX),
        fromTick: reader.varint(COUNTER_MAX),
      };
    case KIND.segment:
      return {
        kind: "segment",
        actor: readActor(reader),
        segment: reader.varint(COUNTER_MAX),
        fromTick: reader.varint(COUNTER_MAX),
        changes: reader.list(SEGMENT_MESSAGE_CHANGE_COUNT_MAX, () => reader.sized(CHANGE_BYTES_MAX)),
        sealed: reader.flag(),
      };
    case KIND.acknowledge:
      return {
        kind: "acknowledge",
        actor: readActor(reader),
        held: readPosition(reader),
        joined: readPosition(reader),
      };
    case KIND.base:
      return { kind: "base", actor: readActor(reader), base: reader.varint(COUNTER_MAX) };
    case KIND.ask: {
      const question = reader.varint();
      const about = readQuestion(reader);
      return about === undefined ? undefined : { kind: "ask", question, about };
    }
    case KIND.answer:
      return {
        kind: "answer",
        question: reader.varint(),
        records: reader.list(ANSWER_RECORD_COUNT_MAX, () => reader.sized(RECORD_BYTES_MAX)),
      };
    case KIND.configuration:
      return readConfiguration(reader);
    case KIND.request:
      return {
        kind: "request",
        id: reader.varint(),
        topic: reader.text(TOPIC_TEXT_MAX),
        body: reader.sized(REQUEST_BYTES_MAX),
      };
    case KIND.response:
      return { kind: "response", id: reader.varint(), body: reader.sized(REQUEST_BYTES_MAX) };
    default:
      return undefined;
  }
}

function readConfiguration(reader: MessageReader): PeerMessage {
  return {
    kind: "configuration",
    heads: reader.list(CONFIGURATION_HEAD_COUNT_MAX, () => toHex(reader.raw(HASH_BYTES))),
    changes: reader.list(CONFIGURATION_CHANGE_COUNT_MAX, () => reader.sized(CONFIGURATION_CHANGE_BYTES_MAX)),
  };
}

function writeSummary(writer: MessageWriter, summary: Summary): void {
  writeActor(writer, summary.incarnation);
  writer.varint(summary.journals.length);
  for (const journal of summary.journals) {
    writeActor(writer, journal.actor);
    writer.varint(journal.base).varint(journal.segments.length);
    for (const segment of journal.segments) {
      writer.varint(segment.segment).varint(segment.ticks);
      if (segment.ticks > 0) {
        if (segment.head.length !== HASH_BYTES) throw new RangeError("a head of another length");
        writer.raw(segment.head);
      }
      writer.byte(segment.sealed ? 1 : 0);
    }
  }
  writer.varint(summary.connected.length);
  for (const number of summary.connected) writer.varint(number);
  writer.varint(summary.floors.length);
  for (const [member, counter] of summary.floors) writer.varint(member).varint(counter);
  writer.byte(summary.caughtUp ? 1 : 0);
}

function readSummary(reader: MessageReader): Summary {
  const incarnation = readActor(reader);
  // The limit is one for journals and segments together, so that no product of two lists goes beyond it.
  let entryCount = 0;
  const journals = reader.list(SUMMARY_ENTRY_COUNT_MAX, (): JournalSummary => {
    const actor = readActor(reader);
    const base = reader.varint(COUNTER_MAX);
    const segments = reader.list(SUMMARY_ENTRY_COUNT_MAX, () => readSegmentSummary(reader));
    entryCount += segments.length + 1;
    if (entryCount > 2 * SUMMARY_ENTRY_COUNT_MAX) reader.fail("list-too-long");
    return { actor, base, segments };
  });
  const connected = reader.list(MEMBER_COUNT_MAX, () => reader.varint(MEMBER_COUNT_MAX - 1));
  const floors = reader.list(
    MEMBER_COUNT_MAX,
    () => [reader.varint(MEMBER_COUNT_MAX - 1), reader.varint(INCARNATION_COUNTER_MAX)] as const,
  );
  return { incarnation, journals, connected, floors, caughtUp: reader.flag() };
}

function readSegmentSummary(reader: MessageReader): SegmentSummary {
  const segment = reader.varint(COUNTER_MAX);
  const ticks = reader.varint(COUNTER_MAX);
  const head = ticks > 0 ? reader.raw(HASH_BYTES) : new Uint8Array(0);
  return { segment, ticks, head, sealed: reader.flag() };
}

function readPosition(reader: MessageReader): JournalPosition {
  return { segment: reader.varint(COUNTER_MAX), ticks: reader.varint(COUNTER_MAX) };
}

function writeQuestion(writer: MessageWriter, about: SessionQuestion): void {
  if (about.kind === "client") {
    writer.byte(QUESTION_KIND.client);
    writer.text(about.serviceId).text(about.client).varint(about.clientPort);
    return;
  }
  // The older form is SCTP's. Who does not know the other does not answer it.
  if (about.protocol === undefined) writer.byte(QUESTION_KIND.natPort);
  else writer.byte(QUESTION_KIND.natPortOf).byte(about.protocol);
  writer.text(about.endpoint).varint(about.endpointPort).varint(about.natPort);
}

function readQuestion(reader: MessageReader): SessionQuestion | undefined {
  switch (reader.byte()) {
    case QUESTION_KIND.client:
      return {
        kind: "client",
        serviceId: reader.text(SERVICE_ID_TEXT_MAX),
        client: readAddress(reader),
        clientPort: reader.varint(PORT_MAX),
      };
    case QUESTION_KIND.natPort:
      return readPortQuestion(reader);
    case QUESTION_KIND.natPortOf:
      return { protocol: reader.byte(), ...readPortQuestion(reader) };
    default:
      // Of a later version: not answered, as if this member were not there.
      return undefined;
  }
}

function readPortQuestion(reader: MessageReader): SessionQuestion & { readonly kind: "natPort" } {
  return {
    kind: "natPort",
    endpoint: readAddress(reader),
    endpointPort: reader.varint(PORT_MAX),
    natPort: reader.varint(PORT_MAX),
  };
}

function readAddress(reader: MessageReader): Address {
  const text = reader.text(ADDRESS_TEXT_MAX);
  if (reader.failure === undefined && (isIP(text) === 0 || text.includes("%")))
    reader.fail("address-malformed");
  return text as Address;
}

function writeActor(writer: MessageWriter, actor: Actor): void {
  writer.raw(fromHex(actor, ACTOR_BYTES));
}

/** Actors that were read last, by their last byte: nearly every message names one of a few. */
const ACTOR_COUNT = 64;
const lastActors: ({ readonly bytes: Uint8Array; readonly text: Actor } | undefined)[] = new Array<undefined>(
  ACTOR_COUNT,
).fill(undefined);

function readActor(reader: MessageReader): Actor {
  const bytes = reader.view(ACTOR_BYTES);
  const at = (bytes[ACTOR_BYTES - 1] ?? 0) % ACTOR_COUNT;
  const known = lastActors[at];
  if (known !== undefined && isSame(known.bytes, bytes)) return known.text;
  const text = toHex(bytes);
  // A failure has shorter ones, which are read for nothing.
  lastActors[at] = { bytes: new Uint8Array(bytes), text };
  return text;
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}

function fromHex(text: string, length: number): Uint8Array {
  const bytes = Buffer.from(text, "hex");
  if (bytes.length !== length || text.length !== 2 * length)
    throw new RangeError(`not ${length} bytes in hexadecimal: ${text}`);
  return bytes;
}

function sizeHintOf(message: PeerMessage): number {
  switch (message.kind) {
    case "tick":
      return message.change.length + 48;
    case "segment":
      return message.changes.reduce((sum, change) => sum + change.length + 4, 64);
    default:
      return 256;
  }
}

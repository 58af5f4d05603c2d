// The messages that cross for every tick, as lists: names of fields, and arrays of no bytes or two, cost a
// message between threads more than what it says. All others cross as they are.
import type { ToEngine, ToView } from "../ports/link.ts";

type Message = ToEngine | ToView;
type Packed = readonly [kind: number, ...rest: readonly unknown[]];

const KIND = { local: 1, joined: 2, deliver: 3, released: 4 } as const;

/** Bytes that fit into one number. */
const NUMBER_SIZE = 4;

/** What is posted for a message. */
export function pack(message: object): object {
  const known = message as Message;
  switch (known.kind) {
    case "local":
      return [KIND.local, known.sequence, known.urgent, known.deltas.count, known.deltas.bytes];
    case "joined":
      return [KIND.joined, known.batch, packBytes(known.covered), packBytes(known.contradicted)];
    case "deliver":
      return [KIND.deliver, known.batch, known.sequence, known.deltas.count, known.deltas.bytes];
    case "released":
      return [KIND.released, known.token, known.ok];
    default:
      return message;
  }
}

/** The message again, from what arrived. */
export function unpack(data: object): object {
  return Array.isArray(data) ? unpackList(data as unknown as Packed) : data;
}

function unpackList([kind, a, b, c, d]: Packed): Message {
  switch (kind) {
    case KIND.local:
      return {
        kind: "local",
        sequence: a as number,
        urgent: b as boolean,
        deltas: { count: c as number, bytes: d as Uint8Array },
      };
    case KIND.joined:
      return { kind: "joined", batch: a as number, covered: unpackBytes(b), contradicted: unpackBytes(c) };
    case KIND.deliver:
      return {
        kind: "deliver",
        batch: a as number,
        sequence: b as number,
        deltas: { count: c as number, bytes: d as Uint8Array },
      };
    default:
      return { kind: "released", token: a as number, ok: b as boolean };
  }
}

/** A few bytes as one number: their count in the lowest bits. */
function packBytes(bytes: Uint8Array): Uint8Array | number {
  if (bytes.length > NUMBER_SIZE) return bytes;
  let packed = 0;
  for (let i = bytes.length - 1; i >= 0; i--) packed = packed * 256 + (bytes[i] as number);
  return packed * 8 + bytes.length;
}

function unpackBytes(packed: unknown): Uint8Array {
  if (typeof packed !== "number") return packed as Uint8Array;
  const bytes = new Uint8Array(packed % 8);
  for (let i = 0, left = Math.floor(packed / 8); i < bytes.length; i++, left = Math.floor(left / 256))
    bytes[i] = left % 256;
  return bytes;
}

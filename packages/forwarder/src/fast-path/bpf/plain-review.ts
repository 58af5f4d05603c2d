// What became of connections that were begun from offers, of many at once: nothing is read but what tells
// that, and what is over goes with one call of the kernel for all.
import { addressBytes } from "@holdfast/model";
import { PROTOCOL } from "@holdfast/sctp";
import { libbpf } from "../../kernel/libbpf.ts";
import { ERRNO, errnoName } from "../../kernel/libc.ts";
import type { PlainFlows, PlainLife, PlainOffer } from "../plain.ts";
import { lifeOf } from "../plain-life.ts";
import { PLAIN_FLAG } from "./abi.ts";
import type { FamilyTable } from "./family-tables.ts";
import { decodeKey } from "./flow-codec.ts";
import type { KernelClock } from "./kernel-clock.ts";
import type { NexthopTable } from "./nexthops.ts";
import { heldIn, type PlainLayout } from "./plain-codec.ts";

type Table = FamilyTable<PlainLayout>;

/** Keys that go with one call of the kernel. */
const REMOVED_COUNT_MAX = 1_024;

/** Of one family. */
interface Desk {
  readonly table: Table;
  readonly keys: Record<"up" | "down", Buffer>;
  readonly values: Record<"up" | "down", Buffer>;
  /** To be taken away. */
  readonly gone: Buffer;
  goneCount: number;
}

export class OfferReview {
  readonly #flows: Pick<PlainFlows, "read" | "remove">;
  readonly #desks: readonly Desk[];
  readonly #nexthops: Pick<NexthopTable, "release">;
  readonly #clock: KernelClock;
  readonly #count = Buffer.alloc(4);

  /** `flows`: for what is not as usual. */
  constructor(
    flows: Pick<PlainFlows, "read" | "remove">,
    tables: readonly Table[],
    nexthops: Pick<NexthopTable, "release">,
    clock: KernelClock,
  ) {
    this.#flows = flows;
    this.#desks = tables.map((table) => {
      const { keySize, valueSize } = table.layout;
      const key = () => Buffer.alloc(keySize);
      const value = () => Buffer.alloc(valueSize);
      return {
        ...{ table, keys: { up: key(), down: key() }, values: { up: value(), down: value() } },
        ...{ gone: Buffer.alloc(keySize * REMOVED_COUNT_MAX), goneCount: 0 },
      };
    });
    this.#nexthops = nexthops;
    this.#clock = clock;
  }

  run<Offer extends PlainOffer>(
    offers: readonly Offer[],
    visit: (offer: Offer, life: PlainLife | undefined) => "keep" | "remove",
    nowMs: number,
  ): void {
    const jiffies = this.#clock.jiffiesAt(nowMs);
    for (const offer of offers) {
      const desk = this.#desks[offer.source.includes(":") ? 1 : 0] as Desk;
      const found = find(desk, offer);
      if (found === "none") visit(offer, undefined);
      else if (found === "down") {
        if (visit(offer, this.#lifeOfRest(desk, jiffies, nowMs)) === "remove") this.#take(desk, "down");
      } else if (isQuick(desk)) this.#visitQuick(desk, offer, visit);
      else if (visit(offer, this.#lifeIn(desk, jiffies, nowMs)) === "remove") this.#take(desk, "up", "down");
    }
    for (const desk of this.#desks) this.#flush(desk);
  }

  #lifeIn({ table, values: { up, down } }: Desk, jiffies: number, nowMs: number): PlainLife {
    const { value } = table.layout;
    const flags = up.readUInt16LE(value.flags);
    const downFlags = down.readUInt16LE(value.flags);
    const age = Math.min(ageIn(value, up, jiffies), ageIn(value, down, jiffies));
    const wasReset = (flags & downFlags & PLAIN_FLAG.RESET) !== 0;
    return {
      stage: stageIn(flags),
      isOver: wasReset || (hasEnded(value, up, down) && hasEnded(value, down, up)),
      lastSeenMs: nowMs - (age * 1_000) / this.#clock.frequency,
    };
  }

  /** It gave way to another one, which has its place among those of clients. */
  #lifeOfRest({ table, values: { down } }: Desk, jiffies: number, nowMs: number): PlainLife {
    const age = ageIn(table.layout.value, down, jiffies);
    return { stage: "open", isOver: true, lastSeenMs: nowMs - (age * 1_000) / this.#clock.frequency };
  }

  /** It knows more than stands in the table. */
  #visitQuick<Offer extends PlainOffer>(
    { table: { layout }, keys }: Desk,
    offer: Offer,
    visit: (offer: Offer, life: PlainLife | undefined) => "keep" | "remove",
  ): void {
    const both = [decodeKey(layout, keys.up, 0), decodeKey(layout, keys.down, 0)] as const;
    const [up, down] = [this.#flows.read(both[0]), this.#flows.read(both[1])];
    if (visit(offer, up && down && lifeOf(up, down)) === "remove")
      for (const key of both) this.#flows.remove(key, offer.session);
  }

  #take(desk: Desk, ...directions: readonly ("up" | "down")[]): void {
    const { table, keys, values } = desk;
    const { layout } = table;
    if (desk.goneCount + 2 > REMOVED_COUNT_MAX) this.#flush(desk);
    for (const direction of directions) {
      desk.gone.set(keys[direction], desk.goneCount * layout.keySize);
      desk.goneCount += 1;
      this.#nexthops.release(heldIn(layout, values[direction], 0));
    }
  }

  /** The kernel stops at a key that is not there. */
  #flush(desk: Desk): void {
    const { table, gone, goneCount } = desk;
    const { fd, layout } = table;
    desk.goneCount = 0;
    for (let at = 0; at < goneCount; at += 1) {
      this.#count.writeUInt32LE(goneCount - at);
      const keys = gone.subarray(at * layout.keySize, goneCount * layout.keySize);
      const result = libbpf().removeBatch(fd, keys, this.#count, null);
      if (result === 0) return;
      if (-result !== ERRNO["ENOENT"]) throw new Error(`removing flows failed with ${errnoName(result)}`);
      at += this.#count.readUInt32LE(0);
    }
  }
}

/** The directions that are there, into the desk: what the endpoint sends says who the client is. */
function find({ table, keys, values }: Desk, offer: PlainOffer): "none" | "down" | "both" {
  const { fd, layout } = table;
  const { key, value, addressSize } = layout;
  const { up, down } = keys;
  down.set(addressBytes(offer.endpoint), key.source);
  down.set(addressBytes(offer.source), key.destination);
  down.writeUInt16BE(offer.endpointPort, key.sourcePort);
  down.writeUInt16BE(offer.natPort, key.destinationPort);
  down.writeUInt32LE(PROTOCOL.TCP, key.protocol);
  const session = offer.session >>> 0;
  const isThere = (bytes: Buffer, into: Buffer) =>
    libbpf().lookup(fd, bytes, into) === 0 && into.readUInt32LE(value.session) === session;
  if (!isThere(down, values.down)) return "none";
  const { newSource, newDestination, newSourcePort, newDestinationPort } = value;
  values.down.copy(up, key.source, newDestination, newDestination + addressSize);
  values.down.copy(up, key.destination, newSource, newSource + addressSize);
  values.down.copy(up, key.sourcePort, newDestinationPort, newDestinationPort + 2);
  values.down.copy(up, key.destinationPort, newSourcePort, newSourcePort + 2);
  up.writeUInt32LE(PROTOCOL.TCP, key.protocol);
  return isThere(up, values.up) ? "both" : "down";
}

/** Jiffies. */
function ageIn(value: PlainLayout["value"], bytes: Buffer, jiffies: number): number {
  return Math.max(0, (jiffies - bytes.readUInt32LE(value.lastSeen)) | 0);
}

function isQuick({ table, values: { up, down } }: Desk): boolean {
  const { flags } = table.layout.value;
  return ((up.readUInt16LE(flags) | down.readUInt16LE(flags)) & PLAIN_FLAG.QUICK) !== 0;
}

/** Of the direction up. */
function stageIn(flags: number): PlainLife["stage"] {
  if (flags & PLAIN_FLAG.AWAITING) return "opening";
  return flags & PLAIN_FLAG.HANDSHAKE && flags & PLAIN_FLAG.OPENING ? "answered" : "open";
}

/** One direction's FIN was acknowledged by the other. */
function hasEnded(value: PlainLayout["value"], one: Buffer, other: Buffer): boolean {
  if (!(one.readUInt16LE(value.flags) & PLAIN_FLAG.FIN)) return false;
  if (!(other.readUInt16LE(value.flags) & PLAIN_FLAG.EDGES)) return false;
  return one.readUInt32LE(value.finEnd) === other.readUInt32LE(value.acknowledged);
}

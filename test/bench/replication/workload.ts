// The life of a session as the forwarder tells it: INIT-ACK (urgent), COOKIE-ACK (urgent), one address
// verified, an end. The client's tag is the time of birth in microseconds of the machine's monotonic clock,
// so that every process of the machine can tell how old a session is when it arrives.
import { type Address, endOf, type SessionDelta, type SessionId, type SessionRecord } from "@holdfast/model";
import { answeredDelta, establishedDelta } from "@holdfast/model/testing";

export const SERVICE_PORT = 38_412;
export const VIPS: readonly Address[] = ["203.0.113.1", "198.51.100.1"];
export const SERVICE_ID = `sctp/${VIPS[0]}:${SERVICE_PORT}`;
/** As many as a service may have. */
export const ENDPOINTS: readonly Address[] = Array.from(
  { length: 32 },
  (_, i): Address => `192.0.2.${1 + i}`,
);
/** NAT ports of one member at one endpoint, every eighth being its own. */
const NAT_PORT_COUNT = 7_900;

/** Microseconds, modulo 2^32 (71 minutes), never 0. */
export function stampNow(): number {
  return Number(process.hrtime.bigint() / 1_000n) >>> 0 || 1;
}

/** Milliseconds since a stamp was made, on any process of this machine. */
export function ageMs(stamp: number): number {
  return ((stampNow() - stamp) >>> 0) / 1_000;
}

/** What the member knows after it has seen the endpoint's INIT-ACK. */
export function answered(member: number, serial: number): SessionDelta {
  const clientTag = stampNow();
  const clientPort = 1_024 + (serial % 60_000);
  const source = `10.${member}.${(serial >> 8) & 0xff}.${serial & 0xff}` as Address;
  const second = `10.${member + 100}.${(serial >> 8) & 0xff}.${serial & 0xff}` as Address;
  const endpoint = ENDPOINTS[Math.floor(serial / NAT_PORT_COUNT) % ENDPOINTS.length] as Address;
  const candidate = {
    member,
    endpoint,
    endpointPort: SERVICE_PORT,
    natPort: 1_024 + (serial % NAT_PORT_COUNT) * 8 + member,
    endpointTag: (clientTag ^ 0x5bd1e995) >>> 0 || 1,
    endpointAddresses: [endpoint],
    echoed: false,
  };
  return answeredDelta({
    serviceId: SERVICE_ID,
    clientPort,
    clientTag,
    clients: [source, second],
    candidate,
    createdAtMs: Date.now(),
  });
}

/** COOKIE-ACK: the candidate is in force, and the path that it came by is verified. */
export function established(record: SessionRecord): SessionDelta {
  const [generation] = record.generations.values();
  return { ...establishedDelta(record), clients: new Map(generation && [[generation.source, true]]) };
}

/** A HEARTBEAT-ACK from the second path. */
export function verified(record: SessionRecord): SessionDelta {
  return { id: record.id, clients: new Map([...record.clients.keys()].map((address) => [address, true])) };
}

export function ended(record: SessionRecord): SessionDelta {
  return { id: record.id, end: endOf(record, "shutdown") };
}

/** The stamp in a record, or undefined. */
export function stampOf(record: { readonly generations: SessionRecord["generations"] }): number | undefined {
  for (const tag of record.generations.keys()) return tag;
  return undefined;
}

/** First come, first out, without shifting arrays. */
export class SessionQueue {
  #items: SessionId[] = [];
  #head = 0;
  get size(): number {
    return this.#items.length - this.#head;
  }
  push(id: SessionId): void {
    this.#items.push(id);
  }
  shift(): SessionId | undefined {
    const id = this.#items[this.#head++];
    if (this.#head > 65_536) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return id;
  }
}

/** Delays in steps of a tenth of a millisecond up to 10 s. */
export class Histogram {
  readonly #counts = new Uint32Array(100_001);
  #count = 0;
  #max = 0;
  get count(): number {
    return this.#count;
  }
  get max(): number {
    return this.#max;
  }
  add(ms: number): void {
    const at = Math.min(100_000, Math.max(0, Math.floor(ms * 10)));
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.#count++;
    this.#max = Math.max(this.#max, ms);
  }
  percentile(share: number): number {
    const wanted = Math.ceil(this.#count * share);
    let seen = 0;
    for (const [at, count] of this.#counts.entries()) {
      seen += count;
      if (seen >= wanted && count > 0) return (at + 1) / 10;
    }
    return 0;
  }
  clear(): void {
    this.#counts.fill(0);
    this.#count = 0;
    this.#max = 0;
  }
}

// The slow path over a simulated fast path: an attacker with every address and port, and with the tags of an
// association of its own in any phase of its life, but not with those of the witness. The witness must not
// notice.
import assert from "node:assert/strict";
import {
  CLIENT,
  CLIENT_2,
  CLIENT_PORT,
  ClientHost,
  ENDPOINT,
  ENDPOINT_PORT,
  EndpointHost,
  OTHER_ENDPOINT,
  Rig,
  type Route,
  SERVICE_PORT,
  type Seen,
  settled,
  VIPS,
} from "@holdfast/forwarder/testing";
import { type Address, addressBytes, addressFromBytes, isLiving, type Random } from "@holdfast/model";
import {
  CHUNK,
  type Chunk,
  encodeAbort,
  encodeAddress,
  encodeChunk,
  encodeCookieAck,
  encodeCookieEcho,
  encodeData,
  encodeError,
  encodeHeartbeat,
  encodeHeartbeatAck,
  encodeInit,
  encodeInitAck,
  encodeParameter,
  encodeSack,
  encodeShutdown,
  encodeShutdownAck,
  encodeShutdownComplete,
  encodeUserInitiatedAbort,
  IpHeader,
  isMalformed,
  PARAMETER,
  parseInit,
  parsePacket,
  write16,
} from "@holdfast/sctp";
import { icmpPacket, ipPacket, sctpPacket } from "@holdfast/testkit";
import type { Corpus } from "../corpus.ts";
import { mutate, repair, repairSome } from "../mutate.ts";
import { Target } from "../target.ts";

const WITNESS: Address = "100.80.3.3";
/** Differs from the attacker's port in both bytes. */
const WITNESS_PORT = 51_234;
const STRANGER: Address = "100.99.7.7";
const PHASES = [
  "none",
  "init",
  "init-ack",
  "echoed",
  "established",
  "restarting",
  "shutting-down",
  "closed",
] as const;
type LifePhase = (typeof PHASES)[number];
/** A world lives for so many packets. */
const PACKETS_PER_WORLD = 400;
const EMBRYO_COUNT_MAX = 64;
const TABLE_COUNT_MAX = 1_000;
const FLOW_COUNT_MAX = 4_096;

interface World {
  readonly rig: Rig;
  readonly phase: LifePhase;
  readonly witness: { readonly client: ClientHost; readonly endpoint: EndpointHost; readonly id: string };
  readonly witnessNatPort: number;
  /** The attacker's own association, both sides. */
  readonly client: ClientHost;
  readonly endpoint: EndpointHost;
  readonly commit: string;
}

export class SlowPathTarget extends Target {
  override readonly name = "slow-path";
  readonly #corpus: Corpus;
  readonly #sabotage: ((rig: Rig, witness: string) => void) | undefined;
  readonly #ip = new IpHeader();
  #world: World | undefined;
  #left = 0;
  #worlds = 0;
  #turn = 0;
  readonly #drops = new Map<string, number>();
  readonly #figures = { dropped: 0, forwarded: 0, punted: 0, answered: 0, passed: 0 };

  /** `sabotage` plants a fault in each world, for the test that such a fault is found. */
  constructor(corpus: Corpus, sabotage?: (rig: Rig, witness: string) => void) {
    super();
    this.#corpus = corpus;
    this.#sabotage = sabotage;
  }

  override async once(random: Random): Promise<void> {
    if (this.#left === 0) {
      await this.#endWorld();
      this.#world = await makeWorld(PHASES[this.#turn++ % PHASES.length] as LifePhase, this.#sabotage);
      this.#left = PACKETS_PER_WORLD;
    }
    this.#left--;
    const world = this.#world as World;
    let packet = attack(random, world);
    if (random.below(3) > 0) {
      packet = mutate(random, packet, this.#corpus.pick(random));
      packet = repairSome(random, packet);
    }
    this.last = packet;
    await this.#inject(world, packet);
    if (random.below(16) === 0) world.rig.clock.advance(random.below(300));
  }

  /** The packets in every phase, as they are and as the attacker's own association would send them. */
  async replayAll(inputs: readonly Uint8Array[]): Promise<void> {
    for (const phase of PHASES) {
      await this.#endWorld();
      this.#world = await makeWorld(phase, this.#sabotage);
      for (const input of inputs) {
        for (const packet of [input, asOwn(input)]) {
          this.last = packet;
          await this.#inject(this.#world, packet);
        }
      }
    }
    await this.#endWorld();
    this.#left = 0;
  }

  async #inject(world: World, packet: Uint8Array): Promise<void> {
    const { rig } = world;
    const before = this.#effects(rig);
    const verdict = rig.fastPath.inject(packet, 1);
    for (let i = 0; i < 4; i++) await Promise.resolve();
    const left = rig.fastPath.takeOutgoing();
    switch (verdict.action) {
      case "drop":
        this.#figures.dropped++;
        assert.ok(verdict.reason.length > 0);
        break;
      case "punt":
        this.#figures.punted++;
        // Dropped with a reason, sent on, answered, held, or counted as what it was: never nothing. A
        // fragment waits for its others, and its end is counted then.
        if (verdict.reason !== "fragment" && left.length === 0 && this.#effects(rig) === before)
          throw new Error(`phase ${world.phase}: a punt (${JSON.stringify(verdict, plain)}) left no trace`);
        break;
      case "forward":
        this.#figures.forwarded++;
        break;
      case "answer":
        this.#figures.answered++;
        break;
      default:
        this.#figures.passed++;
    }
    for (const out of left) this.#checkLeft(out.packet);
  }

  /** What leaves comes from a VIP, and names VIPs only. */
  #checkLeft(packet: Uint8Array): void {
    const ip = this.#ip;
    if (ip.read(packet) !== undefined) throw new Error("a packet left that has no IP header");
    const address = (offset: number) => addressFromBytes(packet, offset, ip.addressSize);
    const [source, destination] = [address(ip.sourceOffset), address(ip.destinationOffset)];
    if (!VIPS.includes(source)) throw new Error(`a packet left with source ${source}`);
    if (VIPS.includes(destination)) throw new Error(`a packet left for ${destination}`);
    if (ip.protocol !== 132) return;
    const parsed = parsePacket(packet, ip.payloadOffset, ip.end);
    if (isMalformed(parsed)) return;
    for (const chunk of parsed.chunks) {
      if (chunk.type !== CHUNK.INIT && chunk.type !== CHUNK.INIT_ACK) continue;
      const init = parseInit(chunk as Chunk);
      if (isMalformed(init)) throw new Error(`a malformed INIT left: ${init.malformed}`);
      const alien = init.addresses.map((bytes) => addressFromBytes(bytes)).find((a) => !VIPS.includes(a));
      if (alien !== undefined) throw new Error(`${alien} was advertised to ${destination}`);
    }
  }

  /** A number that changes with every counter but `punts`. */
  #effects(rig: Rig): number {
    // One look: each makes a copy of the fast path's totals.
    const { drops, events } = rig.forwarder.counters();
    let sum = 0;
    for (const count of drops.values()) sum += count;
    for (const [event, count] of events) if (event !== "punts") sum += count;
    return sum;
  }

  async #endWorld(): Promise<void> {
    const world = this.#world;
    if (world === undefined) return;
    this.#world = undefined;
    this.#worlds++;
    const { rig, witness } = world;
    const where = `phase ${world.phase}`;
    await settled();
    rig.fastPath.takeOutgoing();
    const record = rig.table.get(witness.id);
    assert.ok(record !== undefined && isLiving(record), `${where}: the witness has ended`);
    assert.equal(JSON.stringify(record.commit), world.commit, `${where}: the witness has another generation`);
    const up: Route = { source: WITNESS, destination: VIPS[0] as Address };
    const down: Route = { source: ENDPOINT, destination: VIPS[0] as Address };
    const there = await rig.pass(witness.client.data(up));
    const back = await rig.pass(witness.endpoint.data(down));
    const only = (seen: readonly Seen[]) =>
      seen.length === 1 ? seen[0]?.destination : `${seen.length} packets`;
    assert.equal(only(there), ENDPOINT, `${where}: the witness's DATA, drops ${JSON.stringify(rig.drops())}`);
    assert.equal(only(back), WITNESS, `${where}: DATA for the witness, drops ${JSON.stringify(rig.drops())}`);
    assert.equal(there[0]?.packet.sourcePort, world.witnessNatPort, `${where}: the witness's NAT port`);
    assert.ok(rig.table.size <= TABLE_COUNT_MAX, `${where}: ${rig.table.size} sessions`);
    assert.ok(rig.fastPath.flowCount <= FLOW_COUNT_MAX, `${where}: ${rig.fastPath.flowCount} flows`);
    for (const [reason, count] of Object.entries(rig.drops()))
      this.#drops.set(reason, (this.#drops.get(reason) ?? 0) + count);
    // Everything that time does to what the attacker left behind.
    rig.clock.advance(200_000);
    await settled();
    const later = rig.table.get(witness.id);
    assert.ok(later !== undefined && isLiving(later), `${where}: the witness ended with time`);
  }

  override keep(random: Random, input: Uint8Array): void {
    this.#corpus.add(random, input);
  }

  override figures() {
    return {
      ...this.#figures,
      worlds: this.#worlds,
      dropReasons: this.#drops.size,
      corpus: this.#corpus.size,
    };
  }

  override close(): Promise<void> {
    return this.#endWorld();
  }
}

function plain(key: string, value: unknown): unknown {
  return key === "entry" || key === "destination" ? undefined : value;
}

async function makeWorld(phase: LifePhase, sabotage?: (rig: Rig, witness: string) => void): Promise<World> {
  const rig = new Rig({
    flowCountMax: FLOW_COUNT_MAX,
    // What nobody knows is answered, and the witness must not notice that either.
    knowsAll: () => true,
    limits: {
      embryoCountMaxPerService: EMBRYO_COUNT_MAX,
      embryoCountMaxPerPrefix: EMBRYO_COUNT_MAX,
      embryoCountMax: EMBRYO_COUNT_MAX,
      certaintyMs: 0,
    },
  });
  const witness = await rig.establish({
    client: new ClientHost(WITNESS_PORT, SERVICE_PORT, 0x6b31_77e9),
    endpoint: new EndpointHost(ENDPOINT_PORT, 0, 0x5d42_98c3),
    source: WITNESS,
  });
  const up: Route = { source: WITNESS, destination: VIPS[0] as Address };
  await rig.one(witness.client.data(up));
  const client = new ClientHost(CLIENT_PORT, SERVICE_PORT, 0x1111_0001);
  const endpoint = new EndpointHost(ENDPOINT_PORT, 0, 0x2222_0001);
  await live(rig, phase, client, endpoint);
  sabotage?.(rig, witness.record.id);
  return {
    rig,
    phase,
    witness: { ...witness, id: witness.record.id },
    witnessNatPort: witness.natPort,
    client,
    endpoint,
    commit: JSON.stringify(rig.table.get(witness.record.id)?.commit),
  };
}

/** Brings the attacker's own association into a phase. */
async function live(rig: Rig, phase: LifePhase, client: ClientHost, endpoint: EndpointHost): Promise<void> {
  const up: Route = { source: CLIENT, destination: VIPS[0] as Address };
  const down: Route = { source: ENDPOINT, destination: VIPS[0] as Address };
  if (phase === "none") return;
  const init = await rig.one(client.init(up, [CLIENT, CLIENT_2]));
  if (phase === "init") return;
  client.acceptInitAck(await rig.one(endpoint.initAck(init)));
  if (phase === "init-ack") return;
  await rig.one(client.cookieEcho(up));
  if (phase === "echoed") return;
  await rig.one(endpoint.cookieAck(down));
  if (phase === "restarting") {
    client.tag = 0x1111_0002;
    await rig.pass(client.init(up, [CLIENT, CLIENT_2]));
  }
  if (phase === "shutting-down" || phase === "closed") {
    await rig.one(client.packet(up, [encodeShutdown(1)]));
    await rig.one(endpoint.packet(down, [encodeShutdownAck()]));
  }
  if (phase === "closed") await rig.one(client.packet(up, [encodeShutdownComplete()]));
}

/** The packet with the addresses and ports of the attacker's own association, where it has any. */
function asOwn(input: Uint8Array): Uint8Array {
  const packet = input.slice();
  const ip = new IpHeader();
  if (ip.read(packet) !== undefined || ip.addressSize !== 4 || ip.end - ip.payloadOffset < 4) return packet;
  packet.set(addressBytes(CLIENT), ip.sourceOffset);
  packet.set(addressBytes(VIPS[0] as Address), ip.destinationOffset);
  write16(packet, ip.payloadOffset, CLIENT_PORT);
  write16(packet, ip.payloadOffset + 2, SERVICE_PORT);
  return repair(packet);
}

// ---- what an attacker sends

const pick = <T>(random: Random, items: readonly T[]): T => items[random.below(items.length)] as T;

function attack(random: Random, world: World): Uint8Array {
  const { client, endpoint } = world;
  const own = random.below(2) === 0;
  const vip = pick(random, VIPS);
  // From the endpoint's side the attacker has no tag that belongs to the witness's INITs: whoever sits on
  // that network and answers for the endpoint is the endpoint.
  const fromEndpoint = random.below(3) === 0;
  const ends = fromEndpoint
    ? {
        source: pick(random, [ENDPOINT, ENDPOINT, OTHER_ENDPOINT]),
        destination: vip,
        sourcePort: pick(random, [ENDPOINT_PORT, ENDPOINT_PORT, SERVICE_PORT]),
        destinationPort: own ? endpoint.peerPort || 4_096 : world.witnessNatPort,
      }
    : {
        source: own ? pick(random, [CLIENT, CLIENT_2, STRANGER]) : pick(random, [WITNESS, STRANGER]),
        destination: vip,
        sourcePort: own ? client.port : WITNESS_PORT,
        destinationPort: SERVICE_PORT,
      };
  const guess = random.uint32() || 1;
  const ownTags = [client.tag, client.peerTag, endpoint.tag, guess, 0];
  const tag = own ? pick(random, ownTags) : pick(random, [guess, 0, client.tag ^ 0x40, 1]);
  const kind = random.below(20);
  if (kind === 0) return icmp(random, ends);
  if (kind === 1) return fragment(random, sctpPacket(ends, tag, [pick(random, CHUNKS)(random, world)]));
  if (kind < 6) {
    const initiateTag = fromEndpoint || !own ? guess : pick(random, [client.tag, guess, 0]);
    const listed: readonly Address[] = [
      CLIENT,
      CLIENT_2,
      WITNESS,
      VIPS[0] as Address,
      ENDPOINT,
      STRANGER,
      "127.0.0.1",
      "224.0.0.1",
    ];
    const parameters = Array.from({ length: random.below(6) }, () =>
      encodeAddress(addressBytes(pick(random, listed))),
    );
    const chunk = fromEndpoint && random.below(2) === 0 ? "ack" : "init";
    if (chunk === "init") return sctpPacket(ends, 0, [encodeInit({ initiateTag, parameters })]);
    parameters.push(encodeParameter(PARAMETER.STATE_COOKIE, random.bytes(8)));
    const to = own ? client.tag : guess;
    return sctpPacket(ends, to, [encodeInitAck({ initiateTag: guess, parameters })]);
  }
  const count = random.below(3) === 0 ? 1 + random.below(4) : 1;
  const chunks = Array.from({ length: count }, () => pick(random, CHUNKS)(random, world));
  return sctpPacket(ends, tag, chunks);
}

type ChunkMaker = (random: Random, world: World) => Uint8Array;

const CHUNKS: readonly ChunkMaker[] = [
  (random) => encodeData({ tsn: random.uint32(), data: random.bytes(random.below(40)) }),
  (random) => encodeSack(random.uint32()),
  () => encodeHeartbeat(Uint8Array.of(1, 2, 3, 4)),
  () => encodeHeartbeatAck(Uint8Array.of(1, 2, 3, 4)),
  (random) => encodeAbort({ reflected: random.below(2) === 0 }),
  () => encodeUserInitiatedAbort("away"),
  (random) => encodeError([encodeParameter(1 + random.below(14), random.bytes(random.below(20)))]),
  () => encodeShutdown(1),
  () => encodeShutdownAck(),
  (random) => encodeShutdownComplete({ reflected: random.below(2) === 0 }),
  (random, world) => encodeCookieEcho(random.below(2) === 0 ? world.client.cookie : random.bytes(8)),
  () => encodeCookieAck(),
  (random) => encodeChunk(pick(random, [0xc1, 0x80, 0x81, 15, 130, 192, 64]), 0, random.bytes(12)),
  (random) => encodeChunk(random.below(256), random.below(256), random.bytes(random.below(24))),
];

function icmp(
  random: Random,
  ends: { source: Address; destination: Address; sourcePort: number; destinationPort: number },
): Uint8Array {
  // Quotes what a VIP would have sent to the victim.
  const quoted = sctpPacket(
    {
      source: ends.destination,
      destination: ends.source,
      sourcePort: ends.destinationPort,
      destinationPort: ends.sourcePort,
    },
    random.uint32(),
    [encodeSack(1)],
  );
  const rest = new Uint8Array([...random.bytes(4), ...quoted.subarray(0, 28 + random.below(20))]);
  const from = { source: pick(random, [STRANGER, ends.source]), destination: ends.destination } as const;
  return icmpPacket(from, pick(random, [3, 3, 3, 11, 12, 8, 5]), random.below(6), rest);
}

function fragment(random: Random, whole: Uint8Array): Uint8Array {
  const payload = whole.subarray(20);
  const offset = 8 * random.below(Math.max(1, payload.length >>> 3));
  const source = addressFromBytes(whole, 12, 4);
  const destination = addressFromBytes(whole, 16, 4);
  const piece = ipPacket({ source, destination }, payload.slice(offset, offset + 8 * (1 + random.below(4))), {
    identification: random.below(3),
  });
  const word = (offset >>> 3) | (random.below(2) === 0 ? 0x2000 : 0);
  piece.set([word >>> 8, word & 255], 6);
  return repair(piece);
}

// SYNs that the programs forward by themselves, and what has to be right for that (docs/decisions/0541).
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Prefix, parsePrefix } from "@holdfast/model";
import { PROTOCOL } from "@holdfast/sctp";
import { TCP_FLAG } from "../../packet/plain/header.ts";
import { labObstacle } from "../compliance/lab.ts";
import { PAYLOAD } from "../compliance/plain-rig.ts";
import {
  CLIENT_NUMBER,
  ENDPOINT_NUMBER,
  type PlainPacket,
  plainDown,
  plainPackets,
  plainUp,
} from "../compliance/plain-world.ts";
import { hex, until } from "../compliance/rig.ts";
import {
  CLIENT_PORT,
  ENDPOINT_PORT,
  ENDPOINTS,
  FAMILIES,
  LOCAL,
  SERVICE_PORT,
  type WorldFamily,
} from "../compliance/world.ts";
import type { PlainFlow, PlainOffer } from "../plain.ts";
import { lifeOf } from "../plain-life.ts";
import { type TestProgram, TestRunner } from "./test-run.ts";

const PROGRAMS = ["xdp", "tc"] as const;
const { SYN, FIN, ACK } = TCP_FLAG;
const MTU = 1_500;
const FIRST_SESSION = 5_000;
const FIRST_PORT = 30_000;
const obstacle = labObstacle();
const skip = obstacle === undefined ? {} : { skip: obstacle };
const optionsOf = (mss: number) => Uint8Array.of(2, 4, mss >> 8, mss & 0xff, 4, 2, 1, 3, 3, 7, 0, 0);
const SYN_PACKET: PlainPacket = { flags: SYN, by: -1, acknowledgment: 0, options: optionsOf(1_400) };
const ANSWER: PlainPacket = { flags: SYN | ACK, by: -1, options: optionsOf(1_400) };

class Bench {
  readonly runner: TestRunner;
  readonly service: { readonly vip: PlainFlow["newSource"]; readonly port: number };
  readonly #program: TestProgram;
  readonly #family: WorldFamily;

  constructor(runner: TestRunner, program: TestProgram, family: WorldFamily) {
    this.#program = program;
    this.#family = family;
    this.service = { vip: family.vip, port: SERVICE_PORT };
    this.runner = runner;
    // However slow the machine is.
    this.offers.givesWayMs = 30_000;
    const ports = [{ protocol: PROTOCOL.TCP, port: SERVICE_PORT }];
    this.runner.local.setLocal(LOCAL.map((local) => ({ ...local, ports })));
    this.runner.local.setEndpoints(ENDPOINTS.map((each) => ({ ...each, protocol: PROTOCOL.TCP })));
  }

  /** Nothing is left for the next one. */
  clear(): void {
    this.offers.withdraw(this.service);
    this.offers.repoint();
    let cursor: unknown;
    do cursor = this.runner.plain.sweep(cursor, () => "remove");
    while (cursor !== undefined);
  }

  get offers() {
    return this.runner.plain.offers ?? assert.fail("there are no offers");
  }

  offersOf(count: number): PlainOffer[] {
    const { vip, endpoint } = this.#family;
    return Array.from({ length: count }, (_, i): PlainOffer => {
      const place = { endpoint, endpointPort: ENDPOINT_PORT, source: vip };
      return { session: FIRST_SESSION + i, natPort: FIRST_PORT + i, ...place };
    });
  }

  offer(count: number): number {
    return this.offers.offer(this.service, this.offersOf(count));
  }

  /** The client has opened a connection: it is there, and the way to it is known. */
  meetClient(): void {
    this.offers.meet(this.service, this.#family.client);
  }

  /** What the connection from a port becomes that takes an offer. */
  pair(index: number, clientPort: number): readonly [up: PlainFlow, down: PlainFlow] {
    const natPort = FIRST_PORT + index;
    const common = {
      session: FIRST_SESSION + index,
      handshake: true,
      quiet: true,
      awaiting: { sequence: CLIENT_NUMBER, scale: 7 },
      tcp: { windowScale: 0, shift: 0 },
    };
    const up = plainUp(this.#family, PROTOCOL.TCP, { ...common, assured: false, newSourcePort: natPort });
    const down = plainDown(this.#family, PROTOCOL.TCP, { ...common, newDestinationPort: clientPort });
    return [
      { ...up, key: { ...up.key, sourcePort: clientPort } },
      { ...down, key: { ...down.key, destinationPort: natPort } },
    ];
  }

  run(packet: Uint8Array) {
    return this.runner.run(this.#program, packet);
  }

  passes(flow: PlainFlow, plan: PlainPacket): void {
    const { arriving, leaving } = plainPackets(flow, plan);
    const { action, packet, punts } = this.run(arriving);
    assert.deepEqual([action, punts.length], ["redirect", 0]);
    assert.equal(hex(packet.subarray(0, leaving.length)), hex(leaving));
  }

  isPunted(flow: PlainFlow, plan: PlainPacket = SYN_PACKET, session = 0): void {
    const { arriving } = plainPackets(flow, plan);
    const { punts } = this.run(arriving);
    const said = punts.map((punt) => [punt.reason, punt.session, hex(punt.packet)]);
    assert.deepEqual(said, [["syn", session, hex(arriving)]]);
  }
}

type Check = (bench: Bench, family: WorldFamily) => void | Promise<void>;

/** One load of the programs for all of them. */
function describeWith(flowCountMax: number, checks: Readonly<Record<string, Check>>): void {
  describe(`tables of ${flowCountMax}`, skip, () => {
    let runner: TestRunner;
    before(() => {
      runner = new TestRunner({ flowCountMax, mtu: MTU });
    });
    after(() => runner.close());
    for (const program of PROGRAMS)
      for (const family of FAMILIES)
        for (const [title, check] of Object.entries(checks))
          test(`${program}, ${family.name}: ${title}`, async () => {
            const bench = new Bench(runner, program, family);
            try {
              await check(bench, family);
            } finally {
              bench.clear();
            }
          });
  });
}

function takeInTurn(bench: Bench): void {
  assert.equal(bench.offer(3), 3);
  bench.meetClient();
  for (const [index, clientPort] of [40_001, 40_002].entries()) {
    const [up, down] = bench.pair(index, clientPort);
    bench.passes(up, SYN_PACKET);
    const found = [up, down].map(({ key }) => bench.runner.plain.read(key)?.flow);
    assert.deepEqual(found, [up, down]);
    assert.equal(bench.offers.left(bench.service), 2 - index);
    bench.passes(up, SYN_PACKET);
    assert.equal(bench.offers.left(bench.service), 2 - index);
    bench.passes(down, ANSWER);
    bench.passes(up, { payload: PAYLOAD });
    bench.passes(down, { payload: PAYLOAD });
    bench.passes(up, { flags: FIN | ACK, by: PAYLOAD.length });
    assert.equal(bench.runner.plain.read(up.key)?.flow.handshake, false);
    assert.equal(bench.runner.plain.read(up.key)?.state.packets, 4);
  }
}

function areReviewed(bench: Bench): void {
  bench.offer(3);
  bench.meetClient();
  const pairs = [40_001, 40_002].map((clientPort, index) => bench.pair(index, clientPort));
  for (const [up] of pairs) bench.passes(up, SYN_PACKET);
  const [[up, down]] = pairs as [readonly [PlainFlow, PlainFlow]];
  const { plain } = bench.runner;
  const offers = bench.offersOf(3);
  /** Of the three, beside what reads say of the first. */
  const stages = (verdict: (session: number) => "keep" | "remove" = () => "keep") => {
    const seen: unknown[] = [];
    plain.review(offers, (offer, life) => {
      const both = [up, down].map(({ key }) => plain.read(key));
      if (offer === offers[0] && both[0] && both[1]) {
        const expected = lifeOf(both[0], both[1]);
        assert.deepEqual({ ...life, lastSeenMs: 0 }, { ...expected, lastSeenMs: 0 });
        // Each reads the clock for itself.
        assert.ok(Math.abs((life?.lastSeenMs ?? 0) - expected.lastSeenMs) < 1_000);
      }
      seen.push(life && [life.stage, life.isOver]);
      return verdict(offer.session);
    });
    return seen;
  };
  const opening = ["opening", false];
  assert.deepEqual(stages(), [opening, opening, undefined]);
  bench.passes(down, ANSWER);
  assert.deepEqual(stages(), [["answered", false], opening, undefined]);
  bench.passes(up, {});
  assert.deepEqual(stages(), [["open", false], opening, undefined]);
  bench.passes(up, { flags: FIN | ACK });
  bench.passes(down, { flags: FIN | ACK, acknowledgment: CLIENT_NUMBER + 1 });
  assert.deepEqual(stages(), [["open", false], opening, undefined]);
  bench.passes(up, { by: 1, acknowledgment: ENDPOINT_NUMBER + 1 });
  assert.deepEqual(stages(), [["open", true], opening, undefined]);
  const visited: number[] = [];
  const visit = ({ session }: PlainFlow) => visited.push(session) && "keep";
  let cursor: unknown;
  do cursor = plain.sweep(cursor, visit as () => "keep", (session) => session === FIRST_SESSION);
  while (cursor !== undefined);
  assert.deepEqual(visited, [FIRST_SESSION + 1, FIRST_SESSION + 1]);
  assert.deepEqual(
    stages((session) => (session === FIRST_SESSION ? "remove" : "keep")),
    [["open", true], opening, undefined],
  );
  assert.deepEqual(stages(), [undefined, opening, undefined]);
  for (const { key } of [up, down]) assert.equal(plain.read(key), undefined);
}

/** Closed by both ends. */
function beginAndClose(bench: Bench, [up, down]: readonly [PlainFlow, PlainFlow]): void {
  bench.passes(up, SYN_PACKET);
  bench.passes(down, ANSWER);
  bench.passes(up, {});
  bench.passes(up, { flags: FIN | ACK });
  bench.passes(down, { flags: FIN | ACK, acknowledgment: CLIENT_NUMBER + 1 });
  bench.passes(up, { by: 1, acknowledgment: ENDPOINT_NUMBER + 1 });
}

function giveWay(bench: Bench): void {
  bench.offer(3);
  bench.meetClient();
  const { plain } = bench.runner;
  const [first, second] = [0, 1].map((index) => bench.pair(index, 40_001)) as [
    readonly [PlainFlow, PlainFlow],
    readonly [PlainFlow, PlainFlow],
  ];
  const again: PlainPacket = { ...SYN_PACKET, by: 1_000 };
  const begun = { sequence: (CLIENT_NUMBER + 1_001) >>> 0, scale: 7 };
  const visits = (verdict: (session: number) => "keep" | "remove" = () => "keep") => {
    const seen: unknown[] = [];
    plain.review(bench.offersOf(3), (offer, life) => {
      seen.push(life && [life.stage, life.isOver]);
      return verdict(offer.session);
    });
    return seen;
  };
  beginAndClose(bench, first);
  // An old duplicate begins nothing.
  bench.isPunted(first[0], { ...SYN_PACKET, by: -2 }, FIRST_SESSION);
  assert.equal(bench.offers.left(bench.service), 2);
  bench.passes(second[0], again);
  assert.equal(bench.offers.left(bench.service), 1);
  const found = second.map(({ key }) => plain.read(key)?.flow);
  assert.deepEqual(
    found,
    second.map((flow) => ({ ...flow, awaiting: begun })),
  );
  // What the endpoint still says of the old one is nobody's of the new one.
  const late = plainPackets(first[1], { flags: FIN | ACK, acknowledgment: CLIENT_NUMBER + 1 }).arriving;
  const said = bench.run(late).punts.map(({ reason, session }) => [reason, session]);
  assert.deepEqual(said, [["handshake", FIRST_SESSION]]);
  assert.deepEqual(plain.read(second[0].key)?.flow.awaiting, begun);
  assert.deepEqual(visits(), [["open", true], ["opening", false], undefined]);
  visits((session) => (session === FIRST_SESSION ? "remove" : "keep"));
  assert.equal(plain.read(first[1].key), undefined);
  assert.deepEqual(visits(), [undefined, ["opening", false], undefined]);
}

/** Of connections that are open, half closed, or others' as well. */
function keepTheirPorts(bench: Bench): void {
  bench.offer(3);
  bench.meetClient();
  const pair = bench.pair(0, 40_001);
  const [up, down] = pair;
  const again: PlainPacket = { ...SYN_PACKET, by: 1_000 };
  bench.passes(up, SYN_PACKET);
  bench.isPunted(up, again, FIRST_SESSION);
  bench.passes(down, ANSWER);
  bench.passes(up, {});
  bench.isPunted(up, again, FIRST_SESSION);
  bench.passes(up, { flags: FIN | ACK });
  bench.isPunted(up, again, FIRST_SESSION);
  bench.passes(down, { flags: FIN | ACK, acknowledgment: CLIENT_NUMBER + 1 });
  bench.isPunted(up, again, FIRST_SESSION);
  bench.passes(up, { by: 1, acknowledgment: ENDPOINT_NUMBER + 1 });
  // As the slow path installs what it has taken over.
  const { plain } = bench.runner;
  for (const { key } of pair) {
    const { flow } = plain.read(key) ?? assert.fail("it is gone");
    assert.ok(plain.install(flow));
  }
  bench.isPunted(up, again, FIRST_SESSION);
  assert.equal(bench.offers.left(bench.service), 2);
}

async function giveWayForAWhile(bench: Bench): Promise<void> {
  bench.offers.givesWayMs = 0;
  bench.offer(2);
  bench.meetClient();
  const [up, down] = bench.pair(0, 40_001);
  beginAndClose(bench, [up, down]);
  const clockMs = () => Number(process.hrtime.bigint()) / 1e6;
  const sinceMs = clockMs();
  await until("jiffies to go by", () => clockMs() - sinceMs > 50);
  bench.isPunted(up, { ...SYN_PACKET, by: 1_000 }, FIRST_SESSION);
  assert.equal(bench.offers.left(bench.service), 1);
}

function needAWay(bench: Bench): void {
  const [up] = bench.pair(0, 40_001);
  bench.isPunted(up);
  assert.equal(bench.offer(2), 2);
  bench.isPunted(up);
  // Anybody sends a SYN: it says nothing of who has the address.
  const begun = bench.pair(-1, 1_024);
  for (const flow of begun) assert.ok(bench.runner.plain.install(flow));
  bench.isPunted(up);
  for (const { key } of begun) bench.runner.plain.remove(key);
  bench.meetClient();
  bench.isPunted(up, { ...SYN_PACKET, options: optionsOf(1_470) });
  bench.isPunted(up, { ...SYN_PACKET, hopLimit: 1 });
  assert.equal(bench.offers.left(bench.service), 2);
  for (const { key } of bench.pair(0, 40_001)) assert.equal(bench.runner.plain.read(key), undefined);
  // Routes have changed: the client is a stranger again, and the offers are there.
  bench.offers.repoint();
  assert.equal(bench.offers.left(bench.service), 2);
  bench.isPunted(up);
  bench.meetClient();
  bench.passes(up, SYN_PACKET);
  assert.deepEqual(bench.offers.withdraw(bench.service), [FIRST_SESSION + 1]);
  assert.equal(bench.offers.left(bench.service), 0);
  const [next] = bench.pair(1, 40_002);
  bench.isPunted(next);
  bench.passes(up, SYN_PACKET);
}

function areAllowed(bench: Bench, { vip }: WorldFamily): void {
  const allowedSources = [parsePrefix(vip.includes(":") ? "2001:db8:f::/48" : "192.0.2.0/24") as Prefix];
  const ports = [{ protocol: PROTOCOL.TCP, port: SERVICE_PORT, allowedSources }];
  bench.offer(1);
  bench.meetClient();
  bench.runner.local.setLocal(LOCAL.map((local) => (local.address === vip ? { ...local, ports } : local)));
  const [up] = bench.pair(0, 40_001);
  const { action, punts } = bench.run(plainPackets(up, SYN_PACKET).arriving);
  assert.deepEqual([action, punts.length, bench.offers.left(bench.service)], ["drop", 0, 1]);
}

function findNoRoom(bench: Bench): void {
  assert.equal(bench.offer(2), 2);
  bench.meetClient();
  const [up, down] = bench.pair(0, 40_001);
  const [, inTheWay] = bench.pair(0, CLIENT_PORT);
  assert.ok(bench.runner.plain.install({ ...inTheWay, session: 1 }));
  bench.isPunted(up);
  assert.equal(bench.runner.plain.read(down.key)?.flow.session, 1);
  // One entry is free: the first direction finds room, the second none, and nothing is left.
  const [second] = bench.pair(1, 40_001);
  const others = bench.pair(7, 40_007);
  for (const flow of others) assert.ok(bench.runner.plain.install(flow));
  bench.isPunted(second);
  for (const { key } of bench.pair(1, 40_001)) assert.equal(bench.runner.plain.read(key), undefined);
  assert.equal(bench.offers.left(bench.service), 0);
}

function fill(bench: Bench): void {
  const taken = bench.offer(10_000);
  assert.ok(taken >= 1_000 && taken < 10_000, String(taken));
  assert.equal(bench.offers.left(bench.service), taken);
  assert.equal(bench.offers.withdraw(bench.service).length, taken);
}

describeWith(64, {
  "SYNs take offers in turn, and their connections open and end without a word": takeInTurn,
  "what became of them is seen at once, and what is over goes with both directions": areReviewed,
  "what is over gives way to its client's next SYN, and its NAT port is the daemon's to give again": giveWay,
  "what is not over, or is known to others, gives way to none": keepTheirPorts,
  "what is over and silent for a while is the daemon's to clear away, and gives way to none":
    giveWayForAWhile,
  "without an offer, a way to the client, or room for its segments nothing is taken": needAWay,
  "clients from where the service does not allow it take nothing": areAllowed,
  "a queue takes in what it has room for": fill,
});
describeWith(4, { "where the table is full, or has such a flow, the SYN is the slow path's": findNoRoom });

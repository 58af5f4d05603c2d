import assert from "node:assert/strict";
import { test } from "node:test";
import { HealthProber, type ProbeChannel } from "@holdfast/forwarder";
import { EndpointHealth } from "@holdfast/forwarder/testing";
import { type Address, seededRandom } from "@holdfast/model";
import { ManualClock } from "@holdfast/model/testing";
import { encodeInitAck, encodePacket, type Packet, parseInit, parsePacket } from "@holdfast/sctp";
import { type ClusterLink, createLoneLink, type RequestHandler } from "./link.ts";
import type { MemberDirectory } from "./members.ts";
import { type SharedVerdict, VerdictExchange } from "./verdicts.ts";

const ENDPOINT = { address: "192.0.2.20", port: 7_000 } as const;
const NAMES = ["a", "b", "c"];
const QUORUM = 2;

/** Links between members: a request arrives in a later turn, or is lost. */
class Wires {
  readonly ends: End[] = [];
  readonly #cut = new Set<string>();
  /** Requests that get lost on their way, from now on. */
  losses = 0;
  requestCount = 0;

  isCut(a: number, b: number): boolean {
    return this.#cut.has(`${a} ${b}`);
  }

  cut(a: number, b: number): void {
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const) {
      this.#cut.add(`${one} ${other}`);
      this.ends[one]?.disconnected(other);
    }
  }

  heal(a: number, b: number): void {
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const)
      this.#cut.delete(`${one} ${other}`);
    this.ends[a]?.connected(b);
    this.ends[b]?.connected(a);
  }
}

class End {
  readonly link: ClusterLink;
  readonly #handlers = new Map<string, RequestHandler>();
  connected: (member: number) => void = () => {};
  disconnected: (member: number) => void = () => {};

  constructor(wires: Wires, number: number) {
    wires.ends[number] = this;
    this.link = {
      ...createLoneLink(),
      connected: () => NAMES.map((_, n) => n).filter((n) => n !== number && !wires.isCut(number, n)),
      onConnect: (listener) => {
        this.connected = listener;
      },
      onDisconnect: (listener) => {
        this.disconnected = listener;
      },
      onRequest: (topic, handler) => this.#handlers.set(topic, handler),
      request: async (member, topic, body) => {
        wires.requestCount += 1;
        await Promise.resolve();
        if (wires.losses > 0) {
          wires.losses -= 1;
          return undefined;
        }
        if (wires.isCut(number, member)) return undefined;
        return wires.ends[member]?.receive(number, topic, body);
      },
    };
  }

  receive(from: number, topic: string, body: Uint8Array) {
    return this.#handlers.get(topic)?.(from, body);
  }
}

/** Three members that each probe in their own way, and share. */
class Cluster {
  readonly clock = new ManualClock();
  readonly wires = new Wires();
  readonly healths: EndpointHealth[] = [];
  readonly exchanges: VerdictExchange[] = [];
  /** Verdicts that each member told the others. */
  readonly told: string[][] = NAMES.map(() => []);

  constructor() {
    const directory = { nameOf: (number: number) => NAMES[number] as string } as MemberDirectory;
    for (const n of NAMES.keys()) {
      const health = new EndpointHealth(() => QUORUM);
      const { link } = new End(this.wires, n);
      const exchange = new VerdictExchange(link, directory, {
        setOtherVerdict: (member, endpoint, verdict, speaks) =>
          health.setOther(member, endpoint, verdict, this.clock.nowMs(), speaks),
      });
      health.onVerdict((change) => {
        this.told[n]?.push(change.verdict ?? "none");
        exchange.tell(change);
      });
      this.healths.push(health);
      this.exchanges.push(exchange);
    }
  }

  async say(n: number, verdict: "up" | "down" | undefined, speaks = false): Promise<void> {
    this.clock.advance(1);
    this.healths[n]?.setOwn(ENDPOINT, verdict, "so it seems", this.clock.nowMs(), false, speaks);
    await settled();
  }

  /** Since when each member presumes the endpoint dead. */
  dead(): boolean[] {
    return this.healths.map((health) => health.downSinceMs(ENDPOINT, 0) !== undefined);
  }
}

async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

test("where SCTP answers somebody, no other check makes an endpoint dead; what is not asked any more has no say", async () => {
  const cluster = new Cluster();
  for (const n of NAMES.keys()) await cluster.say(n, "up");
  for (const n of NAMES.keys()) await cluster.say(n, "down", true);
  assert.deepEqual(cluster.dead(), [false, false, false]);
  assert.ok(
    cluster.healths.every((health) => !health.isUp(ENDPOINT)),
    "it takes nothing new",
  );
  for (const n of [0, 1]) await cluster.say(n, "down", false);
  assert.deepEqual(cluster.dead(), [false, false, false], "the third one's SCTP is answered");
  await cluster.say(2, "down", false);
  assert.deepEqual(cluster.dead(), [true, true, true]);
  for (const n of NAMES.keys()) await cluster.say(n, undefined);
  assert.deepEqual(cluster.dead(), [false, false, false]);
  assert.ok(cluster.healths.every((health) => health.isUp(ENDPOINT)));
});

test("an endpoint is dead when a majority says so and nobody reaches it", async () => {
  const cluster = new Cluster();
  const suspected: string[] = [];
  for (const [n, health] of cluster.healths.entries())
    health.onSuspicion(() => suspected.push(NAMES[n] as string));
  for (const n of NAMES.keys()) await cluster.say(n, "up");
  await cluster.say(0, "down");
  assert.deepEqual(cluster.dead(), [false, false, false], "one of three");
  assert.deepEqual(suspected, ["b", "c"], "what one found, the others look at at once");
  assert.deepEqual(
    cluster.healths.map((health) => health.isUp(ENDPOINT)),
    [false, true, true],
    "selection follows what a member sees itself",
  );
  await cluster.say(1, "down");
  assert.deepEqual(cluster.dead(), [false, false, false], "associations pass through c");
  await cluster.say(2, "down");
  assert.deepEqual(cluster.dead(), [true, true, true]);
  await cluster.say(1, "up");
  assert.deepEqual(cluster.dead(), [false, false, false], "it answers one of them: nobody is told");
});

test("a member that is cut off counts no more, and says what it thinks when it is back", async () => {
  const cluster = new Cluster();
  await cluster.say(0, "down");
  await cluster.say(1, "down");
  cluster.wires.cut(0, 1);
  cluster.wires.cut(0, 2);
  assert.deepEqual(cluster.dead(), [false, false, false], "two of three, but they cannot know of each other");
  await cluster.say(2, "down");
  assert.deepEqual(
    cluster.dead(),
    [false, true, true],
    "the majority's side decides, the lone member does not",
  );
  await cluster.say(0, "up");
  cluster.wires.heal(0, 1);
  cluster.wires.heal(0, 2);
  await settled();
  assert.deepEqual(cluster.dead(), [false, false, false], "and that one reaches it");
  await cluster.say(0, "down");
  assert.deepEqual(cluster.dead(), [true, true, true]);
});

test("a message that is lost is sent again with what is true then", async () => {
  const cluster = new Cluster();
  cluster.wires.cut(0, 2);
  cluster.wires.losses = 1;
  cluster.healths[1]?.setOwn(ENDPOINT, "down", "silent", 0);
  const lost = cluster.healths[0] as EndpointHealth;
  cluster.wires.losses = 1;
  lost.setOwn(ENDPOINT, "down", "silent", 0);
  lost.setOwn(ENDPOINT, "up", "answers", 0);
  await settled();
  assert.deepEqual(cluster.dead(), [false, false, false]);
  cluster.wires.losses = 2;
  await cluster.say(0, "down");
  assert.equal(cluster.dead()[1], true, "the third try arrives");
  cluster.wires.losses = 1_000;
  const before = cluster.wires.requestCount;
  await cluster.say(0, "up");
  assert.equal(cluster.wires.requestCount - before, 3, "then the next connection must make it good");
  assert.equal(cluster.dead()[1], true);
  cluster.wires.losses = 0;
  cluster.wires.cut(0, 1);
  cluster.wires.heal(0, 1);
  await settled();
  assert.equal(cluster.dead()[1], false);
});

test("messages that are no verdicts change nothing; endpoints that no service has are forgotten", async () => {
  const cluster = new Cluster();
  await cluster.say(1, "down");
  const send = (body: unknown) =>
    cluster.wires.ends[1]?.receive(0, "verdicts", new TextEncoder().encode(JSON.stringify(body)));
  const bad: unknown[] = [
    null,
    7,
    {},
    [null],
    [{ ...ENDPOINT, verdict: "dead" }],
    [{ address: 1, port: 7_000, verdict: "down" }],
    [{ address: ENDPOINT.address, port: "7000", verdict: "down" }],
  ];
  for (const body of bad) assert.equal((send(body) as Uint8Array).length, 0);
  cluster.wires.ends[1]?.receive(0, "verdicts", Uint8Array.of(0xff, 0xfe));
  assert.deepEqual(cluster.dead(), [false, false, false]);
  send([null, { ...ENDPOINT, verdict: "down" } satisfies SharedVerdict]);
  assert.deepEqual(cluster.dead(), [false, true, false], "the good one among them counts");
  cluster.exchanges[1]?.retain([]);
  const before = cluster.wires.requestCount;
  cluster.wires.ends[1]?.connected(2);
  await settled();
  assert.equal(cluster.wires.requestCount, before, "nothing to say to a member that connects");
});

test("an endpoint that comes and goes makes fewer and fewer verdicts, and no member's death follows a single one", async () => {
  const cluster = new Cluster();
  const wires = NAMES.map(() => new Endpoint());
  const probers = wires.map(
    (channel, n) =>
      new HealthProber({
        channel,
        clock: cluster.clock,
        random: seededRandom(n + 1),
        settings: { periodMs: 250, timeoutMs: 100, downCount: 2, upCount: 1 },
        verdict: (endpoint, verdict, reason, gone) =>
          cluster.healths[n]?.setOwn(endpoint, verdict, reason, cluster.clock.nowMs(), gone),
      }),
  );
  for (const prober of probers) prober.setEndpoints([ENDPOINT]);
  const pass = async (ms: number) => {
    for (let i = 0; i < ms; i += 50) {
      cluster.clock.advance(50);
      await settled();
    }
  };
  await pass(500);
  assert.deepEqual(cluster.told, [["up"], ["up"], ["up"]]);
  // Member a alone loses it, over and over: a second away, a second there.
  for (let i = 0; i < 30; i++) {
    (wires[0] as Endpoint).answers = i % 2 === 1;
    await pass(1_000);
    assert.deepEqual(cluster.dead(), [false, false, false]);
  }
  const [flapping, ...calm] = cluster.told;
  assert.deepEqual(calm, [["up"], ["up"]]);
  // Of thirty changes: down, up after two answers, down, up after four; then a second is too short to come
  // back.
  assert.deepEqual(flapping, ["up", "down", "up", "down", "up", "down"]);
  for (const prober of probers) prober.stop();
});

/** What a member's probes meet: answers at once, or silence. */
class Endpoint implements ProbeChannel {
  answers = true;
  #packet: (packet: Uint8Array) => void = () => {};

  send(_to: Address, bytes: Uint8Array): boolean {
    if (!this.answers) return true;
    const packet = parsePacket(bytes) as Packet;
    const { initiateTag } = parseInit(packet.chunks[0] as never) as { initiateTag: number };
    this.#packet(
      encodePacket({
        sourcePort: packet.destinationPort,
        destinationPort: packet.sourcePort,
        verificationTag: initiateTag,
        chunks: [encodeInitAck({ initiateTag: 9 })],
      }),
    );
    return true;
  }

  onPacket(listener: (packet: Uint8Array) => void): void {
    this.#packet = listener;
  }

  onUnreachable(): void {}

  close(): void {}
}

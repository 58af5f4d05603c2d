// Hosts whose lists lead nowhere, with the timers that stacks are delivered with (RFC 9260 §16: RTO.Initial 1 s, Linux and older
// ones 3 s, HB.interval 30 s): three forwarders over one replicated table, VIPs that move between them, minutes of a manual
// clock. The rule of docs/decisions/0251: a path is confirmed at the endpoint's second HEARTBEAT at the latest, and stays so.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ClientHost,
  Cluster,
  ENDPOINT,
  ENDPOINT_PORT,
  EndpointHost,
  SERVICE_PORT,
  serviceOf,
} from "@holdfast/forwarder/testing";
import { type Address, seededRandom } from "@holdfast/model";
import { CHUNK } from "@holdfast/sctp";

const SEED_COUNT = 40;
const VIPS: readonly Address[] = ["203.0.113.1", "198.51.100.1", "192.88.99.1", "203.0.113.129"];
const HEARTBEAT_INTERVAL_MS = 30_000;
const MINUTES = 8;
const MEMBER_COUNT = 3;

/** From which of its addresses a client answers, and begins. */
const HABITS = ["addressed", "first", "any"] as const;

interface Path {
  readonly vip: Address;
  /** HEARTBEATs that the endpoint has sent, and which of them was answered first. */
  sent: number;
  confirmedAt: number | undefined;
}

class World {
  readonly random: ReturnType<typeof seededRandom>;
  readonly cluster: Cluster;
  readonly client: ClientHost;
  readonly endpoint = new EndpointHost(ENDPOINT_PORT, 0, 0x2222_0001);
  /** Addresses that the client has, and what it lists beside them. */
  readonly own: readonly Address[];
  readonly nowhere: readonly Address[];
  readonly habit: (typeof HABITS)[number];
  readonly rtoMs: number;
  readonly paths: Path[] = [];
  readonly story: string[] = [];

  constructor(seed: number) {
    this.random = seededRandom(seed);
    const { random } = this;
    const vips = VIPS.slice(0, 2 + random.below(3));
    this.cluster = new Cluster(MEMBER_COUNT, { services: [serviceOf({ vips })] });
    this.client = new ClientHost(36_000, SERVICE_PORT, 0x1111_0001);
    this.own = Array.from({ length: 1 + random.below(3) }, (_, i): Address => `100.${80 + i}.1.10`);
    this.nowhere = Array.from(
      { length: 1 + random.below(4) },
      (_, i): Address =>
        // Some look as if they were near a VIP, and are paired with it.
        random.below(3) === 0 ? `198.51.${200 + i}.9` : `172.${17 + i}.0.1`,
    );
    this.habit = HABITS[random.below(HABITS.length)] as (typeof HABITS)[number];
    this.rtoMs = random.below(2) === 0 ? 1_000 : 3_000;
    for (const vip of vips) this.paths.push({ vip, sent: 0, confirmedAt: undefined });
  }

  /** Who has the VIP now: deaths and moves as they come. */
  #owner() {
    return this.cluster.rig(this.random.below(MEMBER_COUNT));
  }

  #sourceFor(addressed: Address): Address {
    if (this.habit === "addressed") return addressed;
    return this.own[this.habit === "first" ? 0 : this.random.below(this.own.length)] as Address;
  }

  async establish(): Promise<void> {
    const { own, nowhere, random } = this;
    const mixed = [...own, ...nowhere].map((address) => ({ address, order: random.below(1 << 20) }));
    const listed = mixed.sort((a, b) => a.order - b.order).map(({ address }) => address);
    const route = {
      source: own[random.below(own.length)] as Address,
      destination: VIPS[0] as Address,
    } as const;
    const { client, endpoint } = this;
    const init = await this.#owner().one(client.init(route, listed));
    client.acceptInitAck(await this.#owner().one(endpoint.initAck(init)));
    const echo = await this.#owner().one(client.cookieEcho(route));
    await this.#owner().one(endpoint.cookieAck({ source: ENDPOINT, destination: echo.source }));
  }

  /** One HEARTBEAT of the endpoint, and what comes of it. */
  async probe(path: Path): Promise<void> {
    path.sent += 1;
    const heartbeat = this.endpoint.heartbeat({ source: ENDPOINT, destination: path.vip }, path.sent);
    const seen = await this.#owner().one(heartbeat);
    this.story.push(`${path.vip} #${path.sent} to ${seen.destination}`);
    if (!this.own.includes(seen.destination)) {
      assert.equal(path.confirmedAt, undefined, `lost again\n${this.story.join("\n")}`);
      return;
    }
    const source = this.#sourceFor(seen.destination);
    const [ack] = await this.#owner().pass(
      this.client.heartbeatAck({ source, destination: path.vip }, path.sent),
    );
    assert.deepEqual([ack?.types, ack?.source], [[CHUNK.HEARTBEAT_ACK], path.vip]);
    path.confirmedAt ??= path.sent;
  }

  /** The client's own HEARTBEATs, by its habit. */
  async clientProbe(vip: Address): Promise<void> {
    const source = this.#sourceFor(this.own[this.random.below(this.own.length)] as Address);
    await this.#owner().pass(this.client.heartbeat({ source, destination: vip }, 99));
  }
}

test(`${SEED_COUNT} hosts with lists that lead nowhere, ${MINUTES} minutes each`, async () => {
  let late = 0;
  let moved = 0;
  for (let seed = 1; seed <= SEED_COUNT; seed++) {
    const world = new World(seed);
    const { cluster, paths, random, rtoMs } = world;
    await world.establish();
    const clientSpeaks = random.below(2) === 0;
    const endMs = cluster.clock.nowMs() + MINUTES * 60_000;
    // RFC 9260 §5.4: an unconfirmed path is probed once an RTO; usrsctp waits for the interval, too.
    const patient = random.below(2) === 0;
    while (cluster.clock.nowMs() < endMs) {
      for (const path of paths) {
        await world.probe(path);
        if (clientSpeaks && random.below(3) === 0) await world.clientProbe(path.vip);
        if (path.sent === 2)
          assert.ok(
            (path.confirmedAt ?? 3) <= 2,
            `seed ${seed}: ${path.vip} is not confirmed at the second HEARTBEAT\n${world.story.join("\n")}`,
          );
      }
      const isUp = paths.every(({ confirmedAt }) => confirmedAt !== undefined);
      const pauseMs = isUp || patient ? HEARTBEAT_INTERVAL_MS + rtoMs : rtoMs;
      cluster.clock.advance(pauseMs / 2 + random.below(pauseMs));
    }
    late += paths.filter(({ confirmedAt }) => confirmedAt === 2).length;
    moved += world.story.length;
    for (const rig of cluster.rigs) assert.deepEqual(Object.keys(rig.drops()), [], `seed ${seed}`);
  }
  // A simulation in which every list leads somewhere proves nothing.
  assert.ok(late > SEED_COUNT / 2, `${late} paths needed the second HEARTBEAT, of ${moved} sent`);
});

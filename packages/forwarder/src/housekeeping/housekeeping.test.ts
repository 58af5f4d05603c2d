// Time-outs without a packet.
import assert from "node:assert/strict";
import { test } from "node:test";
import { isLiving, isPlainEnded, PROTOCOL_UDP } from "@holdfast/model";
import { ManualClock } from "@holdfast/model/testing";
import { SimulatedFastPath } from "../fast-path/simulated/simulated-fast-path.ts";
import { LIMITS_DEFAULT } from "../limits.ts";
import { ClientHost, EndpointHost } from "../testing/hosts.ts";
import { CLIENT as PLAIN_CLIENT, PlainRig, PORT, plainService, udpPacket, VIP } from "../testing/plain.ts";
import {
  CLIENT,
  CLIENT_PORT,
  ENDPOINT_PORT,
  Rig,
  SERVICE_PORT,
  serviceOf,
  settled,
  VIPS,
} from "../testing/rig.ts";

const IDLE_TIMEOUT_S = 600;
const VIP0 = VIPS[0] as (typeof VIPS)[number];
const services = [serviceOf({ idleTimeoutS: IDLE_TIMEOUT_S })];

const livingIn = ({ table }: Rig) => [...table.values()].filter(isLiving).length;

/** In steps, so that housekeeping visits everything on its way. */
async function pass(clock: { advance(ms: number): void }, ms: number): Promise<void> {
  for (let passedMs = 0; passedMs < ms; passedMs += 10_000) {
    clock.advance(10_000);
    await settled();
  }
}

test("an idle association ends, but not by a member that joins or was removed: it hears of nobody's packets", async () => {
  let ready = true;
  const rig = new Rig({ services, isReady: () => ready });
  await rig.establish();
  ready = false;
  await pass(rig.clock, 3 * IDLE_TIMEOUT_S * 1_000);
  assert.equal(livingIn(rig), 1);
  ready = true;
  await pass(rig.clock, 20_000);
  assert.equal(livingIn(rig), 0);
  assert.equal(rig.event("sessions-idle"), 1);
});

test("a handshake of a member that died ends, but not by a member that joins or was removed", async () => {
  const dead = new Rig({ services });
  const client = new ClientHost(CLIENT_PORT, SERVICE_PORT, 0x51);
  const endpoint = new EndpointHost(ENDPOINT_PORT, 0, 0x61);
  const init = await dead.one(client.init({ source: CLIENT, destination: VIP0 }));
  await dead.pass(endpoint.initAck(init));
  let ready = false;
  const rig = new Rig({ services, isReady: () => ready });
  for (const record of dead.table.values()) rig.table.joinRemote(record);
  assert.equal(livingIn(rig), 1);
  await pass(rig.clock, 4 * LIMITS_DEFAULT.handshakeTimeoutMs);
  assert.equal(livingIn(rig), 1);
  ready = true;
  await pass(rig.clock, 20_000);
  assert.equal(livingIn(rig), 0);
});

/** With so many flows that a sweep takes long. */
class Crowded extends SimulatedFastPath {
  turnCount = 0;
  readonly #turnsOfSweep: number;

  constructor(nowMs: () => number, sweepMs: number) {
    super({ nowMs });
    this.#turnsOfSweep = sweepMs / LIMITS_DEFAULT.tickPeriodMs;
  }

  override sweep(...[cursor, visit]: Parameters<SimulatedFastPath["sweep"]>): unknown {
    this.turnCount += 1;
    if (this.turnCount % this.#turnsOfSweep !== 0) return "on the way";
    return super.sweep(cursor === "on the way" ? undefined : cursor, visit);
  }
}

test("an association that is in use is not taken for silent when sweeps take long", async () => {
  const clock = new ManualClock();
  const fastPath = new Crowded(() => clock.nowMs(), 2 * IDLE_TIMEOUT_S * 1_000);
  const rig = new Rig({ services, clock, fastPath });
  const { client } = await rig.establish();
  for (let i = 0; i < 200; i++) {
    await rig.one(client.data({ source: CLIENT, destination: VIP0 }));
    await pass(clock, 30_000);
  }
  assert.deepEqual([livingIn(rig), rig.event("sessions-idle")], [1, 0]);
  await pass(clock, 6 * IDLE_TIMEOUT_S * 1_000);
  assert.equal(livingIn(rig), 0);
});

test("a replicated flow of UDP likewise", async () => {
  let ready = true;
  const rig = new PlainRig({ services: [plainService(PROTOCOL_UDP)], isReady: () => ready });
  const living = () => rig.records().filter((record) => !isPlainEnded(record)).length;
  const ends = { source: PLAIN_CLIENT, sourcePort: 40_000, destination: VIP, destinationPort: PORT };
  for (let i = 0; i < 20; i++) {
    await rig.one(udpPacket(ends, "?"));
    rig.clock.advance(1_000);
  }
  assert.deepEqual([living(), rig.view.size], [1, 1], "it is replicated");
  ready = false;
  await pass(rig.clock, 1_000_000);
  assert.equal(living(), 1);
  ready = true;
  await pass(rig.clock, 20_000);
  assert.equal(living(), 0);
});

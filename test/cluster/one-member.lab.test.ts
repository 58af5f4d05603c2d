import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { CHUNK, encodeHeartbeat } from "@holdfast/sctp";
import {
  brief,
  hasChunk,
  PATH_NETWORKS,
  type Peer,
  RawHost,
  SERVICE_PORT,
  sctpPacket,
  until,
} from "@holdfast/testkit";
import { Scene } from "./scene.ts";

/**
 * One with two addresses, one with three, and enough with one that ten use the same port toward one endpoint.
 */
const CLIENTS = [1, 2, 3, 1, 1, 1, 1, 1, 1, 1];

test("one member: ten clients with one port, every address to every VIP, a restart, and a daemon that dies and returns", async (t) => {
  // Ten unanswered heartbeats on four paths are three seconds: an endpoint that gives up by then sees no
  // restart.
  await Scene.play({ clients: CLIENTS, rate: 25, assocMaxRetrans: 200 }, async (scene) => {
    await t.test("ten clients with the same port live side by side", async () => {
      await scene.confirmed();
      const sessions = await scene.sessions();
      assert.equal(sessions.length, CLIENTS.length);
      assert.equal(new Set(sessions.map(({ natPort }) => natPort)).size, CLIENTS.length);
      assert.equal(new Set(sessions.map(({ clientPort }) => clientPort)).size, 1);
    });
    await t.test("every client address reaches the endpoint through every VIP, and is answered", () =>
      everyWay(scene),
    );
    await t.test("a client that died starts again from its port", () => startAgain(scene));
    await t.test("the daemon dies and returns, and not one packet is missing", () => adopt(scene));
    await t.test(
      "a version with another layout of the maps takes over and gives back, and not one packet is missing",
      () => changeLayout(scene),
    );
    await scene.judge({ restarted: [0] });
  });
});

/**
 * HEARTBEATs from each of three addresses to each of four VIPs, in the living association of the third
 * client.
 */
async function everyWay(scene: Scene): Promise<void> {
  const { cluster } = scene;
  const addresses = cluster.clientAddresses(2);
  const packets = () => scene.atClients.filter((c) => c.host.name === "c3").flatMap((c) => c.packets());
  const sample = packets().find(
    ({ destination, sctp }) =>
      cluster.vips.includes(destination) && sctp !== undefined && sctp.verificationTag !== 0,
  );
  assert.ok(sample?.sctp);
  const { verificationTag, sourcePort } = sample.sctp;
  const raw = new RawHost(cluster.clients[2] as never);
  const marks: { mark: Buffer; vip: string }[] = [];
  for (const [i, source] of addresses.entries()) {
    for (const [j, vip] of cluster.vips.entries()) {
      const mark = Buffer.from(`way ${i} by ${j}.......`);
      marks.push({ mark, vip });
      raw.send(
        sctpPacket({ source, destination: vip, sourcePort, destinationPort: SERVICE_PORT }, verificationTag, [
          encodeHeartbeat(mark),
        ]),
      );
    }
  }
  assert.equal(marks.length, 12);
  const missing = () => {
    const up = scene.atEndpoints.flatMap((capture) => capture.packets());
    const down = packets();
    const has = (list: typeof up, source: string, type: number, mark: Buffer) =>
      list.some(
        (p) => p.source === source && hasChunk(p, type) && Buffer.from(p.sctp?.bytes ?? []).includes(mark),
      );
    return marks
      .filter(
        ({ mark, vip }) => !has(up, vip, CHUNK.HEARTBEAT, mark) || !has(down, vip, CHUNK.HEARTBEAT_ACK, mark),
      )
      .map(({ mark }) => mark.toString());
  };
  await until("every way to be answered", () => missing().length === 0, 5_000, 50).catch(() =>
    assert.deepEqual(missing(), [], "ways without an answer"),
  );
}

async function startAgain(scene: Scene): Promise<void> {
  const { cluster } = scene;
  const before = await scene.sessions();
  // Killed: it says nothing to anybody.
  await (scene.clients[0] as Peer).kill();
  // A stack that starts would answer what the dead one left with ABORTs, and the endpoint forget: not a
  // restart.
  const again = await cluster.startClient(0, { rate: 25, size: 200, blackhole: true });
  scene.clients[0] = again;
  await again.established(1);
  await until("the endpoint to see a restart", async () =>
    (await Promise.all(scene.servers.map((s) => s.serverFigures()))).some((f) => f.restarts === 1),
  );
  await scene.confirmed();
  await scene.flowing(10);
  const after = await scene.sessions();
  assert.deepEqual(
    after.map(({ natPort }) => natPort).sort(),
    before.map(({ natPort }) => natPort).sort(),
    "the restarted one keeps its NAT port",
  );
}

/**
 * Two upgrades of the data plane without a daemon that was asked: to a build whose maps look otherwise, and
 * from it.
 */
async function changeLayout(scene: Scene): Promise<void> {
  const [member] = scene.cluster.members;
  assert.ok(member);
  const fromMs = Date.now();
  await member.killDaemon();
  await scene.flowing(20);
  const program = fileURLToPath(new URL("./other-layout.ts", import.meta.url));
  const words = [
    "--disable-warning=ExperimentalWarning",
    program,
    member.pinDirectory,
    scene.cluster.lab.directory,
  ];
  member.host.run(process.execPath, [...words, ...PATH_NETWORKS, "core"]);
  await scene.flowing(20);
  await member.start();
  await scene.flowing(20);
  assert.match(member.log(), /the pinned maps are of another layout: what they hold was moved over/);
  const untilMs = Date.now() - 100;
  assert.deepEqual(scene.swallowed(fromMs, untilMs).map(brief), []);
}

async function adopt(scene: Scene): Promise<void> {
  const [member] = scene.cluster.members;
  assert.ok(member);
  const ids = (await scene.sessions()).map(({ id }) => id).sort();
  for (let round = 0; round < 2; round++) {
    const killedAtMs = Date.now();
    await member.killDaemon();
    // Nobody else could answer for the VIPs: the data plane does.
    for (const host of [...scene.cluster.clients, ...scene.cluster.endpoints]) host.ip("neigh flush all");
    await scene.flowing(20);
    await member.start();
    await scene.flowing(20);
    await until("the daemon to know them all", async () => {
      const now = (await scene.sessions()).map(({ id }) => id).sort();
      return now.length === ids.length && now;
    }).then((now) => assert.deepEqual(now, ids));
    const untilMs = Date.now() - 100;
    assert.deepEqual(scene.swallowed(killedAtMs, untilMs).map(brief), []);
  }
}

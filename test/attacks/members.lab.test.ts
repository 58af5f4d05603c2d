import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, addressBytes, seededRandom } from "@holdfast/model";
import { encodeIp, internetChecksum, pseudoHeaderSum, write16 } from "@holdfast/sctp";
import { RawHost, runInside } from "@holdfast/testkit";
import { Scene } from "../cluster/scene.ts";

const REPLICATION_PORT = 7_081;
const PROBE_PORT = 7_082;
const UDP = 17;

/** A UDP datagram from anybody. */
function datagram(source: Address, destination: Address, payload: Uint8Array): Uint8Array {
  const udp = new Uint8Array(8 + payload.length);
  write16(udp, 0, PROBE_PORT);
  write16(udp, 2, PROBE_PORT);
  write16(udp, 4, udp.length);
  udp.set(payload, 8);
  const [from, to] = [addressBytes(source), addressBytes(destination)];
  write16(udp, 6, internetChecksum(udp, 0, udp.length, pseudoHeaderSum(from, to, udp.length, UDP)) || 0xffff);
  return encodeIp({ source: from, destination: to, payload: udp, protocol: UDP });
}

test("somebody on the cluster's networks lies to two members", async (t) => {
  await Scene.play({ members: 2, clients: [2, 1], rate: 40 }, async (scene) => {
    const { cluster } = scene;
    const [m1, m2] = cluster.members as [(typeof cluster.members)[0], (typeof cluster.members)[0]];
    await scene.confirmed();
    const before = await cluster.settled();
    const random = seededRandom(5);
    await t.test("probes in a member's name with a wrong secret, and garbage", async () => {
      const raw = new RawHost(cluster.clients[0] as (typeof cluster.clients)[0], { quiet: false });
      const [from, to] = [
        m2.host.addresses("path-a")[0] as Address,
        m1.host.addresses("path-a")[0] as Address,
      ];
      for (let n = 0; n < 3_000; n++) {
        const payload = random.bytes(48 + random.below(400));
        // Magic, version, kind, and both numbers right: only the tag is not.
        if (n % 2 === 0) payload.set([0x48, 0x46, 2, 1 + (n % 5), 0, 1, 0, 0]);
        raw.send(datagram(from, to, payload), "path-a");
      }
      await scene.flowing(20);
      assert.deepEqual(await cluster.owners(m1), before);
    });
    await t.test("garbage, half a handshake and silence at the replication port", async () => {
      const to = m1.host.addresses("cluster")[0] as Address;
      const script = `
        import { connect } from "node:net";
        import { randomBytes } from "node:crypto";
        const waits = [];
        for (let n = 0; n < 60; n++) waits.push(new Promise((resolve) => {
          const socket = connect(${REPLICATION_PORT}, ${JSON.stringify(to)}, () => {
            if (n % 3 === 0) socket.write(randomBytes(5000));
            if (n % 3 === 1) socket.write("GET / HTTP/1.1\\r\\nupgrade: websocket\\r\\n\\r\\n");
            setTimeout(() => { socket.destroy(); resolve(); }, 300);
          });
          socket.on("error", () => resolve());
          socket.on("data", () => {});
        }));
        await Promise.all(waits);
        process.exit(0);`;
      runInside(m2.host.namespace, process.execPath, ["--input-type=module", "-e", script]);
      await scene.flowing(20);
      assert.deepEqual(await cluster.owners(m1), before);
      assert.match(m1.log(), /refused/i);
    });
    await scene.judge();
  });
});

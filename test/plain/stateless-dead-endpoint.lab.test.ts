// Real stacks: an endpoint falls silent while offers of connections to it are out. What took one of them goes
// to the other endpoint once it is called down, what begins then goes there at once, and no NAT port stays
// behind.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { MEMBER_NUMBER_COUNT_DEFAULT, PROTOCOL_TCP } from "@holdfast/model";
import { type Host, startCapture, until } from "@holdfast/testkit";
import { ACK, SYN } from "../conformance/plain/segments.ts";
import { PlainScene, PORT, VIP } from "./scene.ts";

const TCP = 20;
const OFFER_COUNT = 64;
const ENDPOINT_PORT = 7_777;
/** Those below are probes'. */
const NAT_PORT_MIN = 1_024;
const NAT_PORT_COUNT = 64_512 / MEMBER_NUMBER_COUNT_DEFAULT;
/** Of connections that are open, or were closed within the last minute; percents are whole. */
const LEFT_COUNT_MAX = 5 * TCP + 0.005 * NAT_PORT_COUNT;

test("stateless TCP: an endpoint dies while offers for it are out", async (t) => {
  const options = {
    ...{ members: 1, endpoints: 2, tcpCount: TCP, udpCount: 1 },
    tcp: { stateless: true, selection: "roundRobin" },
  };
  await PlainScene.play(options, async ({ cluster }) => {
    const [member] = cluster.members;
    const [dead] = cluster.endpoints;
    const [client] = cluster.clients;
    assert.ok(member && dead && client);
    const size = (table: string) => member.metric(`holdfast_slow_path_size{table="${table}"}`);
    await until("offers", async () => (await size("tcp-offers")) >= OFFER_COUNT);
    dead.run("nft", ["add table ip dead; add chain ip dead in { type filter hook input priority 0; };"]);
    dead.run("nft", [`add rule ip dead in tcp dport ${ENDPOINT_PORT} drop`]);
    const capture = await startCapture(cluster.lab, dead, "core", "tcp or icmp");
    const begun = (sinceMs: number) =>
      capture
        .packets()
        .filter(
          ({ source, protocol, wallMs, payload }) =>
            source === VIP && protocol === PROTOCOL_TCP && wallMs >= sinceMs && isNewcomers(payload),
        );
    await connectAll(client);
    await capture.flush();
    assert.ok(begun(0).length > 0, "no offer for it was taken");
    assert.match(member.log(), /endpoint is down/);
    await until("what was begun to be over or open", async () => (await size("tcp-offered-flows")) === 0);
    const sinceMs = performance.timeOrigin + performance.now();
    await until("offers", async () => (await size("tcp-offers")) >= OFFER_COUNT);
    await connectAll(client);
    await capture.flush();
    assert.equal(begun(sinceMs).length, 0, "SYNs to the dead one");
    let inUse = Number.NaN;
    await until("the NAT ports to be free", async () => {
      const percent = await size("tcp-nat-ports-percent");
      inUse = (percent / 100) * NAT_PORT_COUNT - (await size("tcp-offers"));
      return inUse <= LEFT_COUNT_MAX;
    });
    t.diagnostic(`about ${Math.round(inUse)} NAT ports are in use beside offers`);
    await capture.stop();
  });
});

/** A SYN that is no probe's. */
function isNewcomers(segment: Uint8Array): boolean {
  const view = new DataView(segment.buffer, segment.byteOffset, segment.byteLength);
  if (view.getUint16(2) !== ENDPOINT_PORT) return false;
  return view.getUint16(0) >= NAT_PORT_MIN && (view.getUint8(13) & (SYN | ACK)) === SYN;
}

/** Connections of the host's stack, each of which has its question answered. */
async function connectAll(host: Host): Promise<void> {
  const code = `
    const connect = () => new Promise((resolve, reject) => {
      const socket = require("node:net").connect(${PORT}, "${VIP}", () => socket.write("1:1\\n"));
      socket.once("data", resolve);
      socket.once("error", reject);
    });
    Promise.all(Array.from({ length: ${TCP} }, connect)).then(() => process.exit(0), (error) => {
      console.error(error.message);
      process.exit(1);
    });`;
  const child = host.spawn(process.execPath, ["-e", code]);
  const [status] = await once(child, "exit");
  assert.equal(status, 0, "a connection did not come about");
}

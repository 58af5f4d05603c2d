// Real stacks: an endpoint's host says that it cannot be reached while probes call it up. Its clients' SYNs
// go to the other endpoint at once; when none is left the client is told.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Host } from "@holdfast/testkit";
import { PlainScene, PORT, VIP } from "./scene.ts";

const TCP = 40;
/** Ticks of a second and three follow a lost SYN: who waits for them has not gone elsewhere at once. */
const CONNECT = `
  const begun = performance.now();
  const socket = require("node:net").connect(${PORT}, "${VIP}");
  const done = (what) => { console.log(what); process.exit(0); };
  socket.on("connect", () => done("connected"));
  socket.on("error", (error) => done(error.code));
`;

function refuse(host: Host | undefined): void {
  // Linux tells one host of six refusals, and then of one a second: the others' SYNs would come again, after
  // one second, three, seven, fifteen.
  host?.run("sysctl", ["-q", "-w", "net.ipv4.icmp_ratelimit=0"]);
  const rule = "tcp dport 7777 reject with icmp port-unreachable";
  host?.run("nft", ["add table ip away; add chain ip away in { type filter hook input priority 0; };"]);
  host?.run("nft", [`add rule ip away in ${rule}`]);
}

test("ICMP about a SYN: another endpoint has it, or the client is told", async () => {
  const options = {
    ...{ members: 1, endpoints: 2, tcpCount: TCP, udpCount: 1 },
    tcp: { healthCheck: { kind: "ping" }, selection: "roundRobin" },
    prepare: ({ endpoints }: { readonly endpoints: readonly Host[] }) => refuse(endpoints[0]),
  };
  await PlainScene.play(options, async ({ cluster, client }) => {
    const { connected, resets, wrong } = await client.flowing(TCP, 30_000, 1);
    assert.deepEqual({ connected, resets, wrong }, { connected: TCP, resets: 0, wrong: 0 });
    const [member] = cluster.members;
    const moved = await member?.metric('holdfast_slow_path_events_total{event="syns-moved"}');
    assert.ok(moved !== undefined && moved >= TCP / 4, `${moved} SYNs moved`);
    refuse(cluster.endpoints[1]);
    const told = cluster.clients[0]?.run(process.execPath, ["-e", CONNECT]);
    assert.equal(String(told).trim(), "ECONNREFUSED");
  });
});

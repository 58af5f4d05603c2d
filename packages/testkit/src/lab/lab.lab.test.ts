import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { startCapture } from "../capture/capture.ts";
import { STOCK_TIMERS, startClient, startServer } from "../peer/peer.ts";
import { until } from "../wait.ts";
import { Lab } from "./lab.ts";

test("two multi-homed peers talk without a balancer, over a cut and a heal, and the lab leaves nothing", async () => {
  const lab = new Lab();
  try {
    lab.network("a");
    lab.network("b");
    const client = lab.host("c", { a: ["10.1.0.10/24", "fd01::10/64"], b: ["10.2.0.10/24"] });
    const endpoint = lab.host("e", { a: ["10.1.0.20/24", "fd01::20/64"], b: ["10.2.0.20/24"] });
    const capture = await startCapture(lab, endpoint, "a", "sctp");
    const server = await startServer(endpoint, { local: ["10.1.0.20", "10.2.0.20"], port: 5000, echo: true });
    const peer = await startClient(client, {
      local: ["10.1.0.10", "10.2.0.10"],
      port: 40000,
      remote: "10.1.0.20",
      remotePort: 5000,
      rate: 100,
      associations: 2,
      id: 7,
    });
    await peer.established(2);
    await until("both paths confirmed", async () =>
      [...(await peer.paths()).values()].every(
        (paths) => paths.length === 2 && paths.every((p) => p.state === "active"),
      ),
    );
    client.cut("a");
    await until("the cut path to be seen", () =>
      peer.events.some((e) => e.event === "path" && e.state === "unreachable" && e.address === "10.1.0.20"),
    );
    client.heal("a");
    await until("the healed path to be seen", () =>
      peer.events.some((e) => e.event === "path" && e.state === "reachable" && e.address === "10.1.0.20"),
    );
    const figures = await peer.settle();
    const receipts = await server.receipts();
    assert.deepEqual(
      receipts.map((r) => r.client),
      [7, 8],
    );
    for (const figure of figures) {
      const receipt = receipts.find((r) => r.client === figure.id);
      assert.ok(figure.up && figure.lost === 0 && figure.ups === 1);
      assert.ok(figure.sent > 0);
      assert.equal(receipt?.received, figure.sent);
      assert.equal(receipt?.missing, 0);
    }
    await capture.stop();
    const packets = capture.packets();
    // Stacks may send the INIT from any of their addresses.
    const init = packets.find((p) => p.sctp?.chunks[0]?.type === 1);
    assert.ok(init !== undefined && ["10.1.0.10", "10.2.0.10"].includes(init.source));
    assert.ok(packets.every((p) => p.protocol === 132));
  } finally {
    await lab.close();
  }
  assert.deepEqual(
    readdirSync("/run/netns").filter((name) => name.startsWith(lab.id)),
    [],
  );
});

test("a peer notices that nobody is there, and does not try again", async () => {
  const lab = new Lab();
  try {
    lab.network("a");
    const client = lab.host("c", { a: ["10.1.0.10/24"] });
    const peer = await startClient(client, {
      local: ["10.1.0.10"],
      port: 40000,
      remote: "10.1.0.20",
      remotePort: 5000,
      rtoInitial: 50,
      rtoMax: 50,
      initMaxRetrans: 2,
    });
    await until("the refusal", () => peer.count("cannotStart") === 1);
    assert.equal((await peer.associations())[0]?.up, false);
  } finally {
    await lab.close();
  }
});

test("a stack on a clock that is ten times as fast gives up that much sooner, with the same timers", async () => {
  const lab = new Lab();
  try {
    lab.network("a");
    const host = lab.host("c", { a: ["10.1.0.10/24"] });
    const timers = { ...STOCK_TIMERS, rtoInitial: 2_000, rtoMax: 2_000, initMaxRetrans: 1 };
    const call = (port: number, clock: number) =>
      startClient(host, {
        local: ["10.1.0.10"],
        port,
        remote: "10.1.0.20",
        remotePort: 5000,
        ...timers,
        clock,
      });
    const [slow, fast] = await Promise.all([call(40_000, 1), call(41_000, 10)]);
    const tookMs = async (peer: typeof slow) => {
      await until("the refusal", () => peer.count("cannotStart") === 1);
      const at = (name: string) => peer.events.find(({ event }) => event === name)?.atMs ?? Number.NaN;
      return at("cannotStart") - at("ready");
    };
    // Two INITs, each unanswered for two seconds of the stack's own.
    assert.ok((await tookMs(fast)) * 3 < (await tookMs(slow)));
    assert.ok((await tookMs(fast)) > 300);
  } finally {
    await lab.close();
  }
});

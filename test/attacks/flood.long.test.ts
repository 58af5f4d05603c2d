// INITs of everybody as fast as one process sends them, for ten seconds, over an established association.
import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeInit } from "@holdfast/sctp";
import { SERVICE_PORT, sctpPacket } from "@holdfast/testkit";
import { drops, NEWCOMER, underAttack } from "./attack.ts";

const FLOOD_MS = 10_000;
const BURST_COUNT = 500;
/** The peers' largest time-out. */
const RTO_MAX_MS = 400;

test("a flood of spoofed INITs: no message lost, no gap beyond a time-out, newcomers get in, tables bounded", async (t) => {
  // The flood is not captured: it would be gigabytes, and what matters is the others' traffic.
  const capture = "sctp and not (ip[32] = 1 or ip[32] = 2)";
  await underAttack({ capture }, async ({ scene, raw, primary }) => {
    let sent = 0;
    const endMs = performance.now() + FLOOD_MS;
    const newcomer = scene.cluster.startClient(NEWCOMER, { port: 50_000, id: 500, rate: 20, size: 100 });
    while (performance.now() < endMs) {
      for (let n = 0; n < BURST_COUNT; n++, sent++) {
        const ends = {
          source: `100.${64 + ((sent >>> 16) & 63)}.${(sent >>> 8) & 255}.${sent & 255 || 1}`,
          destination: primary,
          sourcePort: 1_024 + (sent % 60_000),
          destinationPort: SERVICE_PORT,
        };
        raw.send(sctpPacket(ends, 0, [encodeInit({ initiateTag: 0x0100_0000 + sent })]), "path-a");
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    const client = await newcomer;
    await client.established(1, 15_000);
    scene.clients.push(client);
    await scene.flowing(20);
    const receipts = (await Promise.all(scene.servers.map((server) => server.receipts()))).flat();
    const gapMs = receipts.find((receipt) => receipt.client === 0)?.longestGapMs ?? Number.NaN;
    const refused = [...(await drops(scene))].filter(([, count]) => count > 0);
    t.diagnostic(`${sent} INITs in ${FLOOD_MS / 1_000} s, longest gap ${Math.round(gapMs)} ms`);
    t.diagnostic(`drops ${JSON.stringify(refused)}`);
    assert.ok(sent > 20_000, `only ${sent} INITs`);
    assert.ok(refused.length > 0, "a flood without a drop");
    assert.ok(gapMs < RTO_MAX_MS + 100, `the established association paused for ${gapMs} ms`);
  });
});

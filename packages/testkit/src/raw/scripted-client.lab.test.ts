import assert from "node:assert/strict";
import { test } from "node:test";
import { CHUNK, encodeAbort } from "@holdfast/sctp";
import { startCapture } from "../capture/capture.ts";
import { hasChunk } from "../capture/judge.ts";
import type { CapturedPacket } from "../capture/packet.ts";
import { Lab } from "../lab/lab.ts";
import { startServer } from "../peer/peer.ts";
import { until } from "../wait.ts";
import { RawHost } from "./raw-host.ts";
import { ScriptedClient } from "./scripted-client.ts";

for (const [family, client, endpoint] of [
  ["IPv4", "10.1.0.10", "10.1.0.20"],
  ["IPv6", "fd01::10", "fd01::20"],
] as const) {
  test(`a scripted client opens and ends an association with a real stack, ${family}`, async () => {
    const lab = new Lab();
    try {
      lab.network("a");
      const host = lab.host("c", { a: [`${client}/${family === "IPv4" ? 24 : 64}`] });
      const server = await startServer(lab.host("e", { a: [`${endpoint}/${family === "IPv4" ? 24 : 64}`] }), {
        local: [endpoint],
        port: 5000,
      });
      const raw = new RawHost(host);
      const capture = await startCapture(lab, host, "a", "sctp or icmp");
      const scripted = new ScriptedClient(raw, {
        port: 40_000,
        servicePort: 5000,
        addresses: [client],
        vips: [endpoint],
      });
      scripted.behave();
      await scripted.establish();
      await until("the endpoint to have it", () => server.count("up") === 1);
      scripted.sendData(Buffer.from("hello"));
      await scripted.answer(CHUNK.SACK);
      await scripted.answer(CHUNK.HEARTBEAT);
      await until("the HEARTBEAT to be answered", () =>
        raw.heard.some((p) => p.outgoing && p.sctp?.chunks[0]?.type === CHUNK.HEARTBEAT_ACK),
      );
      scripted.send([encodeAbort()]);
      await capture.flush();
      assert.ok(hasChunk(capture.packets().at(-1) as CapturedPacket, CHUNK.ABORT));
      await until("the endpoint to lose it", () => server.count("lost") === 1);
      const unreachable = family === "IPv4" ? 3 : 4; // RFC 792; RFC 4443 §3.4
      const icmp = raw.heard.filter((p) => p.protocol === 1 || p.protocol === 58);
      assert.ok(icmp.every((p) => p.payload[0] !== unreachable));
    } finally {
      await lab.close();
    }
  });
}

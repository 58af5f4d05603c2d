import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { type Init, parseInit } from "../wire/init.ts";
import { isMalformed } from "../wire/malformed.ts";
import { type Packet, parsePacket } from "../wire/packet.ts";
import { rewriteInit } from "./init.ts";

interface Golden {
  in: string;
  in_chunk_len: number;
  addrs_in: [number, string][];
  vips: string[];
  out: string;
}

const hex = (text: string) => new Uint8Array(Buffer.from(text, "hex"));
const ipv4 = (text: string) => Uint8Array.from(text.split("."), Number);

function parse(bytes: Uint8Array): { packet: Packet; init: Init } {
  const packet = parsePacket(bytes);
  assert.ok(!isMalformed(packet));
  const init = parseInit(packet.chunks[0] as Packet["chunks"][number]);
  assert.ok(!isMalformed(init));
  return { packet, init };
}

const golden = JSON.parse(
  readFileSync(new URL("../../../../test/vectors/golden_init.json", import.meta.url), "utf8"),
) as Record<string, Golden>;

for (const [name, vector] of Object.entries(golden)) {
  test(`golden: ${name}`, () => {
    const { packet, init } = parse(hex(vector.in));
    assert.equal(init.chunk.length, vector.in_chunk_len);
    const out = hex(vector.out);
    const rewritten = rewriteInit({
      init,
      packetStart: packet.start,
      sourcePort: ((out[0] as number) << 8) | (out[1] as number),
      destinationPort: ((out[2] as number) << 8) | (out[3] as number),
      vips: vector.vips.map(ipv4),
      families: { ipv4: true, ipv6: false },
    });
    assert.ok(!isMalformed(rewritten));
    assert.equal(Buffer.from(rewritten.packet).toString("hex"), vector.out);
  });
}

import { networkInterfaces } from "node:os";
import { parentPort, workerData } from "node:worker_threads";
import { addressBytes } from "@holdfast/model";
import { encodeInit, encodeIp, encodePacket } from "@holdfast/sctp";
import koffi from "koffi";
import { Generator } from "../forward/generator.ts";
import type { Sent } from "../forward/ordered-thread.ts";
import { inside } from "../forward/testbed.ts";
import { FLOOD_WINDOW, type FloodData, type FloodOrder } from "./flooder.ts";

const { namespace, mac, target, origin } = workerData as FloodData;
const FIRST_PORT = 1_024;
/** Between looks at the clock, at full rate. */
const FULL_RATE_COUNT = 100_000;
/** Nothing is due: how long until the next look. */
const PAUSE_MS = 1;

const interfaceIndex = inside(namespace, () => {
  const index = koffi.load("libc.so.6").func("uint32_t if_nametoindex(const char *name)")(target.network);
  if (index === 0) throw new Error(`${Object.keys(networkInterfaces())} without ${target.network}`);
  return index as number;
});
const generator = new Generator();
generator.prepare({
  interfaceIndex,
  flowCount: 1,
  source: Buffer.from(addressBytes(origin.source)).readUInt32BE(),
  sourcePort: FIRST_PORT,
  initSourceCount: origin.sourceCount,
  frame: frame(),
});

parentPort?.on("message", (order: FloodOrder) => parentPort?.postMessage(flood(order)));

/** A test run takes some 20 ms to be set up: what is due meanwhile leaves in one burst. */
function flood({ perSecond, durationMs }: FloodOrder): Sent {
  const before = generator.sent();
  const startedAt = performance.now();
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  let ordered = 0;
  for (let elapsedMs = 0; elapsedMs < durationMs; elapsedMs = performance.now() - startedAt) {
    const due = perSecond === 0 ? FULL_RATE_COUNT : Math.floor((perSecond * elapsedMs) / 1_000) - ordered;
    if (due > 0) inside(namespace, () => generator.send(due));
    else Atomics.wait(sleeper, 0, 0, PAUSE_MS);
    ordered += due;
  }
  return { sent: generator.sent() - before, durationMs: performance.now() - startedAt };
}

function frame(): Buffer {
  const packet = encodeIp({
    source: addressBytes(origin.source),
    destination: addressBytes(target.vip),
    hopLimit: 64,
    payload: encodePacket({
      sourcePort: FIRST_PORT,
      destinationPort: target.port,
      verificationTag: 0,
      chunks: [encodeInit({ initiateTag: 0, receiverWindow: FLOOD_WINDOW })],
    }),
  });
  const bytes = Buffer.alloc(14 + packet.length);
  bytes.set(macBytes(target.mac));
  bytes.set(macBytes(mac), 6);
  bytes.writeUInt16BE(0x0800, 12);
  bytes.set(packet, 14);
  return bytes;
}

function macBytes(text: string): Uint8Array {
  return Uint8Array.from(text.split(":"), (byte) => Number.parseInt(byte, 16));
}

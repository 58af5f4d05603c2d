import { parentPort, workerData } from "node:worker_threads";
import { PROTOCOL } from "@holdfast/sctp";
import koffi from "koffi";
import { Generator } from "../bench/forward/generator.ts";
import type { Sent } from "../bench/forward/ordered-thread.ts";
import { inside } from "../bench/forward/testbed.ts";
import type { EnemyData, EnemyOrder } from "./enemy.ts";

const { namespace, network, sourceMac, destinationMac } = workerData as EnemyData;
const ETHERNET_SIZE = 14;
const IP_SIZE = 20;
const TCP_CHECKSUM_OFFSET = 16;
const UDP_CHECKSUM_OFFSET = 6;
/** Between looks at the clock. */
const TURN_COUNT = 20_000;

const interfaceIndex = inside(
  namespace,
  () => koffi.load("libc.so.6").func("uint32_t if_nametoindex(const char *name)")(network) as number,
);
const generator = new Generator();

parentPort?.on("message", (order: EnemyOrder) => parentPort?.postMessage(send(order)));

function send({ packet, flowCount, sourceCount, durationMs }: EnemyOrder): Sent {
  const frame = Buffer.alloc(ETHERNET_SIZE + packet.length);
  frame.set(macBytes(destinationMac));
  frame.set(macBytes(sourceMac), 6);
  frame.writeUInt16BE(0x0800, 12);
  frame.set(packet, ETHERNET_SIZE);
  const isTcp = packet[9] === PROTOCOL.TCP;
  generator.prepare({
    ...{ interfaceIndex, flowCount, frame },
    source: frame.readUInt32BE(ETHERNET_SIZE + 12),
    sourcePort: frame.readUInt16BE(ETHERNET_SIZE + IP_SIZE),
    ...(sourceCount !== undefined && { sourceCount }),
    checksumOffset: ETHERNET_SIZE + IP_SIZE + (isTcp ? TCP_CHECKSUM_OFFSET : UDP_CHECKSUM_OFFSET),
  });
  const startedAt = performance.now();
  while (performance.now() - startedAt < durationMs) inside(namespace, () => generator.send(TURN_COUNT));
  return { sent: generator.sent(), durationMs: performance.now() - startedAt };
}

function macBytes(text: string): Uint8Array {
  return Uint8Array.from(text.split(":"), (byte) => Number.parseInt(byte, 16));
}

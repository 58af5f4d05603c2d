// What the compliance suite does with flows of TCP and UDP in a rig.
import assert from "node:assert/strict";
import { PROTOCOL } from "@holdfast/sctp";
import type { PlainFlow } from "../plain.ts";
import { type PlainPacket, plainPackets } from "./plain-world.ts";
import { hex, type Rig, until } from "./rig.ts";
import { ENDPOINTS, LOCAL, SERVICE_PORT, type Side } from "./world.ts";

export const PAYLOAD = Uint8Array.from({ length: 101 }, (_, i) => i * 7);
export const PROTOCOLS = [
  ["TCP", PROTOCOL.TCP],
  ["UDP", PROTOCOL.UDP],
] as const;
/** 65,535 << 2, as the flows' scale says. */
export const WINDOW = 262_140;

export function serve(rig: Rig): void {
  const protocols = PROTOCOLS.map(([, protocol]) => protocol);
  rig.fastPath.setLocal(
    LOCAL.map((local) => ({
      ...local,
      ports: [...local.ports, ...protocols.map((protocol) => ({ protocol, port: SERVICE_PORT }))],
    })),
  );
  rig.fastPath.setEndpoints([
    ...ENDPOINTS,
    ...protocols.flatMap((protocol) => ENDPOINTS.map((endpoint) => ({ ...endpoint, protocol }))),
  ]);
}

export function install(rig: Rig, ...flows: readonly PlainFlow[]): void {
  serve(rig);
  for (const flow of flows) assert.ok(rig.fastPath.plain.install(flow));
}

export function sidesOf({ direction }: PlainFlow): readonly [from: Side, to: Side] {
  return direction === "up" ? ["client", "core"] : ["core", "client"];
}

export async function passes(rig: Rig, flow: PlainFlow, plan: PlainPacket = {}): Promise<void> {
  const [from, to] = sidesOf(flow);
  const { arriving, leaving } = plainPackets(flow, plan);
  const before = rig.received(to).length;
  rig.inject(from, arriving);
  await until("the packet leaves", () => rig.received(to).length > before);
  assert.equal(hex(rig.received(to)[before]), hex(leaving));
}

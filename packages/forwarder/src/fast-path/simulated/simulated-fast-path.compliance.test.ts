import { addressFromBytes } from "@holdfast/model";
import { IpHeader } from "@holdfast/sctp";
import { CLIENT_MTU, CORE_MTU, type Side } from "../compliance/world.ts";
import { describeFastPath, type Rig } from "../compliance.ts";
import { SimulatedFastPath } from "./simulated-fast-path.ts";

const SIDES: Readonly<Record<Side, { interfaceIndex: number; networks: readonly string[]; mtu: number }>> = {
  client: { interfaceIndex: 3, networks: ["10.1.0.", "fd00:1::"], mtu: CLIENT_MTU },
  core: { interfaceIndex: 4, networks: ["10.9.0.", "fd00:9::"], mtu: CORE_MTU },
};

function sideOf(destination: Uint8Array): Side | undefined {
  const text = addressFromBytes(destination);
  return (["client", "core"] as const).find((side) =>
    SIDES[side].networks.some((network) => text.startsWith(network)),
  );
}

describeFastPath("simulated", {
  open({ flowCountMax }) {
    const received: Record<Side, Uint8Array[]> = { client: [], core: [] };
    const fastPath = new SimulatedFastPath({
      ...(flowCountMax === undefined ? {} : { flowCountMax }),
      egress(destination) {
        const side = sideOf(destination);
        return side && SIDES[side];
      },
    });
    const header = new IpHeader();
    fastPath.onOutgoing(({ packet }) => {
      header.read(packet);
      const side = sideOf(
        packet.subarray(header.destinationOffset, header.destinationOffset + header.addressSize),
      );
      if (side !== undefined) received[side].push(packet);
    });
    const rig: Rig = {
      fastPath,
      interfaces: { client: SIDES.client.interfaceIndex, core: SIDES.core.interfaceIndex },
      inject: (side, packet) => void fastPath.inject(packet, SIDES[side].interfaceIndex),
      received: (side) => received[side],
      close: () => fastPath.detach(),
    };
    return Promise.resolve(rig);
  },
});

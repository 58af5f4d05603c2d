// The packets that the benchmark of forwarding sends.
import { writePlainChecksum } from "@holdfast/forwarder/testing";
import { addressBytes } from "@holdfast/model";
import {
  encodeData,
  encodeHeartbeat,
  encodeIp,
  encodePacket,
  IpHeader,
  PROTOCOL,
  write16,
  write32,
} from "@holdfast/sctp";
import type { Traffic } from "./generator.ts";
import { clientBytes } from "./subject.ts";
import { type Family, IPV6, SERVICE_PORT, SOURCE, SOURCE_PORT, TAG, type Testbed } from "./testbed.ts";

const TCP_CHECKSUM_OFFSET = 16;
const UDP_CHECKSUM_OFFSET = 6;

export interface TrafficOptions {
  readonly flowCount: number;
  /** Of the IP packet, bytes; 0: as small as can be. */
  readonly size: number;
  readonly protocol: number;
  /** IPv6 is for SCTP. */
  readonly family: Family;
}

export function traffic(testbed: Testbed, { flowCount, size, protocol, family }: TrafficOptions): Traffic {
  const header = family === IPV6 ? 40 : 20;
  const packet = encodeIp({
    source: clientBytes(0, family),
    destination: addressBytes(family.vip),
    hopLimit: 64,
    protocol,
    payload: payloadOf(protocol, size === 0 ? 0 : size - header),
  });
  if (protocol !== PROTOCOL.SCTP) {
    const ip = new IpHeader();
    ip.read(packet);
    writePlainChecksum(packet, ip);
  }
  const frame = Buffer.alloc(14 + packet.length);
  frame.set(macBytes(testbed.link("dut0").mac));
  frame.set(macBytes(testbed.link("gen0").mac), 6);
  frame.writeUInt16BE(family === IPV6 ? 0x86dd : 0x0800, 12);
  frame.set(packet, 14);
  const transport = 14 + 20;
  return {
    interfaceIndex: testbed.link("gen0").index,
    flowCount,
    source: SOURCE,
    sourcePort: SOURCE_PORT,
    frame,
    ...(protocol === PROTOCOL.TCP && { checksumOffset: transport + TCP_CHECKSUM_OFFSET }),
    ...(protocol === PROTOCOL.UDP && { checksumOffset: transport + UDP_CHECKSUM_OFFSET }),
  };
}

/** `size`: of what follows the IP header, bytes; 0: as small as can be. */
function payloadOf(protocol: number, size: number): Uint8Array {
  if (protocol === PROTOCOL.SCTP) {
    const chunks =
      size === 0
        ? [encodeHeartbeat(new Uint8Array(8))]
        : // SCTP and DATA headers take 28 bytes.
          [encodeData({ tsn: 1, data: new Uint8Array(size - 28).fill(0x61) })];
    return encodePacket({
      sourcePort: SOURCE_PORT,
      destinationPort: SERVICE_PORT,
      verificationTag: TAG,
      chunks,
    });
  }
  const isTcp = protocol === PROTOCOL.TCP;
  const header = isTcp ? 20 : 8;
  const payload = new Uint8Array(Math.max(size, header)).fill(0x61);
  payload.fill(0, 0, header);
  write16(payload, 0, SOURCE_PORT);
  write16(payload, 2, SERVICE_PORT);
  if (isTcp) {
    // An ACK in the middle of a connection.
    write32(payload, 4, 1_000);
    write32(payload, 8, 2_000);
    payload[12] = 5 << 4;
    payload[13] = 0x10;
    write16(payload, 14, 501);
  } else write16(payload, 4, payload.length);
  return payload;
}

function macBytes(mac: string): Uint8Array {
  return Uint8Array.from(mac.split(":"), (byte) => Number.parseInt(byte, 16));
}

// What a stranger on the clients' network sends, a few thousand frames of each kind, each from another
// prefix.
import { type Address, addressBytes } from "@holdfast/model";
import {
  encodeAddress,
  encodeData,
  encodeInit,
  encodeInitAck,
  encodeIp,
  encodePacket,
  encodeParameter,
  internetChecksum,
  PARAMETER,
  PROTOCOL,
  write16,
  writeIpv4Checksum,
} from "@holdfast/sctp";

export const KINDS = ["fragments", "icmp", "initAck", "init", "tls", "probes"] as const;
export type Kind = (typeof KINDS)[number];

export interface Target {
  readonly vip: Address;
  readonly servicePort: number;
  readonly endpointPort: number;
  /** Of a client that has an association: a stranger may know where it is, and not its tag. */
  readonly client: Address;
  readonly clientPort: number;
  readonly endpoint: Address;
}

const FRAME_COUNT = 4_096;
const FOREIGN_COUNT = 15;

/** IP packets, to be sent one after the other, again and again. */
export function packetsOf(kind: Exclude<Kind, "tls" | "probes">, target: Target): Uint8Array[] {
  const makers = { fragments: fragment, icmp, initAck, init };
  return Array.from({ length: FRAME_COUNT }, (_, i) => makers[kind](i, target));
}

/** 100.64.0.0/10, a prefix of its own for each number below 16,384. */
const spoofed = (i: number) => addressBytes(`100.${64 + ((i >> 8) & 63)}.${i & 255}.${1 + (i % 250)}`);

function fragment(i: number, { vip, servicePort }: Target): Uint8Array {
  const packet = encodeIp({
    source: spoofed(i),
    destination: addressBytes(vip),
    identification: i,
    payload: encodePacket({
      sourcePort: 1_024 + i,
      destinationPort: servicePort,
      verificationTag: i,
      chunks: [encodeData({ tsn: i, data: new Uint8Array(160) })],
    }).subarray(0, 160),
  });
  // Every other one a first fragment, the rest later ones; none is ever whole.
  write16(packet, 6, i % 2 === 0 ? 0x2000 : 0x2000 | 30);
  writeIpv4Checksum(packet);
  return packet;
}

/** About packets to the client, or to the endpoint, with every tag but theirs. */
function icmp(i: number, target: Target): Uint8Array {
  const isDown = i % 2 === 0;
  const quoted = encodeIp({
    source: addressBytes(target.vip),
    destination: addressBytes(isDown ? target.client : target.endpoint),
    payload: encodePacket({
      sourcePort: isDown ? target.servicePort : 1_024 + i,
      destinationPort: isDown ? target.clientPort : target.endpointPort,
      verificationTag: 0x5000_0000 + i,
      chunks: [encodeData({ tsn: i, data: new Uint8Array(8) })],
    }),
  });
  const payload = new Uint8Array(8 + quoted.length);
  payload[0] = 3;
  payload[1] = 4;
  write16(payload, 6, 600);
  payload.set(quoted, 8);
  write16(payload, 2, internetChecksum(payload, 0, payload.length));
  return encodeIp({
    source: spoofed(i),
    destination: addressBytes(target.vip),
    protocol: PROTOCOL.ICMP,
    payload,
  });
}

function initAck(i: number, { vip, endpointPort }: Target): Uint8Array {
  return encodeIp({
    source: spoofed(i),
    destination: addressBytes(vip),
    payload: encodePacket({
      sourcePort: endpointPort,
      destinationPort: 1_024 + i,
      verificationTag: 0x6000_0000 + i,
      chunks: [
        encodeInitAck({
          initiateTag: 1 + i,
          parameters: [
            encodeParameter(PARAMETER.STATE_COOKIE, new Uint8Array(8)),
            encodeAddress(spoofed(i + 1)),
          ],
        }),
      ],
    }),
  });
}

function init(i: number, { vip, servicePort }: Target): Uint8Array {
  const foreign = Array.from({ length: FOREIGN_COUNT }, (_, k) => encodeAddress(spoofed(i * 16 + k)));
  return encodeIp({
    source: spoofed(i),
    destination: addressBytes(vip),
    payload: encodePacket({
      sourcePort: 1_024 + i,
      destinationPort: servicePort,
      verificationTag: 0,
      chunks: [encodeInit({ initiateTag: 0x7000_0000 + i, parameters: foreign })],
    }),
  });
}

// The control message that tells a raw socket the source of what it sends, and the VRF: the kernel does not
// look into the packet for it, and would route by the destination alone.

const SOL_IP = 0;
const IP_PKTINFO = 8;
const SOL_IPV6 = 41;
const IPV6_PKTINFO = 50;
/** Lets a source be told that is not this host's. */
export const IPV6_FREEBIND = 78;

/** struct cmsghdr: size, level, type. */
const HEADER_SIZE = 16;

export interface PacketInfo {
  readonly level: number;
  readonly type: number;
  /** Bytes with the header, and with padding. */
  readonly length: number;
  readonly size: number;
  /** Where in it the source and the index of the VRF's device stand. */
  readonly source: number;
  readonly device: number;
}

/** struct in_pktinfo: device, source, an address that does not count here. */
export const PACKET_INFO4: PacketInfo = {
  level: SOL_IP,
  type: IP_PKTINFO,
  length: HEADER_SIZE + 12,
  size: HEADER_SIZE + 16,
  source: HEADER_SIZE + 4,
  device: HEADER_SIZE,
};

/** struct in6_pktinfo: source, device. */
export const PACKET_INFO6: PacketInfo = {
  level: SOL_IPV6,
  type: IPV6_PKTINFO,
  length: HEADER_SIZE + 20,
  size: HEADER_SIZE + 24,
  source: HEADER_SIZE,
  device: HEADER_SIZE + 16,
};

/** Everything but source and device. */
export function layOutPacketInfo(view: DataView, at: number, info: PacketInfo): void {
  view.setBigUint64(at, BigInt(info.length), true);
  view.setUint32(at + 8, info.level, true);
  view.setUint32(at + 12, info.type, true);
}

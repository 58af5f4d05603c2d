// Scripted SCTP hosts: just enough of a client and an endpoint to drive the forwarder. They keep tags and
// ports as real stacks do, and answer what a test does not script itself.
import { type Address, addressBytes, addressFromBytes } from "@holdfast/model";
import {
  CHUNK,
  type Chunk,
  encodeAddress,
  encodeCookieAck,
  encodeCookieEcho,
  encodeData,
  encodeHeartbeat,
  encodeHeartbeatAck,
  encodeInit,
  encodeInitAck,
  encodeIp,
  encodePacket,
  encodeParameter,
  encodeSack,
  type Init,
  IpHeader,
  isMalformed,
  PARAMETER,
  type Packet,
  parseInit,
  parsePacket,
  verifyChecksum,
} from "@holdfast/sctp";

/**
 * A packet on the wire, taken apart. Throws on anything that a real stack would discard: tests must notice.
 */
export interface Seen {
  readonly bytes: Uint8Array;
  readonly source: Address;
  readonly destination: Address;
  readonly packet: Packet;
  readonly tag: number;
  readonly types: readonly number[];
  readonly hopLimit: number;
}

export function see(bytes: Uint8Array): Seen {
  const ip = new IpHeader();
  const refusal = ip.read(bytes);
  if (refusal !== undefined) throw new Error(`bad IP packet: ${refusal}`);
  const packet = parsePacket(bytes, ip.payloadOffset, ip.end);
  if (isMalformed(packet)) throw new Error(`bad SCTP packet: ${packet.malformed}`);
  if (!verifyChecksum(bytes, packet.start, packet.end)) throw new Error("bad checksum");
  return {
    bytes,
    source: addressFromBytes(bytes, ip.sourceOffset, ip.addressSize),
    destination: addressFromBytes(bytes, ip.destinationOffset, ip.addressSize),
    packet,
    tag: packet.verificationTag,
    types: packet.chunks.map((chunk) => chunk.type),
    hopLimit: ip.hopLimit,
  };
}

export function initOf(seen: Seen): Init {
  const init = parseInit(seen.packet.chunks[0] as Chunk);
  if (isMalformed(init)) throw new Error(`bad INIT: ${init.malformed}`);
  return init;
}

export function listedIn(seen: Seen): Address[] {
  return initOf(seen).addresses.map((bytes) => addressFromBytes(bytes));
}

export interface Route {
  readonly source: Address;
  readonly destination: Address;
}

/** One association as one host sees it. */
class Host {
  readonly port: number;
  /** The host's own tag: peers put it into their packets. */
  tag: number;
  /** The peer's. */
  peerTag = 0;
  peerPort: number;

  constructor(port: number, peerPort: number, tag: number) {
    this.port = port;
    this.peerPort = peerPort;
    this.tag = tag;
  }

  /** A packet with the peer's tag, or another. */
  packet(route: Route, chunks: readonly Uint8Array[], tag: number = this.peerTag): Uint8Array {
    return ipPacket(route, this.port, this.peerPort, tag, chunks);
  }

  data(route: Route, tsn = 1): Uint8Array {
    return this.packet(route, [encodeData({ tsn, data: Uint8Array.from([1, 2, 3, 4]) })]);
  }

  sack(route: Route, tsn = 1): Uint8Array {
    return this.packet(route, [encodeSack(tsn)]);
  }

  heartbeat(route: Route, nonce = 7): Uint8Array {
    return this.packet(route, [encodeHeartbeat(Uint8Array.from([nonce, 1, 2, 3]))]);
  }

  heartbeatAck(route: Route, nonce = 7): Uint8Array {
    return this.packet(route, [encodeHeartbeatAck(Uint8Array.from([nonce, 1, 2, 3]))]);
  }
}

export function ipPacket(
  route: Route,
  sourcePort: number,
  destinationPort: number,
  verificationTag: number,
  chunks: readonly Uint8Array[],
  options: { readonly hopLimit?: number } = {},
): Uint8Array {
  return encodeIp({
    source: addressBytes(route.source),
    destination: addressBytes(route.destination),
    payload: encodePacket({ sourcePort, destinationPort, verificationTag, chunks }),
    hopLimit: options.hopLimit ?? 64,
  });
}

export class ClientHost extends Host {
  cookie: Uint8Array = new Uint8Array(0);

  /** INIT that lists addresses; the source is whatever the route says. */
  init(route: Route, listed: readonly Address[] = [], extra: readonly Uint8Array[] = []): Uint8Array {
    const parameters = [...listed.map((address) => encodeAddress(addressBytes(address))), ...extra];
    return ipPacket(route, this.port, this.peerPort, 0, [encodeInit({ initiateTag: this.tag, parameters })]);
  }

  /** Takes the INIT-ACK in. */
  acceptInitAck(seen: Seen): void {
    const init = initOf(seen);
    this.peerTag = init.initiateTag;
    this.cookie = (init.stateCookie ?? new Uint8Array(0)).slice();
  }

  cookieEcho(route: Route): Uint8Array {
    return this.packet(route, [encodeCookieEcho(this.cookie)]);
  }
}

export class EndpointHost extends Host {
  /** INIT-ACK to an INIT as it arrived; stateless, the cookie says what it needs. */
  initAck(
    init: Seen,
    options: { readonly source?: Address; readonly listed?: readonly Address[] } = {},
  ): Uint8Array {
    this.peerTag = initOf(init).initiateTag;
    this.peerPort = init.packet.sourcePort;
    const parameters = [
      encodeParameter(PARAMETER.STATE_COOKIE, Uint8Array.from([0xc0, this.tag & 0xff, 1, 2])),
      ...(options.listed ?? []).map((address) => encodeAddress(addressBytes(address))),
    ];
    return ipPacket(
      { source: options.source ?? init.destination, destination: init.source },
      this.port,
      this.peerPort,
      this.peerTag,
      [encodeInitAck({ initiateTag: this.tag, parameters })],
    );
  }

  cookieAck(route: Route): Uint8Array {
    return this.packet(route, [encodeCookieAck()]);
  }
}

export function hasChunk(seen: Seen, type: number): boolean {
  return seen.types.includes(type);
}

export { CHUNK };

// TCP and UDP packets that the fast path would not decide: by direction, then by protocol.
import { IpHeader, PROTOCOL } from "@holdfast/sctp";
import { drop } from "../../core.ts";
import type { FlowKey, Punt } from "../../fast-path/port.ts";
import { IPV4_MTU_LEAST, sendIcmpError } from "../../icmp/own-errors.ts";
import { TCP_FLAG } from "../../packet/plain/header.ts";
import { partsOf } from "../../packet/plain/super-packet.ts";
import type { ProtocolHandler } from "../handler.ts";
import { isLivingFlow, type LocalFlow } from "./flow.ts";
import { type PlainInput, readPlain } from "./input.ts";
import { openedElsewhere } from "./opened.ts";
import { type Opening, openingAt } from "./opening.ts";
import type { Room, Side } from "./room.ts";
import { statelessDown } from "./stateless.ts";
import { tcpDown, tcpUp } from "./tcp.ts";
import { udpDown, udpUp } from "./udp.ts";

export class PlainHandler implements ProtocolHandler {
  readonly #room: Room;

  constructor(room: Room) {
    this.#room = room;
  }

  handle(punt: Punt, ip: IpHeader, fragmentSize: number | undefined): undefined {
    const { offering } = this.#room;
    offering.adopt(punt.session);
    if (punt.reason === "learn") return openedElsewhere(this.#room, punt.session);
    if (punt.segmentSize === undefined || punt.copy) return this.#handleOne(punt, ip, fragmentSize);
    for (const packet of partsOf(punt.packet, ip, punt.segmentSize)) {
      const own = new IpHeader();
      if (own.read(packet) !== undefined) return drop(this.#room.core, "malformed", packet);
      this.#handleOne({ ...punt, packet, checksumPartial: true }, own, undefined);
    }
  }

  #handleOne(punt: Punt, ip: IpHeader, fragmentSize: number | undefined): undefined {
    const { core } = this.#room;
    const isTooBig = punt.reason === "tooBig";
    if (isTooBig && ip.dontFragment) return sendIcmpError(core, punt, ip, "too-big");
    if (ip.hopLimit <= 1 && !punt.copy) return sendIcmpError(core, punt, ip, "ttl-expired");
    const size = isTooBig ? (punt.mtu ?? IPV4_MTU_LEAST) : fragmentSize;
    const input = readPlain(punt, ip, size);
    if (typeof input === "string") return drop(core, input, punt.packet);
    this.input(input);
  }

  opening(key: FlowKey): Opening | undefined {
    return openingAt(this.#room, key);
  }

  /** Also the second time round, when other members have been asked. */
  input(input: PlainInput): undefined {
    const { protocol } = input.ip;
    const room = this.#room;
    const side = room.sides.get(protocol);
    if (side === undefined) return drop(room.core, "no-service", input.bytes);
    // In fragments it was told by nobody whose it is.
    if (input.fragmentSize !== undefined) room.offering.adoptAt(keyOf(input));
    // What begins at no endpoint's port is a client's.
    const begins = input.header.isTcp && input.header.flags === TCP_FLAG.SYN;
    const isClients = begins && !side.registry.isEndpointPort(input.header.sourcePort);
    const down = isClients ? undefined : this.#flowFrom(input, protocol);
    if (down !== undefined)
      return protocol === PROTOCOL.TCP ? tcpDown(room, input, down) : udpDown(room, input, down);
    const { destinationPort } = input.header;
    const entry = side.registry.byVip(protocol, input.destination, destinationPort);
    const isAnswer = protocol === PROTOCOL.TCP && (entry === undefined || input.header.has(TCP_FLAG.SYN));
    if (isAnswer && room.core.ways.hearsSegment(input)) return;
    if (entry === undefined) return this.#unknownDown(side, input);
    return protocol === PROTOCOL.TCP ? tcpUp(room, side, input, entry) : udpUp(room, side, input, entry);
  }

  /**
   * A NAT port may equal a service's port, and an endpoint may be another service's client: what the
   * endpoint is known to hold decides.
   */
  #flowFrom({ source, destination, header }: PlainInput, protocol: number): LocalFlow | undefined {
    const { sourcePort, destinationPort } = header;
    const flow = this.#room.flows.byNatPort(protocol, source, sourcePort, destinationPort, destination);
    return isLivingFlow(flow) ? flow : undefined;
  }

  #unknownDown(side: Side, input: PlainInput): undefined {
    const { core, held } = this.#room;
    const { source, header, asked } = input;
    if (input.ip.protocol === PROTOCOL.UDP && statelessDown(this.#room, input)) return;
    if (input.copy) return;
    if (side.registry.endpointAddress(source, header.sourcePort) === undefined)
      return drop(core, "no-service", input.bytes);
    if (asked) return drop(core, "no-session", input.bytes);
    held.ask(input, {
      kind: "natPort",
      endpoint: source,
      endpointPort: header.sourcePort,
      natPort: header.destinationPort,
      protocol: input.ip.protocol,
    });
  }
}

function keyOf({ ip: { protocol }, source, destination, header }: PlainInput): FlowKey {
  const { sourcePort, destinationPort } = header;
  return { protocol, source, destination, sourcePort, destinationPort };
}

// SCTP packets that the fast path would not decide: by direction, then by chunk.
import { CHUNK, type IpHeader, PROTOCOL } from "@holdfast/sctp";
import { type Core, drop } from "../../core.ts";
import type { Punt } from "../../fast-path/port.ts";
import { IPV4_MTU_LEAST, sendIcmpError } from "../../icmp/own-errors.ts";
import { readInput, type SctpInput } from "../../packet/input.ts";
import type { ProtocolHandler } from "../handler.ts";
import { beginnerOf, handleBeginning, handlePeerInitAck, isBeginningsAnswer } from "./beginning.ts";
import { handleDown } from "./down.ts";
import { handleClientInitAck, handleEndpointInit } from "./endpoint-init.ts";
import { handleInit } from "./init.ts";
import { handleInitAck } from "./init-ack.ts";
import { sessionsFrom } from "./origin.ts";
import { handleUp } from "./up.ts";

export class SctpHandler implements ProtocolHandler {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  handle(punt: Punt, ip: IpHeader, fragmentSize: number | undefined): undefined {
    const core = this.#core;
    const isTooBig = punt.reason === "tooBig";
    if (isTooBig && ip.dontFragment) return sendIcmpError(core, punt, ip, "too-big");
    // A reassembled packet is checked here; the fast path has looked at the others.
    if (ip.hopLimit <= 1) return sendIcmpError(core, punt, ip, "ttl-expired");
    // Without DF it is cut to fit, as any router would.
    const size = isTooBig ? (punt.mtu ?? IPV4_MTU_LEAST) : fragmentSize;
    const input = readInput(punt, ip, size);
    if (typeof input === "string") return drop(core, input, punt.packet);
    if (punt.reason === "init" && this.#isTooOld(punt)) return drop(core, "init-too-old", punt.packet);
    this.input(input);
  }

  /** Also the second time round, when other members have been asked. */
  input(input: SctpInput): undefined {
    const core = this.#core;
    if (core.ways.hears(input)) return;
    const { registry } = core;
    const { packet, source, destination } = input;
    const first = packet.chunks[0]?.type;
    const entry = registry.byVip(PROTOCOL.SCTP, destination, packet.destinationPort);
    const down = isFromEndpoint(core, input, entry !== undefined);
    if (first === CHUNK.INIT_ACK) {
      if (entry !== undefined && isBeginningsAnswer(core, input, entry))
        return handlePeerInitAck(core, input, entry);
      // To a service's port from somebody who is no endpoint: a client answers its endpoint's INIT. All
      // others may come from an address of the endpoint that nobody knows yet.
      const isClients =
        !down &&
        entry !== undefined &&
        core.table.byClient(entry.service.id, source, packet.sourcePort).length > 0;
      return isClients ? handleClientInitAck(core, input, entry) : handleInitAck(core, input);
    }
    const beginner = first === CHUNK.INIT && entry !== undefined ? beginnerOf(core, input, entry) : undefined;
    if (down) {
      if (first === CHUNK.INIT) return handleEndpointInit(core, input, entry, beginner);
      return handleDown(core, input);
    }
    const vip = entry?.vipIndex.get(destination);
    if (entry === undefined || vip === undefined) return drop(core, "no-service", input.bytes);
    if (beginner !== undefined) return handleBeginning(core, input, entry, beginner);
    if (first === CHUNK.INIT) return handleInit(core, input, entry, vip);
    handleUp(core, input, entry, vip);
  }

  /** After a restart the ring is full of INITs whose senders have long sent others. */
  #isTooOld(punt: Punt): boolean {
    return this.#core.fastPath.nowMs() - punt.timeMs > this.#core.limits.initAgeMaxMs;
  }
}

/**
 * A NAT port may equal a service's port, and an endpoint may be another service's client: what the endpoint
 * is known to hold decides.
 */
function isFromEndpoint(core: Core, input: SctpInput, isService: boolean): boolean {
  const { packet, source } = input;
  const isConfigured = core.registry.endpointAddress(source, packet.sourcePort) !== undefined;
  if (isConfigured && !isService) return true;
  if (!core.registry.isEndpointPort(packet.sourcePort)) return false;
  for (const _ of sessionsFrom(core, input)) return true;
  return isConfigured && core.nursery.byAnswer(packet.verificationTag, packet.destinationPort) !== undefined;
}

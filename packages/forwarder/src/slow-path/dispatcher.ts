// Where a punted packet goes: by protocol, then by direction, then by chunk.
import { CHUNK, IpHeader, PROTOCOL } from "@holdfast/sctp";
import { type Core, drop } from "../core.ts";
import type { Punt } from "../fast-path/port.ts";
import { Reassembly } from "../fragments/reassembly.ts";
import { IPV4_MTU_LEAST, sendIcmpError } from "../icmp/own-errors.ts";
import { handleIcmp } from "../icmp/translation.ts";
import type { ForwarderLimits } from "../limits.ts";
import { readInput, type SctpInput } from "../packet/input.ts";
import { beginnerOf, handleBeginning, handlePeerInitAck, isBeginningsAnswer } from "./beginning.ts";
import { handleDown } from "./down.ts";
import { handleClientInitAck, handleEndpointInit } from "./endpoint-init.ts";
import { handleInit } from "./init.ts";
import { handleInitAck } from "./init-ack.ts";
import { sessionsFrom } from "./origin.ts";
import { handleUp } from "./up.ts";

export class Dispatcher {
  readonly #core: Core;
  /** Of strangers, and of addresses that have associations: the former displace nothing of the latter. */
  readonly #reassembly: { readonly strangers: Reassembly; readonly known: Reassembly };
  onPunt: ((punt: Punt) => void) | undefined = undefined;
  onNeighbourSolicitation: ((punt: Punt) => void) | undefined = undefined;

  constructor(core: Core, limits: ForwarderLimits) {
    this.#core = core;
    this.#reassembly = { strangers: new Reassembly(limits), known: new Reassembly(limits) };
  }

  /** Hostile bytes: whatever they are, this returns. */
  punt(punt: Punt): undefined {
    const core = this.#core;
    core.counters.count("punts");
    this.onPunt?.(punt);
    if (punt.reason === "ndp") {
      this.onNeighbourSolicitation?.(punt);
      return;
    }
    const ip = new IpHeader();
    if (ip.read(punt.packet) !== undefined) return drop(core, "malformed", punt.packet);
    if (ip.fragment) return this.#fragment(punt, ip);
    const isTooBig = punt.reason === "tooBig";
    if (isTooBig && ip.protocol === PROTOCOL.SCTP && ip.dontFragment)
      return sendIcmpError(core, punt, ip, "too-big");
    // Without DF it is cut to fit, as any router would.
    this.#route(punt, ip, isTooBig ? (punt.mtu ?? IPV4_MTU_LEAST) : undefined);
  }

  /** A whole packet, by its protocol. `fragmentSize`: of the packets that stand for it; undefined: one does. */
  #route(punt: Punt, ip: IpHeader, fragmentSize: number | undefined): undefined {
    const core = this.#core;
    if (ip.protocol === (ip.version === 4 ? PROTOCOL.ICMP : PROTOCOL.ICMPV6))
      return handleIcmp(core, punt, ip);
    if (ip.protocol !== PROTOCOL.SCTP) return drop(core, "not-sctp", punt.packet);
    // A reassembled packet is checked here; the fast path has looked at the others.
    if (ip.hopLimit <= 1) return sendIcmpError(core, punt, ip, "ttl-expired");
    const input = readInput(punt, ip, fragmentSize);
    if (typeof input === "string") return drop(core, input, punt.packet);
    if (punt.reason === "init" && this.#isTooOld(punt)) return drop(core, "init-too-old", punt.packet);
    this.sctp(input);
  }

  /** Also the second time round, when other members have been asked. */
  sctp(input: SctpInput): undefined {
    const core = this.#core;
    const { registry } = core;
    const { packet, source, destination } = input;
    const first = packet.chunks[0]?.type;
    const entry = registry.byVip(destination, packet.destinationPort);
    const down = isFromEndpoint(core, input, entry !== undefined);
    if (first === CHUNK.INIT_ACK) {
      if (entry !== undefined && isBeginningsAnswer(core, input, entry))
        return handlePeerInitAck(core, input, entry);
      // To a service's port from somebody who is no endpoint: a client answers its endpoint's INIT. All others may come
      // from an address of the endpoint that nobody knows yet.
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

  /** Housekeeping. */
  expireFragments(nowMs: number): undefined {
    for (const reassembly of Object.values(this.#reassembly))
      for (let i = reassembly.expire(nowMs); i > 0; i--) drop(this.#core, "fragment-timeout");
  }

  #fragment(punt: Punt, ip: IpHeader): undefined {
    const core = this.#core;
    const reassembly = punt.proven === true ? this.#reassembly.known : this.#reassembly.strangers;
    const result = reassembly.add(punt.packet, ip, core.clock.nowMs());
    for (let i = reassembly.takeDisplaced(); i > 0; i--) drop(core, "fragment-limit");
    if (typeof result === "string") return drop(core, result, punt.packet);
    if (result === undefined) return;
    core.counters.count("fragments-reassembled");
    const whole = new IpHeader();
    if (whole.read(result.packet) !== undefined) return drop(core, "malformed", result.packet);
    this.#route({ ...punt, packet: result.packet }, whole, result.fragmentSize);
  }

  /** After a restart the ring is full of INITs whose senders have long sent others. */
  #isTooOld(punt: Punt): boolean {
    return this.#core.fastPath.nowMs() - punt.timeMs > this.#core.limits.initAgeMaxMs;
  }
}

/**
 * A NAT port may equal a service's port, and an endpoint may be another service's client: what the endpoint is known to
 * hold decides.
 */
function isFromEndpoint(core: Core, input: SctpInput, isService: boolean): boolean {
  const { packet, source } = input;
  const isConfigured = core.registry.endpointAddress(source, packet.sourcePort) !== undefined;
  if (isConfigured && !isService) return true;
  if (!core.registry.isEndpointPort(packet.sourcePort)) return false;
  for (const _ of sessionsFrom(core, input)) return true;
  return isConfigured && core.nursery.byAnswer(packet.verificationTag, packet.destinationPort) !== undefined;
}

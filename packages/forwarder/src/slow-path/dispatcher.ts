// Where a punted packet goes: parts are put together, then it is its protocol's.
import type { Protocol } from "@holdfast/model";
import { IpHeader, PROTOCOL } from "@holdfast/sctp";
import { type Core, drop } from "../core.ts";
import type { Punt } from "../fast-path/port.ts";
import { Reassembly } from "../fragments/reassembly.ts";
import { handleIcmp } from "../icmp/translation.ts";
import type { ForwarderLimits } from "../limits.ts";
import type { ProtocolHandler } from "./handler.ts";

export class Dispatcher {
  readonly #core: Core;
  readonly #handlers: ReadonlyMap<Protocol, ProtocolHandler>;
  /** Of strangers, and of addresses that have associations: the former displace nothing of the latter. */
  readonly #reassembly: { readonly strangers: Reassembly; readonly known: Reassembly };
  onPunt: ((punt: Punt) => void) | undefined = undefined;
  onNeighbourSolicitation: ((punt: Punt) => void) | undefined = undefined;

  constructor(core: Core, limits: ForwarderLimits, handlers: ReadonlyMap<Protocol, ProtocolHandler>) {
    this.#core = core;
    this.#handlers = handlers;
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
    if (ip.fragment) this.#fragment(punt, ip);
    else this.#route(punt, ip, undefined);
  }

  /** Housekeeping. */
  expireFragments(nowMs: number): undefined {
    for (const reassembly of Object.values(this.#reassembly))
      for (let i = reassembly.expire(nowMs); i > 0; i--) drop(this.#core, "fragment-timeout");
  }

  #route(punt: Punt, ip: IpHeader, fragmentSize: number | undefined): undefined {
    if (ip.protocol === (ip.version === 4 ? PROTOCOL.ICMP : PROTOCOL.ICMPV6))
      return handleIcmp(this.#core, punt, ip, (key) => this.#handlers.get(key.protocol)?.opening?.(key));
    const handler = this.#handlers.get(ip.protocol);
    if (handler === undefined) return drop(this.#core, "not-sctp", punt.packet);
    handler.handle(punt, ip, fragmentSize);
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
}

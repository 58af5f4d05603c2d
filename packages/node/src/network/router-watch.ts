// Whether a network still reaches anybody when no other member is heard there: with two members left and a
// cable cut between them, each hears nobody, and only what routers, clients and endpoints answer tells whose
// cable it is.

import { type FrameSender, openPacketSocket, solicitationFrame } from "@holdfast/announcer";
import { ROUTER_EVIDENCE_MS } from "@holdfast/coordinator";
import type { Neighbour } from "@holdfast/forwarder";
import {
  type Address,
  type Clock,
  familyOf,
  type Logger,
  type Members,
  prefixContains,
  type Timer,
} from "@holdfast/model";
import type { ServiceRegistry } from "../services/registry.ts";
import type { SystemInterface } from "./interfaces.ts";

import type { NetworkWatch } from "./watch.ts";

/** Neighbours are asked so often. Three questions fit into what counts as an answer of now. */
const ASK_PERIOD_MS = 100;
/** Which neighbours there are is looked at so often. */
const CHOOSE_PERIOD_MS = 2_000;
/** Asked on each network: those heard last. One that died a moment ago must not be the only one. */
const ASKED_COUNT_MAX = 3;

export interface RouterWatchPorts {
  /** Interfaces with carrier, by name. */
  interfaces(): ReadonlyMap<string, SystemInterface>;
  /** The kernel's neighbours. */
  neighbours(): readonly Neighbour[];
  neighbour(interfaceIndex: number, address: Address): Neighbour | undefined;
  readonly sender: FrameSender;
  readonly clock: Clock;
  /** Members' addresses and VIPs: they answer for no router. */
  isOurs(address: Address): boolean;
}

interface Asked {
  readonly neighbour: Neighbour & { readonly mac: Uint8Array };
  readonly interfaceName: string;
  readonly frame: Uint8Array;
}

export class RouterWatch {
  readonly #ports: RouterWatchPorts;
  #timer: Timer | undefined;
  #asked: readonly Asked[] = [];
  #chosenAtMs = Number.NEGATIVE_INFINITY;
  #heard = new Set<string>();

  constructor(ports: RouterWatchPorts) {
    this.#ports = ports;
  }

  /** Neighbours are asked only while it matters. */
  need(needed: boolean): void {
    if (needed === (this.#timer !== undefined)) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#heard = new Set();
    this.#chosenAtMs = Number.NEGATIVE_INFINITY;
    if (!needed) return;
    this.#timer = this.#ports.clock.every(ASK_PERIOD_MS, () => this.#round());
    this.#round();
  }

  /**
   * Somebody behind the interface answered within the last `ROUTER_EVIDENCE_MS`; false while nobody is asked.
   */
  isHeard(interfaceName: string): boolean {
    return this.#heard.has(interfaceName);
  }

  close(): void {
    this.need(false);
    this.#ports.sender.close();
  }

  #round(): void {
    const { clock, sender } = this.#ports;
    const heard = new Set<string>();
    for (const { neighbour, interfaceName } of this.#asked) {
      const now = this.#ports.neighbour(neighbour.interfaceIndex, neighbour.address);
      const { confirmedForMs } = now ?? {};
      if (confirmedForMs !== undefined && confirmedForMs <= ROUTER_EVIDENCE_MS) heard.add(interfaceName);
    }
    this.#heard = heard;
    if (clock.nowMs() - this.#chosenAtMs >= CHOOSE_PERIOD_MS) {
      this.#asked = this.#choose();
      this.#chosenAtMs = clock.nowMs();
    }
    for (const { neighbour, frame } of this.#asked) sender.send(neighbour.interfaceIndex, frame);
  }

  #choose(): Asked[] {
    const byInterface = new Map<number, (Neighbour & { readonly mac: Uint8Array })[]>();
    for (const neighbour of this.#ports.neighbours()) {
      const { mac, interfaceIndex, address } = neighbour;
      if (mac === undefined || this.#ports.isOurs(address)) continue;
      const list = byInterface.get(interfaceIndex) ?? [];
      list.push({ ...neighbour, mac });
      byInterface.set(interfaceIndex, list);
    }
    return [...this.#ports.interfaces().values()].flatMap((system) =>
      (byInterface.get(system.index) ?? [])
        .sort((a, b) => (a.confirmedForMs ?? Infinity) - (b.confirmedForMs ?? Infinity))
        .flatMap((neighbour) => askedOf(neighbour, system))
        .slice(0, ASKED_COUNT_MAX),
    );
  }
}

function askedOf(neighbour: Neighbour & { readonly mac: Uint8Array }, system: SystemInterface): Asked[] {
  const own = system.addresses.find(
    ({ address, prefix }) =>
      familyOf(address) === familyOf(neighbour.address) && prefixContains(prefix, neighbour.address),
  );
  if (own === undefined) return [];
  const frame = solicitationFrame(neighbour, { address: own.address, mac: system.mac });
  return [{ neighbour, interfaceName: system.name, frame }];
}

/** undefined: frames may not be sent here; then members alone tell what a network reaches. */
export function openRouterWatch(parts: {
  readonly members: Members;
  readonly registry: Pick<ServiceRegistry, "list">;
  readonly network: NetworkWatch;
  readonly clock: Clock;
  readonly logger: Logger;
}): RouterWatch | undefined {
  const { members, registry, network, clock, logger } = parts;
  const isMembers = (address: Address) =>
    members.current().members.some(({ addresses }) => addresses.some((each) => each.address === address));
  try {
    return new RouterWatch({
      interfaces: () => network.interfaces(),
      neighbours: () => network.neighbours(),
      neighbour: (index, address) => network.neighbour(index, address),
      isOurs: (address) => isMembers(address) || registry.list().some(({ vips }) => vips.includes(address)),
      sender: openPacketSocket(),
      clock,
    });
  } catch (error) {
    logger.warn({ err: error }, "neighbours cannot be asked whether a network reaches anybody");
    return undefined;
  }
}

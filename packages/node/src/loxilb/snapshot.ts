// What LoxiLB's metrics are made of, at one moment.
import { PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP, type Protocol } from "@holdfast/model";
import { endpointKey } from "../services/specification.ts";
import type { LoxilbContext } from "./context.ts";
import type { FigureKeeper, Figures, Traffic } from "./figures.ts";

/** Of one protocol's services. */
export interface OfProtocol {
  /** Living sessions. */
  readonly active: number;
  /** Of these. */
  readonly packets: number;
  readonly bytes: number;
}

export interface Snapshot {
  readonly sctp: OfProtocol;
  readonly tcp: OfProtocol;
  readonly udp: OfProtocol;
  /** Living sessions of every protocol. */
  readonly active: number;
  /** Ended ones that are remembered. */
  readonly inactive: number;
  readonly created: number;
  readonly inits: number;
  readonly drops: number;
  readonly rules: number;
  readonly healthy: number;
  readonly unhealthy: number;
  readonly figures: Figures;
  readonly ended: number;
}

export interface LoxilbTotals {
  /** Slow path events and drops by name. */
  events(): ReadonlyMap<string, number>;
  drops(): ReadonlyMap<string, number>;
}

/** A service's traffic with another one's: its endpoint, its client. */
export interface Share {
  /** Its name, or its id when there is no such service any more. */
  readonly service: string;
  readonly rest: string;
  readonly traffic: Traffic;
}

export class Snapshots {
  readonly #context: LoxilbContext;
  readonly #figures: FigureKeeper;
  readonly #totals: LoxilbTotals;

  constructor(context: LoxilbContext, figures: FigureKeeper, totals: LoxilbTotals) {
    this.#context = context;
    this.#figures = figures;
    this.#totals = totals;
  }

  async take(): Promise<Snapshot> {
    const { sources, deletions } = this.#context;
    const services = sources.registry.list();
    const figures = await this.#figures.figures();
    const event = (name: string) => this.#totals.events().get(name) ?? 0;
    const all = [PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP].map((each) => this.#ofProtocol(each, figures));
    const [sctp, tcp, udp] = all as [OfProtocol, OfProtocol, OfProtocol];
    const active = sctp.active + tcp.active + udp.active;
    return {
      ...{ sctp, tcp, udp, active, figures, ...this.#health() },
      inactive: Math.max(0, sources.sessions.size - active),
      created: event("sessions-committed"),
      inits: event("inits"),
      drops: [...this.#totals.drops().values()].reduce((sum, count) => sum + count, 0),
      rules: services.filter((service) => !deletions.isDeleted(service)).length,
      ended: event("sessions-ended"),
    };
  }

  /** By its id; one that is gone has none. */
  serviceNames(): ReadonlyMap<string, string> {
    return new Map(this.#context.sources.registry.list().map(({ id, name }) => [id, name]));
  }

  /** Of figures with keys of a service and something of it. */
  *shares(map: Figures["byClient"]): Generator<Share> {
    const names = this.serviceNames();
    for (const [key, traffic] of map) {
      const at = key.lastIndexOf(" ");
      const service = key.slice(0, at);
      yield { service: names.get(service) ?? service, rest: key.slice(at + 1), traffic };
    }
  }

  #ofProtocol(protocol: Protocol, { byService }: Figures): OfProtocol {
    const { registry, catalogue } = this.#context.sources;
    let [active, packets, bytes] = [0, 0, 0];
    for (const service of registry.list()) {
      if (service.protocol !== protocol) continue;
      active += catalogue.countOfService(service.id);
      packets += byService.get(service.id)?.packets ?? 0;
      bytes += byService.get(service.id)?.bytes ?? 0;
    }
    return { active, packets, bytes };
  }

  #health(): { healthy: number; unhealthy: number } {
    const { sources } = this.#context;
    let [healthy, unhealthy] = [0, 0];
    for (const service of sources.registry.list())
      for (const { address, port } of service.endpoints) {
        if (sources.endpointHealth(service.id, endpointKey(address, port)).health === "down") unhealthy++;
        else healthy++;
      }
    return { healthy, unhealthy };
  }
}

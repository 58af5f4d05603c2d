// An operator, and clients of LoxiLB's API, at whichever members run: endpoints leave lists and come back, rules are deleted
// and posted again, files change. Nobody asks for an end of anything.
import type { ServiceSpec } from "../../../packages/api/src/index.ts";
import type { Service } from "../../../packages/model/src/index.ts";
import { replaced } from "../../../packages/node/src/services/removal.ts";
import type { ConfigurationStore } from "../../../packages/node/src/services/store.ts";
import type { SimulatedTime } from "../clock.ts";
import { fileSpecs } from "./configuration.ts";
import type { Machine } from "./machine.ts";
import { SERVICES } from "./world.ts";

/** Longer than any run: what is not put back ends nothing in it. */
const GRACE_MS = 300_000;

export interface OperatorPorts {
  readonly time: SimulatedTime;
  readonly machines: readonly Machine[];
  readonly tell: (what: string) => void;
  readonly count: (name: string) => void;
}

export class Operator {
  readonly #ports: OperatorPorts;

  constructor(ports: OperatorPorts) {
    this.#ports = ports;
  }

  /** An endpoint leaves a service's list, said at one member, and is back, said at another. */
  flap(machine: Machine, service: number, endpoint: number, forMs: number): void {
    const id = SERVICES[service]?.id ?? "";
    const back = SERVICES[service]?.endpoints[endpoint];
    if (back === undefined || !this.#change(machine, id, (known) => without(known, back.address))) return;
    this.#ports.tell(`${back.address} leaves ${id}, said at ${machine.name}`);
    this.#ports.count("flaps");
    this.#later(forMs, (other) =>
      this.#change(other, id, (known) => ({
        ...known,
        endpoints: [...without(known, back.address).endpoints, back],
      })),
    );
  }

  /** A rule is deleted, and posted again at another member. */
  retire(machine: Machine, service: number, forMs: number): void {
    const id = SERVICES[service]?.id ?? "";
    const store = storeOf(machine);
    const known = store?.service(id);
    if (store === undefined || known === undefined || known.removal !== undefined) return;
    const removal = { mode: "change", sinceMs: Math.round(wallMsOf(machine)), graceMs: GRACE_MS } as const;
    store.commit({ put: [{ ...known, removal }] });
    this.#ports.tell(`${id} is deleted, said at ${machine.name}`);
    this.#ports.count("retirements");
    this.#later(forMs, (other) => this.#change(other, id, (now) => now));
  }

  /** The file of a member has these endpoints from now on. */
  file(machine: Machine, endpoints: readonly number[]): void {
    machine.endpointsInFile = endpoints;
    const registry = machine.life?.isComposed === true ? machine.life.registry : undefined;
    if (registry === undefined) return;
    this.#ports.tell(`${machine.name} reloads its file, with the endpoints ${endpoints.join()}`);
    this.#ports.count("reloads");
    registry.applyFile(fileSpecs(endpoints) as readonly ServiceSpec[]);
  }

  #change(machine: Machine, id: string, change: (service: Service) => Service): boolean {
    const store = storeOf(machine);
    const known = store?.service(id);
    if (store === undefined || known === undefined) return false;
    store.commit({ put: [replaced(known, change(known), { nowMs: Math.round(wallMsOf(machine)) })] });
    return true;
  }

  /** Said at a member that runs then, or as soon as one does. */
  #later(inMs: number, action: (machine: Machine) => boolean): void {
    const { time, machines } = this.#ports;
    time.at(time.nowMs + inMs, () => {
      if (![...machines].reverse().some((machine) => action(machine))) this.#later(inMs, action);
    });
  }
}

function storeOf({ life }: Machine): ConfigurationStore | undefined {
  return life?.isComposed === true ? life.link?.store : undefined;
}

function wallMsOf({ life }: Machine): number {
  return life?.main.wallMs() ?? 0;
}

function without(service: Service, address: string): Service {
  return { ...service, endpoints: service.endpoints.filter((endpoint) => endpoint.address !== address) };
}

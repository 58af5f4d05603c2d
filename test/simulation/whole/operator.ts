// An operator, and clients of LoxiLB's API, at whichever members run: endpoints leave lists and come back, rules are deleted
// and posted again, files change. Nobody asks for an end of anything.
import type { ServiceSpec } from "@holdfast/api";
import type { Service } from "@holdfast/model";
import { type ConfigurationStore, replaced } from "@holdfast/node/testing";
import type { SimulatedTime } from "../clock.ts";
import { fileSpecs } from "./configuration.ts";
import type { Machine } from "./machine.ts";
import type { Troubles } from "./troubles.ts";
import { SERVICES } from "./world.ts";

/** Longer than any run: what is not put back ends nothing in it. */
const GRACE_MS = 300_000;
/** After it was said at one member; by then the others have heard of it when they can. */
const LOOK_MS = 100;

export interface OperatorPorts {
  readonly time: SimulatedTime;
  readonly machines: readonly Machine[];
  readonly troubles: Troubles;
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
    if (back === undefined || !change(machine, id, (known) => without(known, back.address))) return;
    this.#ports.tell(`${back.address} leaves ${id}, said at ${machine.name}`);
    this.#ports.count("flaps");
    this.#later(
      forMs,
      ({ life }) => {
        const known = life?.link?.store.service(id);
        return known?.endpoints.some(({ address }) => address === back.address) === true;
      },
      (other) =>
        change(other, id, (known) => ({
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
    this.#later(
      forMs,
      ({ life }) => life?.link?.store.service(id)?.removal === undefined,
      (other) => change(other, id, (now) => now),
    );
  }

  /** A member is drained, and has nothing that is asked of it any more when its time is over. */
  drain(machine: Machine, forMs: number): void {
    const { name } = machine;
    const store = storeOf(machine);
    if (store === undefined) return;
    store.setMemberDrained(name, true);
    this.#ports.troubles.begin(`${name} drains`, forMs, [machine], () =>
      this.#later(
        0,
        ({ life }) => life?.link?.store.drainedMembers().has(name) === false,
        (other) => storeOf(other)?.setMemberDrained(name, false),
      ),
    );
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

  /**
   * Who takes something back looks whether it is so: at a member that has not heard of what was done there is nothing
   * to be taken back, and what is said there is no change. So it is said where it is not so, until it is so
   * everywhere.
   */
  #later(inMs: number, isSo: (machine: Machine) => boolean, say: (machine: Machine) => void): void {
    const { time, machines } = this.#ports;
    const look = () => {
      const running = [...machines].reverse().filter((machine) => storeOf(machine) !== undefined);
      const other = running.find((machine) => !isSo(machine));
      if (other !== undefined) say(other);
      const isAway = (machine: Machine) => machine.wasOn && !machine.isGone && storeOf(machine) === undefined;
      if (other !== undefined || machines.some(isAway)) time.at(time.nowMs + LOOK_MS, look);
    };
    time.at(time.nowMs + inMs, look);
  }
}

/** false: it does not run, or does not know of the service. */
function change(machine: Machine, id: string, by: (service: Service) => Service): boolean {
  const store = storeOf(machine);
  const known = store?.service(id);
  if (store === undefined || known === undefined) return false;
  store.commit({ put: [replaced(known, by(known), { nowMs: Math.round(wallMsOf(machine)) })] });
  return true;
}

function storeOf({ life }: Machine): ConfigurationStore | undefined {
  return life?.isMember === true ? life.link?.store : undefined;
}

function wallMsOf({ life }: Machine): number {
  return life?.main.wallMs() ?? 0;
}

function without(service: Service, address: string): Service {
  return { ...service, endpoints: service.endpoints.filter((endpoint) => endpoint.address !== address) };
}

// What goes wrong between machines and hosts: networks are cut, split, noisy; links stall, break and are slow.
import type { MemoryNetwork } from "@holdfast/sync/testing";
import type { Ledger } from "./ledger.ts";
import type { Machine } from "./machine.ts";
import type { Happening } from "./schedule.ts";
import type { Troubles } from "./troubles.ts";
import type { Wire } from "./wire.ts";
import { NETWORKS, type Network } from "./world.ts";

/** Splits up to here are shorter than every limit that could end something. */
const SPLIT_SHORT_MS = 1_500;

type Of<Kind extends Happening["kind"]> = Extract<Happening, { kind: Kind }>;

export interface DisturbancePorts {
  readonly wire: Wire;
  readonly links: MemoryNetwork;
  readonly ledger: Ledger;
  readonly troubles: Troubles;
  readonly machines: () => readonly Machine[];
  readonly tell: (what: string) => void;
}

export class Disturbance {
  readonly #ports: DisturbancePorts;
  readonly #stalls = new Map<string, number>();
  #slow = false;

  constructor(ports: DisturbancePorts) {
    this.#ports = ports;
  }

  /** Messages between members take long. */
  get isSlow(): boolean {
    return this.#slow;
  }

  /** Reasons add up. */
  stall(from: number, to: number, isStalled: boolean): void {
    const key = `${from} ${to}`;
    const count = (this.#stalls.get(key) ?? 0) + (isStalled ? 1 : -1);
    this.#stalls.set(key, count);
    this.#ports.links.stall(from, to, count > 0);
  }

  stallFor({ from, to, forMs }: Of<"stall">): void {
    const machines = this.#ports.machines();
    const [a, b] = [machines[from], machines[to]];
    if (a === undefined || b === undefined) return;
    this.stall(a.number, b.number, true);
    this.#ports.troubles.begin(`the link from ${a.name} to ${b.name} stalls`, forMs, [], () =>
      this.stall(a.number, b.number, false),
    );
  }

  slowLinks(forMs: number): void {
    this.#slow = true;
    this.#ports.troubles.begin("slow links", forMs, [], () => {
      this.#slow = false;
    });
  }

  break({ from, to }: Of<"break">): void {
    const { links, troubles, tell, machines } = this.#ports;
    const [a, b] = [machines()[from], machines()[to]];
    if (a === undefined || b === undefined) return;
    tell(`the link between ${a.name} and ${b.name} breaks`);
    links.break(a.number, b.number);
    troubles.moment();
  }

  slowDisk(machine: Machine, forMs: number): void {
    machine.disk.isSlow = true;
    this.#ports.troubles.begin(`the disk of ${machine.name} is slow`, forMs, [], () => {
      machine.disk.isSlow = false;
    });
  }

  cut(machine: Machine, network: Network, carrier: boolean, forMs: number): void {
    const { wire, troubles } = this.#ports;
    wire.cut(machine.name, network, true);
    if (carrier) machine.setCarrier(network, false);
    troubles.begin(
      `${machine.name} is cut off ${network}${carrier ? ", no carrier" : ""}`,
      forMs,
      [machine],
      () => {
        wire.cut(machine.name, network, false);
        if (carrier) machine.setCarrier(network, true);
      },
    );
  }

  cutCluster({ members, forMs }: Of<"cutCluster">): void {
    const { wire, links, troubles } = this.#ports;
    const machines = this.#ports.machines();
    const [side, others] = sidesOf(machines, members);
    const join = wire.split("cluster", new Map(side.map(({ name }) => [name, 1])));
    // Links prefer no network: they break and come back over another one.
    for (const a of side) for (const b of others) links.break(a.number, b.number);
    troubles.begin(`the cluster network is cut off ${members.join(", ")}`, forMs, machines, join);
  }

  noise({ loss, duplication, reorder, forMs }: Of<"noise">): void {
    const { wire, troubles } = this.#ports;
    Object.assign(wire.faults, { loss, duplication, reorder });
    troubles.begin(
      `noise: ${loss} lost, ${duplication} twice, ${reorder} late`,
      forMs,
      this.#ports.machines(),
      () => {
        Object.assign(wire.faults, { loss: 0, duplication: 0, reorder: 0 });
      },
    );
  }

  split(event: Of<"split">): void {
    const { wire, links, ledger, troubles } = this.#ports;
    const machines = this.#ports.machines();
    const sides = new Map([
      ...event.members.map((i): [string, number] => [machines[i]?.name ?? "", 1]),
      ...event.clients.map((i): [string, number] => [`c${i}`, 1]),
      ...event.endpoints.map((i): [string, number] => [`e${i}`, 1]),
    ]);
    const joins = NETWORKS.map((network) => wire.split(network, sides));
    links.partition(
      ...sidesOf(machines, event.members).map((side) => [...new Set(side.map(({ number }) => number))]),
    );
    const crosses = (client: string, endpoint: string | undefined) =>
      endpoint === undefined || (sides.get(client) ?? 0) !== (sides.get(endpoint) ?? 0);
    // What no packet can reach for longer than the idle limit is idle, and clients are told of an endpoint out of reach.
    const excuse = () => {
      if (event.forMs < SPLIT_SHORT_MS) return;
      for (const instance of ledger.instances)
        if (instance.state !== "over" && crosses(instance.client, instance.endpoint))
          instance.excused ??= "its ends were parted for longer than the idle limit";
    };
    excuse();
    troubles.begin(
      `split: ${[...sides.keys()].join(" ")} against the rest, ${event.forMs} ms`,
      event.forMs,
      machines,
      () => {
        for (const join of joins) join();
        links.healAll();
        excuse();
      },
    );
  }
}

/** By their place. Of several machines with one number only one runs. */
function sidesOf(
  machines: readonly Machine[],
  members: readonly number[],
): readonly [readonly Machine[], readonly Machine[]] {
  const here = machines.filter(({ isGone }) => !isGone);
  return [
    here.filter(({ index }) => members.includes(index)),
    here.filter(({ index }) => !members.includes(index)),
  ];
}

// What happens to one machine, or is said at it.
import type { Disturbance } from "./disturbance.ts";
import type { Fleet } from "./fleet.ts";
import type { Machine } from "./machine.ts";
import type { Membership } from "./membership.ts";
import type { Operator } from "./operator.ts";
import type { Happening } from "./schedule.ts";

export type MachineHappening = Extract<Happening, { readonly member: number }>;

export interface MachineHands {
  readonly fleet: Fleet;
  readonly disturbance: Disturbance;
  readonly operator: Operator;
  readonly membership: Membership;
}

export function happenTo(
  machine: Machine,
  event: MachineHappening,
  { fleet, disturbance, operator, membership }: MachineHands,
): void {
  switch (event.kind) {
    case "kill":
      fleet.killOne(machine, event.what, event.disk, event.forMs);
      return;
    case "freeze":
      fleet.freeze(machine, event.what, event.forMs);
      return;
    case "cut":
      disturbance.cut(machine, event.network, event.carrier, event.forMs);
      return;
    case "slowDisk":
      disturbance.slowDisk(machine, event.forMs);
      return;
    case "jump":
      fleet.jump(machine, event.byMs);
      return;
    case "drain":
      operator.drain(machine, event.forMs);
      return;
    case "upgrade":
      fleet.upgrade(machine, event.version);
      return;
    case "flap":
      operator.flap(machine, event.service, event.endpoint, event.forMs);
      return;
    case "retire":
      operator.retire(machine, event.service, event.forMs);
      return;
    case "file":
      operator.file(machine, event.endpoints);
      return;
    case "come":
    case "leave":
    case "die":
      membership.order(event.kind, machine);
      return;
  }
}

/** What was meant for a machine that never came, or has gone, hits another one. */
export function machineOf(
  machines: readonly Machine[],
  { kind, member }: MachineHappening,
): Machine | undefined {
  const machine = machines[member];
  if (kind === "come" || kind === "leave" || kind === "die") return machine;
  if (machine === undefined || (machine.wasOn && !machine.isGone)) return machine;
  const here = machines.filter(({ wasOn, isGone }) => wasOn && !isGone);
  return here[member % Math.max(1, here.length)];
}

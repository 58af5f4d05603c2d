// What must be true when the dust has settled: one look; an empty list when all is well.
import {
  canonicalForm,
  currentCandidate,
  isLiving,
  memberNumberOfPort,
  natPortsOf,
  type SessionRecord,
  takenNumbers,
} from "@holdfast/model";
import type { Instance } from "./ledger.ts";
import type { WholeSimulation } from "./simulation.ts";
import { ALL_VIPS, MEMBER_NUMBER_COUNT } from "./world.ts";

/** Segments that all journals of a member may hold when nothing but idle talk goes on. */
const SEGMENT_COUNT_MAX_PER_MEMBER = 32;

export function checkNow(simulation: WholeSimulation): string[] {
  const { members: machines, ledger } = simulation;
  const violations: string[] = [];
  const alive = ledger.alive.filter(({ excused, endpointLost }) => excused === undefined && !endpointLost);
  const byTag = new Map(alive.map((instance) => [instance.clientTag, instance]));
  const doubtful = new Set(
    ledger.instances.filter((i) => i.excused !== undefined || i.endpointLost).map((i) => i.clientTag),
  );
  let expected: string | undefined;
  for (const machine of machines) {
    const { life, name } = machine;
    if (life?.engine === undefined || life.dataPlane === undefined || life.coordinator === undefined) {
      violations.push(`${name} does not run`);
      continue;
    }
    const living = [...life.view.values()].filter(isLiving);
    const form = canonicalForm(living)
      .map((bytes) => Buffer.from(bytes).toString("hex"))
      .join("\n");
    expected ??= form;
    if (form !== expected) violations.push(`${name} and ${machines[0]?.name} differ about what lives`);
    violations.push(
      ...checkPorts(name, living),
      ...checkSessions(name, living, byTag, doubtful),
      ...checkFlows(name, machine.fastPath.flows(), living),
    );
    const ended = life.view.size - living.length;
    if (ended > 0) violations.push(`${name} still remembers ${ended} ended sessions`);
    const status = life.engine.status();
    if (status.sessionCount > living.length)
      violations.push(`${name}'s journals mention ${status.sessionCount - living.length} ended sessions`);
    if (status.segmentCount > SEGMENT_COUNT_MAX_PER_MEMBER * machines.length)
      violations.push(`${name} holds ${status.segmentCount} segments`);
    if ((status.totals["forks"] ?? 0) > 0) violations.push(`${name} saw two changes of one place`);
    if (!status.state.ready || status.state.missing.length > 0)
      violations.push(`${name} is not in step with the others`);
    const counters = life.dataPlane.forwarder.counters();
    if (counters.embryos > 0) violations.push(`${name} still has ${counters.embryos} embryos`);
    if (counters.heldPackets > 0) violations.push(`${name} still holds ${counters.heldPackets} packets`);
    const taken = takenNumbers(life.members?.current() ?? { version: 0, members: [], resting: [] });
    const slot = simulation.fault?.memberNumber?.(machine.number) ?? machine.number;
    const kept = living.reduce((count, record) => count + keptPorts(record, slot, taken), 0);
    if (counters.natPortsUsed > kept)
      violations.push(`${name} holds ${counters.natPortsUsed} NAT ports for ${kept} in use`);
    if (counters.natPortsLent > 0) violations.push(`${name} still lends ${counters.natPortsLent} NAT ports`);
    for (const member of life.coordinator.view().members)
      if (member.phase !== "alive")
        violations.push(`${name} believes that ${member.name} is ${member.phase}`);
  }
  violations.push(...checkOwners(simulation));
  for (const endpoint of simulation.endpoints)
    for (const { instance, deadPaths } of endpoint.associations) {
      if (instance.state === "over") violations.push(`${endpoint.name} still has a${instance.id}`);
      if (alive.includes(instance) && deadPaths.length > 0)
        violations.push(`a${instance.id}: its endpoint's paths to ${deadPaths.join(" and ")} do not answer`);
    }
  return violations;
}

function checkOwners({ machines: all, members: machines }: WholeSimulation): string[] {
  const violations: string[] = [];
  for (const vip of ALL_VIPS) {
    const owners = all.filter(({ fastPath }) => fastPath.isAlive && fastPath.owns(vip));
    if (owners.length !== 1)
      violations.push(
        `${vip} is answered for by ${owners.map(({ name }) => name).join(" and ") || "nobody"}`,
      );
    for (const { name, life } of machines) {
      const announcer = life?.coordinator?.vips().find((ownership) => ownership.vip === vip)?.announcer;
      if (announcer !== owners[0]?.name)
        violations.push(`${name} believes that ${vip} is with ${announcer}, and ${owners[0]?.name} has it`);
    }
  }
  return violations;
}

function checkPorts(name: string, living: readonly SessionRecord[]): string[] {
  const violations: string[] = [];
  const holders = new Map<string, SessionRecord>();
  for (const record of living) {
    for (const { endpoint, endpointPort, natPort } of natPortsOf(record)) {
      const key = `${endpoint}:${endpointPort}/${natPort}`;
      const other = holders.get(key);
      if (other !== undefined) violations.push(`${name}: ${other.id} and ${record.id} share ${key}`);
      holders.set(key, record);
    }
  }
  return violations;
}

function checkSessions(
  name: string,
  living: readonly SessionRecord[],
  byTag: ReadonlyMap<number, Instance>,
  doubtful: ReadonlySet<number>,
): string[] {
  const violations: string[] = [];
  const seen = new Set<number>();
  for (const record of living) {
    const tag = record.commit?.clientTag;
    const instance = tag === undefined ? undefined : byTag.get(tag);
    if (tag !== undefined && doubtful.has(tag)) continue;
    if (instance === undefined) {
      violations.push(`${name} holds ${record.id} of tag ${tag?.toString(16)}, which nobody has`);
      continue;
    }
    seen.add(instance.clientTag);
    const natPort = currentCandidate(record)?.natPort;
    if (natPort !== instance.natPort)
      violations.push(
        `${name}: a${instance.id} has NAT port ${instance.natPort}, the record says ${natPort}`,
      );
  }
  for (const instance of byTag.values())
    if (!seen.has(instance.clientTag))
      violations.push(`${name} has no session of a${instance.id}, which lives`);
  return violations;
}

function checkFlows(
  name: string,
  flows: readonly {
    readonly direction: string;
    readonly key: { readonly sourcePort: number; readonly destinationPort: number; readonly source: string };
  }[],
  living: readonly SessionRecord[],
): string[] {
  const violations: string[] = [];
  const natPorts = new Set(living.flatMap((record) => natPortsOf(record).map(({ natPort }) => natPort)));
  const clients = new Set(
    living.flatMap((record) => [...record.clients.keys()].map((client) => `${client}|${record.clientPort}`)),
  );
  for (const { direction, key } of flows) {
    const known =
      direction === "down"
        ? natPorts.has(key.destinationPort)
        : clients.has(`${key.source}|${key.sourcePort}`);
    if (!known)
      violations.push(`${name} has a flow ${direction} from ${key.source}:${key.sourcePort} of no session`);
  }
  for (const record of living) {
    const natPort = currentCandidate(record)?.natPort;
    if (
      record.commit !== undefined &&
      !flows.some((f) => f.direction === "down" && f.key.destinationPort === natPort)
    )
      violations.push(`${name} has no flows of ${record.id}`);
  }
  return violations;
}

/** Of the member's slot, and of those that nobody has: every member keeps them. */
function keptPorts(record: SessionRecord, member: number, taken: readonly number[]): number {
  return natPortsOf(record).filter(({ natPort }) => {
    const slot = memberNumberOfPort(natPort, MEMBER_NUMBER_COUNT);
    return slot === member || !taken.includes(slot);
  }).length;
}

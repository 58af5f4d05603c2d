// What must be true when the dust has settled.
import { canonicalForm, currentCandidate, isLiving, natPortsOf, type SessionRecord } from "@holdfast/model";
import type { Cluster } from "./cluster.ts";
import type { Workload } from "./workload.ts";

/** Segments that all journals of a member may hold when nothing but idle talk goes on. */
const SEGMENT_COUNT_MAX_PER_MEMBER = 24;

/** `otherCount`: sessions of protocols that are not known here, and that journals go on mentioning. */
export function check(cluster: Cluster, workload: Workload, otherCount = 0): string[] {
  const violations = [...workload.violations];
  const views = cluster.running().map(({ member, life }) => ({
    name: member.identity.name,
    life,
    living: [...life.view.values()].filter(isLiving),
  }));
  const [first] = views;
  if (views.length !== cluster.members.length || first === undefined)
    return ["not all members run at the end"];

  const expected = form(first.living);
  for (const { name, living } of views) {
    if (form(living) !== expected)
      violations.push(`${name} and ${first.name} differ: ${difference(first.living, living)}`);
  }

  for (const { name, living } of views) {
    const holders = new Map<string, SessionRecord>();
    for (const record of living) {
      for (const { endpoint, endpointPort, natPort } of natPortsOf(record)) {
        const key = `${endpoint}:${endpointPort}/${natPort}`;
        const other = holders.get(key);
        if (other !== undefined) violations.push(`${name}: ${other.id} and ${record.id} share ${key}`);
        holders.set(key, record);
      }
    }
  }

  const truth = new Map(workload.associations.map((association) => [association.id, association]));
  for (const { name, life, living } of views) {
    for (const association of workload.alive) {
      if (association.uncertain) continue;
      const record = life.view.get(association.id);
      if (record === undefined) violations.push(`${name} has lost ${association.name}`);
      else if (!isLiving(record))
        violations.push(`${name} holds ${association.name} for ended (${record.end?.cause})`);
      else if (record.commit?.clientTag !== association.clientTag) {
        violations.push(`${name}: ${association.name} is in force with an old tag`);
      } else if (currentCandidate(record)?.natPort !== association.natPort) {
        violations.push(`${name}: ${association.name} is in force with another NAT port`);
      }
    }
    for (const record of living) {
      const association = truth.get(record.id);
      if (association?.uncertain === true) continue;
      if (association === undefined) violations.push(`${name} holds ${record.id}, which never was`);
      else if (association.state !== "alive")
        violations.push(`${name} holds the ghost of ${association.name}`);
    }
  }

  for (const { name, life, living } of views) {
    const status = life.engine.status();
    if (life.view.size !== living.length) {
      violations.push(`${name} still remembers ${life.view.size - living.length} dead sessions`);
    }
    if (status.sessionCount > living.length + otherCount) {
      violations.push(
        `${name}'s journals still mention ${status.sessionCount - living.length - otherCount} dead sessions`,
      );
    }
    if (status.segmentCount > SEGMENT_COUNT_MAX_PER_MEMBER * cluster.members.length) {
      violations.push(`${name} holds ${status.segmentCount} segments`);
    }
    if ((status.totals["forks"] ?? 0) > 0) violations.push(`${name} saw two changes of one place`);
    if (life.replica.totals.malformed > 0) violations.push(`${name} was handed malformed deltas`);
    if (!status.state.ready) violations.push(`${name} is not ready`);
    if (status.state.missing.length > 0)
      violations.push(`${name} misses members ${status.state.missing.join(", ")}`);
  }
  return violations;
}

function form(living: readonly SessionRecord[]): string {
  return canonicalForm(living)
    .map((bytes) => Buffer.from(bytes).toString("hex"))
    .join("\n");
}

function difference(a: readonly SessionRecord[], b: readonly SessionRecord[]): string {
  const formsOf = (records: readonly SessionRecord[]) =>
    new Map(records.map((record) => [record.id, form([record])]));
  const [ours, theirs] = [formsOf(a), formsOf(b)];
  const ids = [...new Set([...ours.keys(), ...theirs.keys()])].filter(
    (id) => ours.get(id) !== theirs.get(id),
  );
  return ids
    .slice(0, 3)
    .map(
      (id) => `${id} (${ours.has(id) ? (theirs.has(id) ? "unequal" : "only the first") : "only the second"})`,
    )
    .join(", ");
}

// Seeds in which the list of members changes while everything else happens, too: machines come, leave, die
// for good and are replaced, and return under new names with numbers that rested; with members of several
// versions.
import { seededRandom } from "@holdfast/model";
import type { ListOrder } from "./membership.ts";
import { type MachineSpec, type Schedule, type ScheduledEvent, scheduleOf } from "./schedule.ts";

/** Schedules of the usual kind, one after the other: long enough for numbers to rest and be given again. */
const PART_COUNT = 3;
const MEMBER_COUNT = 3;
const COUNT_MAX = 5;
const CHANGE_PERIOD_MS = 1_300;
const FIRST_CHANGE_MS = 1_200;
/** Of a slot that no member has in the beginning, and whose ports clients want (world.ts, CLIENT_PORTS). */
const WANTED_NUMBER = 7;
const NUMBERS = [3, 4, WANTED_NUMBER, 5, 6];
/** Indices of VERSIONS: older than lists that change; the one of this build; a later one. */
const [OLDEST, NOW, LATER] = [0, 1, 2];

/** `partCount`: how many of the usual schedules it lasts for. */
export function movingScheduleOf(seed: number, partCount = PART_COUNT): Schedule {
  const random = seededRandom(seed ^ 0x6d6f7665);
  const parts = Array.from({ length: partCount }, (_, i) => scheduleOf(plainSeed(seed * partCount + i)));
  const { clients, peaceAtMs: partMs } = parts[0] as Schedule;
  const { orders, machines } = changesOf(seed, partCount * partMs);
  const machineCount = machines.length;
  const events: ScheduledEvent[] = parts.flatMap(({ events: each, memberCount }, i) =>
    each.map((event) => ({
      ...spread(event, memberCount, machineCount, random.below(machineCount)),
      atMs: event.atMs + i * partMs,
    })),
  );
  events.push(...orders, ...upgradesOf(seed, machines, partCount * partMs));
  events.sort((a, b) => a.atMs - b.atMs);
  return {
    seed,
    memberCount: MEMBER_COUNT,
    version: NOW,
    machines,
    clients,
    events,
    peaceAtMs: partCount * partMs,
  };
}

/** Without a long split or an upgrade of its own. */
function plainSeed(seed: number): number {
  const plain = seed * 16 + 2;
  return plain + (seed % 2) * 4;
}

/** What was meant for the members of the files hits any machine. */
function spread(
  event: ScheduledEvent,
  memberCount: number,
  machineCount: number,
  shift: number,
): ScheduledEvent {
  const other = (member: number) => (member < memberCount ? (member + shift) % machineCount : member);
  if ("members" in event) return { ...event, members: event.members.map(other) };
  if ("member" in event) return { ...event, member: other(event.member) };
  if (event.kind === "stall" || event.kind === "break")
    return { ...event, from: other(event.from), to: other(event.to) };
  return event;
}

function changesOf(
  seed: number,
  untilMs: number,
): { readonly orders: readonly ScheduledEvent[]; readonly machines: readonly MachineSpec[] } {
  const random = seededRandom(seed ^ 0x4c157);
  const versions = versionsOf(seed);
  const machines: MachineSpec[] = [];
  const add = (name: string, number: number) => {
    const index = machines.length;
    machines.push({ index, name, number, version: versions(index) });
    return index;
  };
  const here = Array.from({ length: MEMBER_COUNT }, (_, number) => add(`m${number}`, number));
  const free = [...NUMBERS];
  const left: number[] = [];
  const orders: ScheduledEvent[] = [];
  const order = (kind: ListOrder, member: number, atMs: number) => orders.push({ kind, member, atMs });
  const come = (atMs: number) => {
    const fresh = left.length === 0 || random.below(2) === 0;
    const number = (fresh ? free.shift() : undefined) ?? left.shift() ?? free.shift();
    if (number === undefined) return;
    const index = add(`n${machines.length}`, number);
    here.push(index);
    order("come", index, atMs);
  };
  const go = (kind: "leave" | "die", atMs: number) => {
    const [index] = here.splice(random.below(here.length), 1) as [number];
    left.push((machines[index] as MachineSpec).number);
    order(kind, index, atMs);
  };
  for (let atMs = FIRST_CHANGE_MS; atMs < untilMs - CHANGE_PERIOD_MS; ) {
    const choice = random.below(3);
    if (choice === 0) {
      go("die", atMs);
      come(atMs + 10);
    } else if (here.length < COUNT_MAX && (choice === 1 || here.length <= MEMBER_COUNT)) come(atMs);
    else if (here.length > MEMBER_COUNT) go("leave", atMs);
    atMs += CHANGE_PERIOD_MS / 2 + random.below(CHANGE_PERIOD_MS);
  }
  return { orders, machines };
}

/** By the place of a machine. Neighbours talk to each other; the oldest do not let the list change. */
function versionsOf(seed: number): (index: number) => number {
  const random = seededRandom(seed ^ 0x5e12);
  const [one, other] = seed % 4 === 0 ? [NOW, NOW] : seed % 4 === 1 ? [OLDEST, NOW] : [NOW, LATER];
  return (index) =>
    // Who comes can read lists.
    index >= MEMBER_COUNT
      ? Math.max(NOW, random.below(2) === 0 ? one : other)
      : random.below(2) === 0
        ? one
        : other;
}

/** The older ones become the newer ones, one after the other, early or late. */
function upgradesOf(seed: number, machines: readonly MachineSpec[], untilMs: number): ScheduledEvent[] {
  const random = seededRandom(seed ^ 0x0a9d);
  const newest = Math.max(...machines.map(({ version }) => version));
  if (newest === LATER && seed % 3 === 0) return [];
  const old = machines.filter(({ index, version }) => index < MEMBER_COUNT && version < newest);
  const startMs = FIRST_CHANGE_MS + random.below(untilMs / 3);
  return old.map(({ index }, i) => ({
    kind: "upgrade",
    member: index,
    version: newest,
    atMs: startMs + i * 1_300,
  }));
}

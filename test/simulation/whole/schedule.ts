// What happens in one seed, as a plain list: so that a failing one can be cut down, kept and read.
import { type Random, seededRandom } from "@holdfast/model";
import type { SourcePolicy } from "./client.ts";
import { type MemberSpec, memberName } from "./configuration.ts";
import type { ListOrder } from "./membership.ts";
import { CLIENT_PORTS, ENDPOINT_COUNT, NETWORKS, type Network, SERVICES, TIMES } from "./world.ts";

export interface ClientSpec {
  /** Networks of its addresses, in their order. */
  readonly networks: readonly Network[];
  readonly port: number;
  readonly sources: SourcePolicy;
  readonly knowsAll: boolean;
  /** Its INITs list addresses that lead nowhere, too: one that is believed, and one that no route leads to. */
  readonly listsNowhere?: boolean;
}

export type Happening =
  /** A client connects; `both`: it sends its first INIT to two VIPs at once. */
  | {
      readonly kind: "open";
      readonly client: number;
      readonly service: number;
      readonly vip: number;
      readonly both: boolean;
    }
  | {
      readonly kind: "end";
      readonly client: number;
      readonly by: "client" | "endpoint";
      readonly how: "shutdown" | "abort";
    }
  | { readonly kind: "restartClient"; readonly client: number }
  | { readonly kind: "vanish"; readonly client: number }
  | { readonly kind: "restartEndpoint"; readonly endpoint: number; readonly forMs: number }
  /** `machine`: its kernel goes, too; `daemon`: the pinned data plane stays. */
  | {
      readonly kind: "kill";
      readonly member: number;
      readonly what: "daemon" | "machine";
      readonly disk: "kept" | "lost";
      readonly forMs: number;
    }
  /** The machine that sends the next INIT-ACK to a client dies at that moment. */
  | { readonly kind: "killOnInitAck"; readonly forMs: number }
  | { readonly kind: "killAll"; readonly what: "daemon" | "machine"; readonly forMs: number }
  /** `all`: SIGSTOP; `main`: a busy event loop. */
  | {
      readonly kind: "freeze";
      readonly member: number;
      readonly what: "all" | "main";
      readonly forMs: number;
    }
  | {
      readonly kind: "cut";
      readonly member: number;
      readonly network: Network;
      readonly carrier: boolean;
      readonly forMs: number;
    }
  | { readonly kind: "cutCluster"; readonly members: readonly number[]; readonly forMs: number }
  /** Every network falls in two; hosts by name are on the second side, like these members. */
  | {
      readonly kind: "split";
      readonly members: readonly number[];
      readonly clients: readonly number[];
      readonly endpoints: readonly number[];
      readonly forMs: number;
    }
  | {
      readonly kind: "noise";
      readonly loss: number;
      readonly duplication: number;
      readonly reorder: number;
      readonly forMs: number;
    }
  | { readonly kind: "stall"; readonly from: number; readonly to: number; readonly forMs: number }
  | { readonly kind: "slowLinks"; readonly forMs: number }
  | { readonly kind: "break"; readonly from: number; readonly to: number }
  | { readonly kind: "slowDisk"; readonly member: number; readonly forMs: number }
  | { readonly kind: "jump"; readonly member: number; readonly byMs: number }
  | { readonly kind: "drain"; readonly member: number; readonly forMs: number }
  /** A graceful stop, and a start as another version. */
  | { readonly kind: "upgrade"; readonly member: number; readonly version: number }
  /** Somebody else sends in the client's name, with tags that it cannot know. */
  | {
      readonly kind: "forge";
      readonly client: number;
      readonly what: "abort" | "abortReflected" | "shutdownComplete" | "init" | "data";
      readonly tag: number;
    }
  /** INITs of strangers, whose answers nobody reads. */
  | { readonly kind: "flood"; readonly count: number }
  /** An endpoint leaves a service's list, and is back at another member. */
  | {
      readonly kind: "flap";
      readonly member: number;
      readonly service: number;
      readonly endpoint: number;
      readonly forMs: number;
    }
  /** A service is deleted through LoxiLB's API, and posted again. */
  | { readonly kind: "retire"; readonly member: number; readonly service: number; readonly forMs: number }
  /** A member's file has other endpoints from now on. */
  | { readonly kind: "file"; readonly member: number; readonly endpoints: readonly number[] }
  /** A machine joins; leaves in order; dies for good and is taken out of the list. */
  | { readonly kind: ListOrder; readonly member: number }
  /** An operator removes the session. */
  | { readonly kind: "remove"; readonly client: number };

export type ScheduledEvent = Happening & { readonly atMs: number };

/** `member` in events is `index`: the machine's place, and nobody else's. */
export interface MachineSpec extends MemberSpec {
  /** Index of the version that it begins with. */
  readonly version: number;
}

export interface Schedule {
  readonly seed: number;
  /** In the files; they are the first machines. */
  readonly memberCount: number;
  /** Index of the version that all begin with. */
  readonly version: number;
  /** Absent: the members of the files, and all of them of `version`. */
  readonly machines?: readonly MachineSpec[];
  readonly clients: readonly ClientSpec[];
  /** In the order of time. */
  readonly events: readonly ScheduledEvent[];
  /** When peace begins. */
  readonly peaceAtMs: number;
}

/** By then the cluster has formed and every VIP has its owner. */
const BEGIN_MS = 900;
/** In which the first clients come. */
const OPEN_FIRST_MS = 300;
const CHAOS_MS = 3_600;
const LONG_CHAOS_MS = 7_000;
const CLIENT_COUNT = 6;
/** Every so many seeds: one long split; one rolling upgrade. */
const LONG_SPLIT_EVERY = 8;
const UPGRADE_EVERY = 4;
/** Longer than the idle limit and than journals remember. */
const LONG_SPLIT_MS = TIMES.idleMs + 1_500;
/** Every so many seeds: clients of one port that come at the same moment, from all networks. */
const TOGETHER_EVERY = 6;
const TOGETHER_MS = BEGIN_MS + 50;
/** After one trouble that takes members or paths away, before the next one does. */
const RECOVERY_MS = 700;
const FORGERY_PERIOD_MS = 420;
const OPERATOR_PERIOD_MS = 900;
/** Endpoints that members' files list; one file of four lacks one. */
const FILES: readonly (readonly number[])[] = [[0, 1], [0, 1], [0, 1], [0]];

export function machinesOf({ machines, memberCount, version }: Schedule): readonly MachineSpec[] {
  if (machines !== undefined) return machines;
  return Array.from({ length: memberCount }, (_, index) => ({
    index,
    name: memberName(index),
    number: index,
    version,
  }));
}

export function scheduleOf(seed: number): Schedule {
  const random = seededRandom(seed ^ 0x2545f491);
  const pick = <T>(items: readonly T[]): T => items[random.below(items.length)] as T;
  const chance = (share: number) => random.below(1_000) < share * 1_000;
  const memberCount = seed % 16 === 15 ? 5 : seed % 5 === 0 ? 4 : 3;
  const isLong = seed % LONG_SPLIT_EVERY === 0;
  const upgrades = seed % UPGRADE_EVERY === 1;
  const version = upgrades ? random.below(2) : 0;
  const clients = Array.from({ length: CLIENT_COUNT }, (_, i): ClientSpec => {
    const first = pick(["path-a", "path-b"] as const);
    const other = first === "path-a" ? "path-b" : "path-a";
    return {
      networks: pick<readonly Network[]>([[first], [first, other], [first, other], [first, other, first]]),
      port: CLIENT_PORTS[random.below(CLIENT_PORTS.length)] as number,
      sources: pick(["paired", "first", "any"] as const),
      knowsAll: chance(0.5),
      listsNowhere: (seed + i) % 2 === 0,
    };
  });
  const events: ScheduledEvent[] = [];
  const peaceAtMs = BEGIN_MS + (isLong ? LONG_CHAOS_MS : CHAOS_MS);
  const add = (atMs: number, happening: Happening) => {
    if (atMs < peaceAtMs - 100) events.push({ ...happening, atMs: Math.round(atMs) });
  };

  for (let client = 0; client < CLIENT_COUNT; client++)
    if (client < 4) add(BEGIN_MS + random.below(OPEN_FIRST_MS), openOf(client, random));
  const every = (periodMs: number, action: (atMs: number) => void) => {
    for (let atMs = BEGIN_MS + 400 + random.below(periodMs); atMs < peaceAtMs; ) {
      action(atMs);
      atMs += periodMs / 2 + random.below(periodMs);
    }
  };
  const client = () => random.below(CLIENT_COUNT);
  every(isLong ? 400 : 260, (atMs) => add(atMs, openOf(client(), random)));
  every(900, (atMs) =>
    add(atMs, {
      kind: "end",
      client: client(),
      by: pick(["client", "client", "endpoint"] as const),
      how: pick(["shutdown", "shutdown", "abort"] as const),
    }),
  );
  every(800, (atMs) => add(atMs, { kind: "restartClient", client: client() }));
  every(2_200, (atMs) => add(atMs, { kind: "vanish", client: client() }));
  every(FORGERY_PERIOD_MS, (atMs) =>
    add(atMs, {
      kind: "forge",
      client: client(),
      what: pick(["abort", "abortReflected", "shutdownComplete", "init", "data"] as const),
      tag: 1 + random.below(0xffff_fffe),
    }),
  );
  if (chance(0.3)) add(BEGIN_MS + 500 + random.below(1_500), { kind: "flood", count: 20 + random.below(40) });
  if (chance(0.25)) every(2_000, (atMs) => add(atMs, { kind: "remove", client: client() }));
  if (chance(0.2))
    add(BEGIN_MS + 600 + random.below(2_000), {
      kind: "restartEndpoint",
      endpoint: random.below(ENDPOINT_COUNT),
      forMs: 20 + random.below(300),
    });

  // What disturbs, but takes nothing away.
  every(700, (atMs) => {
    const forMs = 100 + random.below(900);
    const member = random.below(memberCount);
    const [from, to] = [random.below(memberCount), random.below(memberCount)];
    add(
      atMs,
      pick<Happening>([
        {
          kind: "noise",
          loss: random.below(12) / 100,
          duplication: random.below(20) / 100,
          reorder: random.below(30) / 100,
          forMs,
        },
        { kind: "cutCluster", members: sideOf(memberCount, random), forMs },
        from === to
          ? { kind: "break", from, to: (to + 1) % memberCount }
          : { kind: "stall", from, to, forMs },
        { kind: "slowLinks", forMs },
        { kind: "break", from, to: from === to ? (to + 1) % memberCount : to },
        { kind: "slowDisk", member, forMs },
        { kind: "jump", member, byMs: (random.below(2) === 0 ? -1 : 1) * random.below(3_600_000) },
        { kind: "freeze", member, what: "main", forMs: Math.min(forMs, 500) },
      ]),
    );
  });

  addOperator(seed, memberCount, add);

  // What takes members or paths away: one after the other, with time to recover.
  let atMs = BEGIN_MS + 400 + random.below(400);
  if (isLong) {
    const side = sideOf(memberCount, random);
    const endpoints = Array.from({ length: ENDPOINT_COUNT }, (_, i) => i).filter(() => chance(0.5));
    add(atMs, {
      kind: "split",
      members: side,
      clients: clients.flatMap((_, i) => (chance(0.5) ? [i] : [])),
      endpoints,
      forMs: LONG_SPLIT_MS,
    });
    atMs += LONG_SPLIT_MS + RECOVERY_MS;
  }
  if (upgrades) {
    const order = Array.from({ length: memberCount }, (_, i) => i).sort(() => random.below(3) - 1);
    for (const member of order) {
      add(atMs, { kind: "upgrade", member, version: version + 1 });
      atMs += 600 + RECOVERY_MS;
    }
  }
  while (atMs < peaceAtMs) {
    const { happening, forMs } = troubleOf(random, memberCount, clients.length);
    add(atMs, happening);
    if (happening.kind === "kill" && chance(0.25)) {
      const second = (happening.member + 1 + random.below(memberCount - 1)) % memberCount;
      add(atMs + random.below(400), { ...happening, member: second, disk: "kept" });
      atMs += 400;
    }
    atMs += forMs + RECOVERY_MS + random.below(500);
  }
  events.sort((a, b) => a.atMs - b.atMs);
  return maybeTogether({ seed, memberCount, version, clients, events, peaceAtMs });
}

/** In some seeds the first clients come at once and want one NAT port: nobody has heard of the others. */
function maybeTogether(schedule: Schedule): Schedule {
  if (schedule.seed % TOGETHER_EVERY !== 3) return schedule;
  const isFirst = ({ kind, atMs }: ScheduledEvent) => kind === "open" && atMs < BEGIN_MS + OPEN_FIRST_MS;
  return {
    ...schedule,
    clients: schedule.clients.map((client) => ({ ...client, port: CLIENT_PORTS[0] })),
    events: schedule.events
      .map((event) => (isFirst(event) ? { ...event, atMs: TOGETHER_MS } : event))
      .sort((a, b) => a.atMs - b.atMs),
  };
}

/** What an operator does to the configuration; from numbers of its own, beside everything else. */
function addOperator(
  seed: number,
  memberCount: number,
  add: (atMs: number, happening: Happening) => void,
): void {
  const random = seededRandom(seed ^ 0x3c6ef372);
  for (let atMs = BEGIN_MS + random.below(OPERATOR_PERIOD_MS); atMs < BEGIN_MS + LONG_CHAOS_MS; ) {
    const member = random.below(memberCount);
    const service = random.below(SERVICES.length);
    const forMs = 50 + random.below(1_200);
    const what = random.below(4);
    if (what < 2) add(atMs, { kind: "flap", member, service, endpoint: random.below(ENDPOINT_COUNT), forMs });
    else if (what === 2) add(atMs, { kind: "retire", member, service, forMs });
    else
      add(atMs, {
        kind: "file",
        member,
        endpoints: FILES[random.below(FILES.length)] as readonly number[],
      });
    atMs += OPERATOR_PERIOD_MS / 2 + random.below(OPERATOR_PERIOD_MS);
  }
}

function openOf(client: number, random: Random): Happening {
  return {
    kind: "open",
    client,
    service: random.below(5) < 4 ? 0 : SERVICES.length - 1,
    vip: random.below(3) === 0 ? 1 : 0,
    both: random.below(5) === 0,
  };
}

/** Some of the members, not none and not all. */
function sideOf(memberCount: number, random: Random): number[] {
  const members = Array.from({ length: memberCount }, (_, i) => i);
  const odd = random.below(memberCount);
  const side = members.filter((i) => i !== odd && random.below(3) === 0);
  return side.length > 0 ? side : [(odd + 1) % memberCount];
}

function troubleOf(
  random: Random,
  memberCount: number,
  clientCount: number,
): { readonly happening: Happening; readonly forMs: number } {
  const member = random.below(memberCount);
  const forMs = 60 + random.below(900);
  switch (random.below(10)) {
    case 0:
    case 1:
    case 2: {
      const disk = random.below(5) === 0 ? "lost" : "kept";
      const what = random.below(2) === 0 ? "daemon" : "machine";
      const downMs = random.below(4) === 0 ? TIMES.memoryMs * 1.6 : forMs;
      return { happening: { kind: "kill", member, what, disk, forMs: downMs }, forMs: downMs };
    }
    case 3:
    case 9:
      return { happening: { kind: "killOnInitAck", forMs }, forMs: forMs + 300 };
    case 4:
      return { happening: { kind: "freeze", member, what: "all", forMs }, forMs };
    case 5:
    case 6: {
      const network = NETWORKS[random.below(3)] as Network;
      // Some for so long that one member's probes call every endpoint dead.
      const cutMs = random.below(4) === 0 ? forMs + 1_500 : forMs;
      const carrier = random.below(2) === 0;
      return { happening: { kind: "cut", member, network, carrier, forMs: cutMs }, forMs: cutMs };
    }
    case 7:
      return random.below(3) === 0
        ? {
            happening: { kind: "killAll", what: random.below(2) === 0 ? "daemon" : "machine", forMs: 250 },
            forMs: 600,
          }
        : { happening: { kind: "drain", member, forMs }, forMs };
    default: {
      const someOf = (count: number) =>
        Array.from({ length: count }, (_, i) => i).filter(() => random.below(2) === 0);
      return {
        happening: {
          kind: "split",
          members: sideOf(memberCount, random),
          clients: someOf(clientCount),
          endpoints: someOf(ENDPOINT_COUNT),
          forMs,
        },
        forMs,
      };
    }
  }
}

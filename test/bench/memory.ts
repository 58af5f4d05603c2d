// `npm run bench -- memory`: resident memory of a member with so many living sessions, beside an empty one,
// right after they were made and again when every journal segment of that time has retired; first of all what
// a session takes by owner. Three members as
// processes, each with what a daemon hangs on its table: the forwarder (its BPF maps apart) and the catalogue
// of the API.
//
//   --live N   living sessions of the cluster, default 100,000
//   --rounds N clusters of each build, one after another, default 1; the best one counts
//   --hold N   seconds until the second look, default 60
import { clusterOf, measured, roundsOf } from "./baseline/compare.ts";
import type { OtherBuild } from "./baseline/other-build.ts";
import { numberOf } from "./options/options.ts";
import { print, type Row, rounded } from "./replication/report.ts";

const MEMBER_COUNT = 3;
const LIMIT_MS = 120_000;

interface Memory {
  readonly rss: number;
  readonly heapUsed: number;
  readonly external: number;
  readonly flowCount: number;
}

/** What the engine's thread tells of itself; builds before a certain one tell less. */
interface Engine {
  readonly host?: { readonly heapBytes?: number; readonly externalBytes?: number };
}

/** Bytes of one member, by who has them. */
type Owners = ReadonlyMap<string, number>;

/** V8's free pages and code, what libraries allocate, stacks. */
const REST = "the rest of the process";

function ownersOf(memory: Memory, { host }: Engine): Owners {
  const owners = new Map([
    ["main thread's heap", memory.heapUsed],
    ["main thread's buffers (records at rest, indices)", memory.external],
    ["engine's heap", host?.heapBytes ?? 0],
    ["engine's buffers (journals in WASM and bytes)", host?.externalBytes ?? 0],
  ]);
  const known = [...owners.values()].reduce((sum, bytes) => sum + bytes, 0);
  return owners.set(REST, memory.rss - known);
}

/** Means of members, of `live` sessions. */
function ownerRows(empty: readonly Owners[], held: readonly Owners[], live: number): Row[] {
  const mean = (of: readonly Owners[], owner: string) =>
    of.reduce((sum, owners) => sum + (owners.get(owner) ?? 0), 0) / of.length;
  return [...(held[0]?.keys() ?? [])].map((owner) => ({
    case: `per session, ${owner}`,
    value: rounded((mean(held, owner) - mean(empty, owner)) / live),
    unit: "B",
  }));
}

export const takesBaseline = true;

export async function run(options: {
  readonly json: boolean;
  readonly args: string[];
  readonly baseline?: OtherBuild;
}): Promise<void> {
  const live = numberOf(options.args, "live", 100_000);
  const holdMs = numberOf(options.args, "hold", 60) * 1_000;
  const rows = await measured(options.baseline, roundsOf(options.args, 1), (build) =>
    measure(build, live, holdMs),
  );
  print("memory", rows, options.json);
}

async function measure(build: OtherBuild | undefined, live: number, holdMs: number): Promise<Row[]> {
  const { BenchCluster } = await clusterOf(build);
  const each = Math.floor(live / MEMBER_COUNT);
  const rows: Row[] = [];
  const cluster = await BenchCluster.open("crdt", { whole: true });
  const look = async (when: string): Promise<{ resident: number; owners: Owners[] }> => {
    const members = await cluster.all<Memory>({ name: "memory" });
    const engines = await cluster.all<Engine>({ name: "metrics" });
    const most = (of: (memory: Memory) => number) => rounded(Math.max(...members.map(of)) / 2 ** 20);
    rows.push(
      { case: `${when}: resident`, value: most((m) => m.rss), unit: "MiB" },
      { case: `${when}: main heap in use`, value: most((m) => m.heapUsed), unit: "MiB" },
      {
        case: `${when}: flows in the maps`,
        value: Math.max(...members.map((m) => m.flowCount)),
        unit: "flows",
      },
    );
    return {
      resident: Math.max(...members.map((memory) => memory.rss)),
      owners: members.map((memory, i) => ownersOf(memory, engines[i] ?? {})),
    };
  };
  try {
    const empty = await look("no session");
    await cluster.all({ name: "preload", count: each });
    await cluster.settled(each * MEMBER_COUNT, LIMIT_MS);
    await look(`${live} sessions`);
    const endMs = performance.now() + holdMs;
    while (performance.now() < endMs) await new Promise((resolve) => setTimeout(resolve, 1_000));
    await cluster.settled(each * MEMBER_COUNT, LIMIT_MS);
    const held = await look(`${live} sessions, ${holdMs / 1_000} s later`);
    const perSession = rounded((held.resident - empty.resident) / live);
    rows.unshift(...ownerRows(empty.owners, held.owners, live));
    rows.push({ case: "per session", value: perSession, unit: "B" });
  } finally {
    await cluster.close();
  }
  return rows;
}

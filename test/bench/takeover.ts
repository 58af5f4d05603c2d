// `npm run bench -- takeover`: three members, associations of a two-homed client with fixed timers and
// numbered messages; the owner of the primary VIP is killed again and again, as a whole node and as a daemon
// alone in turn.
//
// Beside it the same death of a node with keepalived, nftables and conntrackd; beside bgp the same with l2.
//
//   --protocol NAME      default sctp; tcp or udp: flows of the kernel's own stacks, with --kills and --flows
//   --flows N            with --protocol tcp or udp: default 20
//   --kills N            default 20
//   --associations N     default 20
//   --keepalived-kills N default 5; each takes some 15 s. 0 leaves it out
//   --announcer KIND     default l2; bgp: routers between everybody, and BFD
//   --router KIND[,KIND] with bgp: bird and frr, so many kills with each (default bird)
//   --bfd-ms N           with bgp: default 50; what a machine with other work holds is 100
//   --l2-kills N         with bgp: default as many as --kills; 0 leaves them out
//   --rounds N           with --baseline, which leaves keepalived out: clusters of each build, default 2
//   --watch N            default 0: so many seconds more in which nobody is killed
//   --busy N             default 1: so many processors are kept busy by something else meanwhile
//
// A kill and the return of the member take some six seconds: a hundred take ten minutes.
import {
  type Capture,
  Cluster,
  PATH_NETWORKS,
  pause,
  ROUTED_PROFILE,
  type RouterSoftware,
  routed as routedTo,
  sessionsUp,
  startCapture,
} from "@holdfast/testkit";
import { compared, programOf, roundsOf } from "./baseline/compare.ts";
import { plainly } from "./baseline/daemons.ts";
import type { OtherBuild } from "./baseline/other-build.ts";
import { numberOf, wordOf, wordsOf } from "./options/options.ts";
import { print, type Row, rounded } from "./replication/report.ts";
import { burner } from "./takeover/burner.ts";
import { KEEPALIVED_OBSERVATION_MS, measureKeepalived } from "./takeover/keepalived.ts";
import {
  type Absence,
  falseVerdicts,
  type KillClock,
  kill,
  messagesLost,
  revive,
  wallMs,
} from "./takeover/kill.ts";
import { percentile } from "./takeover/percentile.ts";
import { measurePlain } from "./takeover/plain.ts";

/** Messages per second and association: a gap is known to 20 ms. */
const RATE = 50;
/** For everything to be well again on a busy machine. */
const LIMIT_MS = 120_000;

export const takesBaseline = true;

interface Options {
  readonly json: boolean;
  readonly args: string[];
  readonly baseline?: OtherBuild;
}

export async function run(options: Options): Promise<void> {
  const busy = numberOf(options.args, "busy", 1);
  const burners = Array.from({ length: busy }, burner);
  try {
    const { args, baseline } = options;
    const protocol = protocolOf(args);
    if (protocol !== "sctp" && baseline !== undefined) throw new Error("--baseline is of SCTP here");
    const rows =
      protocol !== "sctp"
        ? await measurePlain(args, protocol)
        : baseline !== undefined
          ? await besideBuild(args, baseline)
          : announcerOf(args) === "bgp"
            ? await besideL2(args)
            : await besideKeepalived(args);
    rows.push({ case: "processors kept busy by something else", value: busy, unit: "" });
    print("takeover", rows, options.json);
  } finally {
    for (const one of burners) one.kill("SIGKILL");
  }
}

async function besideKeepalived(args: readonly string[]): Promise<Row[]> {
  const rows = rowsOf(await measure(args, numberOf(args, "kills", 20), undefined));
  const theirs = numberOf(args, "keepalived-kills", 5);
  if (theirs > 0) await compare(theirs, associationsOf(args), rows);
  return rows;
}

/** Kills behind each kind of router; the ratios are to the same deaths with l2. */
async function besideL2(args: readonly string[]): Promise<Row[]> {
  const kills = numberOf(args, "kills", 20);
  const l2Kills = numberOf(args, "l2-kills", kills);
  const measured: (readonly [RouterSoftware, readonly Row[]])[] = [];
  for (const software of routersOf(args))
    measured.push([software, rowsOf(await measure(args, kills, undefined, software))]);
  const theirs = l2Kills > 0 ? rowsOf(await measure(args, l2Kills, undefined)) : [];
  return measured.flatMap(([software, rows]) =>
    compared(rows, theirs, `l2, ${l2Kills} kills`).map((row) => ({
      ...row,
      case: `${software.toUpperCase()}: ${row.case}`,
    })),
  );
}

/** Clusters of the two builds in turns; the kills of all of a build's clusters are looked at together. */
async function besideBuild(args: readonly string[], baseline: OtherBuild): Promise<Row[]> {
  const rounds = roundsOf(args, 2);
  const kills = Math.ceil(numberOf(args, "kills", 20) / rounds);
  const [ours, theirs]: [Measured[], Measured[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    for (const build of round % 2 === 0 ? [undefined, baseline] : [baseline, undefined])
      (build === undefined ? ours : theirs).push(await measure(args, kills, build, routersOf(args)[0]));
  }
  return compared(rowsOf(together(ours)), rowsOf(together(theirs)), baseline.revision);
}

interface Measured {
  readonly clocks: readonly KillClock[];
  readonly routed: boolean;
  readonly associationsLost: number;
  readonly messagesLost: number;
  /** Living members that another one took for dead. */
  readonly falseVerdicts: number;
  /** Packets with an ABORT, from anybody, at any edge. */
  readonly aborts: number;
}

function together(parts: readonly Measured[]): Measured {
  const sum = (of: (part: Measured) => number) => parts.reduce((total, part) => total + of(part), 0);
  return {
    clocks: parts.flatMap(({ clocks }) => clocks),
    routed: parts.some(({ routed }) => routed),
    associationsLost: sum((part) => part.associationsLost),
    messagesLost: sum((part) => part.messagesLost),
    falseVerdicts: sum((part) => part.falseVerdicts),
    aborts: sum((part) => part.aborts),
  };
}

const associationsOf = (args: readonly string[]) => numberOf(args, "associations", 20);

async function measure(
  args: readonly string[],
  kills: number,
  build: OtherBuild | undefined,
  software?: RouterSoftware,
): Promise<Measured> {
  const associations = associationsOf(args);
  const routed = software !== undefined;
  const cluster = new Cluster({
    ...plainly(3),
    clients: [2],
    ...(routed && {
      profile: ROUTED_PROFILE,
      bfdIntervalMs: numberOf(args, "bfd-ms", 50),
      router: { software },
      vips: ROUTED_PROFILE.vips.ipv4.slice(0, 2),
      service: {},
    }),
  });
  try {
    const program = await programOf(build);
    for (const member of cluster.members) member.program = program;
    await cluster.start();
    await led(cluster);
    const endpoint = await cluster.startEndpoint(0);
    const edges = await abortsAtEdges(cluster);
    const client = await cluster.startClient(0, { associations, rate: RATE, startRate: 50 });
    await client.established(associations, LIMIT_MS);
    const clocks: KillClock[] = [];
    const absences: Absence[] = [];
    for (let i = 0; i < kills; i++) {
      const fromMs = wallMs();
      const { victim, clock } = await kill(cluster, i % 2 === 0 ? "node" : "daemon");
      clocks.push(clock);
      const whose = build === undefined ? ` (${software ?? "l2"})` : ` of ${build.revision}`;
      console.error(`kill ${i + 1} of ${kills}${whose}: ${JSON.stringify(clock)}`);
      await revive(cluster, victim);
      await led(cluster);
      absences.push({ member: victim.name, fromMs, untilMs: wallMs() });
    }
    await pause(numberOf(args, "watch", 0) * 1_000);
    const figures = await client.settle();
    await Promise.all(edges.map((capture) => capture.stop()));
    return {
      clocks,
      routed,
      associationsLost: figures.filter(({ up, lost, restarts }) => !up || lost + restarts > 0).length,
      messagesLost: await messagesLost(endpoint),
      falseVerdicts: falseVerdicts(cluster, absences),
      aborts: edges.reduce((sum, capture) => sum + capture.packets().length, 0),
    };
  } finally {
    await cluster.close();
  }
}

/**
 * Where there are routers, they send every VIP's packets to its owner: a member that is back is held down
 * for a while, and until then its death would be nobody's.
 */
async function led(cluster: Cluster): Promise<void> {
  if (cluster.bgpRouters.length === 0) return;
  await sessionsUp(cluster.members, LIMIT_MS);
  const owners = async () => {
    const names = [...(await cluster.settled(LIMIT_MS))];
    return new Map(names.map(([vip, name]) => [vip, cluster.memberOf(name).host]));
  };
  await routedTo(cluster.routers, owners, LIMIT_MS);
}

/** ABORT as the first chunk, where clients and endpoints are; before the first association begins. */
function abortsAtEdges(cluster: Cluster): Promise<Capture[]> {
  const edges = [
    ...cluster.endpoints.map((host) => [host, "core"] as const),
    ...cluster.clients.flatMap((host) => PATH_NETWORKS.map((network) => [host, network] as const)),
  ].filter(([host, network]) => host.addresses(network).length > 0);
  return Promise.all(
    edges.map(([host, network]) => startCapture(cluster.lab, host, network, "ip proto 132 and ip[32] = 6")),
  );
}

function rowsOf(measured: Measured): Row[] {
  const { clocks, routed, associationsLost, messagesLost, falseVerdicts, aborts } = measured;
  // Routers are told nothing at a death: they know the way around it.
  const stages = STAGES.filter(([key]) => key !== (routed ? "announcement" : "rerouted"));
  return [
    ...(["node", "daemon", "either"] as const).flatMap((how) => rowsOfKills(how, clocks, stages)),
    { case: "associations lost", value: associationsLost, unit: "" },
    { case: "messages lost", value: messagesLost, unit: "" },
    { case: "verdicts on members that lived", value: falseVerdicts, unit: "" },
    { case: "ABORTs", value: aborts, unit: "" },
  ];
}

function protocolOf(args: readonly string[]): "sctp" | "tcp" | "udp" {
  return wordOf(args, "protocol", ["sctp", "tcp", "udp"], "sctp");
}

function announcerOf(args: readonly string[]): "l2" | "bgp" {
  return wordOf(args, "announcer", ["l2", "bgp"], "l2");
}

/** Empty with l2, which has none. */
function routersOf(args: readonly string[]): readonly RouterSoftware[] {
  return announcerOf(args) === "l2" ? [] : wordsOf(args, "router", ["bird", "frr"], ["bird"]);
}

const THEM = "keepalived, nftables, conntrackd";

/** Measures theirs, writes the ratios into our rows and adds theirs. */
async function compare(kills: number, associations: number, rows: Row[]): Promise<void> {
  const theirs = await measureKeepalived(kills, associations, RATE);
  if (theirs.trouble !== undefined) {
    console.error(`no comparison with ${THEM}: ${theirs.trouble}`);
    return;
  }
  const middle = (values: readonly number[]) =>
    rounded(
      percentile(
        [...values].sort((a, b) => a - b),
        50,
      ),
    );
  const figures = new Map([
    ["first packet through the successor", middle(theirs.firstForwarded)],
    ["longest gap of an association", middle(theirs.clientGap)],
  ]);
  // A take-over that the associations do not survive is no take-over: no ratio then.
  const carried = theirs.associationsLost === 0;
  if (!carried) console.error(`${THEM} moved the VIP, but did not carry the associations over`);
  for (const [what, value] of carried ? figures : []) {
    const own = rows.find((row) => row.case === `node killed: ${what} p50`);
    if (own === undefined || Number.isNaN(value)) continue;
    rows[rows.indexOf(own)] = { ...own, versus: THEM, ratio: rounded(value / own.value, 2) };
  }
  const watched = `within ${KEEPALIVED_OBSERVATION_MS / 1_000} s`;
  rows.push(
    ...[...figures].map(([what, value]) => ({ case: `${THEM}: ${what} p50, ${watched}`, value, unit: "ms" })),
    {
      case: `${THEM}: associations lost ${watched}, of ${kills * associations}`,
      value: theirs.associationsLost,
      unit: "",
    },
  );
}

const STAGES = [
  ["detection", "detection"],
  ["announcement", "announcement"],
  ["rerouted", "all routers have gone on"],
  ["firstForwarded", "first packet through the successor"],
  ["clientGap", "longest gap of an association"],
] as const;

function rowsOfKills(
  how: KillClock["how"] | "either",
  clocks: readonly KillClock[],
  stages: readonly (typeof STAGES)[number][],
): Row[] {
  const these = clocks.filter((clock) => how === "either" || clock.how === how);
  if (these.length === 0) return [];
  return stages.flatMap(([key, what]) => {
    const values = these.flatMap((clock) => clock[key] ?? []).sort((a, b) => a - b);
    const name = `${how === "either" ? "node or daemon" : how} killed: ${what}`;
    const missing = these.length - values.length;
    return [
      ...[50, 99].map((percent) => ({
        case: `${name} p${percent}`,
        value: rounded(percentile(values, percent)),
        unit: "ms",
      })),
      { case: `${name} max`, value: rounded(values.at(-1) ?? Number.NaN), unit: "ms" },
      ...(missing > 0
        ? [{ case: `${name}: not within the observation`, value: missing, unit: `of ${these.length}` }]
        : []),
    ];
  });
}

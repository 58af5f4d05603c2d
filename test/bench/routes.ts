// `npm run bench -- routes`: how long it takes from a member's decision to the UPDATE on the wire, with as
// many VIPs, and what so many changes do to the session with the router and its BFD. BIRD at both ends.
//
//   --vips N      default 1000
//   --changes N   default 1000
//   --bfd-ms N    default 100
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { BgpRouter, Lab, until } from "@holdfast/testkit";
import { numberOf, print, type Row } from "./replication/report.ts";

const PROGRAM = fileURLToPath(
  new URL("../../packages/announcer/src/bgp/announce-by-line.ts", import.meta.url),
);
const MEMBER = "198.18.0.1";
const ROUTER = "198.18.0.254";
/** A KEEPALIVE is 19 bytes; every UPDATE with a route is longer (RFC 4271 §4). */
const KEEPALIVE_LENGTH = 19;

interface State {
  readonly routers: readonly { session: string; bfd?: string; flapCount: number; sinceWallMs: number }[];
}

export async function run({
  json,
  args,
}: {
  readonly json: boolean;
  readonly args: string[];
}): Promise<void> {
  const [vips, changes] = [numberOf(args, "vips", 1_000), numberOf(args, "changes", 1_000)];
  const lab = new Lab();
  try {
    print("routes", await measure(lab, vips, changes, numberOf(args, "bfd-ms", 100)), json);
  } finally {
    await lab.close();
  }
}

async function measure(lab: Lab, vips: number, changes: number, bfdIntervalMs: number): Promise<Row[]> {
  lab.network("wire");
  const router = lab.host("r1", { wire: [`${ROUTER}/24`] });
  const member = lab.host("m1", { wire: [`${MEMBER}/24`] });
  new BgpRouter(lab, router, "wire", [member], { software: "bird", bfdIntervalMs }).start();
  const configuration = {
    ...{ routerId: MEMBER, announce: [], holdDownMs: 0 },
    routers: [
      {
        ...{ name: "tor", address: ROUTER, as: 65_000, localAs: 65_001, holdS: 30, ttlSecurity: false },
        ...{
          ipv6: false,
          extendedNextHop: false,
          passive: false,
          bfd: { intervalMs: bfdIntervalMs, multiplier: 3 },
        },
      },
    ],
  };
  const options = { program: "/usr/sbin/bird", directory: join(lab.directory, "bgp"), configuration };
  const words = ["--disable-warning=ExperimentalWarning", PROGRAM, JSON.stringify(options)];
  const child = member.spawn(process.execPath, words, { stdio: ["pipe", "pipe", "ignore"] });
  let state: State = { routers: [] };
  let starts: readonly number[] = [];
  if (child.stdout !== null)
    createInterface({ input: child.stdout }).on("line", (line) => {
      const said = JSON.parse(line) as State | { startsMs: readonly number[] };
      if ("startsMs" in said) starts = said.startsMs;
      else state = said;
    });
  const order = (value: object) => child.stdin?.write(`${JSON.stringify(value)}\n`);
  order(Array.from({ length: vips }, (_, n) => ({ vip: `203.0.${n >> 8}.${n & 255}`, rank: 1 })));
  const isUp = () => state.routers[0]?.session === "Established" && state.routers[0].bfd === "Up";
  await until("the session, BFD included", isUp, 60_000);
  const updates = updatesOf(router);
  await until("the capture", () => updates.listens(), 10_000);
  const before = state.routers[0];
  order({ changes });
  await until("all changes", () => starts.length === changes, 600_000, 100);
  await until("their UPDATEs", () => updates.timesMs.length >= changes, 10_000).catch(() => {});
  const after = state.routers[0];
  const waits = starts.map((atMs, n) => (updates.timesMs[n] ?? Number.NaN) - atMs).sort((a, b) => a - b);
  const at = (share: number) => waits[Math.min(waits.length - 1, Math.floor(share * waits.length))] as number;
  return [
    { case: `decision to UPDATE with ${vips} VIPs, p50`, value: Number(at(0.5).toFixed(1)), unit: "ms" },
    { case: `decision to UPDATE with ${vips} VIPs, p99`, value: Number(at(0.99).toFixed(1)), unit: "ms" },
    { case: "changes", value: changes, unit: "" },
    { case: "UPDATEs", value: updates.timesMs.length, unit: "" },
    { case: "sessions reset", value: (after?.flapCount ?? -1) - (before?.flapCount ?? 0), unit: "" },
    { case: "BFD transitions", value: after?.sinceWallMs === before?.sinceWallMs ? 0 : 1, unit: "" },
  ];
}

/** Wall ms of each packet with more than a KEEPALIVE from the member to the router. */
function updatesOf(router: ReturnType<Lab["host"]>) {
  const timesMs: number[] = [];
  let listens = false;
  const filter = `tcp and src host ${MEMBER} and tcp[13] & 8 != 0`;
  const child = router.spawn("tcpdump", ["-i", "wire", "-nn", "-tt", "-l", filter], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  child.stderr?.on("data", (data) => {
    listens ||= String(data).includes("listening on");
  });
  if (child.stdout !== null)
    createInterface({ input: child.stdout }).on("line", (line) => {
      const [, seconds, length] = /^(\d+\.\d+) .*length (\d+)/.exec(line) ?? [];
      if (seconds !== undefined && Number(length) > KEEPALIVE_LENGTH) timesMs.push(Number(seconds) * 1_000);
    });
  return { timesMs, listens: () => listens };
}

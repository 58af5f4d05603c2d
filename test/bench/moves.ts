// `npm run bench -- moves`: the primary VIP is moved from member to member as an operator does it, while
// packets pass; what went into the cluster at one edge and came out at none is lost.
//
//   --moves N              default 100, with each kind
//   --packets N            packets a second, both ways together; default 5000
//   --announcer KIND       l2, or bgp (default): routers between everybody
//   --router KIND[,KIND]   with bgp: bird,frr (default), or one of them
import type { RouterSoftware } from "@holdfast/testkit";
import { moved } from "../routers/moves.ts";
import { numberOf, wordOf, wordsOf } from "./options/options.ts";
import { print, type Row, rounded } from "./replication/report.ts";
import { percentile } from "./takeover/percentile.ts";

export async function run({
  json,
  args,
}: {
  readonly json: boolean;
  readonly args: string[];
}): Promise<void> {
  const rows: Row[] = [];
  for (const software of kindsOf(args)) rows.push(...(await rowsOf(args, software)));
  print("moves", rows, json);
}

async function rowsOf(args: readonly string[], software: RouterSoftware | undefined): Promise<Row[]> {
  const moveCount = numberOf(args, "moves", 100);
  const kind = software?.toUpperCase() ?? "l2";
  let count = 0;
  const { moves, associationsLost, messagesLost } = await moved({
    software,
    moveCount,
    packetsPerSecond: numberOf(args, "packets", 5_000),
    onMove: ({ ms, packetsPerSecond, lost }) =>
      console.error(
        `${kind}: move ${++count} of ${moveCount}: ${Math.round(ms)} ms, ${Math.round(packetsPerSecond)} packets/s, ${lost.length} lost`,
      ),
  });
  const sum = (of: (move: (typeof moves)[number]) => number) =>
    moves.reduce((total, move) => total + of(move), 0);
  const times = moves.map(({ ms }) => ms).sort((a, b) => a - b);
  const seconds = sum(({ packetCount, packetsPerSecond }) => packetCount / packetsPerSecond);
  return [
    { case: "moves", value: moves.length, unit: "" },
    {
      case: "packets meanwhile",
      value: rounded(sum(({ packetCount }) => packetCount) / seconds, 0),
      unit: "/s",
    },
    { case: "packets looked at", value: sum(({ packetCount }) => packetCount), unit: "" },
    { case: "packets lost", value: sum(({ lost }) => lost.length), unit: "" },
    {
      case: "order to agreement of members and routers p50",
      value: rounded(percentile(times, 50)),
      unit: "ms",
    },
    {
      case: "order to agreement of members and routers p99",
      value: rounded(percentile(times, 99)),
      unit: "ms",
    },
    { case: "associations lost", value: associationsLost, unit: "" },
    { case: "messages lost", value: messagesLost, unit: "" },
  ].map((row) => ({ ...row, case: `${kind}: ${row.case}` }));
}

function kindsOf(args: readonly string[]): readonly (RouterSoftware | undefined)[] {
  if (wordOf(args, "announcer", ["l2", "bgp"], "bgp") === "l2") return [undefined];
  return wordsOf<RouterSoftware>(args, "router", ["bird", "frr"], ["bird", "frr"]);
}

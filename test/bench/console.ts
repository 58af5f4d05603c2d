// `npm run bench -- console`: what the page and its questions cost, and how far behind the cluster it is.
//
//   In one process, 64 services and so many sessions beside a hundredth of them: each question that the
//   page asks. In a lab of three daemons: processor time of the member that serves an open page, in
//   Chromium, beside that member with no page open, in turns; and the time from an act at another member
//   until the page shows it.
//
//   --live N      sessions, default 1,000,000; 0 leaves the questions out
//   --rounds N    of looks with and without a page, default 4; 0 leaves the lab out
//   --seconds N   of each look, default 8
//   --acts N      whose way to the page is measured, default 30

import { openPages } from "./console/pages.ts";
import { questions } from "./console/questions.ts";
import { numberOf } from "./options/options.ts";
import { print } from "./replication/report.ts";

/** Beside the sessions that are asked for. */
const SMALLER = 100;

export async function run({
  json,
  args,
}: {
  readonly json: boolean;
  readonly args: string[];
}): Promise<void> {
  const live = numberOf(args, "live", 1_000_000);
  const rounds = numberOf(args, "rounds", 4);
  const rows = [
    ...(live > 0 ? await questions(live, Math.max(1_000, Math.floor(live / SMALLER))) : []),
    ...(rounds > 0
      ? await openPages({
          rounds,
          seconds: numberOf(args, "seconds", 8),
          acts: numberOf(args, "acts", 30),
        })
      : []),
  ];
  print("console", rows, json);
}

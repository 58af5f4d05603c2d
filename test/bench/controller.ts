// `npm run bench -- controller`: a controller for Kubernetes in a process of its own that starts beside so
// many Services, all made already: until it is in step, and its memory.
//
//   --services N   default 1000

import { type StartFigures, startsWith } from "../kubernetes/own-process.ts";
import { numberOf } from "./options/options.ts";

const IN_STEP_MS_MAX = 10_000;
const RSS_MIB_MAX = 150;

export async function run({
  json,
  args,
}: {
  readonly json: boolean;
  readonly args: string[];
}): Promise<void> {
  const count = numberOf(args, "services", 1_000);
  const { first, again } = await startsWith(count);
  const rows = [
    ...rowsOf(`${count}/first start`, first),
    ...rowsOf(`${count}/restart`, again),
    { case: `${count}/restart`, value: again.changes, unit: "changes at members" },
    { case: `${count}/restart`, value: again.writes, unit: "writes at the API server" },
  ];
  for (const { case: name, value, unit } of rows) console.log(`${name.padEnd(24)} ${value} ${unit}`);
  if (again.waitedMs > again.processorMs)
    console.log("starved: it waited longer for a processor than it had one");
  else if (again.inStepMs > IN_STEP_MS_MAX) console.log(`slower than ${IN_STEP_MS_MAX} ms`);
  for (const [what, { rssMib }] of Object.entries({ first, again }))
    if (rssMib > RSS_MIB_MAX) console.log(`${what}: more than ${RSS_MIB_MAX} MiB`);
  if (json)
    console.log(JSON.stringify({ bench: "controller", rows, environment: { node: process.version } }));
}

function rowsOf(name: string, { inStepMs, processorMs, waitedMs, rssMib }: StartFigures) {
  return [
    { case: name, value: inStepMs, unit: "ms until in step" },
    { case: name, value: processorMs, unit: "ms of processor" },
    { case: name, value: waitedMs, unit: "ms waited for one" },
    { case: name, value: rssMib, unit: "MiB" },
  ];
}

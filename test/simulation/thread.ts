// Where simulations of tests run: see apart.ts.
import { parentPort } from "node:worker_threads";
import { automergeJournal, memoryJournal } from "@holdfast/sync/testing";
import type { Job, JournalName, Reply } from "./apart.ts";
import { replay } from "./corpus.ts";
import { FAULTS } from "./faults.ts";
import { simulate } from "./simulation.ts";
import { WHOLE_FAULTS } from "./whole/faults.ts";
import { simulateWhole } from "./whole/simulation.ts";

const JOURNALS = { memory: memoryJournal, automerge: automergeJournal } as const;

function unnamed<
  T extends { readonly journal: JournalName; readonly fault?: string },
  F extends { name: string },
>({ journal, fault, ...rest }: T, faults: readonly F[]) {
  const found = faults.find(({ name }) => name === fault);
  return { ...rest, journals: JOURNALS[journal], ...(found && { fault: found }) };
}

async function done(job: Job): Promise<unknown> {
  if (job.kind === "kept") return replay(job.kept);
  if (job.kind === "whole") return simulateWhole(unnamed(job.options, WHOLE_FAULTS));
  return simulate(unnamed(job.options, FAULTS));
}

parentPort?.on("message", async (job: Job) => {
  const reply: Reply = await done(job).then(
    (result) => ({ result }),
    (error: unknown) => ({ error }),
  );
  parentPort?.postMessage(reply);
});

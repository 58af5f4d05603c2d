// Simulations for tests, in a thread of their own: node:test hooks into every promise of the thread that it
// runs in, and a simulation makes them by the million (docs/decisions/0711). The same arguments, the same
// results.
import assert from "node:assert/strict";
import { Worker } from "node:worker_threads";
import { automergeJournal, type JournalFactory, memoryJournal } from "@holdfast/sync/testing";
import type { KeptSeed } from "./corpus.ts";
import { FAULTS } from "./faults.ts";
import type { SimulationOptions, SimulationResult } from "./simulation.ts";
import { WHOLE_FAULTS } from "./whole/faults.ts";
import type { WholeOptions, WholeResult } from "./whole/simulation.ts";

/** What has functions goes by its name. */
type Named<T> = Omit<T, "journals" | "fault"> & { readonly journal: JournalName; readonly fault?: string };
export type JournalName = "memory" | "automerge";
export type Job =
  | { readonly kind: "replication"; readonly options: Named<SimulationOptions> }
  | { readonly kind: "whole"; readonly options: Named<WholeOptions> }
  | { readonly kind: "kept"; readonly kept: KeptSeed };
export type Reply = { readonly result: unknown } | { readonly error: unknown };

export const simulate = (options: SimulationOptions): Promise<SimulationResult> =>
  done({ kind: "replication", options: named(options, FAULTS) }) as Promise<SimulationResult>;

export const simulateWhole = (options: WholeOptions): Promise<WholeResult> =>
  done({ kind: "whole", options: named(options, WHOLE_FAULTS) }) as Promise<WholeResult>;

/** The violations of a kept seed now. */
export const replay = (kept: KeptSeed): Promise<readonly string[]> =>
  done({ kind: "kept", kept }) as Promise<readonly string[]>;

function named<T extends { journals?: JournalFactory; fault?: { name: string } | undefined }>(
  { journals = memoryJournal, fault, ...rest }: T,
  faults: readonly { readonly name: string }[],
): Named<T> {
  const journal = journals === automergeJournal ? "automerge" : "memory";
  assert.ok(journal === "automerge" || journals === memoryJournal, "journals that have no name");
  assert.ok(fault === undefined || faults.includes(fault), "a fault that is not on the list");
  return { ...rest, journal, ...(fault && { fault: fault.name }) };
}

let thread: Thread | undefined;
let last: Promise<unknown> = Promise.resolve();

/** One after the other. */
function done(job: Job): Promise<unknown> {
  const own = last.then(() => {
    if (thread === undefined || thread.hasEnded) thread = new Thread();
    return thread.done(job);
  });
  last = own.catch(() => {});
  return own;
}

class Thread {
  readonly #worker = new Worker(new URL("thread.ts", import.meta.url));
  #settle: PromiseWithResolvers<unknown> | undefined;
  hasEnded = false;

  constructor() {
    this.#worker.on("message", (reply: Reply) => {
      if ("error" in reply) this.#settle?.reject(reply.error);
      else this.#settle?.resolve(reply.result);
    });
    this.#worker.on("error", (error) => this.#settle?.reject(error));
    this.#worker.on("exit", (code) => {
      this.hasEnded = true;
      this.#settle?.reject(new Error(`the thread of the simulation ended with ${code}`));
    });
  }

  async done(job: Job): Promise<unknown> {
    this.#settle = Promise.withResolvers();
    // Nobody waits for it when there is nothing to do.
    this.#worker.ref();
    this.#worker.postMessage(job);
    try {
      return await this.#settle.promise;
    } catch (error) {
      // What it was in the middle of is not for the next.
      this.hasEnded = true;
      void this.#worker.terminate();
      throw error;
    } finally {
      this.#worker.unref();
    }
  }
}

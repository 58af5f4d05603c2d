// What was said to be on disk is there, whatever the disk does: it fails at any step, fills, reads badly,
// loses power, and heals.
import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { type Logger, silentLogger } from "@holdfast/model";
import { ManualClock } from "@holdfast/model/testing";
import type { StoredState, StoreState } from "../ports/store.ts";
import { ACTOR_A, ACTOR_B, change } from "./compliance.ts";
import { FileStore, STORE_RETRY_MS } from "./file-store.ts";
import { BROKEN_FILE_COUNT_MAX } from "./put-aside.ts";
import { journalName } from "./records.ts";
import { diskError, PlayedDisk, type Step } from "./testing/played-disk.ts";

const DIRECTORY = "/store";
const journal = (actor: string, segment = 0) => `${DIRECTORY}/journals/${journalName(actor, segment)}`;

/** Files that are put aside bear the time. */
class DatedClock extends ManualClock {
  override wallMs(): number {
    return Date.UTC(2026, 0, 2, 3, 4, 5);
  }
}

let played: PlayedDisk;
let clock: DatedClock;
let states: StoreState[];
let errors: string[];

beforeEach(() => {
  played = new PlayedDisk();
  clock = new DatedClock();
  states = [];
  errors = [];
});

async function opened(): Promise<{ store: FileStore; state: StoredState }> {
  const logger: Logger = {
    ...silentLogger,
    error: (fields, message) => void errors.push(JSON.stringify(fields) + message),
  };
  const changed = (state: StoreState) => void states.push(state);
  await played.disk.makeDirectory(DIRECTORY);
  const store = await FileStore.open({ directory: DIRECTORY, clock, logger, disk: played.disk, changed });
  return { store, state: await store.load() };
}
const failure = () => states.at(-1)?.failure;
const names = async (part: "journals" | "values") => played.disk.list(`${DIRECTORY}/${part}`);
/** Fails those steps, with a code. */
const failing = (code: string, which: (step: Step) => boolean) => {
  played.before = (step) => {
    if (which(step)) throw diskError(code);
  };
};
const heal = () => {
  played.before = () => {};
  played.capacity = Number.POSITIVE_INFINITY;
};
/** What the timer does is over when a flush behind it is. */
const retried = async (store: FileStore) => {
  clock.advance(STORE_RETRY_MS);
  await store.flush();
};

describe("a value on a disk that fails", () => {
  for (const operation of ["open", "append", "sync", "close", "rename", "syncDirectory"] as const) {
    it(`is not confirmed when ${operation} fails, is tried again, and is there after the disk healed`, async () => {
      const { store } = await opened();
      store.put("configuration", change(1));
      assert.equal(await store.flush(), undefined);
      failing("EIO", (step) => step.operation === operation && step.path.includes("values"));
      store.put("configuration", change(2));
      assert.match((await store.flush()) ?? "", /configuration: EIO/);
      assert.match(failure() ?? "", /EIO/);
      await retried(store);
      assert.match((await store.flush()) ?? "", /EIO/, "it is still not there");
      assert.match(errors.join(), /STORE_WRITE_FAILED/);
      assert.equal(errors.filter((line) => line.includes("STORE_WRITE_FAILED")).length, 1, "said once");
      heal();
      // Nobody asks: the timer alone writes it.
      clock.advance(STORE_RETRY_MS);
      await store.close();
      assert.equal(failure(), undefined);
      assert.deepEqual((await opened()).state.values.get("configuration"), change(2));
    });
  }

  it("tells a full disk, frees what it half wrote, and is written when there is room", async () => {
    const { store } = await opened();
    store.put("configuration", change(1));
    await store.flush();
    played.capacity = 100;
    store.put("configuration", change(2, 5_000));
    assert.match((await store.flush()) ?? "", /ENOSPC/);
    assert.deepEqual(await names("values"), ["configuration.value"]);
    // An operator made room and asks again: no waiting for the timer.
    heal();
    assert.equal(await store.flush(), undefined);
    assert.equal(failure(), undefined);
    await store.close();
    assert.deepEqual((await opened()).state.values.get("configuration"), change(2, 5_000));
  });

  it("opens a store on a full disk, says so at once, and notices by itself that it healed", async () => {
    await (await opened()).store.close();
    played.capacity = 0;
    const { store } = await opened();
    assert.match(failure() ?? "", /ENOSPC/);
    heal();
    await retried(store);
    assert.equal(failure(), undefined);
    await store.close();
  });
});

describe("a journal on a disk that fails", () => {
  it("ends where it ended, without a torn record, and its successor is whole", async () => {
    const { store } = await opened();
    store.append(ACTOR_A, 0, 0, change(0));
    await store.flush();
    const before = played.bytes(journal(ACTOR_A))?.length;
    played.capacity = (before ?? 0) + 10;
    store.append(ACTOR_A, 0, 1, change(1));
    await store.flush();
    assert.equal(played.bytes(journal(ACTOR_A))?.length, before);
    heal();
    await retried(store);
    store.append(ACTOR_A, 0, 2, change(2));
    store.append(ACTOR_A, 1, 0, change(3));
    await store.close();
    const { state } = await opened();
    assert.deepEqual(state.damaged, []);
    assert.deepEqual(
      state.segments.map(({ segment, changes }) => [segment, changes.length]),
      [
        [0, 1],
        [1, 1],
      ],
    );
  });

  it("gets nothing more when a sync failed: what the kernel let go nobody knows", async () => {
    const { store } = await opened();
    failing("EIO", ({ operation, path }) => operation === "sync" && path.endsWith(".journal"));
    store.append(ACTOR_A, 0, 0, change(0));
    await store.flush();
    assert.match(failure() ?? "", /EIO/);
    heal();
    await retried(store);
    store.append(ACTOR_A, 0, 1, change(1));
    await store.close();
    assert.equal(played.bytes(journal(ACTOR_A))?.includes(Buffer.from(change(1))), false);
  });

  it("is forced to disk before it is closed to make room for another one", async () => {
    const { store } = await opened();
    for (let segment = 0; segment < 60; segment++) store.append(ACTOR_A, segment, 0, change(segment));
    await store.flush();
    played.restart(() => 0);
    assert.equal((await opened()).state.segments.length, 60);
  });
});

describe("a file that cannot be read", () => {
  const filled = async () => {
    const { store } = await opened();
    for (const actor of [ACTOR_A, ACTOR_B]) {
      store.append(actor, 0, 0, change(1));
      store.append(actor, 0, 1, change(2));
    }
    store.put("configuration", change(3));
    await store.close();
  };

  for (const code of ["EIO", "EACCES"]) {
    it(`is put aside whole after ${code}, not removed, and not by what is dropped later`, async () => {
      await filled();
      const before = played.bytes(journal(ACTOR_A));
      failing(code, ({ operation, path }) => operation === "read" && path === journal(ACTOR_A));
      const { store, state } = await opened();
      assert.deepEqual(
        state.segments.map(({ actor }) => actor),
        [ACTOR_B],
      );
      const aside = `${journalName(ACTOR_A, 0)}.broken-20260102T030405Z`;
      assert.match(errors.join(), new RegExp(`STORE_FILE_DAMAGED.*${code}.*${aside}`));
      assert.equal(states.at(-1)?.brokenCount, 1);
      store.drop(ACTOR_A, Number.POSITIVE_INFINITY);
      store.append(ACTOR_A, 0, 0, change(9));
      await store.close();
      assert.deepEqual(played.bytes(`${DIRECTORY}/journals/${aside}`), before);
    });
  }

  it("stays as it is when it cannot be put aside either", async () => {
    await filled();
    const before = played.bytes(journal(ACTOR_A));
    failing("EIO", ({ operation, path }) => path.startsWith(journal(ACTOR_A)) && operation !== "list");
    const { store } = await opened();
    assert.match(errors.join(), /left alone/);
    heal();
    store.append(ACTOR_A, 0, 0, change(9));
    store.drop(ACTOR_A, Number.POSITIVE_INFINITY);
    await store.close();
    assert.deepEqual(played.bytes(journal(ACTOR_A)), before);
    assert.equal((await opened()).state.segments.length, 2, "the next start reads it");
  });

  it("keeps a damaged value beside the one that takes its place, and what stood behind damage in a journal", async () => {
    await filled();
    const bytes = Buffer.from(played.bytes(journal(ACTOR_A)) ?? "");
    bytes[10] = (bytes[10] ?? 0) ^ 0xff;
    played.replace(journal(ACTOR_A), bytes);
    const value = `${DIRECTORY}/values/configuration.value`;
    played.replace(value, Buffer.from("HFV1nonsense"));
    const { store } = await opened();
    store.put("configuration", change(4));
    await store.close();
    assert.deepEqual(played.bytes(`${value}.broken-20260102T030405Z`)?.toString(), "HFV1nonsense");
    assert.deepEqual(played.bytes(`${journal(ACTOR_A)}.broken-20260102T030405Z`), bytes);
    assert.deepEqual((await opened()).state.values.get("configuration"), change(4));
  });

  it("is not put aside beyond a number of them", async () => {
    await filled();
    for (let n = 0; n < BROKEN_FILE_COUNT_MAX; n++)
      played.replace(`${DIRECTORY}/journals/x.broken-20260102T030405Z-${n + 2}`, Buffer.from("x"));
    played.replace(journal(ACTOR_A), Buffer.from("garbage"));
    const { store } = await opened();
    assert.match(errors.join(), /put aside already\) and is left alone/);
    store.append(ACTOR_A, 0, 0, change(9));
    await store.close();
    assert.equal(played.bytes(journal(ACTOR_A))?.toString(), "garbage");
  });
});

describe("power that fails at any step", () => {
  /** Deterministic luck. */
  const luckOf = (seed: number) => {
    let state = seed * 2_654_435_761 + 1;
    return () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state / 2 ** 32;
    };
  };

  /** Writes until the power fails; `confirmed` says what a flush has promised. */
  async function life(confirmed: { value: number; ticks: number }): Promise<void> {
    const { store } = await opened();
    for (let round = 1; round <= 4; round++) {
      store.put("configuration", change(round, 40 * round));
      store.append(ACTOR_A, 0, 2 * round - 2, change(2 * round - 2, 300));
      store.append(ACTOR_A, 0, 2 * round - 1, change(2 * round - 1, 300));
      store.append(ACTOR_B, round, 0, change(round));
      if (round === 3) store.drop(ACTOR_B, 2);
      assert.equal(await store.flush(), undefined);
      confirmed.value = round;
      confirmed.ticks = 2 * round;
    }
  }

  it("costs nothing that was confirmed, and leaves nothing that cannot be read", async () => {
    await life({ value: 0, ticks: 0 });
    const stepCount = played.steps;
    assert.ok(stepCount > 40, `${stepCount} steps`);
    for (let at = 1; at <= stepCount; at++) {
      for (let seed = 0; seed < 4; seed++) {
        played = new PlayedDisk();
        played.powerFailsAt = at;
        const confirmed = { value: 0, ticks: 0 };
        void life(confirmed);
        // The step that fails never comes back, so nothing tells when it is reached but the disk.
        while (!played.isOff) await new Promise((resolve) => setImmediate(resolve));
        played.restart(luckOf(at * 16 + seed));
        errors = [];
        const { store, state } = await opened();
        const value = state.values.get("configuration")?.[0] ?? 0;
        const where = `step ${at}, seed ${seed}, confirmed ${JSON.stringify(confirmed)}`;
        assert.ok(value >= confirmed.value, `${where}: value ${value}`);
        assert.ok(!errors.some((line) => line.includes("values/")), `${where}: ${errors.join("\n")}`);
        const ticks = state.segments.find(({ actor }) => actor === ACTOR_A)?.changes ?? [];
        assert.ok(ticks.length >= confirmed.ticks, `${where}: ${ticks.length} ticks`);
        for (const [tick, bytes] of ticks.entries()) assert.deepEqual(bytes, change(tick, 300), where);
        // And it goes on.
        store.append(ACTOR_A, 0, ticks.length, change(ticks.length, 300));
        store.put("configuration", change(9));
        assert.equal(await store.flush(), undefined, where);
      }
    }
  });
});

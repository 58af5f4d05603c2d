// What every store must do. Each implementation's test passes a harness and gets the same cases.
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import type { Store, StoredState } from "../ports/store.ts";

export interface StoreHarness {
  /** A store on the same disk as the last one, which was closed. */
  open(): Promise<Store>;
  remove(): Promise<void>;
}

export const ACTOR_A = `${"00".repeat(15)}0a`;
export const ACTOR_B = `${"00".repeat(15)}0b`;
export const change = (fill: number, length = 20) => new Uint8Array(length).fill(fill);

export function runStoreCompliance(name: string, make: () => Promise<StoreHarness>): void {
  describe(`${name} as a store`, () => {
    let harness: StoreHarness;
    beforeEach(async () => {
      harness = await make();
    });
    afterEach(() => harness.remove());

    /** Writes with one store and reads with its successor. */
    const through = async (write: (store: Store) => void | Promise<void>): Promise<StoredState> => {
      const store = await harness.open();
      await store.load();
      await write(store);
      await store.close();
      const next = await harness.open();
      const state = await next.load();
      await next.close();
      return state;
    };

    it("is empty at first", async () => {
      const state = await through(() => {});
      assert.deepEqual(state.segments, []);
      assert.equal(state.values.size, 0);
      assert.deepEqual(state.damaged, []);
    });

    it("gives back ticks in order, by actor and segment, with their seals", async () => {
      const state = await through((store) => {
        store.append(ACTOR_B, 0, 0, change(9));
        for (let tick = 0; tick < 3; tick++) {
          store.append(ACTOR_A, 0, tick, change(tick));
          store.append(ACTOR_A, 10, tick, change(100 + tick, 70_000));
        }
        store.seal(ACTOR_A, 0);
      });
      assert.deepEqual(
        state.segments.map(({ actor, segment, sealed, changes }) => [actor, segment, sealed, changes.length]),
        [
          [ACTOR_A, 0, true, 3],
          [ACTOR_A, 10, false, 3],
          [ACTOR_B, 0, false, 1],
        ],
      );
      assert.deepEqual(state.segments[0]?.changes, [change(0), change(1), change(2)]);
      assert.deepEqual(state.segments[1]?.changes[2], change(102, 70_000));
    });

    it("goes on where the last one ended", async () => {
      await through((store) => {
        store.append(ACTOR_A, 0, 0, change(0));
        store.append(ACTOR_A, 0, 1, change(1));
      });
      const state = await through((store) => store.append(ACTOR_A, 0, 2, change(2)));
      assert.deepEqual(state.segments[0]?.changes, [change(0), change(1), change(2)]);
    });

    it("keeps no tick behind a gap, and no tick twice", async () => {
      const state = await through((store) => {
        store.append(ACTOR_A, 0, 0, change(0));
        store.append(ACTOR_A, 0, 0, change(77));
        store.append(ACTOR_A, 0, 2, change(2));
        store.append(ACTOR_A, 0, 3, change(3));
        store.append(ACTOR_B, 0, 5, change(5));
      });
      assert.deepEqual(
        state.segments.map(({ actor, changes }) => [actor, changes]),
        [[ACTOR_A, [change(0)]]],
      );
    });

    it("drops an actor's segments below a base, or all", async () => {
      const state = await through(async (store) => {
        for (let segment = 0; segment < 4; segment++) store.append(ACTOR_A, segment, 0, change(segment));
        store.append(ACTOR_B, 0, 0, change(9));
        store.append(ACTOR_B, 1, 0, change(9));
        await store.flush();
        store.drop(ACTOR_A, 2);
        store.drop(ACTOR_B, Number.POSITIVE_INFINITY);
        store.append(ACTOR_A, 3, 1, change(4));
      });
      assert.deepEqual(
        state.segments.map(({ actor, segment, changes }) => [actor, segment, changes.length]),
        [
          [ACTOR_A, 2, 1],
          [ACTOR_A, 3, 2],
        ],
      );
    });

    it("keeps the last of each value", async () => {
      const state = await through(async (store) => {
        store.put("incarnation", change(1));
        store.put("configuration", change(2, 500_000));
        store.put("incarnation", change(3));
        await store.flush();
        store.put("empty", new Uint8Array(0));
      });
      assert.deepEqual(
        state.values,
        new Map(
          [
            ["configuration", change(2, 500_000)],
            ["empty", new Uint8Array(0)],
            ["incarnation", change(3)],
          ].sort() as [string, Uint8Array][],
        ),
      );
    });

    it("does not see what the caller does to its buffer afterwards", async () => {
      const state = await through((store) => {
        const buffer = change(5);
        store.put("value", buffer);
        store.append(ACTOR_A, 0, 0, buffer);
        buffer.fill(0);
      });
      assert.deepEqual(state.values.get("value"), change(5));
      assert.deepEqual(state.segments[0]?.changes[0], change(5));
    });

    it("has on disk what was flushed, though never closed", async () => {
      const store = await harness.open();
      await store.load();
      store.append(ACTOR_A, 0, 0, change(1));
      await store.flush();
      const next = await harness.open();
      const state = await next.load();
      assert.deepEqual(state.segments[0]?.changes, [change(1)]);
      await next.close();
      await store.close();
    });

    it("resolves every flush, also many at once and after close", async () => {
      const store = await harness.open();
      await store.load();
      await Promise.all([store.flush(), store.flush(), store.flush()]);
      store.append(ACTOR_A, 0, 0, change(1));
      await Promise.all([store.flush(), store.close()]);
      await store.flush();
    });
  });
}

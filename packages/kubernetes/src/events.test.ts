import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesClient } from "./client/client.ts";
import { Events } from "./events.ts";
import type { KubernetesEvent, KubernetesObject } from "./objects.ts";

const SERVICE: KubernetesObject = { metadata: { namespace: "default", name: "amf", uid: "u1" } };
const other = (index: number): KubernetesObject => ({
  metadata: { namespace: "default", name: `s${index}`, uid: `u-${index}` },
});

/** Writes wait until the test lets them go. */
class Writes {
  readonly created: KubernetesEvent[] = [];
  readonly patched: { count: number }[] = [];
  readonly failures: unknown[] = [];
  fails = false;
  open = 0;
  most = 0;
  readonly #waiting: (() => void)[] = [];

  readonly events = new Events({
    client: {
      create: (_resource: unknown, event: KubernetesEvent) => this.#write(() => this.created.push(event)),
      patch: (_resource: unknown, _where: unknown, change: { count: number }) =>
        this.#write(() => this.patched.push(change)),
    } as unknown as KubernetesClient,
    component: "test",
    instance: "one",
    onFailure: (error) => this.failures.push(error),
  });

  async #write(note: () => void): Promise<void> {
    this.open++;
    this.most = Math.max(this.most, this.open);
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.open--;
    if (this.fails) throw new Error("refused");
    note();
  }

  async letGo(): Promise<void> {
    for (const resolve of this.#waiting.splice(0)) resolve();
    await new Promise((resolve) => setImmediate(resolve));
  }

  async all(): Promise<void> {
    let isDone = false;
    const flushed = this.events.flushed().then(() => {
      isDone = true;
    });
    while (!isDone) await this.letGo();
    await flushed;
  }
}

test("many events are written few at a time, all of them and in order", async () => {
  const writes = new Writes();
  for (let index = 0; index < 100; index++) writes.events.normal(other(index), "Assigned", "yes");
  assert.equal(writes.open, 4);
  await writes.all();
  assert.deepEqual([writes.created.length, writes.most], [100, 4]);
  assert.deepEqual(
    writes.created.slice(0, 3).map(({ involvedObject }) => involvedObject.name),
    ["s0", "s1", "s2"],
  );
});

test("what is said again counts up where it waits, or when it has been written", async () => {
  const writes = new Writes();
  for (let index = 0; index < 4; index++) writes.events.normal(other(index), "Assigned", "yes");
  for (let time = 0; time < 3; time++) writes.events.warning(SERVICE, "PoolFull", "no address");
  await writes.all();
  assert.deepEqual([writes.created.at(-1)?.count, writes.patched.length], [3, 0]);
  writes.events.warning(SERVICE, "PoolFull", "no address");
  // It is on its way: the next one comes behind it.
  writes.events.warning(SERVICE, "PoolFull", "no address");
  await writes.all();
  assert.deepEqual(
    writes.patched.map(({ count }) => count),
    [4, 5],
  );
});

test("one that could not be written is written anew the next time", async () => {
  const writes = new Writes();
  writes.fails = true;
  writes.events.warning(SERVICE, "PoolFull", "no address");
  await writes.all();
  assert.deepEqual([writes.created.length, writes.failures.length], [0, 1]);
  writes.fails = false;
  writes.events.warning(SERVICE, "PoolFull", "no address");
  await writes.all();
  assert.deepEqual([writes.created.length, writes.created[0]?.count], [1, 1]);
});

test("one object's flood is dropped, and counted", async () => {
  const writes = new Writes();
  for (let index = 0; index < 40; index++) writes.events.normal(SERVICE, "Moved", `${index}`);
  await writes.all();
  assert.deepEqual([writes.created.length, writes.events.dropped], [30, 10]);
});

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { until } from "@holdfast/testkit";
import { type KubernetesService, SERVICES } from "../objects.ts";
import { TestApiServer } from "../testing/api-server.ts";
import { KubernetesClient } from "./client.ts";
import { Reflector } from "./reflector.ts";

let server: TestApiServer;
let client: KubernetesClient;
let reflector: Reflector<KubernetesService>;
let told: string[];
let waits: number[];

beforeEach(async () => {
  server = await TestApiServer.start([SERVICES]);
  client = new KubernetesClient(
    { url: server.url, namespace: "default" },
    { requestTimeoutMs: 300, listTimeoutMs: 300 },
  );
  told = [];
  waits = [];
  reflector = new Reflector<KubernetesService>({
    client,
    resource: SERVICES,
    onChange: (key, object, before) =>
      told.push(`${object === undefined ? "-" : before === undefined ? "+" : "~"}${key.split("/")[1]}`),
    onFailure: (_error, waitMs) => waits.push(waitMs),
    times: { firstBackoffMs: 5, mostBackoffMs: 40, silenceMs: 300, shortWatchMs: 50, watchS: 60 },
  });
});
afterEach(async () => {
  await reflector.stop();
  client.close();
  await server.close();
});

const make = (name: string) => server.store.create(SERVICES, "default", { metadata: { name } });
const unmake = (name: string) => server.store.remove(SERVICES, "default", name);
const count = (name: string) => server.requests.get(name) ?? 0;
async function started(): Promise<void> {
  reflector.start();
  await reflector.synced();
  await until("the watch", () => server.watchCount === 1);
}

for (const expired of ["http", "event", "reason"] as const)
  test(`an old version, told as ${expired}, costs a list and nothing is missed`, async () => {
    server.faults.expired = expired;
    make("a");
    make("b");
    await started();
    server.faults.refuse = { status: 503 };
    server.endWatches();
    unmake("a");
    make("c");
    server.compact();
    server.faults.refuse = undefined;
    await until("what happened meanwhile", () => reflector.objects.has("default/c"));
    assert.deepEqual(told, ["+a", "+b", "-a", "+c"]);
    assert.equal(reflector.counters.expirations, 1);
    assert.equal(count("LIST services"), 2);
  });

test("a watch that falls silent is begun again where it was, without a list", async () => {
  make("a");
  await started();
  server.muteOpenConnections();
  make("b");
  await until("what the silent one did not say", () => reflector.objects.has("default/b"));
  assert.equal(count("LIST services"), 1);
  assert.ok(reflector.counters.silences >= 1);
});

test("bookmarks move the version on: after the history is gone no list is needed", async () => {
  await started();
  make("a");
  await until("the object", () => reflector.objects.size === 1);
  server.compact();
  server.bookmark();
  server.endWatches();
  make("b");
  await until("the next", () => reflector.objects.size === 2);
  assert.equal(count("LIST services"), 1);
});

test("errors and throttling: the server's word on when to come again is kept", async () => {
  server.faults.refuse = { status: 429, retryAfterS: 0.2 };
  reflector.start();
  await until("two refusals", () => waits.length >= 2);
  assert.ok(
    waits.every((ms) => ms >= 200),
    String(waits),
  );
  server.faults.refuse = { status: 500 };
  await until("an error", () => waits.some((ms) => ms < 200));
  make("a");
  server.faults.refuse = undefined;
  await reflector.synced();
  assert.equal(reflector.objects.size, 1);
});

test("watches that end at once do not become a storm", async () => {
  server.faults.shortWatches = true;
  reflector.start();
  await until("ten watches", () => count("WATCH services") >= 10);
  assert.ok(
    waits.slice(5).every((ms) => ms >= 20),
    String(waits),
  );
  server.faults.shortWatches = false;
  make("a");
  await until("the object", () => reflector.objects.size === 1);
});

test("a line that is no event ends the watch, and the next one goes on", async () => {
  make("a");
  server.faults.garbage = true;
  await started();
  make("b");
  await until("the object", () => reflector.objects.size === 2);
  assert.equal(count("LIST services"), 1);
  assert.ok(reflector.counters.failures >= 1);
});

test("an error event of another kind is followed by another watch, not by an end", async () => {
  await started();
  server.failWatches(500, "InternalError");
  make("a");
  await until("the object", () => reflector.objects.size === 1);
});

test("a page that has expired: the list is asked for in one piece", async () => {
  for (let index = 0; index < 501; index++) make(`s${index}`);
  server.faults.expireContinue = true;
  await started();
  assert.equal(reflector.objects.size, 501);
  assert.equal(count("LIST services"), 3);
});

test("a list older than what was seen is not believed, unless it stays", async () => {
  make("a");
  await started();
  server.freezeLists();
  make("b");
  await until("the second", () => reflector.objects.size === 2);
  server.faults.expired = "event";
  server.compact();
  server.failWatches(410, "Expired");
  await until("an old list", () => reflector.counters.staleLists >= 1);
  assert.deepEqual(told, ["+a", "+b"]);
  await until("the old list after all", () => told.includes("-b"));
  assert.equal(reflector.counters.staleLists, 5);
});

test("deleted and made again while nobody looked: told as both", async () => {
  make("a");
  await started();
  server.faults.refuse = { status: 503 };
  server.endWatches();
  unmake("a");
  make("a");
  server.compact();
  server.faults.refuse = undefined;
  await until("the second one", () => told.length === 3);
  assert.deepEqual(told, ["+a", "-a", "+a"]);
});

test("a server that hangs is left, and asked again", async () => {
  make("a");
  server.faults.hang = true;
  reflector.start();
  await until("a failure", () => waits.length >= 1);
  assert.equal(reflector.isSynced, false);
  server.faults.hang = false;
  await reflector.synced();
});

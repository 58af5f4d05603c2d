// What client, reflector and election need of an API server. The one for tests passes it every day, a real kube-apiserver in
// the long stage: so neither lies about the other.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { until } from "@holdfast/testkit";
import { type KubernetesService, LEASES, type Lease, SERVICES } from "../objects.ts";
import { KubernetesClient as Client, type KubernetesClient } from "./client.ts";
import type { Connection } from "./connection.ts";
import { Election, microTime } from "./election.ts";
import { isConflict, isNotFound, KubernetesError } from "./error.ts";
import { Reflector } from "./reflector.ts";

export interface ServerUnderTest {
  readonly connection: Connection;
  close(): Promise<void>;
}

const NAMESPACE = "default";

/** `limitMs`: longest wait for anything. */
export function describeApiServer(
  name: string,
  open: () => Promise<ServerUnderTest>,
  limitMs = 10_000,
): void {
  describe(`${name}, as the client sees it`, () => {
    let server: ServerUnderTest;
    let client: KubernetesClient;
    let count = 0;
    /** A name nobody has, and a label to find what one test made. */
    const fresh = (text: string) => `${text}-${++count}`;
    before(async () => {
      server = await open();
      client = new Client(server.connection);
    });
    after(async () => {
      client.close();
      await server.close();
    });

    const create = (serviceName: string, more: Partial<KubernetesService> = {}) =>
      client.create(SERVICES, serviceOf(serviceName, more));
    const where = (serviceName: string) => ({ namespace: NAMESPACE, name: serviceName });

    test("what is created can be read, and is created once", async () => {
      const made = fresh("once");
      const created = await create(made);
      assert.equal((await client.get(SERVICES, where(made))).metadata.uid, created.metadata.uid);
      await assert.rejects(create(made), isConflict);
      await assert.rejects(client.get(SERVICES, where("nobody")), isNotFound);
      await assert.rejects(client.remove(SERVICES, where("nobody")), isNotFound);
    });

    test("pages of a list are of one moment", async () => {
      const label = fresh("paged");
      for (let index = 0; index < 5; index++)
        await create(fresh("page"), { metadata: { name: "", labels: { test: label } } });
      const selection = { namespace: NAMESPACE, labelSelector: `test=${label}`, limit: 2 };
      const pages = [await client.list(SERVICES, selection)];
      await create(fresh("page"), { metadata: { name: "", labels: { test: label } } });
      for (let next = pages[0]?.continueToken; next !== undefined; next = pages.at(-1)?.continueToken)
        pages.push(await client.list(SERVICES, { ...selection, continueToken: next }));
      assert.deepEqual(
        pages.map(({ items }) => items.length),
        [2, 2, 1],
      );
      assert.equal(new Set(pages.map(({ resourceVersion }) => resourceVersion)).size, 1);
    });

    test("a write that knows an old version is refused, as object and as patch", async () => {
      const made = fresh("old");
      const first = await create(made);
      await client.patch(SERVICES, where(made), { metadata: { labels: { a: "b" } } });
      await assert.rejects(client.replace(SERVICES, first), isConflict);
      const { resourceVersion } = first.metadata;
      const patch = { metadata: { resourceVersion, labels: { c: "d" } } };
      await assert.rejects(client.patch(SERVICES, where(made), patch), isConflict);
    });

    test("status and the rest are written apart", async () => {
      const made = fresh("status");
      const ingress = [{ ip: "203.0.113.1", ipMode: "Proxy" }];
      await create(made);
      const status = { loadBalancer: { ingress } };
      await client.patch(SERVICES, where(made), { status });
      assert.equal(
        (await client.get<KubernetesService>(SERVICES, where(made))).status?.loadBalancer?.ingress,
        undefined,
      );
      await client.patch(SERVICES, where(made), { status, metadata: { labels: { a: "b" } } }, "status");
      const after = await client.get<KubernetesService>(SERVICES, where(made));
      assert.equal(after.status?.loadBalancer?.ingress?.[0]?.ip, "203.0.113.1");
      await client.patch(SERVICES, where(made), {
        spec: { ports: [{ name: "y", port: 81, protocol: "SCTP" }] },
      });
      const last = await client.get<KubernetesService>(SERVICES, where(made));
      assert.equal(last.status?.loadBalancer?.ingress?.[0]?.ip, "203.0.113.1");
    });

    test("a mode without an address, and an address that is none, are refused", async () => {
      const made = fresh("mode");
      await create(made);
      const refused = (ingress: unknown) =>
        assert.rejects(
          client.patch(SERVICES, where(made), { status: { loadBalancer: { ingress: [ingress] } } }, "status"),
          (error) => error instanceof KubernetesError && error.status === 422,
        );
      await refused({ hostname: "x.example", ipMode: "Proxy" });
      await refused({ ip: "203.0.113.one", ipMode: "Proxy" });
    });

    test("the class stays as long as the type does", async () => {
      const made = fresh("class");
      await create(made);
      await assert.rejects(
        client.patch(SERVICES, where(made), { spec: { loadBalancerClass: "example.com/other" } }),
        (error) => error instanceof KubernetesError && error.status === 422,
      );
      const changed = await client.patch<KubernetesService>(SERVICES, where(made), {
        spec: { type: "ClusterIP", loadBalancerClass: null },
      });
      assert.equal(changed.spec?.type, "ClusterIP");
    });

    test("with a finalizer it stays until that is gone", async () => {
      const made = fresh("final");
      await create(made, { metadata: { name: made, finalizers: ["holdfast.io/lb-cleanup"] } });
      await client.remove(SERVICES, where(made));
      const marked = await client.get<KubernetesService>(SERVICES, where(made));
      assert.ok(marked.metadata.deletionTimestamp);
      await client.patch(SERVICES, where(made), { metadata: { finalizers: null } });
      await assert.rejects(client.get(SERVICES, where(made)), isNotFound);
    });

    test("another one of the same name is not deleted", async () => {
      const made = fresh("uid");
      await create(made);
      const uid = "00000000-0000-0000-0000-000000000000";
      await assert.rejects(client.remove(SERVICES, where(made), { uid }), isConflict);
    });

    test("a watch tells what came after its version, a bookmark, and ends", async () => {
      const label = fresh("watched");
      const { resourceVersion } = await client.list(SERVICES, { namespace: NAMESPACE });
      const made = fresh("watch");
      await create(made, { metadata: { name: made, labels: { test: label } } });
      await client.patch(SERVICES, where(made), { metadata: { labels: { more: "x" } } });
      await client.remove(SERVICES, where(made));
      const seen: string[] = [];
      let bytes = 0;
      const events = client.watch(SERVICES, {
        namespace: NAMESPACE,
        labelSelector: `test=${label}`,
        resourceVersion,
        timeoutSeconds: 1,
        signal: AbortSignal.timeout(limitMs),
        onBytes: () => bytes++,
      });
      for await (const { type } of events) seen.push(type);
      assert.deepEqual(
        seen.filter((type) => type !== "BOOKMARK"),
        ["ADDED", "MODIFIED", "DELETED"],
      );
      assert.ok(bytes > 0);
    });

    test("a reflector follows what is made, changed, deleted, and made again", async () => {
      const label = fresh("reflected");
      const made = fresh("reflect");
      const labels = { test: label };
      const told: string[] = [];
      const reflector = new Reflector<KubernetesService>({
        client,
        resource: SERVICES,
        namespace: NAMESPACE,
        labelSelector: `test=${label}`,
        onChange: (_key, object, was) =>
          told.push(object === undefined ? "gone" : was === undefined ? "new" : "other"),
      });
      await create(made, { metadata: { name: made, labels } });
      reflector.start();
      await reflector.synced();
      assert.equal(reflector.objects.size, 1);
      await client.patch(SERVICES, where(made), { metadata: { labels: { more: "x" } } });
      await until("the change", () => told.includes("other"), limitMs);
      await client.remove(SERVICES, where(made));
      await until("the deletion", () => reflector.objects.size === 0, limitMs);
      await create(made, { metadata: { name: made, labels } });
      await until("the second one", () => reflector.objects.size === 1, limitMs);
      await client.patch(SERVICES, where(made), { metadata: { labels: { test: null } } });
      await until("the one that left the selection", () => reflector.objects.size === 0, limitMs);
      await reflector.stop();
      assert.deepEqual(told, ["new", "other", "gone", "new", "gone"]);
    });

    test("a lease's times have six digits", async () => {
      const lease = (renewTime: string): Lease => ({
        metadata: { namespace: NAMESPACE, name: fresh("lease") },
        spec: { holderIdentity: "a", leaseDurationSeconds: 1, renewTime },
      });
      await client.create(LEASES, lease(microTime(Date.now())));
      await assert.rejects(
        client.create(LEASES, lease("yesterday")),
        (error) => error instanceof KubernetesError && error.status === 400,
      );
    });

    test("of two replicas one leads, and the other when that one goes or is silent", async () => {
      const lease = fresh("election");
      const told: string[] = [];
      const replica = (identity: string) =>
        new Election({
          client,
          namespace: NAMESPACE,
          name: lease,
          identity,
          times: { leaseMs: 1500, renewMs: 1000, retryMs: 100 },
          onElected: () => told.push(`${identity} leads`),
          onLost: async () => void told.push(`${identity} leads no more`),
        });
      const [one, two] = [replica("one"), replica("two")];
      one.start();
      await until("the first", () => one.isLeader, limitMs);
      two.start();
      await until("the second to see the first", () => two.holder === "one", limitMs);
      assert.equal(two.isLeader, false);
      await one.stop();
      await until("the second", () => two.isLeader, limitMs);
      await two.stop();
      assert.deepEqual(told, ["one leads", "one leads no more", "two leads", "two leads no more"]);
      const silent = await client.get<Lease>(LEASES, { namespace: NAMESPACE, name: lease });
      await client.replace(LEASES, {
        ...silent,
        spec: { holderIdentity: "dead", leaseDurationSeconds: 15, renewTime: microTime(0) },
      });
      const three = replica("three");
      three.start();
      await until("the third, after the lease", () => three.isLeader, limitMs);
      await three.stop();
    });
  });
}

function serviceOf(name: string, more: Partial<KubernetesService>): KubernetesService {
  return {
    ...more,
    metadata: { ...more.metadata, namespace: NAMESPACE, name },
    spec: {
      type: "LoadBalancer",
      loadBalancerClass: "holdfast.io/holdfast",
      ports: [{ name: "x", port: 80, protocol: "SCTP" }],
      ...more.spec,
    },
  };
}

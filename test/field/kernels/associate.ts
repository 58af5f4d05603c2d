// In a guest: one member, a server and a client with two addresses on real SCTP stacks in namespaces of their
// own; the association comes up, and messages pass on the kernel's fast path.
import assert from "node:assert/strict";
import { Cluster, setPatience, until } from "@holdfast/testkit";

const MESSAGE_COUNT = 20;

interface Status {
  readonly fastPath: string;
  readonly dataPlane: {
    readonly fallback?: unknown;
    readonly interfaces: readonly { readonly hooks: readonly string[] }[];
  };
}

interface Session {
  readonly id: string;
  readonly phase: string;
}

interface SessionDetail {
  readonly counters: readonly { readonly up: { readonly packets: number } }[];
}

// An emulated machine on a busy host takes its time.
setPatience(10);
const cluster = new Cluster({ clients: [2], fastPath: "auto" });
try {
  const member = cluster.members[0];
  assert.ok(member);
  await cluster.start();
  const server = await cluster.startEndpoint(0, { echo: false, assocMaxRetrans: 200 });
  const client = await cluster.startClient(0, { rate: 5, size: 200, assocMaxRetrans: 200 });
  await client.established(1);
  await until(`${MESSAGE_COUNT} messages`, async () => {
    return (await server.receipts()).some(({ received }) => received >= MESSAGE_COUNT);
  });
  // A daemon that stood still answers late.
  const asked = <T>(path: string) => until(path, () => member.get<T>(path));
  const status = await asked<Status>("/v1/status");
  assert.notEqual(status.fastPath, "userspace");
  assert.equal(status.dataPlane.fallback, undefined);
  const { items } = await asked<{ items: Session[] }>("/v1/sessions?limit=10");
  assert.deepEqual(
    items.map(({ phase }) => phase),
    ["established"],
  );
  const { counters } = await asked<SessionDetail>(`/v1/sessions/${items[0]?.id}`);
  const packets = counters.reduce((sum, { up }) => sum + up.packets, 0);
  assert.ok(packets >= MESSAGE_COUNT / 2, `${packets} packets on the fast path`);
  const hooks = [...new Set(status.dataPlane.interfaces.flatMap((each) => each.hooks))].join(", ");
  console.log(`associated: ${status.fastPath} by ${hooks}, ${packets} packets on the fast path`);
} catch (error) {
  for (const member of cluster.members) console.log(member.log().slice(-4_000));
  throw error;
} finally {
  await cluster.close();
}

// The same suites on a real kube-apiserver 1.36: the client's, and the controller's contract with the rights of its role.
import { after, before, describe, test } from "node:test";
import { describeApiServer } from "@holdfast/kubernetes/compliance";
import {
  ENDPOINT_SLICES,
  EVENTS,
  GATEWAY_RESOURCES,
  KubernetesClient,
  PODS,
  type Resource,
  SERVICES,
  VIP_POOLS,
} from "@holdfast/kubernetes/testing";
import { describeContract } from "./contract.ts";
import { type RealServer, startRealServer } from "./real-server.ts";
import { openWorldOn } from "./world.ts";

const LIMIT_MS = 30_000;

describe("on kube-apiserver", () => {
  let server: RealServer;
  before(async () => {
    server = await startRealServer();
  });
  after(() => server.close());

  test("where it came from", (t) => {
    t.diagnostic(`programs ${server.binaries.how}; ready after ${(server.readyAfterMs / 1000).toFixed(1)} s`);
  });

  describeApiServer(
    "kube-apiserver",
    async () => ({ connection: server.admin, close: () => emptied(server) }),
    LIMIT_MS,
  );
  describeContract("the controller, with kube-apiserver and the rights of its role", () =>
    openWorldOn(server, {}, () => emptied(server)),
  );
});

/** The next test finds nothing of the one before. */
async function emptied({ admin }: RealServer): Promise<void> {
  const client = new KubernetesClient(admin);
  const resources: readonly Resource[] = [
    SERVICES,
    ENDPOINT_SLICES,
    PODS,
    VIP_POOLS,
    EVENTS,
    ...GATEWAY_RESOURCES.filter(({ plural }) => plural !== "namespaces"),
  ];
  for (const resource of resources)
    for (const { metadata } of (await client.list(resource)).items) {
      if (metadata.name === "kubernetes" || metadata.name.startsWith("kubernetes-")) continue;
      const where = { namespace: metadata.namespace, name: metadata.name };
      const isHeld = (metadata.finalizers ?? []).length > 0;
      if (isHeld) await client.patch(resource, where, { metadata: { finalizers: null } });
      await client.remove(resource, where).catch(() => {});
    }
  client.close();
}

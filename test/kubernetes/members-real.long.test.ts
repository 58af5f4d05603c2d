// The same scenarios of members on nodes against a real API server, with our definitions in it.
import { after, before } from "node:test";
import { KubernetesClient } from "../../packages/kubernetes/src/client/client.ts";
import { isNotFound } from "../../packages/kubernetes/src/client/error.ts";
import type { MemberObject } from "../../packages/kubernetes/src/nodes/member-object.ts";
import {
  type KubernetesObject,
  MEMBERS,
  NODES,
  type Resource,
  SECRETS,
} from "../../packages/kubernetes/src/objects.ts";
import { runMemberContract } from "./members-contract.ts";
import { NAMESPACE, type TestKubernetes } from "./members-world.ts";
import { type RealServer, startRealServer } from "./real-server.ts";

let server: RealServer;
before(async () => {
  server = await startRealServer();
});
after(() => server.close());

async function open(): Promise<TestKubernetes> {
  const client = new KubernetesClient(server.admin);
  const close = async () => {
    const remove = async (resource: Resource, { metadata }: KubernetesObject) => {
      await client.remove(resource, metadata).catch((error: unknown) => {
        if (!isNotFound(error)) throw error;
      });
    };
    for (const node of (await client.list(NODES)).items) await remove(NODES, node);
    for (const member of (await client.list<MemberObject>(MEMBERS)).items) {
      const { name } = member.metadata;
      await client.patch(MEMBERS, { name }, { metadata: { finalizers: null } });
      await remove(MEMBERS, member);
    }
    for (const secret of (await client.list(SECRETS, { namespace: NAMESPACE })).items)
      await remove(SECRETS, secret);
    client.close();
  };
  return { connection: { ...server.admin, namespace: NAMESPACE }, close };
}

runMemberContract("a real API server", open);

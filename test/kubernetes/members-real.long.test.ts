// The same scenarios of members on nodes against a real API server, with our definitions in it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { after, before, test } from "node:test";
import {
  isNotFound,
  KubernetesClient,
  type KubernetesObject,
  MEMBERS,
  type MemberObject,
  NODES,
  type Resource,
  SECRETS,
} from "@holdfast/kubernetes/testing";
import { until } from "@holdfast/testkit";
import { parseAllDocuments } from "yaml";
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

const MEMBER = "holdfast-member";
const kind = (group: string, plural: string, name: string): Resource => ({
  ...{ group, version: "v1", plural, kind: name },
  isNamespaced: false,
});
const INSTALLED = [
  kind("rbac.authorization.k8s.io", "clusterroles", "ClusterRole"),
  kind("rbac.authorization.k8s.io", "clusterrolebindings", "ClusterRoleBinding"),
  kind("admissionregistration.k8s.io", "validatingadmissionpolicies", "ValidatingAdmissionPolicy"),
  kind(
    "admissionregistration.k8s.io",
    "validatingadmissionpolicybindings",
    "ValidatingAdmissionPolicyBinding",
  ),
];

/** A change of a `Member` with the rights of a member's pod on `node`; the status. */
function changeFrom(node: string | undefined, member: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = request(
      `${server.admin.url}/apis/holdfast.io/v1/members/${member}`,
      {
        method: "PATCH",
        rejectUnauthorized: false,
        headers: {
          authorization: "Bearer admin",
          "content-type": "application/merge-patch+json",
          "impersonate-user": `system:serviceaccount:${NAMESPACE}:${MEMBER}`,
          ...(node !== undefined && { "impersonate-extra-authentication.kubernetes.io%2fnode-name": node }),
        },
      },
      (response) => {
        response.resume();
        response.on("end", () => resolve(response.statusCode ?? 0));
      },
    );
    asked.on("error", reject);
    asked.end(JSON.stringify({ spec: { addresses: [`198.18.0.${Math.floor(performance.now()) % 250}`] } }));
  });
}

test("a member's pod changes the Member of its own node, and no other", async () => {
  const client = new KubernetesClient(server.admin);
  const { close } = await open();
  try {
    const text = readFileSync(
      new URL("../../deploy/kubernetes/nodes/holdfast.yaml", import.meta.url),
      "utf8",
    );
    for (const document of parseAllDocuments(text)) {
      const object = document.toJS() as KubernetesObject;
      const resource = INSTALLED.find((each) => each.kind === object.kind);
      if (resource !== undefined && object.metadata.name === MEMBER) await client.create(resource, object);
    }
    for (const name of ["n1", "n2"]) await client.create(MEMBERS, { metadata: { name } });
    await until(
      "the policy to be in force",
      async () => (await changeFrom("n1", "n2")) === 422 || (await changeFrom("n1", "n2")) === 403,
    );
    assert.equal(await changeFrom("n1", "n1"), 200);
    assert.notEqual(await changeFrom(undefined, "n1"), 200);
    assert.notEqual(await changeFrom("n2", "n1"), 200);
  } finally {
    client.close();
    await close();
  }
});

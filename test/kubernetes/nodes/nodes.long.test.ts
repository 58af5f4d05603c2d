// Members and agents on nodes, beside kube-proxy and a CNI: every row of the table in docs/kubernetes.md.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { type Peer, until, withLogs } from "@holdfast/testkit";
import { type Node, NodeLab, type Pod, SERVICE_PORT_FIRST } from "./node-lab.ts";
import { alive, confirmed } from "./whole.ts";

interface Served {
  readonly pod: Pod;
  readonly port: number;
}

/** Members and agent run, a pod on each node serves, and every member calls it up. */
async function started(nodes: NodeLab): Promise<Served[]> {
  await Promise.all(nodes.members.map((member) => member.start()));
  const served = nodes.nodes.map((node, index) => ({
    pod: nodes.pod(node),
    port: SERVICE_PORT_FIRST + index,
  }));
  for (const { pod, port } of served) await nodes.serve(pod, port);
  await nodes.makeServices(served.map(({ pod, port }) => ({ address: pod.address, port })));
  nodes.startAgent(nodes.node("n4"));
  await nodes.settled();
  await prepared(nodes);
  return served;
}

async function prepared(nodes: NodeLab): Promise<void> {
  const { family, plan } = nodes;
  const ip = family === "ipv4" ? "ip" : "ip6";
  const has = (node: Node, table: string) => {
    try {
      const text = node.host.run("nft", ["list", "table", ip, table]);
      return plan.vips.every((vip) => text.includes(vip));
    } catch {
      return false;
    }
  };
  await until("every node to be prepared", () =>
    nodes.nodes.every((node) => has(node, node.member === undefined ? "holdfast_agent" : "holdfast_hf")),
  );
}

async function story(nodes: NodeLab, tell: () => Promise<void>): Promise<void> {
  try {
    await tell();
  } catch (error) {
    throw withLogs(error, nodes.members);
  } finally {
    await nodes.close();
  }
}

/** An association with each pod, complete. */
async function associations(nodes: NodeLab, served: readonly Served[]): Promise<Peer[]> {
  const clients: Peer[] = [];
  for (const { pod, port } of served) {
    const client = await nodes.associate(port);
    clients.push(client);
    await client.established(1).catch((error: Error) => {
      throw new Error(`pod on ${pod.node.name} (${pod.node.plug}): ${error.message}`);
    });
  }
  for (const [index, { pod }] of served.entries()) {
    await confirmed(clients[index] as Peer, pod.server as Peer, nodes.plan.vips).catch((error: Error) => {
      throw new Error(`pod on ${pod.node.name} (${pod.node.plug}): ${error.message}`);
    });
  }
  return clients;
}

suite("on the nodes", () => {
  test("pods on every node are reached, and every path of their associations is confirmed", async () => {
    const nodes = new NodeLab();
    await story(nodes, async () => {
      const served = await started(nodes);
      const clients = await associations(nodes, served);
      for (const client of clients) await alive(client);
      const status = await nodes.members[0]?.get<{
        host: { loop: object; identityNat: object; warnings: unknown[] };
      }>("/v1/status");
      assert.deepEqual(status?.host, {
        loop: { interface: "hf1", mtu: 1500, vips: 2 },
        identityNat: { table: "holdfast_hf", vips: 2 },
        warnings: [],
      });
    });
  });
});

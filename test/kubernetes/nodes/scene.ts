// What stories about nodes begin with: members and agent run, pods serve, associations are complete.
import { type Peer, until, withLogs } from "@holdfast/testkit";
import { type Node, type NodeLab, type Pod, SERVICE_PORT_FIRST } from "./node-lab.ts";
import { confirmed } from "./whole.ts";

export interface Served {
  readonly pod: Pod;
  readonly port: number;
}

/** Members and agent run, a pod on each node serves, and every member calls it up. */
export async function started(nodes: NodeLab): Promise<Served[]> {
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

export async function prepared(nodes: NodeLab): Promise<void> {
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

/** What the members dropped, and what their slow paths did. */
async function counted(nodes: NodeLab): Promise<string> {
  const lines = await Promise.all(
    nodes.members.map(async (member) => {
      const { body } = await member.fetch("GET", "/v1/metrics").catch(() => ({ body: "" }));
      const counts = body.matchAll(
        /^holdfast_\w+_path_\w+_total\{(?:reason|event)="([^"]+)"\} ([1-9]\d*)$/gm,
      );
      return `${member.name}: ${[...counts].map(([, name, value]) => `${name} ${value}`).join(", ")}`;
    }),
  );
  return lines.join("\n");
}

export async function story(nodes: NodeLab, tell: () => Promise<void>): Promise<void> {
  try {
    await tell();
  } catch (error) {
    throw withLogs(new Error(`${(error as Error).message}\n${await counted(nodes)}`), nodes.members);
  } finally {
    await nodes.close();
  }
}

/** An association with each pod, complete. */
export async function associations(nodes: NodeLab, served: readonly Served[]): Promise<Peer[]> {
  const clients: Peer[] = [];
  for (const { pod, port } of served) {
    const client = await nodes.associate(port);
    clients.push(client);
    await client.established(1, 15_000).catch((error: Error) => {
      throw new Error(`pod on ${pod.node.name} (${pod.node.plug}): ${error.message}`);
    });
  }
  await complete(nodes, served, clients);
  return clients;
}

/** Every path of each association is confirmed at both ends. */
export async function complete(
  nodes: NodeLab,
  served: readonly Served[],
  clients: readonly Peer[],
): Promise<void> {
  for (const [index, { pod }] of served.entries())
    await confirmed(clients[index] as Peer, pod.server as Peer, nodes.plan.vips).catch((error: Error) => {
      throw new Error(`pod on ${pod.node.name} (${pod.node.plug}): ${error.message}`);
    });
}

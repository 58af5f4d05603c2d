// Members and agents on nodes, beside kube-proxy and a CNI: every row of the table in docs/kubernetes.md.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { suite, test } from "node:test";
import { type Member, type Peer, startServer, until } from "@holdfast/testkit";
import { KubeProxies } from "./kube-proxy.ts";
import { type Node, NodeLab, SERVICE_PORT_FIRST } from "./node-lab.ts";
import { associations, complete, prepared, started, story } from "./scene.ts";
import { alive, confirmed } from "./whole.ts";

interface HostStatus {
  readonly host: {
    readonly loop?: object;
    readonly identityNat?: object;
    readonly warnings: readonly object[];
  };
}

/** What Holdfast made of a node, and nobody else. */
function madeOn({ host }: Node): string[] {
  const has = (command: string, ...words: string[]) => {
    try {
      return host.run(command, words);
    } catch {
      return "";
    }
  };
  return [
    ...has("ip", "link", "show").matchAll(/\bhf[01]\b/g),
    ...has("ip", "rule", "show").matchAll(/^13[12]:.*$/gm),
    ...has("nft", "list", "tables").matchAll(/holdfast_(?:hf|agent)/g),
  ].map(([text]) => text);
}

/** A NetworkPolicy without egress, as CNIs write it: pods answer, and begin nothing. */
const answersOnly = (pods: string) => `table inet egress {
  chain forward {
    type filter hook forward priority filter;
    ct state established,related accept
    ip saddr ${pods} ip daddr != ${pods} counter drop
  }
}
`;

suite("on the nodes", () => {
  for (const family of ["ipv4", "ipv6"] as const)
    test(`pods on every node are reached, and every path is confirmed: ${family}`, async () => {
      const nodes = new NodeLab({ family });
      await story(nodes, async () => {
        const served = await started(nodes);
        const clients = await associations(nodes, served);
        for (const client of clients) await alive(client);
        const status = await nodes.members[0]?.get<HostStatus>("/v1/status");
        assert.deepEqual(status?.host, {
          loop: { interface: "hf1", mtu: 1500, vips: 2 },
          identityNat: { table: "holdfast_hf", vips: 2 },
          warnings: [],
        });
      });
    });

  for (const family of ["ipv4", "ipv6"] as const)
    test(`pods are reached over VXLAN between nodes: ${family}`, async () => {
      const nodes = new NodeLab({ family, overlay: "vxlan" });
      await story(nodes, async () => {
        const served = await started(nodes);
        const clients = await associations(nodes, served);
        for (const client of clients) await alive(client);
      });
    });

  for (const [mode, family] of [
    ["iptables", "ipv4"],
    ["nftables", "ipv4"],
    ["iptables", "ipv6"],
    ["nftables", "ipv6"],
  ] as const)
    test(`beside the real kube-proxy, mode ${mode}, whose Services have the same VIPs: ${family}`, async () => {
      const nodes = new NodeLab({ family });
      const proxies = new KubeProxies(nodes);
      await story(nodes, async () => {
        const served = await started(nodes);
        await proxies.start(
          mode,
          served.map(({ pod, port }) => ({ port, address: pod.address })),
        );
        const clients = await associations(nodes, served);
        for (const client of clients) await alive(client);
        // A pod as client: kube-proxy would take it to the pod directly, on one path.
        const last = served[3];
        assert.ok(last);
        const guest = nodes.pod(nodes.node("n1"));
        const client = await nodes.associate(last.port, guest.host, [guest.address]);
        await client.established(1);
        await confirmed(client, last.pod.server as Peer, []);
        await alive(client);
        const [member] = nodes.members;
        const { body } = (await member?.fetch("GET", `/v1/sessions?service=pod-${last.port}`)) ?? {
          body: "",
        };
        assert.ok(body.includes(guest.address), "it came by the members");
        // What conntrack knew of the living associations is gone on every node; new entries are made from the
        // middle of them, and kube-proxy drops what conntrack calls invalid meanwhile.
        for (const { host } of nodes.nodes) host.run("conntrack", ["-F"]);
        for (const each of [...clients, client]) await alive(each);
        await complete(nodes, served, clients);
      });
    });

  test("pods may not begin anything: a policy that asks conntrack lets their answers to both VIPs pass", async () => {
    const nodes = new NodeLab();
    await story(nodes, async () => {
      for (const node of nodes.nodes) node.host.run("nft", ["-f", "-"], answersOnly(nodes.plan.pods));
      const served = await started(nodes);
      const clients = await associations(nodes, served);
      for (const client of clients) await alive(client);
      // It does deny: what a pod begins by itself never leaves its node.
      const guest = nodes.pod(nodes.node("n4"));
      const refused = await nodes.associate(served[0]?.port ?? 0, guest.host, [guest.address]);
      await until("the policy to drop the pod's own association", () =>
        / packets [1-9]/.test(nodes.node("n4").host.run("nft", ["list", "table", "inet", "egress"])),
      );
      assert.equal((await refused.associations())[0]?.ups ?? 0, 0);
    });
  });

  test("hosts' own programs are endpoints and clients, strict filtering is loosened, all goes with the data plane", async () => {
    const nodes = new NodeLab({ host: { rpFilter: "set" } });
    await story(nodes, async () => {
      const filters = nodes.members.map(({ host }) => host);
      for (const host of filters) host.run("sysctl", ["-q", "-w", "net.ipv4.conf.all.rp_filter=1"]);
      const served = await started(nodes);
      await associations(nodes, served);
      // An endpoint in the node's own network, on each member: on the VIP's owner it is a local destination.
      for (const [index, node] of nodes.nodes.slice(0, 3).entries()) {
        const port = SERVICE_PORT_FIRST + 20 + index;
        const address = nodes.plan.node(0, node.number);
        const server = await startServer(node.host, { local: [address], port, echo: true, blackhole: true });
        await nodes.makeServices([{ address, port }]);
        const client = await nodes.associate(port);
        await client.established(1);
        await confirmed(client, server, nodes.plan.vips);
        await alive(client);
      }
      for (const name of ["n1", "n2"]) {
        const node = nodes.node(name);
        const local = [nodes.plan.node(0, node.number), nodes.plan.node(1, node.number)];
        const client = await nodes.associate(served[2]?.port ?? 0, node.host, local);
        await client.established(1);
        await confirmed(client, served[2]?.pod.server as Peer, []);
        await alive(client);
      }
      const before = madeOn(nodes.node("n1"));
      assert.equal(before.length > 4, true, before.join());
      const setting = () =>
        nodes.node("n1").host.run("sysctl", ["-n", "net.ipv4.conf.net-a.rp_filter"]).trim();
      assert.equal(setting(), "2");
      const [member] = nodes.members;
      assert.ok(member);
      await member.killDaemon();
      assert.deepEqual(madeOn(nodes.node("n1")), before, "the data plane stays, and with it what it needs");
      rewrite(member, { dataPlane: { keepInstalled: false } });
      await member.start();
      assert.equal(await member.stop(), 0);
      assert.deepEqual(madeOn(nodes.node("n1")), []);
      assert.equal(setting(), "0");
    });
  });

  test("node, member and pod are killed under associations: who lives is who should", async () => {
    const nodes = new NodeLab();
    await story(nodes, async () => {
      const served = await started(nodes);
      const clients = await associations(nodes, served);
      const owners = await nodes.settled();
      const owner = nodes.node(owners.get(nodes.plan.vips[0] ?? "") ?? "");
      // Member: its daemon alone.
      await owner.member?.killDaemon();
      for (const client of clients) await alive(client);
      await owner.member?.start();
      await nodes.settled();
      for (const client of clients) await alive(client);
      // Pod: another one with its address comes in its place, and the client comes again.
      const last = served[3];
      assert.ok(last);
      await last.pod.server?.kill();
      await nodes.serve(last.pod, last.port);
      await until("the client of the pod that was replaced", async () => {
        const [figure] = (await clients[3]?.associations()) ?? [];
        return figure?.up === true && figure.ups >= 2;
      });
      // Node: with it its pod; everybody else lives.
      const others = served.flatMap(({ pod }, index) =>
        pod.node === owner || index === 3 ? [] : [clients[index] as Peer],
      );
      await owner.member?.killNode();
      for (const client of others) await alive(client);
      owner.host.plug();
      await owner.member?.start();
      await nodes.settled();
      for (const client of others) await alive(client);
    });
  });

  test("an agent is killed, replaced and taken away", async () => {
    const nodes = new NodeLab();
    await story(nodes, async () => {
      const served = await started(nodes);
      const node = nodes.node("n4");
      const [client] = await associations(nodes, served.slice(3));
      assert.ok(client);
      for (const member of nodes.members.slice(0, 2)) await member.killDaemon();
      await alive(client);
      nodes.agentOnce(node, "--remove");
      await prepared(nodes);
      await alive(client);
      // Killed as a machine out of memory kills: what it made stays whole, and the next one takes it up.
      const tableOf = () => node.host.run("nft", ["list", "chain", "ip", "holdfast_agent", "postrouting"]);
      const before = tableOf();
      await nodes.killAgent();
      await alive(client);
      assert.equal(tableOf(), before);
      await prepared(nodes);
      nodes.startAgent(node);
      await alive(client);
      assert.equal(tableOf(), before);
      await prepared(nodes);
      // Killed again, and taken away by a node's owner: nothing is left.
      await nodes.killAgent();
      nodes.agentOnce(node, "--remove");
      assert.deepEqual(madeOn(node), []);
    });
  });

  test("without the members' loop pods are up, and unproven: a warning that goes when the loop comes", async () => {
    const nodes = new NodeLab({ host: { loop: false } });
    await story(nodes, async () => {
      await Promise.all(nodes.members.map((member) => member.start()));
      // The kernel of a member's node asks the network for the VIP, and the program takes the answer.
      const pods = nodes.nodes.slice(0, 3).map((node) => nodes.pod(node));
      for (const [index, pod] of pods.entries()) await nodes.serve(pod, SERVICE_PORT_FIRST + index);
      await nodes.makeServices(
        pods.map(({ address }, index) => ({ address, port: SERVICE_PORT_FIRST + index })),
      );
      const owners = await nodes.settled();
      const said = async () => {
        const { items } = (await nodes.members[0]?.get<{
          items: { endpoints: { health: string; unproven?: { vip: string }[] }[] }[];
        }>("/v1/services")) ?? { items: [] };
        return items.flatMap(({ endpoints }) =>
          endpoints.map(
            ({ health, unproven = [] }) =>
              `${health} ${unproven
                .map(({ vip }) => vip)
                .sort()
                .join()}`,
          ),
        );
      };
      const { vips } = nodes.plan;
      await until(
        `every pod to be up, and unproven: ${[...owners]}`,
        async () => (await said()).every((text) => text === `up ${[...vips].sort().join()}`),
        60_000,
      );
      for (const member of nodes.members) {
        rewrite(member, { host: { loop: true } });
        assert.equal(await member.stop(), 0);
        await member.start();
      }
      await until(
        "every way to be proven",
        async () => (await said()).every((text) => text === "up "),
        60_000,
      );
    });
  });
});

/** Sections of a member's configuration, merged over what it has, for its next start. */
function rewrite({ configFile }: Member, sections: Record<string, object>): void {
  const before = JSON.parse(readFileSync(configFile, "utf8"));
  const after = { ...before };
  for (const [name, section] of Object.entries(sections)) after[name] = { ...before[name], ...section };
  writeFileSync(configFile, JSON.stringify(after));
}

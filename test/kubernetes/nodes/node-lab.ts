// Nodes of a Kubernetes as network namespaces: members in their network, or the agent; pods beside them as a
// bridge CNI or Calico plugs them in, masqueraded as CNIs do; a client on two path networks that are the
// nodes' own. VIPs are in them.
import type { ChildProcess } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Address } from "@holdfast/model";
import {
  HOLDFAST_PROGRAM,
  type Host,
  insideNamespace,
  Lab,
  Member,
  makeCertificates,
  type Peer,
  runSync,
  startClient,
  startServer,
  until,
} from "@holdfast/testkit";

export type Family = "ipv4" | "ipv6";
export type Plug = "bridge" | "calico";

export const SERVICE_PORT_FIRST = 38_412;
const MEMBER_COUNT = 3;
const NODE_FIRST = 11;

interface Addresses {
  readonly node: (network: number, n: number) => Address;
  readonly bits: number;
  readonly hostBits: number;
  readonly vips: readonly Address[];
  readonly client: (network: number) => Address;
  readonly pods: string;
  readonly podsOf: (n: number) => { readonly prefix: string; readonly gateway: Address };
  readonly pod: (n: number, k: number) => Address;
  /** What Calico's pods have as their gateway: nobody's, answered for by the host. */
  readonly linkLocal: Address;
}

const PLANS: Readonly<Record<Family, Addresses>> = {
  ipv4: {
    node: (network, n) => `198.18.${network + 2}.${n}`,
    bits: 24,
    hostBits: 32,
    vips: ["198.18.2.200", "198.18.3.200"],
    client: (network) => `198.18.${network + 2}.10`,
    pods: "10.244.0.0/16",
    podsOf: (n) => ({ prefix: `10.244.${n}.0/24`, gateway: `10.244.${n}.1` }),
    pod: (n, k) => `10.244.${n}.${k + 10}`,
    linkLocal: "169.254.1.1",
  },
  ipv6: {
    node: (network, n) => `fd0${network + 1}::${n}`,
    bits: 64,
    hostBits: 128,
    vips: ["fd01::200", "fd02::200"],
    client: (network) => `fd0${network + 1}::10`,
    pods: "fd44::/16",
    podsOf: (n) => ({ prefix: `fd44:${n}::/64`, gateway: `fd44:${n}::1` }),
    pod: (n, k) => `fd44:${n}::${k + 10}`,
    linkLocal: "fe80::1",
  },
};

export interface Node {
  readonly name: string;
  readonly number: number;
  readonly host: Host;
  readonly plug: Plug;
  readonly member: Member | undefined;
}

export interface Pod {
  readonly node: Node;
  readonly host: Host;
  readonly address: Address;
  server: Peer | undefined;
}

export interface NodeLabOptions {
  readonly family?: Family;
  /** Merged over every member's section `host`. */
  readonly host?: object;
  /** How nodes reach each other's pods: by routes on net-a (default), or by flannel's VXLAN over it. */
  readonly overlay?: "routes" | "vxlan";
}

/** As flannel has it. */
const VXLAN = { device: "flannel.1", id: 1, port: 8_472 } as const;
const macOf = (number: number) => `02:00:0a:f4:00:${number.toString(16).padStart(2, "0")}`;

function othersOf(number: number): number[] {
  const all = Array.from({ length: MEMBER_COUNT + 1 }, (_, index) => NODE_FIRST + index);
  return all.filter((other) => other !== number);
}

export class NodeLab {
  readonly lab = new Lab();
  readonly family: Family;
  readonly plan: Addresses;
  readonly nodes: Node[] = [];
  readonly pods: Pod[] = [];
  readonly client: Host;
  readonly #options: NodeLabOptions;
  #agent: ChildProcess | undefined;
  #clientPort = 36_412;
  #podCount = 0;

  constructor(options: NodeLabOptions = {}) {
    this.#options = options;
    this.family = options.family ?? "ipv4";
    this.plan = PLANS[this.family];
    const { plan, lab } = this;
    try {
      for (const network of ["net-a", "net-b"]) lab.network(network);
      const on = (address: (network: number) => string) =>
        Object.fromEntries(["net-a", "net-b"].map((name, k) => [name, [`${address(k)}/${plan.bits}`]]));
      this.client = lab.host("c1", on(plan.client));
      const hosts = Array.from({ length: MEMBER_COUNT + 1 }, (_, index) =>
        lab.host(
          `n${index + 1}`,
          on((network) => plan.node(network, NODE_FIRST + index)),
        ),
      );
      const members = this.#makeMembers(hosts.slice(0, MEMBER_COUNT));
      for (const [index, host] of hosts.entries()) {
        const plug = index % 2 === 0 ? "bridge" : "calico";
        const node: Node = {
          name: host.name,
          number: NODE_FIRST + index,
          host,
          plug,
          member: members[index],
        };
        this.nodes.push(node);
        this.#prepareNode(node);
      }
    } catch (error) {
      void lab.close();
      throw error;
    }
  }

  get members(): Member[] {
    return this.nodes.flatMap(({ member }) => (member === undefined ? [] : [member]));
  }

  node(name: string): Node {
    const node = this.nodes.find((each) => each.name === name);
    if (node === undefined) throw new Error(`there is no node ${name}`);
    return node;
  }

  /** What a kubelet and a CNI make of a node: it forwards, reaches other nodes' pods, masquerades its own. */
  #prepareNode({ host, number, plug }: Node): void {
    const { plan, family } = this;
    const settings = ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"];
    host.run("sysctl", ["-q", "-e", "-w", ...settings, "net.netfilter.nf_conntrack_checksum=0"]);
    if (this.#options.overlay === "vxlan") this.#tunnel(host, number);
    else
      for (const other of othersOf(number))
        host.ip(`route replace ${plan.podsOf(other).prefix} via ${plan.node(0, other)} dev net-a`);
    // Without a route to it, nobody answers for the gateway of Calico's pods.
    host.ip(`route replace ${family === "ipv6" ? "::/0" : "0.0.0.0/0"} via ${plan.client(0)} dev net-a`);
    if (plug === "bridge") {
      const { gateway } = plan.podsOf(number);
      host.ip("link add name cni0 type bridge forward_delay 0");
      host.ip("link set dev cni0 up");
      host.ip(
        `addr add ${gateway}/${family === "ipv4" ? 24 : 64} dev cni0${family === "ipv6" ? " nodad" : ""}`,
      );
    }
    const masquerade = [
      "-t",
      "nat",
      "-A",
      "POSTROUTING",
      "-s",
      plan.pods,
      "!",
      "-d",
      plan.pods,
      "-j",
      "MASQUERADE",
    ];
    host.run(family === "ipv4" ? "iptables" : "ip6tables", masquerade);
  }

  /** What flanneld makes of a node: a device, and of each other node a route, a neighbour and where it is. */
  #tunnel(host: Host, number: number): void {
    const { plan, family } = this;
    const { device, id, port } = VXLAN;
    const gateway = (n: number) => plan.podsOf(n).prefix.replace(/\/\d+$/, "");
    host.ip(
      `link add name ${device} address ${macOf(number)} type vxlan id ${id} dev net-a local ${plan.node(0, number)} dstport ${port} nolearning`,
    );
    const noWait = family === "ipv6" ? " nodad" : "";
    host.ip(`addr add ${gateway(number)}/${plan.hostBits} dev ${device}${noWait}`);
    host.ip(`link set dev ${device} up`);
    for (const other of othersOf(number)) {
      host.ip(`neigh replace ${gateway(other)} lladdr ${macOf(other)} dev ${device} nud permanent`);
      host.run("bridge", [
        ...["fdb", "append", macOf(other), "dev", device],
        ...["dst", plan.node(0, other), "self", "permanent"],
      ]);
      host.ip(`route replace ${plan.podsOf(other).prefix} via ${gateway(other)} dev ${device} onlink`);
    }
  }

  /** A pod on a node, as its CNI plugs it in. */
  pod(node: Node): Pod {
    const { plan, family } = this;
    const name = `p${++this.#podCount}`;
    const host = this.lab.host(name, {});
    const address = plan.pod(node.number, this.#podCount);
    const v6 = family === "ipv6";
    const end = node.plug === "bridge" ? `veth${name}` : `cali${name}`;
    node.host.run("ip", [
      "link",
      "add",
      "name",
      end,
      "type",
      "veth",
      "peer",
      "name",
      "eth0",
      "netns",
      host.namespace,
    ]);
    const inside = (line: string) => host.run("ip", line.split(" "));
    const outside = (line: string) => node.host.run("ip", line.split(" "));
    inside("link set dev eth0 up");
    if (node.plug === "bridge") {
      const { gateway } = plan.podsOf(node.number);
      outside(`link set dev ${end} master cni0`);
      outside(`link set dev ${end} up`);
      inside(`addr add ${address}/${v6 ? "64 dev eth0 nodad" : "24 dev eth0"}`);
      inside(`${v6 ? "-6 " : ""}route add default via ${gateway}`);
    } else {
      outside(`link set dev ${end} up`);
      if (v6) outside(`addr add ${plan.linkLocal}/64 dev ${end} nodad`);
      else node.host.run("sysctl", ["-q", "-w", `net.ipv4.conf.${end}.proxy_arp=1`]);
      inside(`addr add ${address}/${plan.hostBits} dev eth0${v6 ? " nodad" : ""}`);
      if (!v6) inside(`route add ${plan.linkLocal}/32 dev eth0 scope link`);
      inside(`${v6 ? "-6 " : ""}route add default via ${plan.linkLocal} dev eth0`);
      outside(`route add ${address}/${plan.hostBits} dev ${end}`);
    }
    const pod: Pod = { node, host, address, server: undefined };
    this.pods.push(pod);
    return pod;
  }

  async serve(pod: Pod, port: number): Promise<Peer> {
    pod.server = await startServer(pod.host, { local: [pod.address], port, echo: true });
    return pod.server;
  }

  /** An association with a service, from the client's two networks, or a pod's or node's own addresses. */
  associate(port: number, from: Host = this.client, local?: readonly Address[]): Promise<Peer> {
    this.#clientPort += 10;
    return startClient(from, {
      local: local ?? [this.plan.client(0), this.plan.client(1)],
      port: this.#clientPort,
      remote: this.plan.vips[0] as Address,
      remotePort: port,
      rate: 20,
      size: 100,
      id: this.#clientPort,
      reconnect: true,
      // Several stacks are on one host, and each sees the others' packets.
      blackhole: true,
    });
  }

  /** One service for each pod, its endpoint, on ports of its own. */
  async makeServices(
    endpoints: readonly { readonly address: Address; readonly port: number }[],
  ): Promise<void> {
    const [member] = this.members;
    for (const { address, port } of endpoints) {
      const { status, body } = (await member?.fetch("POST", "/v1/services", {
        name: `pod-${port}`,
        vips: this.plan.vips,
        port,
        endpoints: [{ address, port }],
      })) ?? { status: 0, body: "" };
      if (status !== 201) throw new Error(`service of ${address}: ${status} ${body}`);
    }
  }

  async owners(member = this.members.find((each) => each.running)): Promise<Map<string, string>> {
    const answer = await member?.get<{ items: { vip: Address; owner?: string }[] }>("/v1/vips");
    return new Map((answer?.items ?? []).map(({ vip, owner = "" }) => [vip, owner]));
  }

  /** Every running member names the same owner for both VIPs. */
  settled(): Promise<Map<string, string>> {
    return until("both VIPs to have one owner", async () => {
      const views = await Promise.all(
        this.members.filter((each) => each.running).map((each) => this.owners(each)),
      );
      const texts = new Set(views.map((view) => JSON.stringify([...view].sort())));
      const [first] = views;
      return texts.size === 1 && this.plan.vips.every((vip) => (first?.get(vip) ?? "") !== "") && first;
    });
  }

  /** The agent on a node without a member. */
  startAgent(node: Node): void {
    const words = this.members.flatMap(({ socket }) => ["--member", `unix:${socket}`]);
    const args = [
      "--disable-warning=ExperimentalWarning",
      HOLDFAST_PROGRAM,
      "agent",
      "--interval",
      "200",
      ...words,
    ];
    this.#agent = node.host.spawn(process.execPath, args, { stdio: "ignore" });
  }

  /** As the kernel kills: SIGKILL. Resolves when it is gone. */
  async killAgent(): Promise<void> {
    const agent = this.#agent;
    if (agent === undefined || agent.exitCode !== null || agent.signalCode !== null)
      throw new Error("there is no agent");
    const ended = new Promise<void>((resolve) => agent.once("exit", () => resolve()));
    agent.kill("SIGKILL");
    await ended;
  }

  agentOnce(node: Node, ...words: readonly string[]): void {
    const args = ["--disable-warning=ExperimentalWarning", HOLDFAST_PROGRAM, "agent", ...words];
    const [program, all] = insideNamespace(node.host.namespace, process.execPath, args);
    runSync(program, all);
  }

  close(): Promise<void> {
    return this.lab.close();
  }

  #makeMembers(hosts: readonly Host[]): Member[] {
    const { lab, plan } = this;
    const directory = join(lab.directory, "certificates");
    makeCertificates(
      directory,
      hosts.map(({ name }) => name),
    );
    return hosts.map((host, n) => {
      const pinDirectory = `/sys/fs/bpf/${lab.id}-${host.name}`;
      const storeDirectory = join(lab.directory, `${host.name}.store`);
      lab.onEnd(() => rmSync(pinDirectory, { recursive: true, force: true }));
      const configuration = {
        cluster: {
          id: "lab",
          certificates: {
            authority: join(directory, "authority.crt"),
            certificate: join(directory, `${host.name}.crt`),
            key: join(directory, `${host.name}.key`),
          },
          secretFile: join(directory, "cluster.secret"),
        },
        member: { name: host.name, number: n },
        members: hosts.map((other, index) => ({
          name: other.name,
          number: index,
          addresses: [0, 1].map((network) => plan.node(network, NODE_FIRST + index)),
        })),
        interfaces: ["net-a", "net-b"].map((name) => ({ name, role: ["path", "core"] })),
        dataPlane: { mode: "auto", pinDirectory, flowCountMax: 65_536 },
        host: { loop: true, identityNat: true, ...this.#options.host },
        store: { directory: storeDirectory },
        // The machine of a test is slower than a node.
        coordinator: { probeIntervalMs: 150 },
        health: { intervalMs: 300, timeoutMs: 200, upCount: 1 },
        log: { level: "info" },
      };
      return new Member(lab, host, n, configuration, { pinDirectory, storeDirectory });
    });
  }
}

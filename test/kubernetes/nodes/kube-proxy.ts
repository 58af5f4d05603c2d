// The real kube-proxy on every node of the lab, and the API server that it asks, in a namespace of its own.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Host, until } from "@holdfast/testkit";
import { kubeProxyBinary, kubernetesBinaries } from "../binaries.ts";
import { apiServerArguments, etcdArguments } from "../real-server.ts";
import type { NodeLab } from "./node-lab.ts";

export type ProxyMode = "iptables" | "nftables";

const PORT = 6_443;
const LIMIT_MS = 120_000;

export class KubeProxies {
  readonly #nodes: NodeLab;
  readonly #host: Host;
  readonly #url: string;

  /** Before members start: it is a host of the lab. */
  constructor(nodes: NodeLab) {
    this.#nodes = nodes;
    const address = nodes.plan.node(0, 250);
    this.#host = nodes.lab.host("kube", { "net-a": [`${address}/${nodes.plan.bits}`] });
    this.#url = `https://${address.includes(":") ? `[${address}]` : address}:${PORT}`;
  }

  /**
   * Services with the VIPs as their load balancers' addresses, as a controller that says `ipMode: VIP`
   * would have them.
   */
  async start(
    mode: ProxyMode,
    services: readonly { readonly port: number; readonly address: string }[],
  ): Promise<void> {
    const { apiServer, etcd } = await kubernetesBinaries();
    const proxy = await kubeProxyBinary();
    const directory = join(this.#nodes.lab.directory, "kube");
    mkdirSync(directory, { recursive: true });
    const address = this.#nodes.plan.node(0, 250);
    this.#host.spawn(etcd, etcdArguments(directory, 2379, 2380), { stdio: "ignore" });
    this.#host.spawn(apiServer, apiServerArguments(directory, 2379, PORT, address), { stdio: "ignore" });
    await until("the API server", () => this.#answers(), LIMIT_MS, 200);
    this.#apply(services);
    for (const { host, number } of this.#nodes.nodes) {
      const file = join(directory, `${host.name}.json`);
      writeFileSync(file, JSON.stringify(this.#proxyConfiguration(mode, host.name, number, directory)));
      host.spawn(proxy, [`--config=${file}`], { stdio: "ignore" });
    }
    const [vip = ""] = this.#nodes.plan.vips;
    await until(
      "kube-proxy's rules on every node",
      () => this.#nodes.nodes.every(({ host }) => rulesOf(host, mode, vip).includes(vip)),
      LIMIT_MS,
      200,
    );
  }

  #answers(): boolean {
    try {
      return this.#kubectl(["get", "--raw=/readyz"]).includes("ok");
    } catch {
      return false;
    }
  }

  #kubectl(words: readonly string[], input?: string): string {
    const all = [`--server=${this.#url}`, "--token=admin", "--insecure-skip-tls-verify", ...words];
    return this.#host.run("kubectl", all, input);
  }

  #apply(services: readonly { readonly port: number; readonly address: string }[]): void {
    const { plan, family, nodes } = this.#nodes;
    const items = [
      ...nodes.map(({ name, number }) => ({
        apiVersion: "v1",
        kind: "Node",
        metadata: { name },
        spec: { podCIDRs: [plan.podsOf(number).prefix], podCIDR: plan.podsOf(number).prefix },
      })),
      ...services.flatMap(({ port, address }) => [
        {
          apiVersion: "v1",
          kind: "Service",
          metadata: { name: `amf-${port}`, namespace: "default" },
          spec: {
            type: "LoadBalancer",
            loadBalancerClass: "holdfast.io/holdfast",
            allocateLoadBalancerNodePorts: false,
            ipFamilies: [family === "ipv4" ? "IPv4" : "IPv6"],
            ports: [{ port, protocol: "SCTP" }],
          },
        },
        {
          apiVersion: "discovery.k8s.io/v1",
          kind: "EndpointSlice",
          metadata: {
            name: `amf-${port}-1`,
            namespace: "default",
            labels: { "kubernetes.io/service-name": `amf-${port}` },
          },
          addressType: family === "ipv4" ? "IPv4" : "IPv6",
          ports: [{ port, protocol: "SCTP" }],
          endpoints: [{ addresses: [address], conditions: { ready: true } }],
        },
      ]),
    ];
    this.#kubectl(
      ["apply", "--validate=false", "-f", "-"],
      JSON.stringify({ apiVersion: "v1", kind: "List", items }),
    );
    for (const { name, number } of nodes) {
      const addresses = [{ type: "InternalIP", address: plan.node(0, number) }];
      this.#status("node", name, { addresses });
    }
    for (const { port } of services) {
      const ingress = plan.vips.map((ip) => ({ ip, ipMode: "VIP" }));
      this.#status("service", `amf-${port}`, { loadBalancer: { ingress } });
    }
  }

  #status(kind: string, name: string, status: object): void {
    const words = ["patch", kind, name, "--subresource=status", "--type=merge", "-p"];
    this.#kubectl([...words, JSON.stringify({ status })]);
  }

  #proxyConfiguration(mode: ProxyMode, name: string, number: number, directory: string): object {
    const kubeconfig = join(directory, "kubeconfig");
    const cluster = { server: this.#url, "insecure-skip-tls-verify": true };
    writeFileSync(
      kubeconfig,
      JSON.stringify({
        apiVersion: "v1",
        kind: "Config",
        clusters: [{ name: "lab", cluster }],
        users: [{ name: "admin", user: { token: "admin" } }],
        contexts: [{ name: "lab", context: { cluster: "lab", user: "admin" } }],
        "current-context": "lab",
      }),
    );
    return {
      apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
      kind: "KubeProxyConfiguration",
      mode,
      hostnameOverride: name,
      bindAddress: this.#nodes.plan.node(0, number),
      clientConnection: { kubeconfig },
      clusterCIDR: this.#nodes.plan.pods,
      detectLocalMode: "ClusterCIDR",
      conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: "0s", tcpCloseWaitTimeout: "0s" },
      iptables: { syncPeriod: "5s", minSyncPeriod: "1s" },
      nftables: { syncPeriod: "5s", minSyncPeriod: "1s" },
    };
  }
}

/** What kube-proxy wrote there. */
export function rulesOf(host: Host, mode: ProxyMode, vip: string): string {
  const v6 = vip.includes(":");
  try {
    return mode === "iptables"
      ? host.run(v6 ? "ip6tables-save" : "iptables-save", [])
      : host.run("nft", ["list", "table", v6 ? "ip6" : "ip", "kube-proxy"]);
  } catch {
    return "";
  }
}

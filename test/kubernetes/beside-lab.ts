// A Kubernetes beside a lab of members: a controller that asks all of them, a pool for each VIP, pods
// that are the lab's endpoints. For the test of associations and for the demo.
import { createClient } from "@holdfast/api";
import { nodeFetch } from "@holdfast/api/node";
import { type RunningController, startController } from "@holdfast/kubernetes/testing";
import type { Address } from "@holdfast/model";
import { ENDPOINT_PORT, type Cluster as LabCluster, SERVICE_PORT, until } from "@holdfast/testkit";
import type { RealServer } from "./real-server.ts";
import { CLASS, Cluster, pod, TIMES } from "./world.ts";

export const SERVICE = "amf";
const PORTS = [{ name: "n2", port: SERVICE_PORT, protocol: "SCTP" as const }];
const SLICE_PORTS = [{ name: "n2", port: ENDPOINT_PORT, protocol: "SCTP" as const }];

type PodState = "ready" | "terminating";

export class BesideLab {
  readonly server: RealServer;
  readonly cluster: Cluster;
  readonly lab: LabCluster;
  readonly log: string[] = [];
  #controller: RunningController | undefined;

  constructor(server: RealServer, lab: LabCluster) {
    this.server = server;
    this.lab = lab;
    this.cluster = new Cluster(server.admin);
  }

  /**
   * A controller in place of the one before, with the rights of its role; every member's API over its
   * socket.
   */
  async control(): Promise<void> {
    await this.#controller?.stop();
    this.#controller = await startController({
      connection: this.server.controller,
      members: this.lab.members.map(({ name, socket }) => ({
        name,
        client: createClient({
          url: "http://localhost",
          name,
          timeoutMs: 1000,
          fetch: nodeFetch({ socketPath: socket }),
        }),
      })),
      cluster: "kubernetes",
      classes: [CLASS],
      allowsAnyAddress: false,
      leaseNamespace: "holdfast",
      leaseName: "holdfast-controller",
      listen: "127.0.0.1:0",
      log: ({ message }) => this.log.push(message),
      times: TIMES ?? {},
    });
    await until(
      "the controller leads",
      () => this.#controller?.isLeader === true && this.#controller.isReady,
      30_000,
    );
  }

  /** The address of an endpoint of the lab, as a pod has it. */
  podAddress(index: number): string {
    return this.lab.endpoints[index]?.addresses("core")[0] as Address;
  }

  /** A pool for each VIP of the lab, one Service with all of them, and the first endpoint as its pod. */
  async apply(more: { readonly loadBalancerSourceRanges?: readonly string[] } = {}): Promise<void> {
    const { vips } = this.lab;
    for (const [index, vip] of vips.entries()) await this.cluster.pool(`net-${index}`, [vip]);
    const [first, ...others] = vips.map((_, index) => `net-${index}`);
    await this.cluster.service(
      SERVICE,
      { "holdfast.io/pool": first as string, "holdfast.io/secondary-pools": others.join(",") },
      { ports: PORTS, allocateLoadBalancerNodePorts: false, ...more } as never,
    );
    await this.cluster.slice(SERVICE, [this.#pod(0, "ready")], { ports: SLICE_PORTS });
  }

  /** Endpoints of the lab as pods, by their numbers. */
  async pods(states: Readonly<Record<number, PodState>>): Promise<void> {
    await this.cluster.endpoints(
      SERVICE,
      Object.entries(states).map(([index, state]) => this.#pod(Number(index), state)),
    );
  }

  #pod(index: number, state: PodState) {
    const conditions = state === "ready" ? {} : { ready: false, terminating: true };
    return pod(this.podAddress(index), `pod-${index}`, conditions);
  }

  /** Every member that runs serves the Service with these endpoints, all of them up: `ADDRESS STATE`. */
  async seen(...wanted: readonly string[]): Promise<void> {
    for (const member of this.lab.members.filter(({ running }) => running))
      await until(`${member.name} to have ${wanted.join(", ")}`, async () => {
        const { items } = await member.get<{
          items: { endpoints: { address: string; state: string; health: string }[] }[];
        }>("/v1/services");
        const endpoints = items[0]?.endpoints ?? [];
        const found = endpoints.map(({ address, state }) => `${address} ${state}`).sort();
        return found.join() === [...wanted].sort().join() && endpoints.every(({ health }) => health === "up");
      });
  }

  /** Who has the VIPs, as the Service says. */
  async owners(): Promise<string> {
    return (await this.cluster.get(SERVICE)).metadata.annotations?.["holdfast.io/owners"] ?? "";
  }

  async close(): Promise<void> {
    await this.#controller?.stop();
    this.cluster.close();
  }
}

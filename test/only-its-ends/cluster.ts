// A cluster of real daemons whose operator changes its configuration, in files, through the API and as
// LoxiLB's clients do.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import type { Address } from "@holdfast/model";
import { Cluster, type ClusterOptions, type Member, type Peer, until, withLogs } from "@holdfast/testkit";

export interface ServiceItem {
  readonly id: string;
  readonly name: string;
  readonly vips: readonly string[];
  readonly port: number;
  readonly endpoints: readonly { readonly address: string; readonly state: string }[];
  readonly leaving: readonly {
    readonly address: string;
    readonly leftS: number;
    readonly sessions: number;
  }[];
  readonly managedBy: string;
  readonly sessions: number;
}

export class Operated {
  readonly cluster: Cluster;
  readonly clients: Peer[] = [];
  readonly servers: Peer[] = [];

  private constructor(options: ClusterOptions) {
    this.cluster = new Cluster(options);
  }

  static async play(options: ClusterOptions, story: (operated: Operated) => Promise<void>): Promise<void> {
    const operated = new Operated(options);
    try {
      await story(operated);
    } catch (error) {
      throw withLogs(error, operated.cluster.members);
    } finally {
      await operated.cluster.close();
    }
  }

  member(index: number): Member {
    return this.cluster.members[index] as Member;
  }

  get running(): Member[] {
    return this.cluster.members.filter((member) => member.running);
  }

  endpoint(index: number): string {
    return this.cluster.endpoints[index]?.addresses("core")[0] as Address;
  }

  async connect(index: number, options: object = {}): Promise<Peer> {
    const client = await this.cluster.startClient(index, { rate: 50, ...options });
    this.clients.push(client);
    await client.established(1);
    return client;
  }

  /** So many more messages of each association arrive, and no client has lost one. */
  async flowing(what: string, count = 20): Promise<void> {
    const received = async () => {
      const receipts = (
        await Promise.all(this.servers.filter((s) => s.running).map((s) => s.receipts()))
      ).flat();
      const sums = new Map<number, number>();
      for (const { client, received: sum } of receipts) sums.set(client, (sums.get(client) ?? 0) + sum);
      return sums;
    };
    const living = (
      await Promise.all(this.clients.filter((c) => c.running).map((c) => c.associations()))
    ).flat();
    const before = await received();
    await until(`${what}: messages of every association`, async () => {
      this.nobodyLost(what);
      const now = await received();
      return living.every(({ id }) => (now.get(id) ?? 0) >= (before.get(id) ?? 0) + count);
    });
  }

  nobodyLost(what: string): void {
    for (const client of this.clients)
      assert.equal(client.count("lost"), 0, `${what}: ${client.host.name} lost its association`);
  }

  services(member: Member): Promise<ServiceItem[]> {
    return member.get<{ items: ServiceItem[] }>("/v1/services").then(({ items }) => items);
  }

  /** What every running member shows of a service. */
  async everywhere(
    what: string,
    id: string,
    holds: (service: ServiceItem | undefined) => boolean,
  ): Promise<void> {
    await until(what, async () => {
      const lists = await Promise.all(this.running.map((member) => this.services(member)));
      return lists.every((list) => holds(list.find((service) => service.id === id)));
    });
  }

  async done(member: Member, method: string, path: string, body?: object): Promise<string> {
    const answer = await member.fetch(method, path, body);
    assert.ok(answer.status >= 200 && answer.status < 300, `${method} ${path}: ${answer.body}`);
    return answer.body;
  }

  /** The services of a member's file, from its next start or reload on. */
  write(member: Member, services: readonly object[], more: object = {}): void {
    const file = JSON.parse(readFileSync(member.configFile, "utf8")) as object;
    writeFileSync(member.configFile, JSON.stringify({ ...file, ...more, services }, undefined, 1));
  }

  /** SIGHUP, and the line of the log that answers it. */
  async reload(member: Member, services: readonly object[], more: object = {}): Promise<string> {
    this.write(member, services, more);
    const said = () =>
      member
        .log()
        .split("\n")
        .filter((line) => /"msg":"reload(:| refused)/.test(line));
    const before = said().length;
    member.signal("SIGHUP");
    await until(`${member.name} to reload`, () => said().length > before);
    return said().at(-1) ?? "";
  }
}

/** A request as LoxiLB's clients send it, from inside the member: the port listens on the loopback only. */
export function askLoxilb(
  member: Member,
  method: string,
  path: string,
  body?: object,
): { status: number; body: Record<string, unknown> } {
  const program = `
    const [method, path, body] = process.argv.slice(1);
    fetch("http://127.0.0.1:11111/netlox/v1" + path, { method, headers: { "Content-Type": "application/json" }, ...(body && { body }) })
      .then(async (r) => console.log(JSON.stringify({ status: r.status, body: await r.json() })));`;
  const words = ["-e", program, method, path, ...(body === undefined ? [] : [JSON.stringify(body)])];
  return JSON.parse(member.host.run(process.execPath, words)) as never;
}

export function rule(
  vip: string,
  port: number,
  endpoints: readonly string[],
  targetPort: number,
  oper = 0,
): object {
  return {
    serviceArguments: { externalIP: vip, port, protocol: "sctp", sel: 0, mode: 2, name: "rule", oper },
    secondaryIPs: null,
    endpoints: endpoints.map((endpointIP) => ({ endpointIP, targetPort, weight: 1 })),
  };
}

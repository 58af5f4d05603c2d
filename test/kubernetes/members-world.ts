// A Kubernetes with nodes, and a cluster of members that is nothing but its list: what the members'
// controller is tested against.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type ApiClient,
  ApiError,
  type MemberAddress,
  type MemberListView,
  Members,
  UNREACHABLE,
} from "@holdfast/api";
import {
  Authority,
  type Connection,
  isNotFound,
  KubernetesClient,
  MEMBERS,
  type MemberObject,
  MembersController,
  NODES,
  type NodeObject,
  runIdentity,
  SECRETS,
  TestApiServer,
} from "@holdfast/kubernetes/testing";
import * as maker from "@holdfast/node/certificates";
import { parse } from "yaml";

export const NAMESPACE = "holdfast";
const LABEL = "holdfast.io/member";

export interface TestKubernetes {
  readonly connection: Connection;
  close(): Promise<void>;
}

export async function openTestKubernetes(): Promise<TestKubernetes> {
  const server = await TestApiServer.start([NODES, MEMBERS, SECRETS]);
  const connection = { url: server.url, isUnverified: false, namespace: NAMESPACE, token: () => undefined };
  return { connection, close: () => server.close() };
}

interface Listed {
  readonly name: string;
  readonly number: number;
  phase: "alive" | "dead";
}

/** The list of members as any of them tells it. */
export class PlayedMembers {
  readonly items: Listed[] = [];
  readonly resting: { number: number; name: string; waitS: number }[] = [];
  readonly removals: { name: string; gone: boolean }[] = [];
  isAway = true;
  refusal: ApiError | undefined;
  /** How often somebody had an answer. */
  answers = 0;

  readonly client = {
    memberList: async () => this.#answer(),
    removeMember: async (name: string, gone: boolean) => {
      this.#answer();
      if (this.refusal !== undefined) throw this.refusal;
      this.removals.push({ name, gone });
      const at = this.items.findIndex((each) => each.name === name);
      const [left] = at < 0 ? [] : this.items.splice(at, 1);
      if (left !== undefined) this.resting.push({ number: left.number, name, waitS: 600 });
      return this.#answer();
    },
  } as Pick<ApiClient, "memberList" | "removeMember"> as ApiClient;

  /** A member comes with its certificate and is put on the list. */
  admit(name: string, number: number): void {
    this.isAway = false;
    if (!this.items.some((each) => each.name === name)) this.items.push({ name, number, phase: "alive" });
  }

  #answer(): MemberListView {
    if (this.isAway)
      throw new ApiError({ code: UNREACHABLE, status: 0, title: "No node answers.", detail: "Start one." });
    this.answers++;
    const items = this.items.map((each) => ({ ...each, ready: each.phase === "alive" }));
    return { items, version: 1, resting: this.resting } as unknown as MemberListView;
  }
}

export class MembersWorld {
  readonly client: KubernetesClient;
  readonly members = new PlayedMembers();
  readonly events: string[] = [];
  readonly directory = mkdtempSync(join(tmpdir(), "holdfast-nodes-"));
  readonly #kubernetes: TestKubernetes;
  #controller: MembersController | undefined;
  numberCount = 8;
  /** What the controller and the authority take for the time, ms. */
  wallMs: () => number = Date.now;
  /** Real members' APIs, in the place of the played list. */
  addresses: readonly MemberAddress[] | undefined;
  clientAt: (address: string) => ApiClient = () => this.members.client;
  /** What all members share. */
  base = "host: { loop: true }\napi: { listen: 0.0.0.0:7080, tokenFile: /etc/token }\n";
  authorityFile = "/etc/holdfast/cluster/ca.crt";
  secretFile = "/etc/holdfast/cluster/cluster.secret";

  constructor(kubernetes: TestKubernetes) {
    this.#kubernetes = kubernetes;
    this.client = new KubernetesClient(kubernetes.connection);
  }

  async startController(): Promise<void> {
    const { client, members, events } = this;
    const note = (object: { metadata: { name: string } }, reason: string) =>
      void events.push(`${object.metadata.name} ${reason}`);
    this.#controller = new MembersController({
      client: new KubernetesClient(this.#kubernetes.connection),
      members: new Members(this.addresses ?? [{ name: "any", client: members.client }]),
      authority: new Authority({
        client,
        maker,
        namespace: NAMESPACE,
        clusterId: "lab",
        authoritySecret: "holdfast-authority",
        clusterSecret: "holdfast-cluster",
        wallMs: () => this.wallMs(),
      }),
      wallMs: () => this.wallMs(),
      events: { normal: note, warning: note },
      clientAt: (address) => this.clientAt(address),
      numberCount: this.numberCount,
      replicationPort: 7081,
      dnsNames: ["holdfast-members.holdfast.svc"],
      log: () => {},
      pollMs: 20,
      times: { firstBackoffMs: 10, mostBackoffMs: 50, silenceMs: 2_000, shortWatchMs: 20 },
    });
    await this.#controller.start();
  }

  async stopController(): Promise<void> {
    await this.#controller?.stop();
    this.#controller = undefined;
  }

  async node(name: string, label: string | null = ""): Promise<void> {
    const labels = label === null ? {} : { [LABEL]: label };
    await this.client.create<NodeObject>(NODES, { metadata: { name, labels } });
  }

  async label(name: string, value: string | null): Promise<void> {
    await this.client.patch(NODES, { name }, { metadata: { labels: { [LABEL]: value } } });
  }

  async removeNode(name: string): Promise<void> {
    await this.client.remove(NODES, { name });
  }

  async member(name: string): Promise<MemberObject | undefined> {
    try {
      return await this.client.get<MemberObject>(MEMBERS, { name });
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /**
   * What runs beside the member on a node, until the member could start; its configuration. `disk`: of
   * which node's disk.
   */
  async identify(node: string, address: string, disk = node): Promise<Identified> {
    const directory = join(this.directory, disk);
    const base = join(this.directory, "base.yaml");
    writeFileSync(base, this.base);
    const write = join(this.directory, `${disk}.yaml`);
    await runIdentity({
      connection: this.#kubernetes.connection,
      node,
      directory,
      base,
      write,
      ...{ authorityFile: this.authorityFile, secretFile: this.secretFile },
      addresses: [address],
      owner: undefined,
      makeRequest: maker.createMemberRequest,
      log: () => {},
      pollMs: 20,
      once: true,
      signal: AbortSignal.timeout(20_000),
    });
    const read = (file: string) => readFileSync(join(directory, file), "utf8");
    const configuration = parse(readFileSync(write, "utf8"));
    return { configuration, keyPem: read("member.key"), certificatePem: read("member.crt") };
  }

  /** It asks, starts and is let in. */
  async join(node: string, address: string): Promise<Identified> {
    const identified = await this.identify(node, address);
    const { name, number } = identified.configuration.member;
    this.members.admit(name, number);
    return identified;
  }

  async secret(name: string): Promise<Record<string, string>> {
    const { data } = await this.client.get<{ metadata: { name: string }; data: Record<string, string> }>(
      SECRETS,
      {
        namespace: NAMESPACE,
        name,
      },
    );
    return Object.fromEntries(
      Object.entries(data).map(([key, value]) => [key, Buffer.from(value, "base64").toString()]),
    );
  }

  async close(): Promise<void> {
    await this.stopController();
    this.client.close();
    rmSync(this.directory, { recursive: true, force: true });
    await this.#kubernetes.close();
  }
}

export interface Identified {
  readonly configuration: {
    readonly cluster: { readonly join: string[]; readonly admit: string };
    readonly member: { readonly name: string; readonly number: number };
    readonly host: object;
    readonly api: { readonly tls: object };
  };
  readonly keyPem: string;
  readonly certificatePem: string;
}

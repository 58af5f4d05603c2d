// `holdfast controller`, and `holdfast identity` beside a member on a node: the only file of the command that
// loads @holdfast/kubernetes, and only when it is called.
import type { NodesOptions } from "@holdfast/kubernetes/run";
import { type Command, InvalidArgumentError } from "commander";
import { EXIT } from "../exit.ts";
import { type ClientOf, membersOf } from "./agent.ts";
import { collect, integer } from "./arguments.ts";

interface ControllerFlags {
  readonly member?: readonly string[];
  readonly kubeconfig?: string;
  readonly class?: readonly string[];
  readonly cluster: string;
  readonly allowAnyAddress?: boolean;
  readonly leaseNamespace?: string;
  readonly leaseName: string;
  readonly listen: string;
  readonly membersOnNodes?: boolean;
  readonly clusterId: string;
  readonly memberNumbers: number;
  readonly replicationPort: number;
  readonly authoritySecret: string;
  readonly clusterSecret: string;
  readonly apiName?: readonly string[];
}

const CLASS = "holdfast.io/holdfast";
/** Where members on nodes listen, as the chart has it. */
const MEMBER_API_PORT = 7080;

export function addControllerCommand(program: Command, clientOf: ClientOf): void {
  program
    .command("controller")
    .description("make Services of Kubernetes true on the members, until SIGTERM or SIGINT")
    .option("--member <url>", "a member's API; several times, or HOLDFAST_MEMBERS with commas", collect)
    .option("--kubeconfig <file>", "KUBECONFIG names it, too; a pod's service account when neither does")
    .option("--class <name>", `a loadBalancerClass to serve; several times (default: "${CLASS}")`, collect)
    .option("--cluster <name>", "marks services at the members as this Kubernetes' own", name, "kubernetes")
    .option("--allow-any-address", "Services may demand addresses that are in no VipPool")
    .option("--lease-namespace <name>", "where replicas elect a leader; the service account's when absent")
    .option("--lease-name <name>", "by which Lease", "holdfast-controller")
    .option("--listen <address>", "for probes and metrics", "0.0.0.0:8081")
    .option(
      "--members-on-nodes",
      "members run on nodes with the label holdfast.io/member: give them numbers and certificates",
    )
    .option("--cluster-id <id>", "cluster.id of those members", name, "holdfast")
    .option("--member-numbers <count>", "their cluster.memberNumberCount", integer, 8)
    .option("--replication-port <port>", "their replication.port", integer, 7081)
    .option(
      "--authority-secret <name>",
      "Secret with their authority; made when it is not there",
      "holdfast-authority",
    )
    .option("--cluster-secret <name>", "Secret with what each of them needs of it", "holdfast-cluster")
    .option("--api-name <name>", "a DNS name of their API, for certificates; several times", collect)
    .action(async (flags: ControllerFlags) => {
      const { findConnection, prepareAuthority, runController } = await import("@holdfast/kubernetes/run");
      const connection = findConnection(flags.kubeconfig);
      const nodes = await nodesOf(flags, clientOf);
      // Members that get their certificates here are believed by the authority that gives them.
      const authority = await prepareAuthority(connection, nodes, flags.leaseNamespace);
      const addresses = membersOf(flags.member);
      process.exitCode = await runController({
        connection,
        members: addresses.map((api) => ({ name: api ?? "--api", client: clientOf(api, authority) })),
        cluster: flags.cluster,
        classes: flags.class ?? [CLASS],
        allowsAnyAddress: flags.allowAnyAddress === true,
        leaseNamespace: flags.leaseNamespace,
        leaseName: flags.leaseName,
        listen: flags.listen,
        nodes,
      });
      if (process.exitCode !== EXIT.ok) process.exitCode = EXIT.failure;
    });
}

/** Certificates are @holdfast/node's business, and loaded where they are made only. */
async function nodesOf(flags: ControllerFlags, clientOf: ClientOf): Promise<NodesOptions | undefined> {
  if (flags.membersOnNodes !== true) return undefined;
  return {
    maker: await import("@holdfast/node/certificates"),
    clusterId: flags.clusterId,
    numberCount: flags.memberNumbers,
    replicationPort: flags.replicationPort,
    authoritySecret: flags.authoritySecret,
    clusterSecret: flags.clusterSecret,
    dnsNames: flags.apiName ?? [],
    clientAt: (address, authority) =>
      clientOf(`https://${address.includes(":") ? `[${address}]` : address}:${MEMBER_API_PORT}`, authority),
  };
}

function name(text: string): string {
  if (/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text)) return text;
  throw new InvalidArgumentError("small letters, digits and '-', at most 63.");
}

interface IdentityFlags {
  readonly node?: string;
  readonly kubeconfig?: string;
  readonly directory: string;
  readonly base?: string;
  readonly write: string;
  readonly authority: string;
  readonly secret: string;
  readonly address?: readonly string[];
  readonly owner?: string;
  readonly once?: boolean;
}

export function addIdentityCommand(program: Command): void {
  program
    .command("identity")
    .description("beside a member on a node of Kubernetes: its key, its certificate, its configuration")
    .option("--node <name>", "the node; NODE_NAME names it, too")
    .option("--kubeconfig <file>", "as for the controller")
    .option("--directory <path>", "on the node's disk, for the key", "/var/lib/holdfast/identity")
    .option("--base <file>", "the configuration that all members share")
    .option("--write <file>", "where the member's configuration goes", "/run/holdfast/holdfast.yaml")
    .option("--authority <file>", "the members' authority", "/etc/holdfast/cluster/ca.crt")
    .option("--secret <file>", "the cluster's secret", "/etc/holdfast/cluster/cluster.secret")
    .option(
      "--address <address>",
      "of the node, one on each network; several times, or HOST_IPS with commas",
      collect,
    )
    .option("--owner <uid:gid>", "who reads key and configuration")
    .option("--once", "end when the configuration is written")
    .action(async (flags: IdentityFlags) => {
      const { findConnection, nodeAddresses, runIdentity } = await import("@holdfast/kubernetes/run");
      const { createMemberRequest } = await import("@holdfast/node/certificates");
      const node = flags.node ?? process.env["NODE_NAME"];
      if (node === undefined) throw new InvalidArgumentError("name the node: --node or NODE_NAME.");
      const stop = new AbortController();
      for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, () => stop.abort());
      const hostIps = (process.env["HOST_IPS"] ?? "").split(",").filter((each) => each !== "");
      const [uid, gid] = (flags.owner ?? "").split(":").map(Number);
      await runIdentity({
        connection: findConnection(flags.kubeconfig),
        node,
        directory: flags.directory,
        base: flags.base,
        write: flags.write,
        authorityFile: flags.authority,
        secretFile: flags.secret,
        addresses: flags.address ?? nodeAddresses(hostIps, flags.base),
        owner: flags.owner === undefined ? undefined : { uid: uid ?? 0, gid: gid ?? uid ?? 0 },
        makeRequest: createMemberRequest,
        once: flags.once === true,
        signal: stop.signal,
      });
    });
}

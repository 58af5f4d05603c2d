// `holdfast controller`: the only file of the command that loads @holdfast/kubernetes, and only when it is called.
import type { ApiClient } from "@holdfast/api";
import { type Command, InvalidArgumentError } from "commander";
import { EXIT } from "../exit.ts";
import { membersOf } from "./agent.ts";
import { collect } from "./arguments.ts";

interface ControllerFlags {
  readonly member?: readonly string[];
  readonly kubeconfig?: string;
  readonly class?: readonly string[];
  readonly cluster: string;
  readonly allowAnyAddress?: boolean;
  readonly leaseNamespace?: string;
  readonly leaseName: string;
  readonly listen: string;
}

const CLASS = "holdfast.io/holdfast";

/** `clientOf`: a client of a member's API, with the token and authority of the global options; without one, of --api. */
export function addControllerCommand(
  program: Command,
  clientOf: (api: string | undefined) => ApiClient,
): void {
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
    .action(async (flags: ControllerFlags) => {
      const { findConnection, runController } = await import("@holdfast/kubernetes/run");
      const addresses = membersOf(flags.member);
      process.exitCode = await runController({
        connection: findConnection(flags.kubeconfig),
        members: addresses.map((api) => ({ name: api ?? "--api", client: clientOf(api) })),
        cluster: flags.cluster,
        classes: flags.class ?? [CLASS],
        allowsAnyAddress: flags.allowAnyAddress === true,
        leaseNamespace: flags.leaseNamespace,
        leaseName: flags.leaseName,
        listen: flags.listen,
      });
      if (process.exitCode !== EXIT.ok) process.exitCode = EXIT.failure;
    });
}

function name(text: string): string {
  if (/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text)) return text;
  throw new InvalidArgumentError("small letters, digits and '-', at most 63.");
}

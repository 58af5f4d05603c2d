// `holdfast agent`: prepares a node that is no member. Loads nothing of the data plane.
import type { ApiClient } from "@holdfast/api";
import type { Command } from "commander";
import { collect, integer } from "./arguments.ts";

interface AgentFlags {
  readonly member?: readonly string[];
  readonly interval: number;
  readonly listen: string;
  readonly remove?: boolean;
}

/**
 * A client of a member's API, with the token and authority of the global options; without `api`, of --api.
 * `authority`: another one, PEM.
 */
export type ClientOf = (api: string | undefined, authority?: string) => ApiClient;

export function addAgentCommand(program: Command, clientOf: ClientOf): void {
  program
    .command("agent")
    .description("keep NAT of others away from VIPs on a node that is no member, until SIGTERM or SIGINT")
    .option("--member <url>", "a member's API; several times, or HOLDFAST_MEMBERS with commas", collect)
    .option("--interval <ms>", "between two questions for the VIPs", integer, 2000)
    .option("--listen <address>", "for probes", "127.0.0.1:8082")
    .option("--remove", "take away what was made, and end")
    .action(async (flags: AgentFlags) => {
      const { runAgent } = await import("@holdfast/node/agent");
      process.exitCode = await runAgent({
        members: membersOf(flags.member).map((api) => ({ name: api ?? "--api", client: clientOf(api) })),
        periodMs: Math.max(100, flags.interval),
        listen: flags.listen,
        remove: flags.remove === true,
      });
    });
}

/** Of --member, or HOLDFAST_MEMBERS; else the one of --api. */
export function membersOf(named: readonly string[] | undefined): readonly (string | undefined)[] {
  const all = named ?? process.env["HOLDFAST_MEMBERS"]?.split(",").map((each) => each.trim());
  return all === undefined || all.length === 0 ? [undefined] : all;
}

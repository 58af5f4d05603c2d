import type { Command } from "commander";
import { type Context, printJson } from "../context.ts";
import { MEMBER_COLUMNS } from "../output/columns.ts";
import { renderTable } from "../output/table.ts";
import { collect, integer } from "./arguments.ts";

interface AddOptions {
  readonly number: number;
  readonly address: readonly string[];
  readonly zone?: string;
  readonly probePort?: number;
  readonly replicationPort?: number;
}

export function addMemberCommands(program: Command, context: Context): void {
  const member = program.command("member").description("the list of members of the cluster");
  member
    .command("add <name>")
    .description(
      "put a member on the list; it starts with a certificate of that name and number, and cluster.join",
    )
    .requiredOption("--number <n>", "its number, as in its certificate", integer)
    .requiredOption(
      "--address <address>",
      "ADDRESS or NETWORK=ADDRESS, one on each network; several times",
      collect,
    )
    .option("--zone <zone>", "its failure domain")
    .option("--probe-port <port>", "when it differs from coordinator.probePort", integer)
    .option("--replication-port <port>", "when it differs from replication.port", integer)
    .action(async (name: string, { address, ...options }: AddOptions) => {
      show(await context.client().addMember({ name, ...options, addresses: address.map(addressArgument) }));
    });
  member
    .command("remove <name>")
    .description("take a member off the list: it hands its VIPs over first, its number rests afterwards")
    .option("--gone", "its machine does not run and never will: do not ask it", false)
    .action(async (name: string, { gone }: { gone: boolean }) => {
      show(await context.client().removeMember(name, gone));
    });

  function show(list: Awaited<ReturnType<ReturnType<Context["client"]>["memberList"]>>): void {
    if (context.format() === "json") {
      printJson(context, list);
      return;
    }
    context.print(renderTable(list.items, MEMBER_COLUMNS, context.format()).trimEnd());
    for (const { number, name, waitS } of list.resting)
      context.print(`number ${number} (${name}) rests for ${waitS} s at least`);
  }
}

function addressArgument(text: string): string | { network: string; address: string } {
  const at = text.indexOf("=");
  return at < 0 ? text : { network: text.slice(0, at), address: text.slice(at + 1) };
}

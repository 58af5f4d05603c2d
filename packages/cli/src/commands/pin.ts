import type { Command } from "commander";
import { type Context, printJson } from "../context.ts";

export function addPinCommands(program: Command, context: Context): void {
  program
    .command("pin")
    .description("pin a VIP to a member")
    .command("vip <vip> <member>")
    .description("the member owns the VIP whenever it can, and has it back when it returns")
    .action(async (vip: string, member: string) => {
      const view = await context.client().pinVip(vip, member);
      if (context.format() === "json") printJson(context, view);
      else context.print(`VIP ${view.vip} is pinned to ${member}`);
      if (view.candidates[0] !== member)
        context.warn(`${member} cannot own ${view.vip} now: ${view.reasons.join("; ")}`);
    });
  program
    .command("unpin")
    .description("take the pin of a VIP back")
    .command("vip <vip>")
    .description("the VIP goes where it would be without a pin")
    .action(async (vip: string) => {
      await context.client().unpinVip(vip);
      context.print(`VIP ${vip} is no longer pinned`);
    });
}

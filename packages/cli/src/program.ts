// The commands, put together.
import { readFileSync } from "node:fs";
import { Command, CommanderError, Option } from "commander";
import { addAgentCommand, type ClientOf } from "./commands/agent.ts";
import { addControllerCommand, addIdentityCommand } from "./commands/controller.ts";
import { addGetCommands } from "./commands/get.ts";
import { addMemberCommands } from "./commands/member.ts";
import { addNodeCommands } from "./commands/node.ts";
import { addPinCommands } from "./commands/pin.ts";
import { addServiceCommands } from "./commands/service.ts";
import { addTraceCommand } from "./commands/trace.ts";
import { addWatchCommand } from "./commands/watch.ts";
import { type ConnectionOptions, connect } from "./connection.ts";
import type { Context } from "./context.ts";
import { EXIT, errorText, exitCodeOf } from "./exit.ts";
import { OUTPUT_FORMATS, type OutputFormat } from "./output/table.ts";

/** The controller asks the next member when one does not answer for so long. */
const MEMBER_TIMEOUT_MS = 3000;

export interface Streams {
  readonly out: (text: string) => void;
  readonly error: (text: string) => void;
}

const processStreams: Streams = {
  out: (text) => process.stdout.write(text),
  error: (text) => process.stderr.write(text),
};

const EXIT_HELP = `
Exit codes: 0 done, 1 failed, 2 wrong command line, 3 no node answers, 4 not found, 5 conflict, 6 not authorised,
7 not valid, 8 diagnose found something.`;

export function createProgram(streams: Streams = processStreams): Command {
  const program = new Command("holdfast");
  const context: Context = {
    print: (text) => streams.out(`${text}\n`),
    warn: (text) => streams.error(`holdfast: ${text}\n`),
    client: () => connect(program.opts<ConnectionOptions>()),
    format: () => program.opts<{ output: OutputFormat }>().output,
    nowMs: () => Date.now(),
  };
  program
    .description("Holdfast: a load balancer for SCTP that does not lose an association when a node dies")
    .addOption(
      new Option("--api <url>", "the node's API: http(s)://HOST:PORT or unix:/PATH").env("HOLDFAST_API"),
    )
    .addOption(new Option("--token-file <file>", "file with the API's token").env("HOLDFAST_TOKEN_FILE"))
    .addOption(new Option("--ca <file>", "authority of the API's certificate, PEM").env("HOLDFAST_CA"))
    .addOption(new Option("-o, --output <format>", "how to print").choices(OUTPUT_FORMATS).default("table"))
    .configureOutput({ writeOut: streams.out, writeErr: streams.error })
    .showSuggestionAfterError()
    .version(version(), "-V, --version", "print Holdfast's version")
    .addHelpText("after", EXIT_HELP)
    .exitOverride();
  addNodeCommands(program, context);
  addGetCommands(program, context);
  addServiceCommands(program, context);
  addPinCommands(program, context);
  addMemberCommands(program, context);
  addWatchCommand(program, context);
  addTraceCommand(program, context);
  const clientOf: ClientOf = (api, authority) => {
    const options = { ...program.opts<ConnectionOptions>(), ...(authority !== undefined && { authority }) };
    return connect({ ...options, ...(api !== undefined && { api }) }, process.env, MEMBER_TIMEOUT_MS);
  };
  addControllerCommand(program, clientOf);
  addAgentCommand(program, clientOf);
  addIdentityCommand(program);
  inherit(program);
  return program;
}

/** This package's; all packages have the same. */
function version(): string {
  const file = new URL("../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

/** Global options may stand behind the command as well, as everybody types them. */
function inherit(command: Command): void {
  for (const child of command.commands) {
    child.exitOverride().configureHelp({ showGlobalOptions: true });
    inherit(child);
  }
}

/** Runs one command line; returns the exit code. */
export async function main(args: readonly string[], streams: Streams = processStreams): Promise<number> {
  process.exitCode = undefined;
  try {
    await createProgram(streams).parseAsync([...args], { from: "user" });
    return typeof process.exitCode === "number" ? process.exitCode : EXIT.ok;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.code === "commander.invalidArgument" && error.message !== "" && error.exitCode === 1)
        streams.error(error.message.startsWith("error") ? "" : `holdfast: ${error.message}\n`);
      return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    }
    streams.error(`${errorText(error)}\n`);
    return exitCodeOf(error);
  }
}

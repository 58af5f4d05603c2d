import { createWriteStream } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Command } from "commander";
import type { Context } from "../context.ts";
import { integer } from "./arguments.ts";

interface TraceOptions {
  readonly write: string;
  readonly seconds: number;
  readonly packets: number;
  readonly reason?: string;
  readonly session?: string;
}

export function addTraceCommand(program: Command, context: Context): void {
  program
    .command("trace")
    .description("write a pcapng of punted and dropped packets; each one's reason is its comment")
    .option("-w, --write <file>", "where to, '-' for standard output", "-")
    .option("--seconds <count>", "end after", integer, 60)
    .option("--packets <count>", "end after", integer, 100_000)
    .option("--reason <text>", "only reasons that contain it, such as 'drop' or 'wrong-tag'")
    .option("--session <id>", "only packets of this session")
    .action(async ({ write, ...options }: TraceOptions) => {
      if (write === "-" && process.stdout.isTTY) {
        context.warn(
          "a pcapng is no text: write it to a file with -w FILE, or pipe it into 'wireshark -k -i -'",
        );
        process.exitCode = 2;
        return;
      }
      const abort = new AbortController();
      const interrupt = () => abort.abort();
      process.once("SIGINT", interrupt);
      try {
        const stream = await context.client().trace({ ...options, signal: abort.signal });
        const target = write === "-" ? process.stdout : createWriteStream(write);
        await pipeline(Readable.fromWeb(stream as never), target);
      } catch (error) {
        if (!abort.signal.aborted) throw error;
      } finally {
        process.off("SIGINT", interrupt);
      }
    });
}

// A live screen: members, VIPs, services, what just happened. Not on a terminal: one line for each event.
import type { ApiClient, NodeEvent } from "@holdfast/api";
import type { Command } from "commander";
import type { Context } from "../context.ts";
import { MEMBER_COLUMNS, SERVICE_COLUMNS, VIP_COLUMNS } from "../output/columns.ts";
import { renderTable } from "../output/table.ts";
import { integer } from "./arguments.ts";

const EVENT_COUNT_SHOWN = 12;
/** A VIP or member that changed is marked for this long. */
const FRESH_MS = 5000;

export function addWatchCommand(program: Command, context: Context): void {
  program
    .command("watch")
    .description("members, VIPs, services and what just moved, live; plain lines when not on a terminal")
    .option("--interval <ms>", "between two looks", integer, 500)
    .option("--plain", "lines, also on a terminal")
    .action(async ({ interval, plain }: { interval: number; plain?: boolean }) => {
      const abort = new AbortController();
      const stop = () => abort.abort();
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, stop);
      const client = context.client();
      try {
        if (plain === true || !process.stdout.isTTY) await plainLines(client, context, abort.signal);
        else await liveScreen(client, context, interval, abort.signal);
      } catch (error) {
        if (!abort.signal.aborted) throw error;
      } finally {
        for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, stop);
      }
    });
}

export function eventLine(event: NodeEvent): string {
  return `${event.at.slice(11, 23)}  ${event.type.padEnd(10)}  ${event.member.padEnd(8)}  ${event.message}`;
}

async function plainLines(client: ApiClient, context: Context, signal: AbortSignal): Promise<void> {
  for (const vip of await client.listVips()) context.print(`${vip.vip} is owned by ${vip.owner ?? "nobody"}`);
  for await (const event of client.events({ signal })) context.print(eventLine(event));
}

async function liveScreen(
  client: ApiClient,
  context: Context,
  intervalMs: number,
  signal: AbortSignal,
): Promise<void> {
  const events: NodeEvent[] = [];
  const changedAt = new Map<string, number>();
  const owners = new Map<string, string | undefined>();
  let trouble = "";
  const listen = async () => {
    let after: string | undefined;
    while (!signal.aborted) {
      try {
        for await (const event of client.events({ signal, ...(after !== undefined && { after }) })) {
          after = event.id;
          events.push(event);
          if (events.length > EVENT_COUNT_SHOWN) events.shift();
        }
      } catch {
        // The node went away: the next look says so.
      }
      await pause(intervalMs, signal);
    }
  };
  const listening = listen();
  process.stdout.write("\x1b[?1049h\x1b[?25l");
  try {
    while (!signal.aborted) {
      let body = "";
      try {
        const [status, members, vips, services] = await Promise.all([
          client.status(),
          client.listMembers(),
          client.listVips(),
          client.listServices(),
        ]);
        const now = context.nowMs();
        for (const { vip, owner } of vips) {
          if (owners.has(vip) && owners.get(vip) !== owner) changedAt.set(vip, now);
          owners.set(vip, owner);
        }
        const fresh = (vip: string) => now - (changedAt.get(vip) ?? Number.NEGATIVE_INFINITY) < FRESH_MS;
        const [vipHead, ...vipRows] = renderTable(vips, VIP_COLUMNS, "table").split("\n");
        const marked = vipRows.map((row, i) =>
          fresh(vips[i]?.vip ?? "") ? `\x1b[1;33m${row}  moved\x1b[0m` : row,
        );
        const [memberHead, ...memberRows] = renderTable(members, MEMBER_COLUMNS, "table").split("\n");
        const lit = memberRows.map((row, i) =>
          members[i]?.phase === "alive" ? row : `\x1b[31m${row}\x1b[0m`,
        );
        body = [
          `\x1b[1mHoldfast\x1b[0m  cluster ${status.cluster}  member ${status.member}  ${status.fastPath}  ${status.sessions} sessions`,
          "",
          `\x1b[2m${memberHead}\x1b[0m`,
          ...lit,
          "",
          `\x1b[2m${vipHead}\x1b[0m`,
          ...marked,
          "",
          ...dimHead(renderTable(services, SERVICE_COLUMNS, "table")),
        ].join("\n");
        trouble = "";
      } catch (error) {
        trouble = `\x1b[31m${error instanceof Error ? error.message : String(error)}\x1b[0m`;
      }
      const log = events.map(eventLine).join("\n");
      const text = [body, "", trouble, log].filter((part, index) => part !== "" || index === 1).join("\n");
      const fit = text
        .split("\n")
        .slice(0, (process.stdout.rows ?? 50) - 1)
        .map((line) => `${line}\x1b[K`)
        .join("\n");
      process.stdout.write(`\x1b[H${fit}\n\x1b[J`);
      await pause(intervalMs, signal);
    }
  } finally {
    process.stdout.write("\x1b[?25h\x1b[?1049l");
    await listening;
  }
}

function dimHead(table: string): string[] {
  const [head, ...rows] = table.split("\n");
  return [`\x1b[2m${head}\x1b[0m`, ...rows];
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done() {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done);
    if (signal.aborted) done();
  });
}

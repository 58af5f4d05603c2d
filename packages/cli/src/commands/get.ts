import { ApiError, type SessionQuery, type SessionSummary } from "@holdfast/api";
import type { Command } from "commander";
import { type Context, printJson } from "../context.ts";
import {
  ENDPOINT_COLUMNS,
  endpointRows,
  MEMBER_COLUMNS,
  ROUTER_COLUMNS,
  SERVICE_COLUMNS,
  sessionColumns,
  TAKE_OVER_COLUMNS,
  VIP_COLUMNS,
} from "../output/columns.ts";
import { sessionText } from "../output/session.ts";
import { type Column, renderTable } from "../output/table.ts";
import { integer } from "./arguments.ts";

/** Sessions shown without --limit: a screenful, and the hint that there are more. */
const SESSION_COUNT_SHOWN = 100;

/** No session because of a wrong name is a mistake to be told. */
async function mustExist(context: Context, { service, owner, member }: Partial<SessionQuery>): Promise<void> {
  if (service !== undefined) await context.client().getService(service);
  const wanted = [owner, member].filter((name) => name !== undefined && !/^\d+$/.test(name));
  if (wanted.length === 0) return;
  const names = new Set((await context.client().listMembers()).map(({ name }) => name));
  for (const name of wanted)
    if (name !== undefined && !names.has(name))
      throw new ApiError({
        code: "MEMBER_NOT_FOUND",
        status: 404,
        title: `There is no member ${name}.`,
        detail: "List the members with 'holdfast get members'.",
      });
}

export function addGetCommands(program: Command, context: Context): void {
  const get = program
    .command("get")
    .description("show services, endpoints, sessions, VIPs, routers or members");
  const show = <T>(rows: readonly T[], columns: readonly Column<T>[]) => {
    if (context.format() === "json") printJson(context, rows);
    else context.print(renderTable(rows, columns, context.format()));
  };

  get
    .command("services")
    .description("services with their endpoints and sessions")
    .action(async () => show(await context.client().listServices(), SERVICE_COLUMNS));
  get
    .command("service <id>")
    .description("one service, by id or name")
    .action(async (id: string) => {
      const { service } = await context.client().getService(id);
      if (context.format() === "json") return printJson(context, service);
      context.print(renderTable([service], SERVICE_COLUMNS, "wide"));
      const rows = endpointRows(service);
      if (rows.length > 0) {
        context.print("");
        context.print(renderTable(rows, ENDPOINT_COLUMNS, "wide"));
      }
    });
  get
    .command("endpoints")
    .description("endpoints of all services with their health, those that leave included")
    .action(async () => {
      const services = await context.client().listServices();
      const rows = services.flatMap(endpointRows);
      if (context.format() === "json")
        return printJson(
          context,
          rows.map(({ service, endpoint }) => ({ service: service.id, ...endpoint })),
        );
      show(rows, ENDPOINT_COLUMNS);
    });
  get
    .command("vips")
    .description("who owns each VIP, who comes next; why with -o wide")
    .action(async () => show(await context.client().listVips(), VIP_COLUMNS));
  get
    .command("takeovers")
    .description("the last take-overs: what moved, and how long each step took")
    .action(async () => show(await context.client().listTakeOvers(), TAKE_OVER_COLUMNS));
  get
    .command("routers")
    .description("routers of this member: sessions and BFD; what each is told with -o wide")
    .action(async () => show(await context.client().listRouters(), ROUTER_COLUMNS));
  get
    .command("members")
    .description("the members as this one sees them")
    .action(async () => show(await context.client().listMembers(), MEMBER_COLUMNS));

  withSessionFilters(get.command("sessions"))
    .description("sessions, filtered")
    .option("--limit <count>", `at most so many (default ${SESSION_COUNT_SHOWN})`, integer)
    .option("--all", "all of them")
    .action(async (options: Partial<SessionQuery> & { all?: boolean }) => {
      const { all, limit, ...query } = options;
      const wanted = all === true ? Number.POSITIVE_INFINITY : (limit ?? SESSION_COUNT_SHOWN);
      const sessions: SessionSummary[] = [];
      let cursor: string | undefined;
      do {
        const page = await context.client().listSessions({
          ...query,
          limit: Math.min(1000, wanted - sessions.length),
          ...(cursor !== undefined && { cursor }),
        });
        sessions.push(...page.items);
        cursor = page.next;
      } while (cursor !== undefined && sessions.length < wanted);
      if (sessions.length === 0) await mustExist(context, query);
      show(sessions, sessionColumns(context.nowMs()));
      if (cursor !== undefined && limit === undefined && context.format() !== "json")
        context.warn(`only the first ${sessions.length}; --all shows all, filters show fewer`);
    });
  get
    .command("session <id>")
    .description("everything about one session")
    .action(async (id: string) => {
      const session = await context.client().getSession(id);
      if (context.format() === "json") printJson(context, session);
      else context.print(sessionText(session));
    });
}

function withSessionFilters(command: Command): Command {
  return command
    .option("--service <id>", "of this service, by id or name")
    .option("--client <address>", "of this client")
    .option("--vip <address>", "of services with this VIP")
    .option("--endpoint <endpoint>", "at this endpoint: ADDRESS or ADDRESS:PORT")
    .option("--nat-port <port>", "with this NAT port", integer)
    .option("--phase <phase>", "in this phase")
    .option("--protocol <protocol>", "sctp, tcp or udp")
    .option("--owner <member>", "with a VIP that this member owns")
    .option("--member <member>", "whose NAT port this member allocated");
}

import { readFileSync } from "node:fs";
import type { Farewell, ServiceInput } from "@holdfast/api";
import { type Command, InvalidArgumentError, Option } from "commander";
import { type Context, printJson } from "../context.ts";
import { SERVICE_COLUMNS } from "../output/columns.ts";
import { renderTable } from "../output/table.ts";
import {
  announceArgument,
  collect,
  endpointArgument,
  healthCheckArgument,
  idleArgument,
  integer,
  statusArgument,
} from "./arguments.ts";

interface CreateOptions {
  readonly file?: string;
  readonly vip?: readonly string[];
  readonly port?: number;
  readonly endpoint?: readonly string[];
  readonly name?: string;
  readonly selection?: ServiceInput["selection"];
  readonly idleTimeout?: number;
  readonly protocol?: ServiceInput["protocol"];
  readonly idle?: NonNullable<ServiceInput["idle"]>;
  readonly replicate?: ServiceInput["replicate"];
  readonly replicateAfter?: number;
  readonly proxyProtocol?: boolean;
  readonly stateless?: boolean;
  readonly sourceAddress?: readonly string[];
  readonly natPort?: ServiceInput["natPort"];
  readonly endpointsMayBegin?: boolean;
  readonly peer?: readonly string[];
  readonly allowFrom?: readonly string[];
  readonly replace?: boolean;
  readonly announce?: ServiceInput["announce"];
  readonly spread?: boolean;
  readonly healthCheck?: ServiceInput["healthCheck"];
  readonly healthStatus?: NonNullable<ServiceInput["healthCheck"]>["status"];
  readonly endAssociations?: boolean;
  readonly endpointRemoval?: Farewell;
  readonly endpointGrace?: number;
}

interface RemoveOptions {
  readonly endAssociations?: boolean;
}

const farewellOf = ({ endAssociations }: RemoveOptions): Farewell | undefined =>
  endAssociations === true ? "end" : undefined;
const END_ASSOCIATIONS = ["--end-associations", "end living associations now, instead of draining"] as const;

export function addServiceCommands(program: Command, context: Context): void {
  const create = program.command("create").description("create a service");
  withHealthOptions(withFlowOptions(create.command("service")))
    .description("create a service; the same again is no error")
    .option("--vip <address>", "primary, then secondaries: give it up to four times", collect)
    .addOption(new Option("--protocol <protocol>", "of the service").choices(["sctp", "tcp", "udp"]))
    .option("--port <port>", "its port", integer)
    .option(
      "--endpoint <endpoint>",
      "ADDRESS:PORT or ADDRESS:PORT*WEIGHT, for each endpoint; [ADDRESS,ADDRESS]:PORT for a server with several",
      collect,
    )
    .option("--name <name>", "a name for people and metrics")
    .option("--selection <mode>", "leastAssociations, roundRobin, weighted, hash or persist")
    .option("--idle-timeout <seconds>", "sctp: forget an association without traffic after", integer)
    .option("--endpoints-may-begin", "an endpoint's own INIT goes to a --peer")
    .option("--peer <address>", "of the client that endpoints may begin with: give it for each", collect)
    .option("--allow-from <prefix>", "whence associations may begin: give it for each", collect)
    .option("--nat-port <policy>", "the client's own port toward the endpoint: any, keep or require")
    .option("-f, --file <file>", "JSON as the API takes it, '-' for standard input")
    .option("--replace", "replace it when it exists and is different")
    .option("--end-associations", "with --replace: those of endpoints that are left out end now")
    .action(async (options: CreateOptions) => {
      const input = options.file !== undefined ? readJson(options.file) : inputOf(options);
      const client = context.client();
      const id = idOf(input);
      const exists =
        options.replace === true && (await client.listServices()).some((service) => service.id === id);
      const service = exists
        ? await client.replaceService(id, input, undefined, farewellOf(options))
        : await client.createService(input);
      if (context.format() === "json") printJson(context, service);
      else context.print(renderTable([service], SERVICE_COLUMNS, context.format()));
    });

  const remove = program.command("delete").description("delete a service, an endpoint or a session");
  remove
    .command("session <id>")
    .description("end a session: client and endpoint are told")
    .action(async (id: string) => {
      await context.client().removeSession(id);
      context.print(`session ${id} ended`);
    });
  remove
    .command("service <id>")
    .description("delete a service: with living associations it drains first")
    .option(...END_ASSOCIATIONS)
    .action(async (id: string, options: RemoveOptions) => {
      const left = await context.client().deleteService(id, undefined, farewellOf(options));
      context.print(
        left?.removal === undefined
          ? `service ${id} deleted`
          : `service ${id} drains: ${left.sessions} associations, at most ${left.removal.leftS} s`,
      );
    });
  remove
    .command("endpoint <service> <endpoint>")
    .description("remove an endpoint: it drains, as its service says")
    .option(...END_ASSOCIATIONS)
    .action(async (service: string, endpoint: string, options: RemoveOptions) => {
      await context.client().removeEndpoint(service, endpoint, farewellOf(options));
      context.print(`endpoint ${endpoint} of ${service} removed`);
    });
  addDrainCommands(program, context);
}

function addDrainCommands(program: Command, context: Context): void {
  for (const action of ["drain", "undrain"] as const) {
    const command = program
      .command(action)
      .description(
        action === "drain" ? "drain a member or an endpoint" : "take a member or an endpoint back",
      );
    command
      .command("member <name>")
      .description(
        action === "drain" ? "its VIPs move to others, then it owns none" : "it may own VIPs again",
      )
      .action(async (name: string) => {
        const member = await context.client().drainMember(name, action === "drain");
        if (context.format() === "json") printJson(context, member);
        else context.print(`member ${name} ${action === "drain" ? "drains" : "takes part again"}`);
      });
    command
      .command("endpoint <service> <endpoint>")
      .description(
        action === "drain" ? "living associations stay, new ones go elsewhere" : "it takes new associations",
      )
      .action(async (service: string, endpoint: string) => {
        await context.client().drainEndpoint(service, endpoint, action === "drain");
        context.print(
          `endpoint ${endpoint} of ${service} ${action === "drain" ? "drains" : "takes part again"}`,
        );
      });
  }
}

function idOf(input: ServiceInput): string {
  const { protocol = "sctp", vips, port } = input;
  const primary = vips?.[0] ?? "";
  return primary.includes(":") ? `${protocol}/[${primary}]:${port}` : `${protocol}/${primary}:${port}`;
}

function readJson(file: string): ServiceInput {
  try {
    return JSON.parse(readFileSync(file === "-" ? 0 : file, "utf8")) as ServiceInput;
  } catch (cause) {
    throw new InvalidArgumentError(`${file}: ${(cause as Error).message}`);
  }
}

function inputOf(options: CreateOptions): ServiceInput {
  const { vip, port, endpoint, name, selection, idleTimeout, endpointRemoval, endpointGrace, natPort } =
    options;
  if (vip === undefined || port === undefined)
    throw new InvalidArgumentError("--vip and --port are needed, or --file");
  return {
    vips: [...vip],
    port,
    endpoints: (endpoint ?? []).map(endpointArgument),
    ...(name !== undefined && { name }),
    ...(selection !== undefined && { selection }),
    ...(idleTimeout !== undefined && { idleTimeoutS: idleTimeout }),
    ...plainInputOf(options),
    ...healthInputOf(options),
    ...((endpointRemoval !== undefined || endpointGrace !== undefined) && {
      endpointRemoval: {
        ...(endpointRemoval !== undefined && { mode: endpointRemoval }),
        ...(endpointGrace !== undefined && { graceS: endpointGrace }),
      },
    }),
    ...((options.announce !== undefined || options.spread === true) && {
      announce: { ...options.announce, ...(options.spread === true && { spread: true }) },
    }),
    ...(natPort !== undefined && { natPort }),
    ...(options.endpointsMayBegin === true && { endpointsMayBegin: true }),
    ...(options.peer !== undefined && { peers: [...options.peer] }),
    ...(options.allowFrom !== undefined && { allowedSources: [...options.allowFrom] }),
  };
}

function healthInputOf({ healthCheck, healthStatus }: CreateOptions): Pick<ServiceInput, "healthCheck"> {
  if (healthCheck === undefined && healthStatus !== undefined)
    throw new InvalidArgumentError("--health-status needs --health-check http or https");
  if (healthCheck === undefined) return {};
  return { healthCheck: { ...healthCheck, ...(healthStatus !== undefined && { status: healthStatus }) } };
}

function plainInputOf({
  protocol,
  idle,
  replicate,
  replicateAfter,
  proxyProtocol,
  stateless,
  sourceAddress,
}: CreateOptions): Pick<
  ServiceInput,
  "protocol" | "idle" | "replicate" | "replicateAfterMs" | "proxyProtocol" | "stateless" | "sourceAddresses"
> {
  return {
    ...(protocol !== undefined && { protocol }),
    ...(idle !== undefined && { idle }),
    ...(replicate !== undefined && { replicate }),
    ...(replicateAfter !== undefined && { replicateAfterMs: replicateAfter }),
    ...(proxyProtocol === true && { proxyProtocol }),
    ...(stateless === true && { stateless }),
    ...(sourceAddress !== undefined && { sourceAddresses: [...sourceAddress] }),
  };
}

/** How its endpoints are asked. */
function withHealthOptions(command: Command): Command {
  return command
    .option(
      "--health-check <check>",
      "how endpoints are asked: KIND, KIND:PORT or http:PORT/PATH; none, ping, sctp, tcp, udp, http, https",
      healthCheckArgument,
    )
    .option(
      "--health-status <statuses>",
      "with http, https: what is an answer, as 200,204,300-399",
      statusArgument,
    );
}

/** How its flows live, what becomes of those of an endpoint that leaves, and what routers are told. */
function withFlowOptions(command: Command): Command {
  return command
    .option(
      "--idle <times>",
      "tcp, udp: forget a flow without packets, seconds: established=7440,transitory=240 or flow=300,oneShot=30",
      idleArgument,
    )
    .addOption(
      new Option("--replicate <policy>", "tcp, udp: which flows the other members know").choices([
        "always",
        "long-lived",
        "never",
      ]),
    )
    .option("--replicate-after <ms>", "tcp, udp: how old a long-lived flow is", integer)
    .option("--proxy-protocol", "tcp: tell the endpoint the client's address first (PROXY protocol v2)")
    .option(
      "--source-address <address>",
      "tcp, udp: a further address to talk to endpoints from, once NAT ports are in use: give it for each",
      collect,
    )
    .option(
      "--stateless",
      "udp, with --selection hash: no sessions, a client's address says its endpoint; tcp: the kernel begins connections",
    )
    .addOption(
      new Option("--endpoint-removal <mode>", "what an endpoint does that leaves the list").choices([
        "drain",
        "end",
      ]),
    )
    .option("--endpoint-grace <seconds>", "longest drain of an endpoint, or of the service", integer)
    .option(
      "--announce <json>",
      'what routers are told by rank: \'[{"med":5},false]\', or {"ranks":…,"routers":{"NAME":…}}',
      announceArgument,
    )
    .option("--spread", "all members announce its VIPs alike: routers spread associations over them");
}

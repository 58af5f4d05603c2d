// The same deaths under flows of TCP or UDP of the kernel's own stacks: records that go to an echo and come
// back, one every 20 ms a flow.
import { Cluster, pause, startCapture, until } from "@holdfast/testkit";
import {
  createEchoServices,
  type PlainProtocol,
  SteadyClient,
  type SteadyReport,
  startEcho,
} from "../../plain/steady.ts";
import { numberOf } from "../options/options.ts";
import { type Row, rounded } from "../replication/report.ts";
import { revive, wallMs } from "./kill.ts";
import { percentile } from "./percentile.ts";

const VIP = "203.0.113.1";
const PORT = 8_080;
const INTERVAL_MS = 20;
/** What follows a kill is watched for so long: longer than a stack's retransmission time-outs here. */
const OBSERVATION_MS = 1_500;
const BEFORE_MS = 300;

interface Clock {
  readonly how: "node" | "daemon";
  /** The first packet from the VIP at the endpoint that is not the victim's, ms since the kill. */
  readonly firstForwarded: number | undefined;
  /** The longest silence of any flow where its records come back, ms. */
  readonly silence: number;
}

export async function measurePlain(args: readonly string[], protocol: PlainProtocol): Promise<Row[]> {
  const kills = numberOf(args, "kills", 20);
  const count = numberOf(args, "flows", 20);
  const cluster = new Cluster({ members: 3, clients: [1], vips: [VIP], withService: false });
  try {
    for (const host of cluster.endpoints) await startEcho(host);
    await cluster.start();
    await createEchoServices(cluster, PORT, [protocol]);
    const [host] = cluster.clients;
    if (host === undefined) throw new Error("a cluster without a client");
    const target = { address: VIP, port: PORT, protocol };
    const client = await SteadyClient.start(host, target, { count, intervalMs: INTERVAL_MS });
    await known(cluster, count);
    const clocks: Clock[] = [];
    for (let n = 0; n < kills; n++) {
      clocks.push(await kill(cluster, client, n % 2 === 0 ? "node" : "daemon"));
      console.error(`kill ${n + 1} of ${kills} (${protocol}): ${JSON.stringify(clocks.at(-1))}`);
      for (const member of cluster.members.filter(({ running }) => !running)) await revive(cluster, member);
      await known(cluster, count);
    }
    return rowsOf(protocol, count, clocks, await client.settle());
  } finally {
    await cluster.close();
  }
}

/** Every member holds all flows. */
async function known(cluster: Cluster, count: number): Promise<void> {
  await until(
    "every member to know all flows",
    async () => {
      const held = await Promise.all(cluster.members.map((member) => member.metric("holdfast_sessions")));
      return held.every((each) => each >= count);
    },
    120_000,
    100,
  );
}

async function kill(cluster: Cluster, client: SteadyClient, how: Clock["how"]): Promise<Clock> {
  const victim = cluster.memberOf((await cluster.settled()).get(VIP) as string);
  const endpoint = cluster.endpoints[0];
  if (endpoint === undefined) throw new Error("a cluster without an endpoint");
  const mac = victim.host.mac("core");
  const capture = await startCapture(cluster.lab, endpoint, "core", "tcp or udp or icmp");
  await pause(BEFORE_MS);
  await client.report("mark");
  const killedAtMs = wallMs();
  await (how === "node" ? victim.killNode() : victim.killDaemon());
  await pause(OBSERVATION_MS);
  const { gapsMs } = await client.report();
  await capture.flush();
  await capture.stop();
  const first = capture
    .packets()
    .find(({ source, sourceMac, wallMs }) => source === VIP && sourceMac !== mac && wallMs >= killedAtMs);
  return {
    how,
    firstForwarded: first && first.wallMs - killedAtMs,
    silence: Math.max(...gapsMs),
  };
}

function rowsOf(protocol: PlainProtocol, count: number, clocks: readonly Clock[], last: SteadyReport): Row[] {
  const name = protocol.toUpperCase();
  const unit = "ms";
  const rows = (["node", "daemon", "either"] as const).flatMap((how): Row[] => {
    const these = clocks.filter((clock) => how === "either" || clock.how === how);
    const who = how === "either" ? "node or daemon" : how;
    return (["firstForwarded", "silence"] as const).flatMap((stage) => {
      const what = stage === "silence" ? "longest silence of a flow" : "first packet through the successor";
      const values = these.flatMap((clock) => clock[stage] ?? []).sort((a, b) => a - b);
      if (values.length === 0) return [];
      const title = `${name}: ${who} killed: ${what}`;
      return [
        { case: `${title} p50`, value: rounded(percentile(values, 50)), unit },
        { case: `${title} p99`, value: rounded(percentile(values, 99)), unit },
        { case: `${title} max`, value: rounded(values.at(-1) ?? Number.NaN), unit },
      ];
    });
  });
  const { resets, closed, wrong, sent, received } = last;
  return [
    ...rows,
    { case: `${name}: flows`, value: count, unit: "" },
    { case: `${name}: kills`, value: clocks.length, unit: "" },
    { case: `${name}: resets`, value: resets, unit: "" },
    { case: `${name}: connections closed`, value: closed, unit: "" },
    { case: `${name}: records out of order or twice`, value: wrong, unit: "" },
    { case: `${name}: records lost`, value: sent - received, unit: `of ${sent}` },
  ];
}

// What the page asks a member, with many sessions and with few.
import {
  type MemberReport,
  type ServiceInput,
  type ServiceSpec,
  ServiceSpecSchema,
  validate,
} from "@holdfast/api";
import type { Address, Clock } from "@holdfast/model";
import { addSession, buildServer, fakeNode } from "@holdfast/node/testing";
import type { FastifyInstance } from "fastify";
import { type Row, rounded } from "../replication/report.ts";

const SERVICE_COUNT = 64;
const VIP_COUNT = 4;
const ENDPOINT_COUNT = 8;
const PORT = 38412;
const MEMBERS = ["m0", "m1", "m2"];
const REPEAT_COUNT = 5;
const MS_PER_US = 1e-3;

const vipOf = (service: number, index: number): Address => `203.0.${service}.${index + 1}`;
const endpointOf = (service: number, index: number): Address => `198.19.${service}.${index + 1}`;
const clientOf = (n: number): Address => `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`;
/** Spread, and none of them the one that is looked for in vain. */
const tagOf = (n: number) => (Math.imul(n + 1, 0x9e3779b1) | 1) >>> 0;
const natPortOf = (n: number) => 4096 + (n % 60_000);

/** The answers in ms, by question. */
type Answers = ReadonlyMap<string, { readonly ms: number; readonly turnMs: number }>;

export async function questions(many: number, few: number): Promise<Row[]> {
  const beside = await askAll(few);
  const full = await askAll(many);
  const names = [many, few].map((count) => `${count.toLocaleString("en")} sessions`) as [string, string];
  return [...full].flatMap(([question, { ms, turnMs }]): Row[] => {
    const theirs = beside.get(question)?.ms ?? 0;
    return [
      {
        case: `${names[0]}: ${question}`,
        value: rounded(ms, 2),
        unit: "ms",
        versus: names[1],
        ratio: rounded(theirs / ms, 3),
      },
      { case: `${names[0]}: ${question}, longest turn`, value: rounded(turnMs), unit: "ms" },
    ];
  });
}

async function askAll(count: number): Promise<Answers> {
  const { app, ids } = await filled(count);
  const answers = new Map<string, { ms: number; turnMs: number }>();
  const ask = async (question: string, url: string, check: (body: never) => boolean) => {
    const turns = watchTurns();
    let ms = Number.POSITIVE_INFINITY;
    for (let n = 0; n < REPEAT_COUNT; n++) {
      const startedMs = performance.now();
      const { body, statusCode } = await app.inject(url);
      ms = Math.min(ms, performance.now() - startedMs);
      if (statusCode !== 200 || !check(JSON.parse(body) as never))
        throw new Error(`${url}: ${body.slice(0, 200)}`);
    }
    answers.set(question, { ms, turnMs: turns.stop() });
  };
  const found = (least: number) => (page: { items: unknown[] }) => page.items.length >= least;
  const middle = Math.floor(count / 2);
  await ask("the cluster", "/v1/cluster", ({ sessions }: { sessions: number }) => sessions === count);
  await ask("first page", "/v1/sessions?limit=50", found(50));
  const cursor = Buffer.from(`1 ${ids.sort()[middle]}`).toString("base64url");
  await ask("page in the middle", `/v1/sessions?limit=50&cursor=${cursor}`, found(50));
  await ask("one session", `/v1/sessions/${ids[middle]}`, () => true);
  await ask("a client", `/v1/sessions?limit=50&client=${clientOf(middle)}`, found(1));
  await ask("a tag", `/v1/sessions?limit=50&tag=${tagOf(middle).toString(16)}`, found(1));
  await ask("a tag that none has", "/v1/sessions?limit=50&tag=deadbee0", found(0));
  await ask("a NAT port", `/v1/sessions?limit=50&natPort=${natPortOf(middle)}`, found(1));
  await ask("an endpoint", `/v1/sessions?limit=50&endpoint=${endpointOf(3, 0)}`, found(1));
  await ask("a VIP", `/v1/sessions?limit=50&vip=${vipOf(9, 2)}`, found(10));
  await ask("an owner", "/v1/sessions?limit=50&owner=m0", found(50));
  await ask("an owner of none", "/v1/sessions?limit=50&owner=m1", found(0));
  await ask("a phase that one is in", "/v1/sessions?limit=50&phase=shutdown", found(1));
  await ask("a phase that none is in", "/v1/sessions?limit=50&phase=init", found(0));
  await ask(
    "a client and a phase",
    `/v1/sessions?limit=50&phase=established&client=${clientOf(middle)}`,
    found(1),
  );
  await ask("a client port that all have", "/v1/sessions?limit=50&clientPort=36412", found(50));
  await ask(
    "all have the port, none the client",
    `/v1/sessions?limit=50&clientPort=36412&client=192.0.2.1`,
    found(0),
  );
  await app.close();
  return answers;
}

/** The longest turn of the event loop, ms of processor time: others on the machine do not count. */
function watchTurns(): { stop(): number } {
  let longestUs = 0;
  let isStopped = false;
  const used = () => {
    const { user, system } = process.threadCpuUsage();
    return user + system;
  };
  let beforeUs = used();
  const turned = () => {
    const nowUs = used();
    longestUs = Math.max(longestUs, nowUs - beforeUs);
    beforeUs = nowUs;
    if (!isStopped) setImmediate(turned);
  };
  setImmediate(turned);
  return {
    stop() {
      isStopped = true;
      return Math.max(longestUs, used() - beforeUs) * MS_PER_US;
    },
  };
}

async function filled(count: number): Promise<{ app: FastifyInstance; ids: string[] }> {
  const services = Array.from({ length: SERVICE_COUNT }, (_, n): ServiceSpec => specOf(n));
  const node = fakeNode(services);
  const ids: string[] = [];
  const shutting = Math.floor(count / 2) + 1;
  for (let n = 0; n < count; n++) {
    const service = n % SERVICE_COUNT;
    ids.push(
      addSession(node.view, {
        primary: vipOf(service, 0),
        port: PORT,
        client: clientOf(n),
        clientPort: 36_412,
        endpoint: endpointOf(service, Math.floor(n / SERVICE_COUNT) % ENDPOINT_COUNT),
        natPort: natPortOf(n),
        endpointTag: tagOf(n),
        ...(n === shutting && { phase: "shutdown" }),
      }),
    );
  }
  for (const member of MEMBERS) node.reports.set(member, { report: reportOf(member, count), ageMs: 0 });
  // Each question is answered anew, however soon it comes.
  let passedMs = 0;
  const clock: Clock = { ...node.sources.clock, nowMs: () => (passedMs += 1_000) };
  // A daemon keeps both; the fake works them out each time.
  const [clashes, ownerships] = [node.sources.clashes(), node.sources.ownerships()];
  const app = await buildServer(
    { ...node.sources, clock, clashes: () => clashes, ownerships: () => ownerships },
    { authorization: { tokens: () => [], socket: false } },
  );
  return { app, ids };
}

function specOf(service: number): ServiceSpec {
  const spec: ServiceInput = {
    name: `service-${service}`,
    vips: Array.from({ length: VIP_COUNT }, (_, n) => vipOf(service, n)),
    port: PORT,
    endpoints: Array.from({ length: ENDPOINT_COUNT }, (_, n) => ({
      address: endpointOf(service, n),
      port: PORT,
    })),
  };
  const { value, findings } = validate(ServiceSpecSchema, spec);
  if (findings.length > 0) throw new Error(JSON.stringify(findings));
  return value;
}

/** As a member tells that owns a third of the VIPs. */
function reportOf(member: string, sessions: number): MemberReport {
  const at = new Date(0).toISOString();
  const vips = Array.from({ length: SERVICE_COUNT * VIP_COUNT }, (_, n) =>
    vipOf(Math.floor(n / VIP_COUNT), n % VIP_COUNT),
  );
  const own = vips.filter((_, n) => n % MEMBERS.length === MEMBERS.indexOf(member));
  return {
    ...{ member, at, version: "0.1.0", startedAt: at, ready: true, failing: [], fastPath: "xdp", sessions },
    natPortsUsed: sessions,
    interfaces: ["path-a", "path-b", "core"].map((name) => ({
      name,
      network: name,
      roles: ["path"],
      up: true,
    })),
    peers: MEMBERS.filter((name) => name !== member).map((name) => ({
      ...{ member: name, connected: true, lagMs: 1, queue: 0 },
    })),
    announcements: own.map((vip) => ({
      vip,
      places: ["path-a", "path-b", "core"].map((name) => ({
        interface: name,
        kind: "l2",
        rank: 0,
        since: at,
      })),
    })),
    routers: [],
    drops: Array.from({ length: 40 }, (_, n) => ({ name: `reason-${n}`, count: n })),
    traffic: [],
    api: [],
  };
}

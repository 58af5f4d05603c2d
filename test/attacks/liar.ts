// A member that lies: a program with a true member's certificate, number, addresses and secret, run in its
// place.
//
//   node liar.ts CONFIG SESSION_ID…     goes on until it is stopped
//
// It says in the others' names that these sessions have ended (in their journals, live and fetched, and in
// answers that nobody asked it for), fills its own journal with sessions that nobody has, sends configuration
// changes that are none, says that the others have lived in the year 10000, and claims every VIP while it
// says that it is not ready.
import { createSocket } from "node:dgram";
import { readFileSync } from "node:fs";
import {
  decode,
  decodeHello,
  encode,
  Keyring,
  KIND_HELLO,
  KIND_OFFSET,
  type Message,
  networkIdOf,
  probeKeyOf,
} from "@holdfast/coordinator/testing";
import {
  type Address,
  encodeSession,
  type SessionDelta,
  silentLogger,
  systemClock,
  systemRandom,
} from "@holdfast/model";
import { openProbeCredentials as openCredentials } from "@holdfast/node/testing";
import { loadMemberTls } from "@holdfast/sync";
import {
  actorOf,
  documentActorOf,
  encodeChange,
  encodePayload,
  type PeerMessage,
  type Summary,
  WsTransport,
} from "@holdfast/sync/testing";

const REPLICATION_PORT = 7_081;
const PROBE_PORT = 7_082;
const MEMBER_NUMBER_COUNT_DEFAULT = 8;
const LIE_PERIOD_MS = 10;
const INCARNATION_COUNTER_MAX = 2 ** 48 - 2;
/** Of the lab's members, in the order of their addresses. */
const NETWORKS = ["cluster", "path-a", "path-b", "path-c", "core"];
const NOBODYS_SERVICE = "sctp/203.0.113.99:9";

interface Configuration {
  readonly cluster: {
    readonly id: string;
    readonly memberNumberCount?: number;
    readonly certificates: Record<"authority" | "certificate" | "key", string>;
    readonly secretFile: string;
  };
  readonly member: { readonly name: string; readonly number: number };
  readonly members: readonly {
    readonly name: string;
    readonly number: number;
    readonly addresses: readonly Address[];
  }[];
  readonly services: readonly { readonly vips: readonly Address[] }[];
}

const [file, ...victims] = process.argv.slice(2);
const { cluster, member, members, services } = JSON.parse(
  readFileSync(file as string, "utf8"),
) as Configuration;
const own = members.find(({ name }) => name === member.name) as Configuration["members"][number];
const others = members.filter(({ name }) => name !== member.name);
const random = systemRandom();

// ---- replication

const actor = actorOf(member.number, Date.now(), random);
const summaries = new Map<number, Summary>();
const journal = new Map<number, { tick: number; head: Uint8Array }>();

const ended = (id: string): SessionDelta => ({
  id,
  end: { cause: "operator", absorbing: true, epochSeen: 1_000, phaseSeen: "closed", activitySeen: 1e12 },
});
const endings = () =>
  encodePayload(victims.map((id) => ({ kind: "delta", bytes: encodeSession(ended(id)) }) as const));

const summary = (floors: Summary["floors"] = [], journals: Summary["journals"] = []): Summary => ({
  incarnation: actor,
  journals,
  connected: others.map(({ number }) => number),
  floors,
  caughtUp: true,
});

/** The other's journal, continued where it ends. */
function continued(of: number) {
  const said = summaries.get(of);
  const theirs = said?.journals.find((listed) => listed.actor === said.incarnation);
  const last = theirs?.segments.at(-1);
  if (said === undefined || last === undefined) return undefined;
  const change = encodeChange(
    documentActorOf(said.incarnation, last.segment),
    last.ticks,
    last.head,
    endings(),
  );
  return { actor: said.incarnation, segment: last.segment, tick: last.ticks, change: change.bytes };
}

function ownTick(to: number): PeerMessage {
  const { tick, head } = journal.get(to) ?? { tick: 0, head: new Uint8Array(0) };
  const id = `00000000-0000-4000-8000-${random.uint32().toString(16).padStart(12, "0")}`;
  const delta: SessionDelta = {
    id,
    protocol: 132,
    serviceId: NOBODYS_SERVICE,
    clientPort: 1 + random.below(65_535),
    createdAtMs: Date.now(),
    clients: new Map([["203.0.113.77", true]]),
  };
  const payload = encodePayload([{ kind: "delta", bytes: encodeSession(delta) }]);
  const change = encodeChange(documentActorOf(actor, 0), tick, head, payload);
  journal.set(to, { tick: tick + 1, head: change.hash });
  return { kind: "tick", actor, segment: 0, tick, change: change.bytes };
}

const lies: readonly ((to: number, about: number) => PeerMessage | undefined)[] = [
  (to) => ownTick(to),
  (_, about) => {
    const next = continued(about);
    return next && { kind: "segment", ...next, fromTick: next.tick, changes: [next.change], sealed: false };
  },
  () => ({
    kind: "answer",
    question: random.below(50),
    records: victims.map((id) => encodeSession(ended(id))),
  }),
  () => ({ kind: "response", id: random.below(200), body: new Uint8Array(random.bytes(40)) }),
  () => ({ kind: "configuration", heads: [], changes: [new Uint8Array(random.bytes(200))] }),
  (to, about) => ({
    kind: "summary",
    summary: summary(
      [to, about].map((number) => [number, INCARNATION_COUNTER_MAX] as const),
      [to, about].map((number) => ({
        actor: actorOf(number, INCARNATION_COUNTER_MAX, random),
        base: 0,
        segments: [{ segment: 0, ticks: 9, head: new Uint8Array(32), sealed: true }],
      })),
    ),
  }),
  () => ({ kind: "request", id: random.below(1e6), topic: "nonsense", body: new Uint8Array(0) }),
  // Last: the link is closed for it.
  (_, about) => {
    const next = continued(about);
    return next && { kind: "tick", ...next };
  },
];

const { authority, certificate, key } = cluster.certificates;
const transport = await WsTransport.open({
  clusterId: cluster.id,
  memberName: member.name,
  memberNumber: member.number,
  memberNumberCount: cluster.memberNumberCount ?? MEMBER_NUMBER_COUNT_DEFAULT,
  listen: own.addresses.map((host) => ({ host, port: REPLICATION_PORT })),
  members: members.map(({ name, number, addresses }) => ({
    name,
    number,
    addresses: addresses.map((host) => ({ host, port: REPLICATION_PORT })),
  })),
  tls: await loadMemberTls({ authorityFile: authority, certificateFile: certificate, keyFile: key }),
  clock: systemClock,
  random,
  logger: silentLogger,
});
const turns = new Map<number, number>();
transport.start({
  connected: ({ number }) => {
    journal.delete(number);
    transport.send(number, { kind: "hello", summary: summary() });
    console.log(`connected ${number}`);
  },
  disconnected: ({ number }, reason) => console.log(`refused by ${number}: ${reason}`),
  dropped: () => {},
  message: ({ number }, message) => {
    if (message.kind === "hello" || message.kind === "summary") summaries.set(number, message.summary);
  },
});
setInterval(() => {
  for (const { number } of transport.peers()) {
    const turn = turns.get(number) ?? 0;
    turns.set(number, turn + 1);
    // Everything but the last many times first: after that the link is gone for a while.
    const index = turn % 100 === 99 ? lies.length - 1 : turn % (lies.length - 1);
    const about = others.find((other) => other.number !== number)?.number ?? number;
    const message = lies[index]?.(number, about);
    if (message !== undefined) transport.send(number, message);
  }
}, LIE_PERIOD_MS);

// ---- probes

const clusterKey = probeKeyOf(readFileSync(cluster.secretFile, "utf8").trim());
const incarnation = Date.now() * 1_024;
const boot = 1 + random.below(2 ** 31);
const keyring = new Keyring({
  self: member.number,
  boot,
  others: others.map(({ number }) => number),
  credentials: openCredentials({
    ...(await loadMemberTls({ authorityFile: authority, certificateFile: certificate, keyFile: key })),
    clusterId: cluster.id,
  }),
});
let sequence = 0;
/**
 * Who has just started greets first: the others still hold the key of the member in whose place this one is.
 */
const GREET_PERIOD_MS = 100;
for (const [index, address] of own.addresses.entries()) {
  const network = networkIdOf(NETWORKS[index] as string);
  const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
  const say = (bytes: Uint8Array, to: { readonly port: number; readonly address: string }) =>
    socket.send(bytes, to.port, to.address);
  socket.on("error", () => {});
  socket.on("message", (bytes, from) => {
    const hello = bytes[KIND_OFFSET] === KIND_HELLO ? decodeHello(bytes) : undefined;
    if (hello !== undefined) {
      const outcome = keyring.take(hello, performance.now());
      const answer = outcome.kind === "taken" && outcome.reply ? keyring.hello(hello.from) : undefined;
      if (answer !== undefined) say(answer(clusterKey, network), from);
      return;
    }
    const decoded = decode(bytes, (number, id) => keyring.keyOf(number, id), network);
    if (!decoded.ok) return;
    const { message } = decoded;
    keyring.heard(message.from, decoded.keyId);
    const lie = {
      kind: "probe",
      from: member.number,
      to: message.from,
      incarnation,
      boot,
      echo: message.boot,
      sequence: ++sequence,
      echoSequence: message.sequence,
      opinion: "alive",
      opinionIncarnation: sequence % 2 === 0 ? Number.MAX_SAFE_INTEGER : message.incarnation,
      stateVersionHeld: message.kind === "probe" ? message.stateVersion : 0,
      stateVersion: sequence,
      answerNow: false,
      heardNetworks: NETWORKS.map(networkIdOf),
      state: {
        ready: false,
        caughtUp: true,
        draining: false,
        settling: false,
        mainAlive: true,
        networks: [],
        claims: services.flatMap(({ vips }) => vips.map((vip) => ({ vip, grade: 0, rank: 0 }))),
        unserved: [],
      },
    } as const;
    const sealing = keyring.sealingKey(message.from);
    if (sealing !== undefined) say(encode(lie, sealing, network), from);
    // In another's name, under its own key: there is none that the receiver would take it for.
    const other = others.find(({ number }) => number !== message.from);
    if (sealing !== undefined && other !== undefined)
      say(encode({ ...lie, kind: "leave", from: other.number } as Message, sealing, network), from);
  });
  socket.bind(PROBE_PORT, address);
  setInterval(() => {
    for (const { number, addresses } of others) {
      const hello = keyring.needsHello(number) ? keyring.hello(number) : undefined;
      if (hello !== undefined)
        say(hello(clusterKey, network), { port: PROBE_PORT, address: addresses[index] as Address });
    }
  }, GREET_PERIOD_MS);
}
console.log("lying");

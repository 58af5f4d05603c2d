// The probe thread: membership with real sockets and a real clock, away from the main loop, so that a busy
// event loop or a long garbage collection over there is not a death. It also beats the data plane's sign of
// life.
import assert from "node:assert/strict";
import { parentPort, workerData } from "node:worker_threads";
import type { Credentials, CredentialsModule } from "../keys/credentials.ts";
import type { Command, Report, SignOfLife, SignOfLifeModule, ThreadData } from "./messages.ts";
import { takeRealtimePriority } from "./priority.ts";
import { ProbeLoop } from "./probe-loop.ts";
import { ProbeSockets } from "./sockets.ts";

assert(parentPort !== null, "the probe thread is a worker");
const port = parentPort;
const data = workerData as ThreadData;
const pulse = new Int32Array(data.mainPulse);
let signOfLife: SignOfLife | undefined;

async function openCredentials(of: unknown): Promise<Credentials | undefined> {
  if (data.credentials === undefined) return undefined;
  const module: CredentialsModule = await import(data.credentials.moduleUrl);
  return module.open(of);
}
const credentials = await openCredentials(data.credentials?.data);

const loop: ProbeLoop = new ProbeLoop({
  data,
  ...(credentials !== undefined && { credentials }),
  nowMs: () => Number(process.hrtime.bigint()) / 1e6,
  // Judge only after the sockets were read: what came while this thread was late is in them, not lost.
  afterSockets(delayMs, isDue, action) {
    const timer = setTimeout(() => {
      if (isDue()) sockets.read();
      action();
    }, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
  after: (delayMs, action) => void setTimeout(action, delayMs),
  send: (datagram, member) => sockets.send(datagram, member),
  membersChanged: (others) => sockets.setMembers(others),
  pulse: () => Atomics.load(pulse, 0),
  report: (report) => port.postMessage(report),
  beat: () => signOfLife?.beat(),
  socketCounters: () => ({
    sent: sockets.sent,
    sendFailures: sockets.sendFailures,
    closedNetworks: Object.fromEntries(sockets.closedNetworks),
  }),
  closed() {
    sockets.close();
    signOfLife?.close();
    const closed: Report = { kind: "closed" };
    port.postMessage(closed);
    port.close();
  },
});

const sockets = new ProbeSockets({
  addresses: loop.addresses,
  members: data.members.filter(({ name }) => name !== data.self),
  hopLimit: data.hopLimit,
  receive: (bytes, network) => loop.receive(bytes, network),
  overrun: () => loop.overrun(),
});
port.on("message", async (message: Command) => {
  if (message.kind !== "credentials") return loop.command(message);
  const renewed = await openCredentials(message.data);
  if (renewed !== undefined) loop.renew(renewed);
});
if (data.signOfLife !== undefined) {
  const module: SignOfLifeModule = await import(data.signOfLife.moduleUrl);
  signOfLife = await module.open(data.signOfLife.data);
}
// Now: what takes long, and may take its time, is done.
const reason = takeRealtimePriority();
if (reason !== undefined) {
  const report: Report = {
    kind: "warning",
    fields: { reason, remedy: "Give the daemon CAP_SYS_NICE." },
    told: "the probe thread has no real-time priority: where others use the whole processor, this member may look dead",
  };
  port.postMessage(report);
}
loop.start();

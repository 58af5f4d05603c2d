// Connections (`tcp`) or sockets (`udp`) that each send a numbered record every so many ms, whether the last
// one was answered or not, to an echo. Each line that comes in is a word, and is answered by a line of JSON:
// `report`, `mark` (silences are counted from now on), `stop` (nothing more is sent).
import { createSocket } from "node:dgram";
import { createConnection } from "node:net";
import { createInterface } from "node:readline";

const [address = "", portText, protocol = "tcp", countText, intervalText] = process.argv.slice(2);
const [port, count, intervalMs] = [portText, countText, intervalText].map(Number) as [number, number, number];
/** Bytes of a record, its line feed included. */
const RECORD_SIZE = 200;

interface Flow {
  sent: number;
  /** Of TCP: the number of the last record that came back; of UDP how many have. */
  received: number;
  lastMs: number;
  gapMs: number;
}

const flows: Flow[] = [];
const report = { ready: 0, resets: 0, closed: 0, wrong: 0 };
let stopped = false;

const recordOf = (n: number) => `${n}`.padEnd(RECORD_SIZE - 1, ".").concat("\n");

function arrived(flow: Flow): void {
  const nowMs = performance.now();
  flow.gapMs = Math.max(flow.gapMs, nowMs - flow.lastMs);
  flow.lastMs = nowMs;
}

function begin(flow: Flow, send: (record: string) => void): void {
  flow.lastMs = performance.now();
  report.ready += 1;
  setInterval(() => {
    if (!stopped) send(recordOf(++flow.sent));
  }, intervalMs);
}

function connect(flow: Flow): void {
  const socket = createConnection({ host: address, port, noDelay: true });
  let rest = "";
  socket.on("connect", () => begin(flow, (record) => socket.write(record)));
  socket.on("data", (bytes) => {
    rest += bytes.toString("latin1");
    while (rest.length >= RECORD_SIZE) {
      if (rest.slice(0, RECORD_SIZE) !== recordOf(flow.received + 1)) report.wrong += 1;
      flow.received += 1;
      rest = rest.slice(RECORD_SIZE);
      arrived(flow);
    }
  });
  socket.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "ECONNRESET") report.resets += 1;
  });
  socket.on("close", () => {
    report.closed += 1;
  });
}

function exchange(flow: Flow): void {
  const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
  const seen = new Set<number>();
  socket.on("message", (bytes) => {
    const n = Number.parseInt(bytes.toString("latin1"), 10);
    if (seen.has(n) || n > flow.sent) report.wrong += 1;
    seen.add(n);
    flow.received = seen.size;
    arrived(flow);
  });
  socket.on("error", () => {});
  socket.connect(port, address, () => begin(flow, (record) => socket.send(record)));
}

for (let i = 0; i < count; i++) {
  const flow = { sent: 0, received: 0, lastMs: 0, gapMs: 0 };
  flows.push(flow);
  if (protocol === "udp") exchange(flow);
  else connect(flow);
}

createInterface({ input: process.stdin }).on("line", (word) => {
  const nowMs = performance.now();
  if (word === "mark") for (const flow of flows) [flow.gapMs, flow.lastMs] = [0, nowMs];
  if (word === "stop") stopped = true;
  const sum = (of: (flow: Flow) => number) => flows.reduce((total, flow) => total + of(flow), 0);
  const gapsMs = flows.map(({ gapMs, lastMs }) =>
    Math.round(stopped ? gapMs : Math.max(gapMs, nowMs - lastMs)),
  );
  const line = {
    ...report,
    sent: sum(({ sent }) => sent),
    received: sum(({ received }) => received),
    gapsMs,
  };
  process.stdout.write(`${JSON.stringify(line)}\n`);
});

// Many TCP connections and many UDP sockets to one place, each of which asks its next question when the last
// one was answered, and not before a pause. Prints what became of them, a line of JSON, whenever a line
// comes in. Words: address, port, connections, sockets, pause in ms, and how many of each begin in a second.
import { createSocket, type Socket as Datagrams } from "node:dgram";
import { createConnection, type Socket } from "node:net";

const [address = "", ...words] = process.argv.slice(2);
const [port, tcpCount, udpCount, pauseMs, perSecond] = words.map(Number) as [
  number,
  number,
  number,
  number,
  number,
];
/** A datagram that was not answered for so long is lost; the next one is sent. */
const LOST_MS = 500;
/** Beginnings are spread, so that neither the hosts' queues nor a member's quotas are what is tried. */
const beginsAtMs = (number: number) => (number * 1_000) / perSecond;

const report = {
  connected: 0,
  resets: 0,
  closed: 0,
  wrong: 0,
  answers: 0,
  datagrams: 0,
  lost: 0,
  /** Longest silence between a question and its answer, ms. */
  tcpGapMs: 0,
  udpGapMs: 0,
  ports: [] as number[],
  /** Connections and sockets that were answered since the last mark. */
  tcpAlive: 0,
  udpAlive: 0,
};
const alive = { tcp: new Set<number>(), udp: new Set<number>() };

function connect(number: number): void {
  const socket: Socket = createConnection({ host: address, port, noDelay: true });
  let question = 0;
  let askedMs = 0;
  let received = "";
  const ask = () => {
    askedMs = performance.now();
    socket.write(`${number}:${++question}\n`);
  };
  socket.on("connect", () => {
    report.connected += 1;
    report.ports.push(socket.localPort ?? 0);
    ask();
  });
  socket.on("data", (bytes) => {
    received += bytes.toString("latin1");
    if (!received.endsWith("\n")) return;
    if (received !== `${number}:${question}\n`) report.wrong += 1;
    received = "";
    report.answers += 1;
    alive.tcp.add(number);
    report.tcpGapMs = Math.max(report.tcpGapMs, Math.round(performance.now() - askedMs));
    setTimeout(ask, pauseMs);
  });
  socket.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "ECONNRESET") report.resets += 1;
    process.stderr.write(`${number}: ${error.code ?? error.message}\n`);
  });
  socket.on("close", () => {
    report.closed += 1;
  });
}

function exchange(number: number): void {
  const socket: Datagrams = createSocket(address.includes(":") ? "udp6" : "udp4");
  let question = 0;
  let askedMs = 0;
  let timer: NodeJS.Timeout | undefined;
  let lastMs = performance.now();
  const ask = () => {
    askedMs = performance.now();
    socket.send(`${number}:${++question}`);
    timer = setTimeout(() => {
      report.lost += 1;
      ask();
    }, LOST_MS);
  };
  socket.on("message", (bytes) => {
    if (bytes.toString("latin1") !== `${number}:${question}`) return;
    clearTimeout(timer);
    report.datagrams += 1;
    alive.udp.add(number);
    const nowMs = performance.now();
    report.udpGapMs = Math.max(report.udpGapMs, Math.round(nowMs - Math.max(lastMs, askedMs - LOST_MS)));
    lastMs = nowMs;
    timer = setTimeout(ask, pauseMs);
  });
  socket.on("error", () => {});
  socket.connect(port, address, ask);
}

for (let i = 0; i < tcpCount; i++) setTimeout(() => connect(i), beginsAtMs(i));
for (let i = 0; i < udpCount; i++) setTimeout(() => exchange(i), beginsAtMs(i));
process.stdin.on("data", (word) => {
  if (word.toString().startsWith("mark")) for (const set of [alive.tcp, alive.udp]) set.clear();
  const [tcpAlive, udpAlive] = [alive.tcp.size, alive.udp.size];
  process.stdout.write(`${JSON.stringify({ ...report, tcpAlive, udpAlive })}\n`);
});

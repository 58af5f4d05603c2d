// Floods from the network namespace that it is started in, until it is ended or has sent enough; says at the
// end how much.
import { createSocket } from "node:dgram";
import { connect, type Socket } from "node:net";
import { checksumChange, portDelta, readChecksum, storeChecksum } from "@holdfast/sctp";
import koffi from "koffi";
import { type Kind, packetsOf, type Target } from "./frames.ts";

export interface Order {
  readonly kind: Kind;
  readonly target: Target;
  /** Where frames leave, and to whom. */
  readonly interfaceName: string;
  readonly ownMac: string;
  readonly mac: string;
  /** The member on the cluster network. */
  readonly member: string;
  readonly replicationPort: number;
  readonly probePort: number;
  /** Packets between two looks at the clock; a pause of a millisecond follows when it is not 0. */
  readonly pauseMs: number;
  /** It says when it has sent so many. */
  readonly countLeast: number;
  readonly countMax: number;
  readonly durationMsMax: number;
}

const order = JSON.parse(process.argv[2] ?? "") as Order;
const TURN_COUNT = 256;
const AF_PACKET = 17;
/** Behind Ethernet and IPv4. */
const PORT_OFFSET = 34;
const FIRST_PORT = 1_024;
const SOCK_RAW = 3;
let sent = 0;
const startedAt = performance.now();
const isOver = () => sent >= order.countMax || performance.now() - startedAt > order.durationMsMax;
const macBytes = (text: string) => Uint8Array.from(text.split(":"), (byte) => Number.parseInt(byte, 16));

process.on("SIGTERM", () => end());
function end(): void {
  process.stdout.write(`${JSON.stringify({ sent, durationMs: performance.now() - startedAt })}\n`, () =>
    process.exit(0),
  );
}

/** One turn, then whatever the event loop has, then the next. */
function repeat(turn: () => void): void {
  if (isOver()) {
    end();
    return;
  }
  const before = sent;
  turn();
  if (before < order.countLeast && sent >= order.countLeast) process.stdout.write("flooding\n");
  if (order.pauseMs > 0) setTimeout(() => repeat(turn), order.pauseMs);
  else setImmediate(() => repeat(turn));
}

function floodFrames(kind: Exclude<Kind, "tls" | "probes">): void {
  const libc = koffi.load("libc.so.6");
  const socket = libc.func("int socket(int domain, int type, int protocol)");
  const sendto = libc.func(
    "int64_t sendto(int fd, void *bytes, uint64_t length, int flags, void *to, uint32_t size)",
  );
  const fd = socket(AF_PACKET, SOCK_RAW, 0) as number;
  if (fd < 0) throw new Error("no packet socket");
  const to = Buffer.alloc(20);
  to.writeUInt16LE(AF_PACKET);
  to.writeInt32LE(libc.func("uint32_t if_nametoindex(const char *name)")(order.interfaceName) as number, 4);
  const frames = packetsOf(kind, order.target).map((packet) => {
    const frame = Buffer.alloc(14 + packet.length);
    frame.set(macBytes(order.mac));
    frame.set(macBytes(order.ownMac), 6);
    frame.writeUInt16BE(0x0800, 12);
    frame.set(packet, 14);
    return frame;
  });
  let at = 0;
  repeat(() => {
    for (let i = 0; i < TURN_COUNT; i++) {
      const frame = frames[at++ % frames.length] as Buffer;
      if (kind === "init") nextPort(frame);
      if ((sendto(fd, frame, frame.length, 0, to, to.length) as number) > 0) sent += 1;
    }
  });
}

/** Another client's INIT: only clients send the same one twice. */
function nextPort(frame: Buffer): void {
  const before = frame.readUInt16BE(PORT_OFFSET);
  const after = before >= 65_000 ? FIRST_PORT : before + 1;
  const to = frame.readUInt16BE(PORT_OFFSET + 2);
  frame.writeUInt16BE(after, PORT_OFFSET);
  const change = checksumChange(portDelta(before, to, after, to), frame.length - PORT_OFFSET);
  storeChecksum(frame, PORT_OFFSET, readChecksum(frame, PORT_OFFSET) ^ change);
}

/** Connections that say a byte of a TLS record now and then, as many as one gets; closed ones begin anew. */
function floodTls(): void {
  const open = new Set<Socket>();
  repeat(() => {
    for (let i = 0; i < 64 && open.size < 1_024; i++) {
      const socket = connect(order.replicationPort, order.member);
      sent += 1;
      open.add(socket);
      socket.on("connect", () => socket.write(Uint8Array.of(0x16)));
      socket.on("error", () => {});
      socket.on("close", () => open.delete(socket));
    }
    for (const socket of open) if (socket.writable && Math.random() < 0.01) socket.write(Uint8Array.of(0x03));
  });
}

function floodProbes(): void {
  const socket = createSocket("udp4");
  const bytes = new Uint8Array(120);
  socket.on("error", () => {});
  repeat(() => {
    for (let i = 0; i < TURN_COUNT; i++) socket.send(bytes, order.probePort, order.member, () => {});
    sent += TURN_COUNT;
  });
}

if (order.kind === "tls") floodTls();
else if (order.kind === "probes") floodProbes();
else floodFrames(order.kind);

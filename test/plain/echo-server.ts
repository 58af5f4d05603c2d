// An echo of TCP and UDP at one port of every address of this host: what comes goes back. With `proxy` as
// its second word each TCP connection has to begin with a header of the PROXY protocol, version 2; who it
// names is written out, a line each, and a connection without one is reset.
import { createSocket } from "node:dgram";
import { createServer, type Socket } from "node:net";
import { addressFromBytes } from "@holdfast/model";

const [, , portText, mode] = process.argv;
const port = Number(portText);
const SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");

/** Of an address, by what the header says of family and protocol: TCP over IPv4, TCP over IPv6. */
const ADDRESS_SIZES: Readonly<Record<number, number>> = { 17: 4, 33: 16 };

/** Reads the header as nginx does: exact, from the first byte on. */
function begin(socket: Socket): void {
  let received = Buffer.alloc(0);
  const onData = (part: Buffer) => {
    received = Buffer.concat([received, part]);
    if (received.length < 16) return;
    const addressSize = received[12] === 0x21 ? ADDRESS_SIZES[received[13] as number] : undefined;
    const size = 16 + received.readUInt16BE(14);
    const isHeader = received.subarray(0, 12).equals(SIGNATURE) && addressSize !== undefined;
    if (!isHeader || size !== 16 + 2 * addressSize + 4) return void socket.resetAndDestroy();
    if (received.length < size) return;
    socket.off("data", onData);
    const place = (index: number) => {
      const port = received.readUInt16BE(16 + 2 * addressSize + 2 * index);
      return `${addressFromBytes(received, 16 + index * addressSize, addressSize)} ${port}`;
    };
    process.stdout.write(`client ${place(0)} to ${place(1)}\n`);
    socket.write(received.subarray(size));
    socket.pipe(socket);
  };
  socket.on("data", onData);
}

const server = createServer({ noDelay: true }, (socket) => {
  socket.on("error", () => {});
  if (mode === "proxy") begin(socket);
  else socket.pipe(socket);
});
// One socket of each kind for both families.
const datagrams = createSocket("udp6");
datagrams.on("message", (bytes, from) => datagrams.send(bytes, from.port, from.address));
server.listen({ port, host: "::", backlog: 4_096 }, () => {
  datagrams.bind(port, () => process.stdout.write("ready\n"));
});

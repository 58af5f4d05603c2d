// An echo of TCP and UDP at one port of every address of this host: what comes goes back.
import { createSocket } from "node:dgram";
import { createServer } from "node:net";

const port = Number(process.argv[2]);
const server = createServer({ noDelay: true }, (socket) => {
  socket.on("error", () => {});
  socket.pipe(socket);
});
const datagrams = createSocket("udp4");
datagrams.on("message", (bytes, from) => datagrams.send(bytes, from.port, from.address));
server.listen({ port, host: "0.0.0.0", backlog: 4_096 }, () => {
  datagrams.bind(port, () => process.stdout.write("ready\n"));
});

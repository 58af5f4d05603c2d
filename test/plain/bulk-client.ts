// Sends much to an echo through a VIP as the kernel sends much: segments of TCP, and datagrams of UDP, that
// leave in super-packets. Writes a line of JSON: how much came back as it went, and the datagrams' sizes.
import { createSocket } from "node:dgram";
import { connect } from "node:net";
import { setOption } from "@holdfast/forwarder/testing/programs";

const [, , address = "", portText, sizeText] = process.argv;
const [port, size] = [Number(portText), Number(sizeText)];
const SOL_UDP = 17;
const UDP_SEGMENT = 103;
const DATAGRAM_SIZE = 1_200;
const DATAGRAM_COUNT = 12;
const LAST_SIZE = 100;
/** Datagrams may be lost on a busy machine: their sender repeats itself. */
const AGAIN_MS = 2_000;

/** Its period is no power of two, so that a part in another's place is seen. */
const text = Buffer.from(Uint8Array.from({ length: size }, (_, i) => ((i % 65_521) * 31) >>> 5));

function stream(): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: address }, () => socket.end(text));
    let count = 0;
    socket.on("data", (part) => {
      if (part.equals(text.subarray(count, count + part.length))) count += part.length;
      else reject(new Error(`other bytes than went after ${count}`));
    });
    socket.on("error", reject);
    socket.on("close", () => resolve(count));
  });
}

function datagrams(): Promise<readonly number[]> {
  const all = DATAGRAM_SIZE * DATAGRAM_COUNT + LAST_SIZE;
  return new Promise((resolve, reject) => {
    const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
    let sizes: number[] = [];
    let timer: NodeJS.Timeout | undefined;
    const ask = () => {
      sizes = [];
      socket.send(text.subarray(0, all));
      timer = setTimeout(ask, AGAIN_MS);
    };
    socket.on("message", ({ length }) => {
      sizes.push(length);
      if (sizes.length <= DATAGRAM_COUNT) return;
      clearTimeout(timer);
      socket.close();
      resolve(sizes);
    });
    socket.on("error", reject);
    socket.connect(port, address, () => {
      const { fd } = (socket as unknown as { _handle: { readonly fd: number } })._handle;
      setOption(fd, SOL_UDP, UDP_SEGMENT, DATAGRAM_SIZE);
      ask();
    });
  });
}

process.stdout.write(`${JSON.stringify({ bytes: await stream(), sizes: await datagrams() })}\n`);

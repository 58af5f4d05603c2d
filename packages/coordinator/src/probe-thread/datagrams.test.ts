// What a wake-up asks of the kernel: a call for each socket, not for each datagram.
import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { suite, test } from "node:test";
import type { Address } from "@holdfast/model";
import { DATAGRAM_SIZE_MAX } from "../wire/message.ts";
import { closeSocket, connectSocket, Inbox, Outbox, openSocket, socketAddress } from "./datagrams.ts";

const PORT = 22_000 + (process.pid % 10_000);
const FAMILIES: readonly { readonly own: Address; readonly other: Address }[] = [
  { own: "127.0.15.1", other: "127.0.15.2" },
  { own: "::1", other: "::1" },
];

async function until(what: string, condition: () => boolean): Promise<void> {
  const limitMs = performance.now() + 15_000;
  while (!condition()) {
    assert.ok(performance.now() < limitMs, `waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

async function listener(address: Address, port: number): Promise<{ socket: Socket; heard: Buffer[] }> {
  const heard: Buffer[] = [];
  const socket = createSocket({ type: address.includes(":") ? "udp6" : "udp4", recvBufferSize: 1 << 20 });
  socket.on("message", (bytes) => heard.push(bytes));
  socket.bind({ address, port });
  await once(socket, "listening");
  return { socket, heard };
}

const OPTIONS = { receiveBufferSize: 1 << 20, hopLimit: 7 };

for (const { own, other } of FAMILIES) {
  suite(`datagrams from ${own}`, () => {
    test("what is said in one turn leaves with one call a socket, in order and whole", async () => {
      const { socket, heard } = await listener(other, PORT);
      const fds = [1, 2].map((offset) => openSocket({ address: own, port: PORT + offset }, OPTIONS));
      const outbox = new Outbox();
      try {
        const to = socketAddress({ address: other, port: PORT });
        const texts = Array.from({ length: 10 }, (_, i) => `${i} ${"x".repeat(i * 37)}`);
        const place = Buffer.alloc(1_000);
        for (const [i, text] of texts.entries())
          outbox.add(fds[i % 2] as number, to, place.subarray(0, place.write(text)));
        assert.equal(outbox.calls, 0);
        await until("all", () => heard.length === texts.length);
        assert.equal(outbox.calls, 2);
        assert.equal(outbox.failures, 0);
        const expected = [0, 1].flatMap((first) => texts.filter((_, i) => i % 2 === first));
        assert.deepEqual(heard.map(String), expected);
      } finally {
        for (const fd of fds) closeSocket(fd);
        socket.close();
      }
    });

    test("more than one call takes, and datagrams of the largest size, leave as well", async () => {
      const { socket, heard } = await listener(other, PORT);
      const fd = openSocket({ address: own, port: PORT + 1 }, OPTIONS);
      const outbox = new Outbox();
      try {
        const to = socketAddress({ address: other, port: PORT });
        for (let i = 0; i < 100; i++) outbox.add(fd, to, Uint8Array.of(i));
        for (let i = 0; i < 8; i++) outbox.add(fd, to, new Uint8Array(DATAGRAM_SIZE_MAX).fill(i));
        await until("all", () => heard.length === 108);
        assert.deepEqual(
          heard.map((bytes) => bytes[0]),
          [...Array(100).keys(), ...Array(8).keys()],
        );
        assert.equal(heard.at(-1)?.length, DATAGRAM_SIZE_MAX);
        assert.ok(heard.at(-1)?.every((byte) => byte === 7));
      } finally {
        closeSocket(fd);
        socket.close();
      }
    });

    test("all that waits on a socket is taken with one call; what is too long is too long", async () => {
      const inbox = new Inbox();
      const fd = openSocket({ address: own, port: PORT + 3 }, OPTIONS);
      const { socket } = await listener(other, PORT + 4);
      const heard: Uint8Array[] = [];
      try {
        inbox.add(fd, { take: (bytes) => heard.push(bytes.slice()), failed: assert.fail });
        const said = ["a", "bc", "d".repeat(DATAGRAM_SIZE_MAX + 100), "e", "f"];
        for (const text of said)
          await new Promise<void>((resolve) => {
            // Sent before this turn ends, so that nothing is read in between.
            socket.send(text, PORT + 3, own, () => resolve());
          });
        await until("all", () => heard.length === said.length);
        assert.deepEqual(
          heard.map(({ length }) => length),
          [1, 2, DATAGRAM_SIZE_MAX + 1, 1, 1],
        );
        assert.equal(Buffer.from(heard[1] as Uint8Array).toString(), "bc");
        const outbox = new Outbox();
        const to = socketAddress({ address: own, port: PORT + 3 });
        const before = inbox.calls;
        for (let i = 0; i < 5; i++) outbox.add(fd, to, Uint8Array.of(i));
        outbox.flush();
        inbox.read();
        assert.equal(heard.length, said.length + 5);
        assert.equal(inbox.calls - before, 2, "one that looks, one that takes");
      } finally {
        inbox.close();
        closeSocket(fd);
        socket.close();
      }
    });

    test("an ICMP error on a connected socket is told, and costs no datagram", async () => {
      const inbox = new Inbox();
      const fd = openSocket({ address: own, port: PORT + 5 }, OPTIONS);
      const heard: string[] = [];
      let errors = 0;
      try {
        assert.ok(connectSocket(fd, { address: other, port: PORT + 6 }));
        inbox.add(fd, {
          take: (bytes) => heard.push(Buffer.from(bytes).toString()),
          failed: () => {
            errors += 1;
          },
        });
        const outbox = new Outbox();
        outbox.add(fd, socketAddress({ address: other, port: PORT + 6 }), Buffer.from("to nobody"));
        await until("the error", () => errors > 0);
        const { socket } = await listener(other, PORT + 6);
        socket.send("after", PORT + 5, own);
        await until("what comes after", () => heard.includes("after"));
        socket.close();
      } finally {
        inbox.close();
        closeSocket(fd);
      }
    });
  });
}

test("an address that is not there is said with the kernel's reason", () => {
  assert.throws(() => openSocket({ address: "192.0.2.77", port: PORT }, OPTIONS), /bind EADDRNOTAVAIL/);
});

test("what the kernel does not take is counted, and the rest leaves", async () => {
  const { socket, heard } = await listener("127.0.15.2", PORT);
  const fd = openSocket({ address: "127.0.15.1", port: PORT + 1 }, OPTIONS);
  const outbox = new Outbox();
  try {
    const good = socketAddress({ address: "127.0.15.2", port: PORT });
    // Nobody may send to the broadcast address without asking for it.
    const refused = socketAddress({ address: "255.255.255.255", port: PORT });
    for (const to of [good, refused, refused, good]) outbox.add(fd, to, Buffer.from("x"));
    await until("both", () => heard.length === 2);
    assert.equal(outbox.failures, 2);
  } finally {
    closeSocket(fd);
    socket.close();
  }
});

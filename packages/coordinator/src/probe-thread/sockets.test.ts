import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import type { MemberAddress, MemberConfiguration } from "../configuration.ts";
import { ProbeSockets } from "./sockets.ts";

const PORT = 43_000 + (process.pid % 10_000);
const NETWORK = "path-a";
const at = (address: Address): MemberAddress => ({ network: NETWORK, address, port: PORT });
const OWN = at("127.0.14.1");
const MEMBER: MemberConfiguration = { name: "beta", number: 1, zone: "", addresses: [at("127.0.14.2")] };

async function from(address: Address, port = PORT): Promise<Socket> {
  const socket = createSocket({ type: "udp4" });
  socket.bind({ address, port });
  await once(socket, "listening");
  return socket;
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const limitMs = performance.now() + 15_000;
  while (!condition()) {
    assert.ok(performance.now() < limitMs, `waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

test("a stranger's flood of the probe port costs no member's datagram, and is counted", async () => {
  const heard: string[] = [];
  let overrun = 0;
  const sockets = new ProbeSockets({
    addresses: [OWN],
    members: [MEMBER],
    hopLimit: 64,
    receive: (bytes) => heard.push(Buffer.from(bytes).toString()),
    overrun: () => {
      overrun += 1;
    },
  });
  const member = await from("127.0.14.2");
  const strangers = await Promise.all([0, 1, 2, 3].map((i) => from("127.0.14.3", PORT + 1 + i)));
  try {
    const say = (socket: Socket, text: string) => socket.send(text, PORT, OWN.address);
    await until("the sockets to be there", () => {
      say(member, "hello");
      return heard.includes("hello");
    });
    // More than the buffer for strangers holds, again and again, with a member's datagram in between.
    const rounds = 40;
    for (let round = 0; round < rounds; round++) {
      for (const stranger of strangers) for (let i = 0; i < 250; i++) say(stranger, "x".repeat(200));
      say(member, `probe ${round}`);
      await new Promise(setImmediate);
    }
    await until("every probe of the member", () => heard.includes(`probe ${rounds - 1}`));
    const probes = heard.filter((text) => text.startsWith("probe"));
    assert.equal(probes.length, rounds);
    await until("what is not looked at to be counted", () => {
      for (let i = 0; i < 150; i++) say(strangers[0] as Socket, "x");
      return overrun > 0;
    });
    // Whatever the member itself says goes on being heard when ICMP says that nobody is there.
    sockets.send(() => Buffer.from("to a port that is closed"), {
      ...MEMBER,
      addresses: [{ ...at("127.0.14.2"), port: PORT + 99 }],
    });
    say(member, "after");
    await until("the member after an ICMP error", () => heard.includes("after"));
    // A member that speaks from an address of its own that nobody configured is heard, too.
    const odd = await from("127.0.14.4");
    await until("an odd address", () => {
      say(odd, "odd");
      return heard.includes("odd");
    });
    odd.close();
  } finally {
    sockets.close();
    for (const socket of [member, ...strangers]) socket.close();
  }
});

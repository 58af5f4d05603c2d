import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { afterEach, test } from "node:test";
import { STRANGER_COUNT_MAX, STRANGER_COUNT_MAX_PER_SOURCE, WaitingRoom } from "./waiting-room.ts";

const MEMBER = "127.0.200.1";
const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

/** A port with a waiting room in front; loopback lets every test have as many sources as it wants. */
async function open(options: { waitingMs?: number; placeMs?: number } = {}) {
  const reasons: string[] = [];
  const entered: Socket[] = [];
  const room = new WaitingRoom({
    isMember: (address) => address === MEMBER,
    refused: (reason) => reasons.push(reason),
    ...options,
  });
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.resume();
    if (room.enter(socket)) entered.push(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  cleanups.push(() => {
    room.close();
    server.close();
  });
  const dial = (localAddress: string): Socket => {
    const socket = connect({ host: "127.0.0.1", port, localAddress });
    socket.on("error", () => {});
    cleanups.push(() => socket.destroy());
    return socket;
  };
  return { room, reasons, entered, dial };
}

/** Not events.once: a reset on the way, which it would throw for, is a refusal as well. */
const refused = (socket: Socket) => new Promise<void>((resolve) => socket.once("close", () => resolve()));

test("a byte now and then keeps no place: the time is absolute", async () => {
  const { reasons, dial } = await open({ waitingMs: 250 });
  const socket = dial("127.0.0.2");
  await once(socket, "connect");
  const trickle = setInterval(() => socket.write("x"), 20);
  cleanups.push(() => clearInterval(trickle));
  await refused(socket);
  assert.deepEqual(reasons, ["too-slow"]);
});

test("one source has few places, all strangers a bounded number, members theirs", async () => {
  const { reasons, entered, dial } = await open();
  const first = Array.from({ length: STRANGER_COUNT_MAX_PER_SOURCE }, () => dial("127.0.0.3"));
  await Promise.all(first.map((socket) => once(socket, "connect")));
  await refused(dial("127.0.0.3"));
  for (let i = 0; entered.length < STRANGER_COUNT_MAX; i++) {
    const socket = dial(`127.0.1.${i + 1}`);
    await once(socket, "connect");
    // The server's side of it may come a turn later.
    while (entered.length < STRANGER_COUNT_MAX_PER_SOURCE + i + 1) await new Promise(setImmediate);
  }
  await refused(dial("127.0.2.1"));
  assert.deepEqual(reasons, ["too-many", "too-many"]);
  const member = dial(MEMBER);
  await once(member, "connect");
  while (entered.length < STRANGER_COUNT_MAX + 1) await new Promise(setImmediate);
  assert.equal(entered.at(-1)?.remoteAddress, MEMBER);
});

test("a place is free again a while after it was left, at once when its holder was authenticated", async () => {
  const { room, reasons, entered, dial } = await open({ placeMs: 300 });
  const all = Array.from({ length: STRANGER_COUNT_MAX_PER_SOURCE }, () => dial("127.0.0.4"));
  while (entered.length < all.length) await new Promise(setImmediate);
  // Given up at once, as a flood of handshakes would: the places stay taken for their time.
  all[0]?.destroy();
  await refused(entered[0] as Socket);
  await refused(dial("127.0.0.4"));
  assert.deepEqual(reasons, ["too-many"]);
  room.authenticated(entered[1] as Socket);
  const next = dial("127.0.0.4");
  while (entered.length < all.length + 1) await new Promise(setImmediate);
  assert.equal(next.destroyed, false);
  // … and then they are free.
  for (;;) {
    const late = dial("127.0.0.4");
    const count = entered.length;
    await Promise.race([refused(late), once(late, "connect")]);
    while (entered.length === count && !late.destroyed && !late.readableEnded)
      await new Promise(setImmediate);
    if (entered.length > count) break;
  }
});

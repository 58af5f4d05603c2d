import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import koffi from "koffi";
import { sendUnixDatagram } from "./libc.ts";
import { ServiceManager } from "./service-manager.ts";

function played(environment: NodeJS.ProcessEnv) {
  const said: string[] = [];
  const send = (socket: string, text: string) => {
    said.push(`${socket} ${text}`);
    return true;
  };
  return { said, manager: new ServiceManager(environment, send, 42) };
}

test("what happens is told in the manager's words, the same status once", () => {
  const { said, manager } = played({ NOTIFY_SOCKET: "/run/notify" });
  manager.ready();
  manager.status("ready; 1 VIPs");
  manager.status("ready; 1 VIPs");
  manager.status("not ready:\nwhy");
  manager.reloading(1_234_567n);
  manager.alive();
  manager.stopping(20_000);
  assert.deepEqual(said, [
    "/run/notify READY=1",
    "/run/notify STATUS=ready; 1 VIPs",
    "/run/notify STATUS=not ready: why",
    "/run/notify RELOADING=1\nMONOTONIC_USEC=1234",
    "/run/notify WATCHDOG=1",
    "/run/notify STOPPING=1\nEXTEND_TIMEOUT_USEC=20000000",
  ]);
});

test("what a manager did not take is said again, signs of life are not", () => {
  const said: string[] = [];
  let takes = false;
  const manager = new ServiceManager(
    { NOTIFY_SOCKET: "/run/notify" },
    (_socket, text) => {
      if (takes) said.push(text);
      return takes;
    },
    42,
  );
  manager.alive();
  manager.ready();
  manager.alive();
  manager.status("ready");
  takes = true;
  manager.status("ready");
  assert.deepEqual(said, ["READY=1", "STATUS=ready"]);
});

test("nothing is said to nobody, and a watchdog of another process is not fed", () => {
  const { said, manager } = played({});
  manager.ready();
  manager.alive();
  assert.deepEqual(said, []);
  assert.equal(manager.beatMs, undefined);
  const watched = (pid?: string) =>
    played({ WATCHDOG_USEC: "20000000", ...(pid !== undefined && { WATCHDOG_PID: pid }) }).manager.beatMs;
  assert.equal(watched("42"), 5_000);
  assert.equal(watched(), 5_000);
  assert.equal(watched("43"), undefined);
  assert.equal(played({ WATCHDOG_USEC: "soon" }).manager.beatMs, undefined);
});

describe("a datagram to a unix socket", () => {
  const libc = koffi.load("libc.so.6");
  const call = {
    socket: libc.func("int socket(int domain, int type, int protocol)"),
    bind: libc.func("int bind(int fd, const uint8_t *address, uint32_t length)"),
    recv: libc.func("int64_t recv(int fd, uint8_t *bytes, size_t size, int flags)"),
    close: libc.func("int close(int fd)"),
  };
  let directory: string;
  before(() => {
    directory = mkdtempSync(join(tmpdir(), "holdfast-notify-"));
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  for (const kind of ["path", "abstract name"]) {
    test(`reaches one with a${kind === "path" ? "" : "n"} ${kind}`, () => {
      const name = kind === "path" ? join(directory, "notify") : `@holdfast-notify-${process.pid}`;
      const fd: number = call.socket(1, 2, 0);
      const raw = Buffer.from(kind === "path" ? `${name}\0` : name.replace("@", "\0"));
      const address = Buffer.concat([Buffer.from([1, 0]), raw]);
      assert.equal(call.bind(fd, address, address.length), 0);
      assert.equal(sendUnixDatagram(name, "READY=1"), true);
      const bytes = Buffer.alloc(64);
      const length = Number(call.recv(fd, bytes, bytes.length, 0));
      assert.equal(bytes.toString("utf8", 0, length), "READY=1");
      call.close(fd);
    });
  }

  test("is not waited for when nobody reads", () => {
    const name = join(directory, "full");
    const fd: number = call.socket(1, 2, 0);
    const address = Buffer.concat([Buffer.from([1, 0]), Buffer.from(`${name}\0`)]);
    assert.equal(call.bind(fd, address, address.length), 0);
    let count = 0;
    while (sendUnixDatagram(name, "WATCHDOG=1")) assert.ok(++count < 100_000);
    call.close(fd);
  });

  test("does not leave for one that is not there, or whose name is too long", () => {
    assert.equal(sendUnixDatagram(join(directory, "nobody"), "READY=1"), false);
    assert.equal(sendUnixDatagram(`/${"x".repeat(200)}`, "READY=1"), false);
    assert.equal(sendUnixDatagram("", "READY=1"), false);
  });
});

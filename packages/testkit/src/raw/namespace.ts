// Sockets of another network namespace in this process: the thread visits the namespace, opens, and comes
// back. A socket stays in the namespace where it was made.
import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import koffi from "koffi";

const CLONE_NEWNET = 0x40000000;

function bind() {
  const libc = koffi.load("libc.so.6");
  return {
    setns: libc.func("int setns(int fd, int kind)"),
    socket: libc.func("int socket(int domain, int type, int protocol)"),
    bind: libc.func("int bind(int fd, void *address, uint32_t length)"),
    setsockopt: libc.func("int setsockopt(int fd, int level, int name, void *value, uint32_t length)"),
    sendto: libc.func(
      "int64_t sendto(int fd, void *bytes, uint64_t length, int flags, void *address, uint32_t addressLength)",
    ),
    recvfrom: libc.func(
      "int64_t recvfrom(int fd, void *bytes, uint64_t length, int flags, void *address, void *addressLength)",
    ),
    close: libc.func("int close(int fd)"),
    if_nametoindex: libc.func("uint32_t if_nametoindex(const char *name)"),
  };
}

let bound: ReturnType<typeof bind> | undefined;

export function libc(): ReturnType<typeof bind> {
  bound ??= bind();
  return bound;
}

/** `result` of a system call, or an error with the call's name and errno. */
export function checked(call: string, result: number): number {
  if (result < 0) {
    const errno = koffi.errno();
    const code = Object.entries(koffi.os.errno).find(([, value]) => value === errno)?.[0] ?? errno;
    throw new Error(`${call}: ${code}`);
  }
  return result;
}

/** Runs `make`, which must not wait for anything, with this thread in a named namespace. */
export function inNamespace<T>(namespace: string, make: () => T): T {
  const own = openSync("/proc/thread-self/ns/net", "r");
  const other = openSync(`/run/netns/${namespace}`, "r");
  try {
    checked("setns", libc().setns(other, CLONE_NEWNET));
    try {
      return make();
    } finally {
      // Going on in the wrong namespace would touch the machine's own network.
      assert.equal(libc().setns(own, CLONE_NEWNET), 0, "the thread cannot leave the namespace");
    }
  } finally {
    closeSync(own);
    closeSync(other);
  }
}

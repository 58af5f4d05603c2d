// Probes over real sockets, against servers on the loopback that answer in every way.
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { type HealthKind, STATUS_DEFAULT, statusRanges } from "@holdfast/model";
import { askOverSockets } from "./connect-probe.ts";
import type { ProbeOutcome, ProbeQuestion } from "./probe.ts";

const LIMIT_MS = 10_000;

/** The outcome, or "silence" when nothing came of it until `until` resolves. */
function ask(
  question: Partial<ProbeQuestion> & { readonly kind: HealthKind; readonly port: number },
  until?: Promise<unknown>,
): Promise<ProbeOutcome | "silence"> {
  return new Promise((resolve, reject) => {
    const limit = setTimeout(() => reject(new Error("no outcome")), LIMIT_MS);
    const settle = (outcome: ProbeOutcome | "silence") => {
      clearTimeout(limit);
      resolve(outcome);
    };
    const full: ProbeQuestion = {
      address: "127.0.0.1",
      path: "/",
      send: "",
      expect: "",
      status: STATUS_DEFAULT,
      ...question,
    };
    const attempt = askOverSockets(full, settle);
    void until?.then(() => {
      attempt.cancel();
      settle("silence");
    });
  });
}

const ANSWERED = { kind: "answered" };
const missed = (what: string) => ({ kind: "missed", what });

test("tcp: a connection, or the answer that is expected", async () => {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (data) => socket.end(data.toString() === "PING" ? "PO" : "no"));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  try {
    assert.deepEqual(await ask({ kind: "tcp", port }), ANSWERED);
    assert.deepEqual(await ask({ kind: "tcp", port, send: "PING", expect: "PO" }), ANSWERED);
    assert.deepEqual(
      await ask({ kind: "tcp", port, send: "QUIT", expect: "PO" }),
      missed("answered with something else"),
    );
    const http = await ask({ kind: "http", port });
    assert.deepEqual(http, missed("answered with something else than HTTP"));
  } finally {
    server.close();
    await once(server, "close");
  }
  assert.deepEqual(await ask({ kind: "tcp", port }), missed("refused"));
});

test("udp: a refusal is a miss, silence is an answer unless one is expected", async () => {
  const server = createSocket("udp4");
  let heard: () => void = () => {};
  server.on("message", (data, { port, address }) => {
    heard();
    if (data.toString() === "PING") server.send("PONG", port, address);
  });
  server.bind(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  assert.deepEqual(await ask({ kind: "udp", port, send: "PING", expect: "PO" }), ANSWERED);
  const quiet = new Promise<void>((resolve) => {
    heard = resolve;
  });
  assert.equal(await ask({ kind: "udp", port, send: "x" }, quiet), "silence");
  const question = { kind: "udp", address: "127.0.0.1", port, path: "/", send: "", expect: "" } as const;
  for (const [expect, kind] of [
    ["", "answered"],
    ["PO", "missed"],
  ] as const) {
    const attempt = askOverSockets({ ...question, expect, status: STATUS_DEFAULT }, () => {});
    assert.equal(attempt.atTimeout.kind, kind);
    attempt.cancel();
  }
  server.close();
  await once(server, "close");
  assert.deepEqual(await ask({ kind: "udp", port }), missed("refused"));
});

test("http: a status below 400, and the text that is expected in the body", async () => {
  const server = createHttpServer((request, response) => {
    if (request.url === "/broken") response.writeHead(503).end("ok");
    else if (request.url === "/cut") {
      response.writeHead(200, { "content-length": "100" }).write("half");
      response.destroy();
    } else
      response.writeHead(request.url === "/moved" ? 302 : 200).end(`all is ok at ${request.headers.host}`);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  try {
    assert.deepEqual(await ask({ kind: "http", port, path: "/ready" }), ANSWERED);
    assert.deepEqual(await ask({ kind: "http", port, path: "/moved" }), ANSWERED);
    assert.deepEqual(await ask({ kind: "http", port, expect: `ok at 127.0.0.1:${port}` }), ANSWERED);
    assert.deepEqual(
      await ask({ kind: "http", port, expect: "bad" }),
      missed("answered with something else"),
    );
    assert.deepEqual(
      await ask({ kind: "http", port, path: "/broken", expect: "ok" }),
      missed("answered with status 503, not 100-399"),
    );
    const only = (path: string, ...status: (number | string)[]) =>
      ask({ kind: "http", port, path, status: statusRanges(status) ?? [] });
    assert.deepEqual(await only("/broken", "500-599"), ANSWERED);
    assert.deepEqual(await only("/moved", 302, "200-204"), ANSWERED);
    assert.deepEqual(
      await only("/moved", "200-204", 404),
      missed("answered with status 302, not 200-204, 404"),
    );
    assert.deepEqual(await only("/ready", 204), missed("answered with status 200, not 204"));
    assert.equal(
      ((await ask({ kind: "http", port, path: "/cut", expect: "other" })) as ProbeOutcome).kind,
      "missed",
    );
    // Nobody speaks TLS there.
    assert.deepEqual(await ask({ kind: "https", port }), missed("failed in TLS"));
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

/** Sends `head`, then without an end. */
function endless(head: string): (socket: Socket) => void {
  return (socket) => {
    const part = Buffer.alloc(65_536, "a");
    const send = () => {
      while (!socket.destroyed && socket.write(part));
    };
    socket.on("error", () => {});
    socket.on("data", () => {});
    socket.on("drain", send);
    socket.write(head);
    send();
  };
}

for (const [kind, head] of [
  ["http", "HTTP/1.0 200 OK\r\n\r\n"],
  ["tcp", "hello"],
] as const)
  test(`${kind}: an answer without an end is left when as much has come as is looked through`, async () => {
    const sockets: Socket[] = [];
    const flood = endless(head);
    const server = createServer((socket) => {
      sockets.push(socket);
      flood(socket);
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    try {
      assert.deepEqual(await ask({ kind, port, expect: "b" }), missed("answered with something else"));
      assert.deepEqual(await ask({ kind, port }), ANSWERED);
    } finally {
      for (const socket of sockets) socket.destroy();
      server.close();
    }
  });

test("an answer that stops before the expected text is not called silence", async () => {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    socket.once("data", () => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n"));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const base = { address: "127.0.0.1", port, path: "/", status: STATUS_DEFAULT } as const;
  try {
    for (const question of [
      { ...base, kind: "http", send: "", expect: "ready" },
      { ...base, kind: "tcp", send: "x", expect: "ready" },
    ] as const) {
      const attempt = askOverSockets(question, () => assert.fail("nothing is clear yet"));
      assert.deepEqual(attempt.atTimeout, missed("unanswered"));
      const limitMs = performance.now() + LIMIT_MS;
      while (JSON.stringify(attempt.atTimeout) !== JSON.stringify(missed("answered with something else"))) {
        assert.ok(performance.now() < limitMs, "what came is still called silence");
        await new Promise((resolve) => setImmediate(resolve));
      }
      attempt.cancel();
    }
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
});

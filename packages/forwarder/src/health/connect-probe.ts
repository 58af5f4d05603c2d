// Probes over the kernel's own sockets: TCP, UDP, HTTP. The kernel picks the source, which is an address of
// this node, since no VIP is on any of its interfaces.
import { createSocket } from "node:dgram";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect } from "node:net";
import { type Address, familyOf, statusText } from "@holdfast/model";
import {
  ANSWERED,
  type Ask,
  type ProbeAttempt,
  type ProbeOutcome,
  type ProbeQuestion,
  UNANSWERED,
} from "./probe.ts";

/** Bytes of an answer in which the expected text must stand. */
const ANSWER_BYTES_MAX = 65_536;

const OTHERWISE: ProbeOutcome = { kind: "missed", what: "answered with something else" };

type Tell = Parameters<Ask>[1];

/** Asks with sockets of this process's network namespace. */
export const askOverSockets: Ask = (question, tell) => {
  switch (question.kind) {
    case "tcp":
      return askTcp(question, tell);
    case "udp":
      return askUdp(question, tell);
    case "http":
    case "https":
      return askHttp(question, tell);
    default:
      throw new Error(`assertion: ${question.kind} is not asked over a socket`);
  }
};

/** Why a socket failed, in words, or the kernel's code. */
function failure(error: Error): string {
  const code = (error as NodeJS.ErrnoException).code ?? error.message;
  const words: Readonly<Record<string, string>> = {
    ECONNREFUSED: "refused",
    ECONNRESET: "reset",
    EHOSTUNREACH: "unreachable",
    ENETUNREACH: "unreachable",
    EPROTO: "failed in TLS",
  };
  if (code.startsWith("HPE_")) return "answered with something else than HTTP";
  // The other side's word: a certificate that it wants, a version that it does not speak.
  if (code.startsWith("ERR_SSL_"))
    return `failed in TLS: ${code.slice("ERR_SSL_".length).toLowerCase().replaceAll("_", " ")}`;
  return words[code] ?? code;
}

/** Tells once; nothing after `close`. */
function once(
  tell: Tell,
  close: () => void,
  atTimeout: () => ProbeOutcome,
): { readonly tell: Tell; readonly attempt: ProbeAttempt } {
  let isOver = false;
  return {
    tell(outcome) {
      if (isOver) return;
      isOver = true;
      close();
      tell(outcome);
    },
    attempt: {
      cancel() {
        if (isOver) return;
        isOver = true;
        close();
      },
      get atTimeout() {
        return atTimeout();
      },
    },
  };
}

/**
 * Collects an answer until it is clear what it is: the expected text stands in it, or as many bytes as are
 * looked through have come without it. An answer without an end would be read until the time is out.
 */
class Collector {
  readonly #expect: string;
  #text = "";

  constructor(expect: string) {
    this.#expect = Buffer.from(expect, "utf8").toString("latin1");
  }

  /** When nothing more comes. */
  get atTimeout(): ProbeOutcome {
    return this.#text === "" ? UNANSWERED : OTHERWISE;
  }

  /** undefined: not clear yet. */
  take(part: Buffer): ProbeOutcome | undefined {
    this.#text = (this.#text + part.toString("latin1")).slice(0, ANSWER_BYTES_MAX);
    if (this.#text.includes(this.#expect)) return ANSWERED;
    return this.#text.length < ANSWER_BYTES_MAX ? undefined : OTHERWISE;
  }
}

function askTcp({ address, port, send, expect }: ProbeQuestion, told: Tell): ProbeAttempt {
  const socket = connect({ host: address, port });
  const answer = new Collector(expect);
  const { tell, attempt } = once(
    told,
    () => socket.destroy(),
    () => answer.atTimeout,
  );
  socket.on("connect", () => {
    if (send !== "") socket.write(send);
    if (expect === "") tell(ANSWERED);
  });
  socket.on("data", (part) => {
    const outcome = expect === "" ? undefined : answer.take(part);
    if (outcome !== undefined) tell(outcome);
  });
  socket.on("error", (error) => tell({ kind: "missed", what: failure(error) }));
  socket.on("close", () => tell(OTHERWISE));
  return attempt;
}

/** Without an expected answer silence is one: only a host that refuses says anything. */
function askUdp({ address, port, send, expect }: ProbeQuestion, told: Tell): ProbeAttempt {
  const socket = createSocket(familyOf(address) === 6 ? "udp6" : "udp4");
  const answer = new Collector(expect);
  const { tell, attempt } = once(
    told,
    () => socket.close(),
    () => (expect === "" ? ANSWERED : answer.atTimeout),
  );
  socket.on("error", (error) => tell({ kind: "missed", what: failure(error) }));
  socket.on("message", (part) => {
    const outcome = expect === "" ? ANSWERED : answer.take(part);
    if (outcome !== undefined) tell(outcome);
  });
  // Connected, so that the kernel hands on a refusal.
  socket.connect(port, address, (error?: Error) => {
    if (error !== undefined && error !== null) return tell({ kind: "missed", what: failure(error) });
    try {
      socket.send(send);
    } catch {
      // Closed meanwhile.
    }
  });
  return attempt;
}

function askHttp(
  { kind, address, port, path, expect, status: wanted }: ProbeQuestion,
  told: Tell,
): ProbeAttempt {
  const options = {
    host: address,
    port,
    path,
    agent: false as const,
    headers: { host: hostHeader(address, port), "user-agent": "holdfast", connection: "close" },
    // What is asked is whether it lives, not who it is.
    rejectUnauthorized: false,
  };
  const request = kind === "https" ? httpsRequest(options) : httpRequest(options);
  const answer = new Collector(expect);
  let hasBegun = false;
  const { tell, attempt } = once(
    told,
    () => request.destroy(),
    () => (hasBegun ? OTHERWISE : UNANSWERED),
  );
  request.on("error", (error) => tell({ kind: "missed", what: failure(error) }));
  request.on("response", (response: IncomingMessage) => {
    hasBegun = true;
    const status = response.statusCode ?? 0;
    if (!wanted.some(([least, most]) => status >= least && status <= most))
      return tell({ kind: "missed", what: `answered with status ${status}, not ${statusText(wanted)}` });
    if (expect === "") return tell(ANSWERED);
    response.on("data", (part: Buffer) => {
      const outcome = answer.take(part);
      if (outcome !== undefined) tell(outcome);
    });
    response.on("error", (error) => tell({ kind: "missed", what: failure(error) }));
    response.on("close", () => tell(OTHERWISE));
  });
  request.end();
  return attempt;
}

function hostHeader(address: Address, port: number): string {
  return familyOf(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`;
}

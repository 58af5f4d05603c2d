// Entry of the worker thread. It owns the engine, Automerge and the sockets; the main thread keeps its loop
// for packets.
import { parentPort } from "node:worker_threads";
import { HoldfastError, type Logger } from "@holdfast/model";
import type { Revocation } from "../certificates/revocation.ts";
import type { MemberTls } from "../certificates/verify.ts";
import type { ToEngine, ToView } from "../ports/link.ts";
import { type EngineHost, hostEngine } from "./engine-host.ts";
import { ENGINE_SLICE_MS, PortLink } from "./port-link.ts";
import type { FromHost, LogLevel, ToHost } from "./protocol.ts";

const control = parentPort;
if (control === null) throw new Error("engine-worker runs in a worker thread");

const say = (message: FromHost) => control.postMessage(message);

/** pino lives in the main thread; what cannot be cloned is said in words. */
function remoteLogger(bound: object): Logger {
  const at = (level: LogLevel) => (fields: object, message: string) => {
    const all = { ...bound, ...fields };
    try {
      say({ kind: "log", level, fields: all, message });
    } catch {
      say({ kind: "log", level, fields: { text: String(JSON.stringify(all)) }, message });
    }
  };
  return {
    trace: () => {},
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    child: (fields) => remoteLogger({ ...bound, ...fields }),
  };
}

let host: EngineHost | undefined;
/** Certificates that came before the host was there. */
let tlsBefore: MemberTls | undefined;
let revokedBefore: readonly Revocation[] | undefined;
let link: PortLink<ToView, ToEngine> | undefined;

control.on("message", (message: ToHost) => {
  switch (message.kind) {
    case "start":
      link = new PortLink(message.port, ENGINE_SLICE_MS);
      hostEngine(message.options, link, remoteLogger({})).then(
        (started) => {
          host = started;
          if (tlsBefore !== undefined) host.setTls(tlsBefore);
          if (revokedBefore !== undefined) host.setRevoked(revokedBefore);
          say({ kind: "started", bound: started.bound });
        },
        (error: unknown) => {
          // Anything but an operator's mistake is ours: the thread ends with it, and the main one hears
          // "error".
          if (!(error instanceof HoldfastError)) throw error;
          say({ kind: "refused", code: error.code, details: error.details });
        },
      );
      break;
    case "counters":
      if (host !== undefined) say({ kind: "counters", token: message.token, counters: host.counters() });
      break;
    case "tls":
      if (host === undefined) tlsBefore = message.tls;
      else host.setTls(message.tls);
      break;
    case "revoked":
      if (host === undefined) revokedBefore = message.list;
      else host.setRevoked(message.list);
      break;
    case "beat":
      say({ kind: "beat" });
      break;
    case "stop":
      void stop();
      break;
  }
});

async function stop(): Promise<void> {
  await host?.stop();
  link?.close();
  say({ kind: "stopped" });
  control?.close();
}

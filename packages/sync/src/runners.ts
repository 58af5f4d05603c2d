// Where the engine runs: in a thread of its own, in the caller's, or where a simulation wants it; and the
// link to it.
import { MessageChannel } from "node:worker_threads";
import type { HoldfastError } from "@holdfast/model";
import type { Revocation } from "./certificates/revocation.ts";
import type { MemberTls } from "./certificates/verify.ts";
import type { EngineLink, ToEngine, ToView } from "./ports/link.ts";
import type { Sync, SyncOptions } from "./sync.ts";
import { type EngineHost, hostEngine } from "./worker/engine-host.ts";
import { ENGINE_SLICE_MS, PortLink, VIEW_SLICE_MS } from "./worker/port-link.ts";
import type { HostOptions } from "./worker/protocol.ts";
import { Supervisor } from "./worker/supervisor.ts";

export interface Runner {
  readonly listening: Sync["listening"];
  counters(): Promise<ReturnType<EngineHost["counters"]> | undefined>;
  setTls(tls: MemberTls): void;
  setRevoked(list: readonly Revocation[]): void;
  restartCount(): number;
  crash(): Promise<void>;
  kill(): Promise<void>;
  stop(): Promise<void>;
}

export async function runThread(
  hostOptions: HostOptions,
  options: SyncOptions,
  link: RelayLink,
  events: {
    unlinked(): void;
    restarted(): void;
    answers(does: boolean): void;
    failed(error: HoldfastError): void;
  },
): Promise<Runner> {
  const supervisor = new Supervisor(hostOptions, options.clock, options.logger, {
    linked: (port, restarted) => {
      link.attach(port);
      if (restarted) events.restarted();
    },
    unlinked: () => {
      link.detach();
      events.unlinked();
    },
    answers: events.answers,
    failed: events.failed,
  });
  await supervisor.start();
  return {
    listening: supervisor.bound,
    counters: () => supervisor.counters(),
    setTls: (tls) => supervisor.setTls(tls),
    setRevoked: (list) => supervisor.setRevoked(list),
    restartCount: () => supervisor.restartCount,
    crash: () => supervisor.crash(),
    kill: () => supervisor.kill(),
    stop: () => supervisor.stop(),
  };
}

export async function runInline(
  hostOptions: HostOptions,
  options: SyncOptions,
  link: RelayLink,
): Promise<Runner> {
  const { port1, port2 } = new MessageChannel();
  const viewEnd = new PortLink<ToEngine, ToView>(port1, VIEW_SLICE_MS);
  const engineEnd = new PortLink<ToView, ToEngine>(port2, ENGINE_SLICE_MS);
  link.attach(viewEnd);
  const host = await hostEngine(hostOptions, engineEnd, options.logger, options.clock, options.random);
  return {
    listening: host.bound,
    counters: () => Promise.resolve(host.counters()),
    setTls: (tls) => host.setTls(tls),
    setRevoked: (list) => host.setRevoked(list),
    restartCount: () => 0,
    crash: () => Promise.resolve(),
    kill: () => host.stop(),
    stop: async () => {
      await host.stop();
      viewEnd.close();
      engineEnd.close();
    },
  };
}

/** The engine runs where the caller wants it. */
export async function runHosted(host: NonNullable<SyncOptions["host"]>, link: RelayLink): Promise<Runner> {
  const engine = await host((target) => link.attach(target));
  return {
    listening: [],
    counters: () => Promise.resolve(undefined),
    setTls: () => {},
    setRevoked: () => {},
    restartCount: () => 0,
    crash: () => Promise.resolve(),
    kill: () => engine.stop(),
    stop: () => engine.stop(),
  };
}

/** The replica's link, whichever engine is behind it now; what is said while there is none is lost. */
export class RelayLink implements EngineLink<ToEngine, ToView> {
  #target: EngineLink<ToEngine, ToView> | undefined;
  #listener: ((message: ToView) => void) | undefined;

  attach(target: EngineLink<ToEngine, ToView>): void {
    this.#target = target;
    target.listen((message) => {
      if (this.#target === target) this.#listener?.(message);
    });
  }

  detach(): void {
    this.#target = undefined;
  }

  post(message: ToEngine): void {
    this.#target?.post(message);
  }

  listen(listener: (message: ToView) => void): void {
    this.#listener = listener;
  }
}

// What a daemon hangs on the session table: the forwarder with its flows, and the catalogue of the API. The
// fast path below takes flows and keeps none, as the kernel would keep them; packets do not come.
import { createForwarder, type FastPath } from "@holdfast/forwarder";
import { noReplication, type SessionView, silentLogger, systemClock, systemRandom } from "@holdfast/model";
import { SessionCatalogue } from "@holdfast/node/testing";
import { ENDPOINTS, SERVICE_PORT, VIPS } from "./workload.ts";

export interface Listeners {
  /** Flows that the kernel would hold now. */
  readonly flowCount: number;
}

export function listen(view: SessionView, memberNumber: number): Listeners {
  const fastPath = new CountingFastPath();
  const forwarder = createForwarder({
    fastPath,
    table: view,
    replication: noReplication,
    clock: systemClock,
    random: systemRandom(),
    logger: silentLogger,
    memberNumber,
  });
  forwarder.setServices([
    {
      id: `sctp/${VIPS[0]}:${SERVICE_PORT}`,
      name: "bench",
      protocol: 132,
      vips: VIPS,
      port: SERVICE_PORT,
      selection: "leastAssociations",
      endpoints: ENDPOINTS.map((address) => ({ address, port: SERVICE_PORT, weight: 1, state: "active" })),
      idleTimeoutS: 900,
      restartNewAddresses: "abort",
      clientPrefixes: [],
      withdrawWhenDown: false,
    },
  ]);
  forwarder.start();
  new SessionCatalogue([view], systemClock);
  return fastPath;
}

class CountingFastPath implements FastPath, Listeners {
  readonly mode = "tc";
  readonly plain = {
    install: () => true,
    remove: () => {},
    read: () => undefined,
    stateOf: () => undefined,
    refresh: () => undefined,
    sweep: () => undefined,
  };
  flowCount = 0;
  interfaces(): readonly [] {
    return [];
  }

  viaTc(): readonly [] {
    return [];
  }

  nowMs(): number {
    return systemClock.nowMs();
  }
  setLocal(): void {}
  setEndpoints(): void {}
  install(): boolean {
    this.flowCount++;
    return true;
  }
  remove(): void {
    this.flowCount--;
  }
  counters(): undefined {
    return undefined;
  }
  sweep(): undefined {
    return undefined;
  }
  onPunt(): void {}
  start(): void {}
  send(): boolean {
    return true;
  }
  totals(): ReadonlyMap<string, number> {
    return new Map();
  }
  signOfLife(): void {}
  detach(): Promise<void> {
    return Promise.resolve();
  }
  uninstall(): Promise<void> {
    return Promise.resolve();
  }
}

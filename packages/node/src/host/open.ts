// The preparation of a member's host, from its configuration.
import type { HostStatus } from "@holdfast/api";
import { type Clock, HoldfastError, type Logger } from "@holdfast/model";
import type { OwnMember } from "../config/check.ts";
import type { Configuration } from "../config/schema.ts";
import type { Readiness } from "../readiness.ts";
import { loopNames } from "./loop.ts";
import { HostPreparation } from "./preparation.ts";
import { hostTools } from "./tools.ts";

export interface OpenHostOptions {
  readonly configuration: Configuration;
  readonly own: OwnMember;
  /** On which packets of VIPs come in. */
  readonly servingInterfaces: () => readonly string[];
  readonly hasInterface: (name: string) => boolean;
  readonly readiness: Pick<Readiness, "advise">;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface PreparedHost {
  /** undefined: nothing is to be prepared. */
  readonly preparation: HostPreparation | undefined;
  /** Gone with the last of the data plane. */
  removeLoop(): Promise<void>;
  /** `mode`: of the fast path. */
  status(mode: string): HostStatus | undefined;
}

/** The names of the loop; undefined: it is not wanted. */
export function configuredLoop({ host }: Configuration) {
  return host.loop ? loopNames(host.loopName) : undefined;
}

/**
 * Makes the loop, and takes away what an earlier start made and this one does not want. Throws
 * HOST_LOOP_NAME_TAKEN, HOST_IP_FAILED.
 */
export async function openHost(options: OpenHostOptions): Promise<PreparedHost> {
  const { configuration, own, readiness, clock, logger } = options;
  const { loop, loopName, identityNat, rpFilter } = configuration.host;
  const preparation = new HostPreparation(
    {
      loop: loop ? { name: loopName } : undefined,
      identityNat,
      natTable: { name: `holdfast_${loopName}` },
      rpFilter,
      servingInterfaces: options.servingInterfaces,
      owner: `${configuration.cluster.id}/${own.name}`,
    },
    hostTools,
    clock,
    logger.child({ component: "host" }),
  );
  const isWanted = loop || identityNat;
  // Where nothing is wanted, ip and nft need not be there.
  if (!loop && options.hasInterface(loopNames(loopName).near))
    await preparation.removeLoop(loopName).catch(() => {});
  if (loop) await preparation.open();
  if (!identityNat) void preparation.removeNat().catch(() => {});
  const status = (mode: string): HostStatus | undefined => {
    if (!isWanted) return undefined;
    const { warnings, ...rest } = preparation.status;
    const more = loop && mode === "userspace" ? [needsBpf(mode)] : [];
    return { ...rest, warnings: [...warnings, ...more] };
  };
  preparation.onStatus = ({ warnings }) =>
    readiness.advise(
      "host",
      warnings.length === 0,
      warnings.length === 0
        ? "this host is prepared"
        : warnings.map(({ code, message }) => `${code}: ${message}`).join(" "),
    );
  return {
    preparation: isWanted ? preparation : undefined,
    removeLoop: async () => (loop ? preparation.removeLoop(loopName) : undefined),
    status,
  };
}

function needsBpf(mode: string) {
  const { code, message, remedy } = new HoldfastError("HOST_LOOP_NEEDS_BPF", { mode });
  return { code, message, remedy };
}

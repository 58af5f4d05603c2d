// The configuration's timers and maxima as the forwarder wants them.
import { type ForwarderLimits, LIMITS_DEFAULT, scaledLimits } from "@holdfast/forwarder";
import type { Configuration } from "../config/schema.ts";

export function limitsOf({ timers, dataPlane }: Configuration): ForwarderLimits {
  const unscaled: ForwarderLimits = {
    ...LIMITS_DEFAULT,
    initTimeoutMs: timers.initS * 1000,
    handshakeTimeoutMs: timers.handshakeS * 1000,
    pendingTimeoutMs: timers.handshakeS * 1000,
    shutdownTimeoutMs: timers.shutdownS * 1000,
    lingerMs: timers.closedLingerS * 1000,
    natPortRestVerifiedMs: timers.closedLingerS * 1000,
    natPortRestUnseenMs: timers.quarantineS * 1000,
    embryoCountMaxPerService: dataPlane.embryoCountMaxPerService,
    embryoCountMaxPerPrefix: dataPlane.embryoCountMaxPerPrefix,
  };
  if (timers.scale === 1) return unscaled;
  // What keeps the machine going is no time-out of the protocol: it stays.
  const { tickPeriodMs, sweepPeriodMs, heardPeriodMs, natPortLoanMs, natPortRequiredMs, initAgeMaxMs } =
    unscaled;
  return {
    ...scaledLimits(1 / timers.scale, unscaled),
    tickPeriodMs,
    sweepPeriodMs,
    heardPeriodMs,
    natPortLoanMs,
    natPortRequiredMs,
    initAgeMaxMs,
  };
}

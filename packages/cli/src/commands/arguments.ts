import type { HealthCheckSpec, ServiceAnnounceSpec, ServiceInput } from "@holdfast/api";
import { InvalidArgumentError } from "commander";

/** A whole number of the command line. */
export function integer(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("it is not a whole number");
  return Number(text);
}

/** For options that may be given several times. */
export function collect(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}

/**
 * `ADDRESS:PORT[*WEIGHT]`, `[IPV6]:PORT[*WEIGHT]`; of a server with several addresses `ADDRESS,ADDRESS:PORT`,
 * its identity first, where `[ADDRESS,ADDRESS]:PORT` is the same and what IPv6 needs.
 */
export function endpointArgument(text: string): {
  address?: string;
  addresses?: string[];
  port: number;
  weight?: number;
} {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})(?:\*(\d{1,5}))?$/.exec(text);
  const addresses = (match?.[1] ?? match?.[2])?.split(",");
  const [address] = addresses ?? [];
  if (match === null || addresses === undefined || address === undefined)
    throw new InvalidArgumentError("write ADDRESS:PORT, [IPV6]:PORT, or with a weight ADDRESS:PORT*WEIGHT");
  return {
    ...(addresses.length > 1 ? { addresses } : { address }),
    port: Number(match[3]),
    ...(match[4] !== undefined && { weight: Number(match[4]) }),
  };
}

/** JSON: ranks alone, or all that a service may say of its routes. The member judges it. */
export function announceArgument(text: string): ServiceAnnounceSpec {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new InvalidArgumentError(`it is not JSON: ${(cause as Error).message}`);
  }
  return (Array.isArray(value) ? { ranks: value } : value) as ServiceAnnounceSpec;
}

const CHECK_KINDS = ["none", "ping", "sctp", "tcp", "udp", "http", "https"] as const;

/** `200`, `200-299`, or several with commas between. */
export function statusArgument(text: string): NonNullable<HealthCheckSpec["status"]> {
  const words = text.split(",").map((word) => word.trim());
  if (!words.every((word) => /^[1-5]\d\d(-[1-5]\d\d)?$/.test(word)))
    throw new InvalidArgumentError("write statuses and ranges, as 200 or 200,204,300-399");
  return words.map((word) => (word.includes("-") ? word : Number(word)));
}

/** `KIND`, `KIND:PORT`, and for http and https a path behind it: `http:8080/ready`. */
export function healthCheckArgument(text: string): HealthCheckSpec {
  const match = /^([a-z]+)(?::(\d{1,5}))?(\/\S*)?$/.exec(text);
  const kind = CHECK_KINDS.find((each) => each === match?.[1]);
  if (match === null || kind === undefined)
    throw new InvalidArgumentError(
      `write KIND, KIND:PORT or http:PORT/PATH; the kinds are ${CHECK_KINDS.join(", ")}`,
    );
  return {
    kind,
    ...(match[2] !== undefined && { port: Number(match[2]) }),
    ...(match[3] !== undefined && { path: match[3] }),
  };
}

const IDLE_NAMES = {
  established: "establishedS",
  transitory: "transitoryS",
  flow: "flowS",
  oneShot: "oneShotS",
} as const;

/** `NAME=SECONDS,NAME=SECONDS`: established and transitory of tcp, flow and oneShot of udp. */
export function idleArgument(text: string): NonNullable<ServiceInput["idle"]> {
  const idle: Partial<Record<(typeof IDLE_NAMES)[keyof typeof IDLE_NAMES], number>> = {};
  for (const part of text.split(",")) {
    const match = /^(established|transitory|flow|oneShot)=(\d{1,6})$/.exec(part);
    if (match === null)
      throw new InvalidArgumentError(
        "write established=SECONDS,transitory=SECONDS or flow=SECONDS,oneShot=SECONDS",
      );
    idle[IDLE_NAMES[match[1] as keyof typeof IDLE_NAMES]] = Number(match[2]);
  }
  return idle;
}

// Where a new member finds the others: `cluster.join`.
import type { JoinAddress } from "@holdfast/sync";
import type { Configuration } from "../config/schema.ts";

const ENTRY = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/;

/** `HOST:PORT`, `[IPV6]:PORT`; undefined when it is neither. A name is resolved whenever it is dialled. */
export function joinAddressOf(text: string): JoinAddress | undefined {
  const match = ENTRY.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host === undefined || port < 1 || port > 65_535 ? undefined : { host, port };
}

/** Empty: the file lists members, or this one is alone; then nobody has to be found. */
export function joinAddresses({ cluster }: Configuration): readonly JoinAddress[] {
  return cluster.join.map(joinAddressOf).filter((each) => each !== undefined);
}

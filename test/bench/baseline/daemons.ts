// Daemons of either build in one lab: a configuration that both read, and nothing that one leaves for the
// other.
import { rmSync } from "node:fs";
import { type ClusterOptions, ENDPOINT_PORT, LAB_PROFILE, type Member } from "@holdfast/testkit";

/** The lab's first endpoint. */
const ENDPOINT_NUMBER = 100;

/** A lab whose configuration has no field younger than the first baseline. */
export function plainly(members: number): ClusterOptions {
  return {
    members,
    vips: ["203.0.113.1", "198.51.100.1"],
    service: { endpoints: [{ address: LAB_PROFILE.endpoint(ENDPOINT_NUMBER, 0).ipv4, port: ENDPOINT_PORT }] },
  };
}

/** What a member keeps goes: pinned maps and store. */
export function forget(member: Member): void {
  for (const directory of [member.pinDirectory, member.storeDirectory])
    rmSync(directory, { recursive: true, force: true });
}

/** A busy machine. */
const START_LIMIT_MS = 180_000;

/** Resolves when all of them are ready. */
export async function startAll(members: readonly Member[]): Promise<void> {
  await Promise.all(members.map((member) => member.start(START_LIMIT_MS)));
}

export async function stopAll(members: readonly Member[]): Promise<void> {
  await Promise.all(members.filter((member) => member.running).map((member) => member.stop()));
}

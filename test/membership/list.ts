// The list of members as the members of a scene have it, and the operator's commands about it.
import { execFile } from "node:child_process";
import { HOLDFAST_PROGRAM, type Member, until } from "@holdfast/testkit";
import type { Scene } from "../cluster/scene.ts";

/** A change of the list settles for as long as a handshake may take; short, so that tests need not wait. */
export const SETTLE_S = 2;

export interface MemberList {
  readonly version: number;
  readonly items: readonly {
    readonly name: string;
    readonly number: number;
    readonly phase: string;
    readonly addresses: readonly string[];
  }[];
  readonly resting: readonly { readonly number: number; readonly name: string; readonly waitS: number }[];
}

export const listOf = (member: Member) => member.get<MemberList>("/v1/members");
export const namesOf = ({ items }: MemberList) => items.map(({ name }) => name).sort();

/** Every running member has the same list, hears everybody on it, and names the same owners. */
export async function allAgree(scene: Scene): Promise<void> {
  const { cluster } = scene;
  await until(
    "one list at all members",
    async () => {
      const running = cluster.members.filter((member) => member.running);
      const lists = await Promise.all(running.map(listOf));
      const expected = cluster.members.map(({ name }) => name).sort();
      return lists.every(
        (list) =>
          namesOf(list).join() === expected.join() &&
          running.every(({ name }) => list.items.find((item) => item.name === name)?.phase === "alive"),
      );
    },
    60_000,
  );
  await cluster.settled();
}

export interface Said {
  readonly status: number;
  readonly out: string;
  readonly problem: string;
}

/** `holdfast member …`, as an operator says it at a member. */
export function say(at: Member, ...words: readonly string[]): Promise<Said> {
  const command = ["--disable-warning=ExperimentalWarning", HOLDFAST_PROGRAM, "--api", `unix:${at.socket}`];
  return new Promise((resolve) =>
    execFile(process.execPath, [...command, "member", ...words], (error, out, problem) =>
      resolve({
        status: typeof error?.code === "number" ? error.code : error === null ? 0 : 1,
        out,
        problem,
      }),
    ),
  );
}

/** Again until the last change has settled. */
export function sayOnceSettled(at: Member, ...words: readonly string[]): Promise<Said> {
  return until(
    `holdfast member ${words.join(" ")}`,
    async () => {
      const said = await say(at, ...words);
      return !said.problem.includes("MEMBERS_SETTLING") && said;
    },
    30_000,
    200,
  );
}

/** One of each network. */
export function addressesOf(member: Member): string[] {
  return ["cluster", "path-a", "path-b", "path-c", "core"].map(
    (network) => member.host.addresses(network)[0] as string,
  );
}

/** The same, as `member add` and `certificates issue` take them. */
export const addressWords = (member: Member) => addressesOf(member).flatMap((each) => ["--address", each]);

/** A spare of the scene that is on the list now. */
export function isListed(scene: Scene, spare: Member): void {
  const { members, spares } = scene.cluster;
  spares.splice(spares.indexOf(spare), 1);
  members.push(spare);
}

export function isRemoved(scene: Scene, member: Member): void {
  const { members } = scene.cluster;
  members.splice(members.indexOf(member), 1);
}

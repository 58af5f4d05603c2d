// What a member says of its routers, and the process that speaks for it.
import { readFileSync } from "node:fs";
import type { RouterView } from "@holdfast/api";
import { type Member, until } from "@holdfast/testkit";

export const routersOf = async (member: Member) =>
  (await member.get<{ items: RouterView[] }>("/v1/routers")).items;

export async function routerOf(member: Member, name: string): Promise<RouterView> {
  const found = (await routersOf(member)).find((router) => router.name === name);
  if (found === undefined) throw new Error(`${member.name} knows no router ${name}`);
  return found;
}

export const isUp = ({ session, bfd }: RouterView) => session === "Established" && bfd === "Up";

/** All sessions of a member, BFD included. */
export const speaksAgain = (member: Member) =>
  until(`${member.name}'s sessions, BFD included`, async () => (await routersOf(member)).every(isUp), 60_000);

/** The member's log has a line with this in it, after the first `from` characters. */
export const says = (member: Member, text: string, from = 0) =>
  until(`${member.name} to say '${text}'`, () => member.log().slice(from).includes(text), 60_000);

/** The daemon's child that speaks BGP. */
export function speakerOf(member: Member): number {
  const { pid } = member;
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ");
  const found = children.find((child) => {
    try {
      return readFileSync(`/proc/${child}/comm`, "utf8") === "bird\n";
    } catch {
      return false;
    }
  });
  if (found === undefined) throw new Error(`${member.name} has no speaker`);
  return Number(found);
}

/** One sample of /v1/metrics, by its name with labels. */
export async function sample(member: Member, name: string): Promise<number> {
  const { body } = await member.fetch("GET", "/v1/metrics");
  const line = body.split("\n").find((each) => each.startsWith(`${name} `));
  if (line === undefined) throw new Error(`${member.name} has no metric ${name}`);
  return Number(line.split(" ").at(-1));
}

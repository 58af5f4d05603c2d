// What is done to members, and what must follow.
import assert from "node:assert/strict";
import type { Address } from "@holdfast/model";
import { type Member, until } from "@holdfast/testkit";
import type { Scene } from "./scene.ts";

/** Every member that runs and is not `member` names another owner. */
export async function goneFrom(scene: Scene, member: Member, vip: Address): Promise<void> {
  const others = scene.cluster.members.filter((other) => other.running && other !== member);
  await until(`${vip} to leave ${member.name}`, async () => {
    const views = await Promise.all(others.map((other) => scene.cluster.owners(other)));
    return views.every((view) => view.has(vip) && view.get(vip) !== member.name);
  });
}

/** `action` is done to a member, a second's messages pass, and every VIP that it owned is with it still. */
export async function staysPut(
  scene: Scene,
  member: Member,
  action: () => void | Promise<void>,
): Promise<void> {
  const before = [...(await scene.cluster.settled())].filter(([, owner]) => owner === member.name);
  assert.ok(before.length > 0);
  await action();
  await scene.flowing(50);
  for (const other of scene.cluster.members.filter((m) => m.running)) {
    const after = await scene.cluster.owners(other);
    const now = before.map(([vip]) => [vip, after.get(vip)]);
    assert.deepEqual(now, before, `VIPs as ${other.name} sees them`);
  }
}

/** The owner of a VIP loses the VIP's own network, and nothing else. */
export async function aloneOn(scene: Scene, vip: Address): Promise<void> {
  const { cluster } = scene;
  const owner = await scene.ownerOf(vip);
  const network = cluster.networkOf(vip, 3);
  const before = await cluster.settled();
  const affected = cluster.vips.filter(
    (other) => before.get(other) === owner.name && cluster.networkOf(other, 3) === network,
  );
  owner.host.cut(network);
  const after = await scene.moved(vip, owner);
  await scene.flowing(20);
  for (const other of cluster.vips.filter((v) => !affected.includes(v)))
    assert.equal(after.get(other), before.get(other), `${other} had no reason to move`);
  for (const member of cluster.members) assert.ok(member.running);
  owner.host.heal(network);
  await cluster.settled();
  await scene.flowing(10);
}

/**
 * Longer than the longest time that a member takes nothing after it was presumed dead while it lived (30 s).
 */
export const RETURN_MS_MAX = 60_000;

/** The daemon starts and owns a VIP again; what its API says first, it held when it took the VIP. */
export async function bringBack(scene: Scene, member: Member): Promise<void> {
  const others = scene.cluster.members.filter((other) => other.running && other !== member);
  const ids = (await scene.sessions(others[0])).map(({ id }) => id).sort();
  const namedBy = async () => {
    const views = await Promise.all(others.map((other) => scene.cluster.owners(other)));
    return views.filter((view) => [...view.values()].includes(member.name)).length;
  };
  // Until its death is known it is named for what it was.
  await until(`${member.name} to be missed`, async () => (await namedBy()) === 0);
  member.launch();
  await until(`${member.name} to own a VIP again`, async () => (await namedBy()) > 0, RETURN_MS_MAX);
  const held = await scene.sessions(member);
  assert.deepEqual(held.map(({ id }) => id).sort(), ids);
  await member.ready();
  await scene.cluster.settled();
}

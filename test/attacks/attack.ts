// A member with associations of real stacks, an attacker on the clients' networks without a stack, and what
// must hold when the attack is over.
import assert from "node:assert/strict";
import type { Address } from "@holdfast/model";
import { CHUNK } from "@holdfast/sctp";
import {
  brief,
  type CapturedPacket,
  leaksOf,
  ownAbortsOf,
  RawHost,
  ScriptedClient,
  SERVICE_PORT,
  until,
} from "@holdfast/testkit";
import { Scene, type SceneOptions } from "../cluster/scene.ts";

/** Index of the attacker's host. */
export const ATTACKER = 1;
/**
 * … and of one where a stack may start later: two stacks on one host would abort each other's associations.
 */
export const NEWCOMER = 2;

export interface Attack {
  readonly scene: Scene;
  readonly raw: RawHost;
  /** The attacker's own address, and the one that everybody else uses first. */
  readonly own: Address;
  readonly victim: Address;
  readonly primary: Address;
}

export async function underAttack(options: SceneOptions, story: (attack: Attack) => Promise<void>) {
  await Scene.play(
    { clients: [3, 1, 2], rate: 50, withoutStack: [ATTACKER, NEWCOMER], ...options },
    async (scene) => {
      const { cluster } = scene;
      const raw = new RawHost(cluster.clients[ATTACKER] as (typeof cluster.clients)[number]);
      const attack = {
        scene,
        raw,
        own: cluster.clientAddresses(ATTACKER)[0] as Address,
        victim: cluster.clientAddresses(0)[0] as Address,
        primary: cluster.vips[0] as Address,
      };
      await scene.confirmed();
      await story(attack);
      await hold(attack);
    },
  );
}

/** The attacker as a client with an association of its own. */
export function scripted(attack: Attack, port: number, addresses: readonly Address[] = [attack.own]) {
  return new ScriptedClient(attack.raw, {
    port,
    servicePort: SERVICE_PORT,
    addresses,
    vips: attack.scene.cluster.vips,
  });
}

/** Tag and port that the victim's peer wants: what only somebody on the path knows. */
export function stolen(attack: Attack): { tag: number; reflected: number; port: number } {
  const { scene, primary } = attack;
  // Stacks send from any of their addresses, to any VIP.
  const addresses = scene.cluster.clientAddresses(0);
  const packets = scene.atClients.flatMap((capture) => capture.packets());
  const has = (p: CapturedPacket, type: number) =>
    p.sctp?.chunks.some((chunk) => chunk.type === type) === true;
  const there = packets.findLast((p) => addresses.includes(p.source) && has(p, CHUNK.DATA));
  const back = packets.findLast((p) => addresses.includes(p.destination) && has(p, CHUNK.SACK));
  if (there?.sctp === undefined || back?.sctp === undefined) throw new Error(`nothing to or from ${primary}`);
  return {
    tag: there.sctp.verificationTag,
    reflected: back.sctp.verificationTag,
    port: there.sctp.sourcePort,
  };
}

/** Packets that the members dropped, by reason. */
export async function drops(scene: Scene): Promise<Map<string, number>> {
  const sums = new Map<string, number>();
  for (const member of scene.cluster.members.filter(({ running }) => running)) {
    const { body } = await member.fetch("GET", "/v1/metrics");
    for (const [, reason, value] of body.matchAll(
      /^holdfast_(?:fast|slow)_path_dropped_packets_total\{reason="([^"]+)"\} (\d+)/gm,
    )) {
      sums.set(reason as string, (sums.get(reason as string) ?? 0) + Number(value));
    }
  }
  return sums;
}

/** Drops for any of the reasons rise by `count` at least because of `action`. */
export async function dropped(
  scene: Scene,
  reasons: readonly string[],
  count: number,
  action: () => Promise<void> | void,
): Promise<void> {
  const sum = async () => {
    const all = await drops(scene);
    return reasons.reduce((total, reason) => total + (all.get(reason) ?? 0), 0);
  };
  const before = await sum();
  await action();
  await until(
    `${count} drops because of ${reasons.join(" or ")}`,
    async () => (await sum()) >= before + count,
    5_000,
    20,
  ).catch(async (error: unknown) => {
    throw new Error(
      `${(error as Error).message}: ${JSON.stringify([...(await drops(scene))].filter(([, n]) => n > 0))}`,
    );
  });
}

/** No association noticed, and nobody saw an address that is not for him. */
async function hold({ scene }: Attack): Promise<void> {
  const { cluster } = scene;
  for (const member of cluster.members) assert.ok(!member.crashed, `${member.name} ended by itself`);
  await scene.flowing(20);
  const figures = (await Promise.all(scene.clients.map((client) => client.settle()))).flat();
  const receipts = (await Promise.all(scene.servers.map((server) => server.receipts()))).flat();
  for (const figure of figures) {
    const about = `association ${figure.id}: ${JSON.stringify(figure)}`;
    const receipt = receipts.find(({ client }) => client === figure.id);
    assert.ok(figure.up && figure.ups === 1, about);
    assert.equal(figure.lost + figure.restarts + figure.retries, 0, about);
    assert.ok(figure.sent > 0, about);
    assert.equal(receipt?.received, figure.sent, `${about}: messages lost`);
    assert.equal(receipt.duplicates + receipt.corrupt, 0, JSON.stringify(receipt));
  }
  for (const capture of [...scene.atClients, ...scene.atEndpoints]) await capture.stop();
  const fromVips = (packets: readonly CapturedPacket[]) =>
    packets.filter(({ source }) => cluster.vips.includes(source));
  const atClients = scene.atClients.flatMap((capture) => capture.packets());
  const atEndpoints = scene.atEndpoints.flatMap((capture) => capture.packets());
  const clients = cluster.clients.flatMap((_, index) => cluster.clientAddresses(index));
  const endpoints = cluster.endpoints.flatMap((host) => host.addresses("core"));
  const none = (packets: readonly CapturedPacket[], what: string) =>
    assert.deepEqual(packets.slice(0, 10).map(brief), [], `${packets.length} × ${what}`);
  none(leaksOf(fromVips(atEndpoints), clients), "a client's address at an endpoint");
  none(leaksOf(fromVips(atClients), endpoints), "an endpoint's address at a client");
  none(ownAbortsOf([...atClients, ...atEndpoints], cluster.vips), "an ABORT of Holdfast's own");
}

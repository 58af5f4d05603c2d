import assert from "node:assert/strict";
import { test } from "node:test";
import type { QueueDiscipline } from "../../netlink/disciplines.ts";
import type { Link } from "../../netlink/messages.ts";
import { Crossings, type HandOver } from "./crossings.ts";

const INDEX = 7;

function link(changes: Partial<Link> = {}): Link {
  return {
    index: INDEX,
    name: "eth0",
    mac: Uint8Array.of(2, 0, 0, 0, 0, 1),
    mtu: 1_500,
    ethernet: true,
    loopback: false,
    up: true,
    carrier: true,
    kind: "veth",
    isFar: true,
    physical: false,
    master: undefined,
    receiveDrops: 0,
    transmitDrops: 0,
    ...changes,
  };
}

class World {
  disciplines: QueueDiscipline[] = [
    { interfaceIndex: INDEX, kind: "noqueue" },
    { interfaceIndex: 8, kind: "fq_codel" },
  ];
  programCount = 0;
  askedCount = 0;
  readonly changed: number[] = [];
  readonly answers: boolean[] = [];
  readonly crossings: Crossings;

  constructor(handOver: HandOver = "veth") {
    this.crossings = new Crossings({
      handOver,
      disciplines: () => {
        this.askedCount++;
        return this.disciplines;
      },
      egressProgramCount: () => this.programCount,
    });
    this.crossings.onAnswer = (_, may) => this.answers.push(may);
    this.crossings.onChange = (index) => this.changed.push(index);
  }
}

test("a veth into another network namespace is crossed where nothing waits for packets that leave", () => {
  assert.equal(new World().crossings.may(link()), true);
  for (const other of [link({ isFar: false }), link({ kind: "macvlan" }), link({ kind: undefined })])
    assert.equal(new World().crossings.may(other), false);
  for (const kind of ["netem", "clsact", "ingress"]) {
    const world = new World();
    world.disciplines.push({ interfaceIndex: INDEX, kind });
    assert.equal(world.crossings.may(link()), false, kind);
  }
  const world = new World();
  world.programCount = 1;
  assert.equal(world.crossings.may(link()), false);
});

test("nothing is crossed, and nobody asked, unless the operator wants it", () => {
  const world = new World("none");
  assert.equal(world.crossings.may(link()), false);
  world.crossings.refresh();
  assert.deepEqual([world.askedCount, world.answers, world.changed], [0, [], []]);
});

test("what comes later is found, and told", () => {
  const world = new World();
  world.crossings.refresh();
  assert.equal(world.askedCount, 0);
  world.crossings.may(link());
  world.crossings.refresh();
  assert.deepEqual(world.changed, []);
  world.disciplines = [{ interfaceIndex: INDEX, kind: "tbf" }];
  world.crossings.refresh();
  assert.deepEqual([world.changed, world.crossings.may(link())], [[INDEX], false]);
  world.disciplines = [];
  world.crossings.refresh();
  assert.deepEqual([world.changed, world.crossings.may(link())], [[INDEX, INDEX], true]);
  assert.deepEqual(world.answers, [true, false, true]);
  // Its other end came here.
  assert.equal(world.crossings.may(link({ isFar: false })), false);
});

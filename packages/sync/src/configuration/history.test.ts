// What a change of the configuration costs, and when its history is cut.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as Automerge from "@automerge/automerge";
import { type Address, type FileImage, PROTOCOL_SCTP, serviceIdOf } from "@holdfast/model";
import { type ConfigurationDocument, HISTORY_BYTES_MAX } from "./configuration-document.ts";
import { Cluster, endpoint, service } from "./testing/cluster.ts";

/** Changes that documents encode while `body` runs. */
function encodedIn(body: () => void): number {
  const backend = Automerge.getBackend(Automerge.init());
  const prototype = Object.getPrototypeOf(backend) as typeof backend;
  backend.free();
  const { getChanges } = prototype;
  let count = 0;
  prototype.getChanges = function (heads) {
    const changes = getChanges.call(this, heads);
    count += changes.length;
    return changes;
  };
  try {
    body();
  } finally {
    prototype.getChanges = getChanges;
  }
  return count;
}

test("a change encodes itself, and not the history before it", () => {
  const cluster = new Cluster(2);
  const [a, b] = cluster.documents as [ConfigurationDocument, ConfigurationDocument];
  const edits = 40;
  const count = encodedIn(() => {
    for (let i = 0; i < edits; i++) {
      a.setPin("203.0.113.1", i % 2 === 0 ? "m1" : "m2");
      cluster.deliver();
    }
  });
  assert.equal(b.historyCount, edits + 1, "all in one epoch");
  // Its writer sends it, and each of the two counts its bytes.
  assert.ok(count <= 3 * edits, `${count} changes encoded for ${edits}`);
  for (const document of cluster.documents) document.free();
});

test("an epoch ends with the change that takes its history beyond a mebibyte, epoch after epoch", () => {
  const cluster = new Cluster(2);
  const [a, b] = cluster.documents as [ConfigurationDocument, ConfigurationDocument];
  const longest = 64 * 1024;
  const endpoints = Array.from({ length: 32 }, (_, i) => String(i).padStart(32, "0"));
  const ids = Array.from({ length: 32 }, (_, i) => serviceIdOf(PROTOCOL_SCTP, `203.0.113.${i}`, 38412));
  let edits = 0;
  for (let epoch = 0; epoch < 2; epoch++) {
    for (let bytes = 0; ; ) {
      const fields = String(edits++).padStart(32, "0");
      const image: FileImage = { fields, vips: ["203.0.113.1"], endpoints };
      const put = new Map(ids.map((id) => [id, image]));
      a.commit({ file: { member: "m0", put, remove: [] } });
      const sent = cluster.queue.flatMap(({ changes }) => changes);
      cluster.deliver();
      assert.equal(b.historyCount, a.historyCount);
      if (a.historyCount === 1) {
        assert.ok(bytes > HISTORY_BYTES_MAX - longest, `a new epoch after ${bytes} bytes`);
        break;
      }
      for (const { length } of sent) bytes += length;
      assert.ok(bytes <= HISTORY_BYTES_MAX, `${bytes} bytes in one epoch`);
    }
  }
  assert.deepEqual(cluster.refusals, []);
  for (const document of cluster.documents) document.free();
});

test("what is read of a change alone is what is read of all", () => {
  for (let seed = 1; seed <= 3; seed++) {
    const cluster = new Cluster(3, seed);
    const { random } = cluster;
    for (let round = 0; round < 25; round++) {
      cluster.cut = random.below(3) > 0;
      const document = cluster.documents[random.below(3)] as ConfigurationDocument;
      const vip: Address = `203.0.113.${1 + random.below(3)}`;
      const what = random.below(4);
      if (what === 0) document.deleteService(serviceIdOf(PROTOCOL_SCTP, vip, 38412));
      else if (what === 1) document.setPin(vip, random.below(2) === 0 ? undefined : `m${random.below(3)}`);
      else {
        const endpoints = [endpoint("10.0.0.1", random.below(9)), endpoint(`10.0.0.${2 + random.below(2)}`)];
        document.putService(service(vip, { name: `n${random.below(9)}`, endpoints }));
      }
      if (!cluster.cut) cluster.heal();
      cluster.deliver();
      for (const each of cluster.documents) {
        const again = cluster.make(9, seed * 100 + round);
        assert.ok(again.load(each.save()));
        assert.deepEqual(each.services(), again.services());
        assert.deepEqual([...each.pins()], [...again.pins()]);
        assert.equal(each.version(), again.version());
        again.free();
      }
    }
    cluster.agree();
    for (const document of cluster.documents) document.free();
  }
});

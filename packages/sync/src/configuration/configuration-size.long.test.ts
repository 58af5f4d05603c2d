// How much configuration there may be.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { FileImage } from "@holdfast/model";
import { decodePeerMessage, encodePeerMessage } from "../messages/codec.ts";
import type { ConfigurationDocument } from "./configuration-document.ts";
import { Cluster, endpoint, service } from "./testing/cluster.ts";

test("a thousand services in the files of three members fit; what does not fit is refused before it is written", () => {
  const cluster = new Cluster(2);
  const [a, b] = cluster.documents as [ConfigurationDocument, ConfigurationDocument];
  const many = (second: number, count = 1_024) =>
    Array.from({ length: count }, (_, i) =>
      service(`203.${second}.${i >> 8}.${i & 255}`, {
        name: `service-${i}`,
        endpoints: [endpoint(`10.0.${i >> 8}.${i & 255}`), endpoint(`10.1.${i >> 8}.${i & 255}`)],
        endpointRemoval: { mode: "drain", graceS: 300 },
        managedBy: "file@m0",
      }),
    );
  const services = many(0);
  const image: FileImage = {
    fields: "0".repeat(32),
    vips: ["203.0.113.1"],
    endpoints: ["0".repeat(14), "1".repeat(14)],
  };
  const put = new Map(services.map(({ id }) => [id, image]));
  a.commit({ put: services, file: { member: "m0", put, remove: [] } });
  for (const member of ["m1", "m2"]) a.commit({ file: { member, put, remove: [] } });
  assert.throws(() => a.commit({ put: many(1) }), /the configuration is full/);
  cluster.deliver();
  // One that knows nothing of it gets all of it, in one message that a peer takes.
  cluster.documents.push(cluster.make(2, 77));
  cluster.heal();
  const whole = cluster.queue.find(({ to, changes }) => to === 2 && changes.length > 0);
  cluster.deliver();
  for (const document of cluster.documents) assert.equal(document.services().length, 1_024);
  assert.equal(b.version(), cluster.documents[2]?.version());
  const heads = [...(whole?.heads ?? [])];
  const message = { kind: "configuration", heads, changes: [...(whole?.changes ?? [])] } as const;
  const encoded = encodePeerMessage(message);
  assert.ok(decodePeerMessage(encoded).ok);
  assert.deepEqual(cluster.refusals, []);
  // Room is made by taking away.
  a.commit({ remove: services.slice(0, 600).map(({ id }) => id) });
  a.commit({ put: many(1, 50) });
  for (const document of cluster.documents) document.free();
});

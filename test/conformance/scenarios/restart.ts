// A new INIT on a living association: real, forged, colliding.
import assert from "node:assert/strict";
import { addressBytes } from "@holdfast/model";
import {
  CAUSE,
  CHUNK,
  type Chunk,
  encodeAbort,
  encodeAddress,
  encodeCookieAck,
  encodeInit,
  encodeInitAck,
  encodeParameter,
  findChunk,
  PARAMETER,
  parseCauses,
} from "@holdfast/sctp";
import {
  ENDPOINT_PORT,
  hasChunk,
  listedAddresses,
  pause,
  RawHost,
  ScriptedClient,
  until,
} from "@holdfast/testkit";
import type { Scenario } from "../scenario.ts";

/** Longest life of an unproven restart, before it is scaled. */
const PENDING_MS = 75_000;

export const restarts: readonly Scenario[] = [
  {
    number: 17,
    name: "Restart with the same addresses",
    rfc: "9260 §5.2.4 A",
    done: "A client's process is killed and started again on the same port.",
    seen: "The endpoint reports a restart; same endpoint, same NAT port; INIT at the endpoint lists the VIPs only.",
    everywhere: true,
    async run(context) {
      await context.open({ clients: [2] });
      // Ten unanswered heartbeats on four paths are three seconds: an endpoint that gives up by then sees no
      // restart.
      const server = await context.cluster.startEndpoint(0, { assocMaxRetrans: 200 });
      const first = await context.cluster.startClient(0, { rate: 100 });
      await context.confirmed([first, server], 4);
      await context.flowing(server);
      const { natPort } = await context.session();
      await first.kill();
      // A stack that starts would answer what the dead one left with ABORTs, and the endpoint forget: not a
      // restart.
      const second = await context.cluster.startClient(0, { rate: 100, id: 500, blackhole: true });
      await second.established(1);
      await until("the endpoint to report the restart", () => server.count("restart") === 1);
      await context.confirmed([second], 4);
      await until("the session to be the new one", async () => !(await context.session()).pending);
      assert.equal((await context.session()).natPort, natPort);
      const inits = (await context.atEndpoint()).filter((p) => hasChunk(p, CHUNK.INIT));
      assert.ok(inits.length >= 2);
      for (const init of inits) {
        assert.equal(init.sctp?.sourcePort, natPort);
        assert.deepEqual(listedAddresses(init), context.cluster.vips);
      }
      await until("messages after the restart", async () =>
        (await server.receipts()).some(({ client, received }) => client === 500 && received >= 20),
      );
      await context.intact([second], [server]);
      assert.equal(server.count("up"), 1);
    },
  },
  {
    number: 18,
    name: "Restart that adds an address",
    rfc: "9260 §5.2.2",
    done: "INIT with a new tag on a living association lists one address more.",
    seen: "ABORT with cause 11 and the new tag; the endpoint sees nothing of it; the old association lives.",
    async run(context) {
      context.allowed.ownAborts = true;
      await context.open({ clients: [2] });
      const server = await context.cluster.startEndpoint();
      const client = context.scripted();
      client.behave();
      await client.establish();
      const more = context.cluster.stranger(99, "path-c");
      const tag = 0x0bad_cafe;
      const parameters = [...client.options.addresses, more].map((a) => encodeAddress(addressBytes(a)));
      client.send([encodeInit({ initiateTag: tag, parameters })], { tag: 0 });
      const { packet } = await client.answer(CHUNK.ABORT, { tag });
      const causes = parseCauses(findChunk(packet, CHUNK.ABORT) as Chunk);
      assert.ok(Array.isArray(causes));
      assert.equal(causes[0]?.type, CAUSE.RESTART_WITH_NEW_ADDRESSES);
      assert.equal((await context.atEndpoint()).filter((p) => hasChunk(p, CHUNK.INIT)).length, 1);
      client.sendData(Buffer.from("alive"));
      await client.answer(CHUNK.SACK);
      assert.equal(server.count("lost") + server.count("restart"), 0);
    },
  },
  {
    number: 19,
    name: "Forged restart INITs",
    rfc: "9260 §5.2.2, §12.2.4",
    done: "Somebody else sends INITs with a client's address and port, thirty of them, and never a cookie.",
    seen: "Messages flow on without a loss; so they do when the time of a cookie is over.",
    async run(context) {
      await context.open({ clients: [2, 1] });
      const { cluster } = context;
      const server = await cluster.startEndpoint();
      const client = await cluster.startClient(0, { rate: 100 });
      await context.confirmed([client, server], 4);
      const victim = cluster.clientAddresses(0);
      const forger = context.scripted(1, { addresses: victim });
      for (let n = 0; n < 30; n++) {
        forger.sendInit({ initiateTag: 0x7000_0000 + n }, { network: "path-a" });
        await pause(10);
      }
      assert.ok(
        (await context.atEndpoint()).filter((p) => hasChunk(p, CHUNK.INIT)).length > 1,
        "forged INITs arrive",
      );
      await pause(PENDING_MS * context.timeScale);
      await context.flowing(server);
      await context.intact([client], [server]);
      assert.equal(server.count("restart") + server.count("lost"), 0);
    },
  },
  {
    number: 20,
    name: "ABORT as the answer to a forged restart INIT",
    rfc: "9260 §8.4, §8.5.1",
    done: "Forged INITs; the client's host answers the INIT-ACKs with ABORT, with and without the T bit.",
    seen: "Only the pending generation dies; the association lives.",
    async run(context) {
      await context.open({ clients: [2] });
      const server = await context.cluster.startEndpoint();
      const client = context.scripted();
      client.behave();
      await client.establish();
      for (const [index, reflected] of [true, false].entries()) {
        const forged = 0x6000_0000 + index;
        client.send(
          [
            encodeInit({
              initiateTag: forged,
              parameters: client.options.addresses.map((a) => encodeAddress(addressBytes(a))),
            }),
          ],
          {
            tag: 0,
          },
        );
        const answer = await client.answer(CHUNK.INIT_ACK, { tag: forged });
        const init = findChunk(answer.packet, CHUNK.INIT_ACK) as Chunk;
        const endpointTag = Buffer.from(init.bytes).readUInt32BE(init.offset + 4);
        client.send([encodeAbort({ reflected })], { tag: reflected ? forged : endpointTag });
        client.sendData(Buffer.from("alive"));
        await client.answer(CHUNK.SACK, { count: index + 1 });
      }
      await until(
        "nothing to be pending",
        async () => !(await context.session()).pending,
        2 * PENDING_MS * context.timeScale,
      );
      assert.equal((await context.session()).phase, "established");
      client.sendData(Buffer.from("alive"));
      await client.answer(CHUNK.SACK, { count: 3 });
      assert.equal(server.count("lost") + server.count("restart"), 0);
    },
  },
  {
    number: 21,
    name: "INIT collision",
    rfc: "9260 §5.2.1",
    done: "While the client connects the endpoint sends an INIT of its own to the port that it sees, and retransmits it when the association stands.",
    seen: "INIT and INIT-ACK are rewritten both ways and harm nothing; one association, whose data flows both ways.",
    async run(context) {
      await context.open({ clients: [2] });
      const { cluster } = context;
      const host = cluster.endpoints[0];
      assert.ok(host);
      const raw = new RawHost(host);
      const client = context.scripted();
      client.sendInit();
      const seen = await until("INIT at the endpoint", () => {
        raw.receive();
        return raw.heard.find((p) => hasChunk(p, CHUNK.INIT));
      });
      const v6 = (client.options.addresses[0] as string).includes(":");
      const endpoint = new ScriptedClient(raw, {
        port: ENDPOINT_PORT,
        servicePort: seen.sctp?.sourcePort as number,
        addresses: host.addresses("core").filter((a) => a.includes(":") === v6),
        vips: [seen.source, ...cluster.vips.filter((vip) => vip !== seen.source)],
        tag: 0x4444_4444,
      });
      // Before COOKIE-ACK it is held back, as a lost packet would be …
      await context.dropped(["endpoint-init-unmatched"], 1, () => endpoint.sendInit({ parameters: [] }));
      const cookie = (text: string) => encodeParameter(PARAMETER.STATE_COOKIE, Buffer.from(text));
      endpoint.send(
        [encodeInitAck({ initiateTag: endpoint.tag, parameters: [cookie("the endpoint's cookie")] })],
        { tag: client.tag },
      );
      const echoed = client.echo(client.take(await client.answer(CHUNK.INIT_ACK)));
      echoed.catch(() => {}); // awaited below; what fails first shall be told
      await endpoint.answer(CHUNK.COOKIE_ECHO);
      endpoint.send([encodeCookieAck()], { tag: client.tag });
      await echoed;
      // … and its retransmission finds the association.
      endpoint.sendInit({ parameters: [] });
      const collision = await until("the endpoint's INIT at the client", () => {
        client.raw.receive();
        return client.raw.heard.find((p) => !p.outgoing && hasChunk(p, CHUNK.INIT));
      });
      assert.equal(collision.source, seen.source);
      // It says nothing of the other family: that one is not offered to it.
      assert.deepEqual(
        listedAddresses(collision),
        cluster.vips.filter((vip) => vip.includes(":") === v6),
      );
      const own = client.options.addresses.map((a) => encodeAddress(addressBytes(a)));
      const answer = encodeInitAck({
        initiateTag: client.tag + 1,
        parameters: [...own, cookie("the client's cookie")],
      });
      client.send([answer], { tag: endpoint.tag });
      const atEndpoint = await endpoint.answer(CHUNK.INIT_ACK);
      assert.deepEqual(listedAddresses(atEndpoint.heard), cluster.vips);
      // §5.2.3: the endpoint waits for no INIT-ACK any more, and drops it.
      endpoint.peerTag = client.tag;
      endpoint.peerTsn = (client.tag - 1) >>> 0;
      client.behave();
      endpoint.behave();
      client.sendData(Buffer.from("up"));
      await client.answer(CHUNK.SACK);
      endpoint.sendData(Buffer.from("down"));
      await endpoint.answer(CHUNK.SACK);
      assert.equal((await context.session()).phase, "established");
    },
  },
];

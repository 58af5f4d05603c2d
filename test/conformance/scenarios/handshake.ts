// INIT, INIT-ACK and COOKIE-ECHO: what they may list, and what becomes of copies.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { type Address, addressBytes } from "@holdfast/model";
import {
  CAUSE,
  CHUNK,
  type Chunk,
  encodeAddress,
  encodeChunk,
  encodeCookieEcho,
  encodeParameter,
  findChunk,
  PARAMETER,
  parseCauses,
  parseInit,
  read16,
  read32,
  write32,
} from "@holdfast/sctp";
import { type CapturedPacket, hasChunk, initOf, listedAddresses, until } from "@holdfast/testkit";
import type { Context } from "../context.ts";
import type { Scenario } from "../scenario.ts";

/** The INIT that reached the endpoint. */
async function initAtEndpoint(context: Context): Promise<CapturedPacket> {
  return until("INIT at the endpoint", async () =>
    (await context.atEndpoint()).findLast((p) => hasChunk(p, CHUNK.INIT)),
  );
}

/** Every parameter and the chunk itself have lengths that agree with the bytes. */
function assertWellFormed(packet: CapturedPacket): void {
  const init = initOf(packet);
  assert.ok(init, "INIT does not parse");
  const { sctp } = packet;
  const chunk = sctp?.chunks[0];
  assert.ok(sctp && chunk);
  const length = read16(sctp.bytes, 14);
  assert.equal(chunk.bytes.length, length);
  assert.equal((12 + length + 3) & ~3, sctp.bytes.length, "the packet ends where its only chunk ends");
}

const listing = (addresses: readonly Address[]) => addresses.map((a) => encodeAddress(addressBytes(a)));

export const handshake: readonly Scenario[] = [
  {
    number: 7,
    name: "INIT whose length leaves out the final padding",
    rfc: "9260 §3.2.1",
    done: "The INITs of two other stacks, 86 and 90 bytes long with two bytes of padding, with our addresses' tag.",
    seen: "At the endpoint every parameter is whole and the lengths agree; the endpoint answers with INIT-ACK.",
    async run(context) {
      await context.open();
      await context.cluster.startEndpoint();
      const file = new URL("../../vectors/golden_init.json", import.meta.url);
      const golden = JSON.parse(readFileSync(file, "utf8")) as Record<string, { in: string }>;
      for (const [index, name] of ["pion_init_len86_tailpad", "dcsctp_init_len90_tailpad"].entries()) {
        const bytes = Buffer.from(golden[name]?.in ?? "", "hex");
        const chunk = new Uint8Array(bytes.subarray(12));
        assert.notEqual(read16(chunk, 2) % 4, 0);
        const client = context.scripted(0, { port: 40_000 + index, tag: read32(chunk, 4) });
        client.send([chunk], { tag: 0 });
        client.take(await client.answer(CHUNK.INIT_ACK));
        const arrived = (await context.atEndpoint()).findLast((p) => initOf(p)?.initiateTag === client.tag);
        assert.ok(arrived);
        assertWellFormed(arrived);
        const types = (p: CapturedPacket) =>
          (initOf(p)?.parameters ?? [])
            .map(({ type }) => type)
            .filter((t) => t !== PARAMETER.IPV4_ADDRESS && t !== PARAMETER.IPV6_ADDRESS);
        const sent = parseInit({ type: 1, flags: 0, bytes: chunk, offset: 0, length: read16(chunk, 2) });
        assert.ok(!("malformed" in sent));
        // Nothing but addresses (and ASCONF in the list of extensions) was touched.
        assert.deepEqual(
          types(arrived),
          sent.parameters.map(({ type }) => type).filter((t) => t !== PARAMETER.ZERO_CHECKSUM),
        );
      }
    },
  },
  {
    number: 8,
    name: "IPv6 listed at a service of IPv4",
    rfc: "9260 §3.3.2.1",
    done: "INIT lists an IPv6 address and supports both families.",
    seen: "At the endpoint no IPv6 address is listed and Supported Address Types names IPv4 only.",
    families: ["ipv4"],
    async run(context) {
      await context.open();
      const server = await context.cluster.startEndpoint();
      const client = context.scripted();
      client.behave();
      const parameters = [
        ...listing([...client.options.addresses, "2001:db8:c::10"]),
        encodeParameter(PARAMETER.SUPPORTED_ADDRESS_TYPES, new Uint8Array([0, 5, 0, 6])),
      ];
      await client.establish({ parameters });
      const init = await initAtEndpoint(context);
      assertWellFormed(init);
      assert.deepEqual(listedAddresses(init), context.cluster.vips);
      const types = initOf(init)?.parameters.find(({ type }) => type === PARAMETER.SUPPORTED_ADDRESS_TYPES);
      assert.ok(types);
      assert.deepEqual([...types.bytes.subarray(types.offset + 4, types.offset + types.length)], [0, 5]);
      assert.deepEqual((await context.session()).clients, client.options.addresses);
      await until("the association at the endpoint", () => server.count("up") === 1);
    },
  },
  {
    number: 9,
    name: "Host Name Address in INIT",
    rfc: "9260 §3.3.2.1.4",
    done: "INIT carries a Host Name Address parameter.",
    seen: "The client gets an ABORT with its own tag and cause 5, Unresolvable Address; the endpoint sees nothing; no session stays.",
    async run(context) {
      context.allowed.ownAborts = true;
      await context.open();
      await context.cluster.startEndpoint();
      const client = context.scripted();
      const name = encodeParameter(PARAMETER.HOST_NAME, Buffer.from("client.example.net\0"));
      client.sendInit({ parameters: [...listing(client.options.addresses), name] });
      const { packet } = await client.answer(CHUNK.ABORT);
      const abort = findChunk(packet, CHUNK.ABORT) as Chunk;
      const causes = parseCauses(abort);
      assert.ok(Array.isArray(causes));
      assert.equal(causes[0]?.type, CAUSE.UNRESOLVABLE_ADDRESS);
      assert.ok(
        (await context.atEndpoint()).every((p) => !hasChunk(p, CHUNK.INIT)),
        "INIT at the endpoint",
      );
      assert.equal((await context.sessions()).filter(({ phase }) => phase !== "closed").length, 0);
    },
  },
  {
    number: 10,
    name: "INIT that lists other people's addresses",
    rfc: "9260 §5.1.2, RFC 5062 §4",
    done: "INIT lists a VIP, the endpoint, a member, loopback, multicast, broadcast, unspecified, and itself twice.",
    seen: "The session has the client's own addresses, once each; INIT at the endpoint lists the VIPs; nothing is ever sent to the others.",
    async run(context) {
      await context.open({ clients: [2] });
      const { cluster } = context;
      await cluster.startEndpoint();
      const client = context.scripted();
      client.behave();
      const own = client.options.addresses;
      const v6 = (own[0] as string).includes(":");
      const alien: readonly Address[] = [
        cluster.vips[0] as Address,
        cluster.endpoints[0]?.addresses("core").find((a) => a.includes(":") === v6) as Address,
        cluster.members[0]?.host.addresses("path-a").find((a) => a.includes(":") === v6) as Address,
        ...(v6
          ? (["::1", "ff02::1", "::"] as const)
          : (["127.0.0.1", "224.0.0.1", "255.255.255.255", "0.0.0.0"] as const)),
      ];
      await client.establish({ parameters: listing([...alien, ...own, ...own]) });
      assert.deepEqual([...(await context.session()).clients].sort(), [...own].sort());
      assert.deepEqual(listedAddresses(await initAtEndpoint(context)), cluster.vips);
      // Long enough for the endpoint to probe every path.
      await until("HEARTBEATs", () => client.answers(CHUNK.HEARTBEAT).length >= 4);
      client.raw.receive();
      const strays = client.raw.heard.filter(
        (p) => !p.outgoing && alien.includes(p.destination) && p.sctp !== undefined,
      );
      assert.equal(strays.length, 0);
    },
  },
  {
    number: 11,
    name: "Stacks that offer ASCONF and AUTH",
    rfc: "5061 §4.2.7, 4895 §6.3",
    done: "Both stacks offer ASCONF and AUTH, and DATA must be authenticated.",
    seen: "At both sides Supported Extensions is without 0xC1 and 0x80, AUTH's parameters are byte for byte the sender's, and every message passes its authentication.",
    everywhere: true,
    async run(context) {
      await context.open({ clients: [2] });
      const server = await context.cluster.startEndpoint(0, { auth: true });
      const client = await context.cluster.startClient(0, { auth: true, rate: 100 });
      await client.established(1);
      await context.flowing(server, 50);
      for (const packet of [...(await context.atEndpoint()), ...(await context.atClient())].filter((p) =>
        context.cluster.vips.includes(p.source),
      )) {
        const extensions = initOf(packet)?.supportedExtensions;
        if (initOf(packet) === undefined) continue;
        assert.ok(extensions, "Supported Extensions is there");
        assert.ok(!extensions.includes(CHUNK.ASCONF) && !extensions.includes(CHUNK.ASCONF_ACK));
        assert.ok(extensions.includes(CHUNK.AUTH));
      }
      const keyMaterial = (packets: readonly CapturedPacket[], type: number, fromVip: boolean) => {
        const packet = packets.find(
          (p) => hasChunk(p, type) && context.cluster.vips.includes(p.source) === fromVip,
        );
        return (packet === undefined ? [] : (initOf(packet)?.parameters ?? []))
          .filter((p) => p.type >= PARAMETER.RANDOM && p.type <= PARAMETER.HMAC_ALGORITHMS)
          .map((p) => Buffer.from(p.bytes.subarray(p.offset, p.offset + p.length)).toString("hex"));
      };
      const sent = keyMaterial(await context.atClient(), CHUNK.INIT, false);
      assert.equal(sent.length, 3);
      assert.deepEqual(keyMaterial(await context.atEndpoint(), CHUNK.INIT, true), sent);
      assert.deepEqual(
        keyMaterial(await context.atClient(), CHUNK.INIT_ACK, true),
        keyMaterial(await context.atEndpoint(), CHUNK.INIT_ACK, false),
      );
      const data = (await context.atEndpoint()).filter(
        (p) => hasChunk(p, CHUNK.DATA) && context.cluster.vips.includes(p.source),
      );
      assert.ok(data.length > 0 && data.every((p) => hasChunk(p, CHUNK.AUTH)), "DATA travels behind AUTH");
      await context.intact([client], [server]);
    },
  },
  {
    number: 12,
    name: "ASCONF although it was not offered",
    rfc: "5061 §4.2.7, 9260 §3.3.10.6",
    done: "A client sends ASCONF on an established association.",
    seen: "It gets ERROR with cause 6, Unrecognized Chunk; the endpoint sees no ASCONF; the association lives.",
    async run(context) {
      await context.open();
      const server = await context.cluster.startEndpoint();
      const client = context.scripted();
      client.behave();
      await client.establish();
      const serial = new Uint8Array(4);
      write32(serial, 0, client.tag);
      const address = encodeAddress(addressBytes(client.options.addresses[0] as Address));
      const change = encodeParameter(PARAMETER.ADD_ADDRESS, new Uint8Array(4), address);
      client.send([encodeChunk(CHUNK.ASCONF, 0, serial, address, change)]);
      const { packet } = await client.answer(CHUNK.ERROR);
      const causes = parseCauses(findChunk(packet, CHUNK.ERROR) as Chunk);
      assert.ok(Array.isArray(causes));
      assert.equal(causes[0]?.type, CAUSE.UNRECOGNIZED_CHUNK);
      client.sendData(Buffer.from("still here"));
      await client.answer(CHUNK.SACK);
      assert.ok((await context.atEndpoint()).every((p) => !hasChunk(p, CHUNK.ASCONF)));
      assert.equal(server.count("lost"), 0);
    },
  },
  {
    number: 13,
    name: "Zero Checksum is not negotiated through us",
    rfc: "9653 §4",
    done: "INIT offers Zero Checksum Acceptable.",
    seen: "The parameter does not reach the endpoint; the association stands, with checksums.",
    async run(context) {
      await context.open();
      await context.cluster.startEndpoint();
      const client = context.scripted();
      client.behave();
      const parameter = encodeParameter(PARAMETER.ZERO_CHECKSUM, new Uint8Array([0, 0, 0, 1]));
      await client.establish({ parameters: [...listing(client.options.addresses), parameter] });
      const init = await initAtEndpoint(context);
      assertWellFormed(init);
      assert.ok(initOf(init)?.parameters.every(({ type }) => type !== PARAMETER.ZERO_CHECKSUM));
      client.sendData(Buffer.from("with a checksum"));
      await client.answer(CHUNK.SACK);
    },
  },
  {
    number: 14,
    name: "Duplicate INIT, and the client goes on with the first INIT-ACK",
    rfc: "9260 §5.2.2, §5.1.3",
    done: "INIT twice with one tag; both INIT-ACKs arrive; COOKIE-ECHO answers the first.",
    seen: "One association comes up; both INITs have the same source port at the endpoint.",
    async run(context) {
      await context.open();
      const server = await context.cluster.startEndpoint();
      const client = context.scripted();
      client.sendInit();
      await client.answer(CHUNK.INIT_ACK);
      client.sendInit();
      const second = await client.answer(CHUNK.INIT_ACK, { count: 2 });
      const first = client.answers(CHUNK.INIT_ACK)[0];
      assert.ok(first);
      const tags = [first, second].map((answer) => client.take(answer).initiateTag);
      assert.notEqual(tags[0], tags[1], "the endpoint gives each INIT a tag of its own");
      client.behave();
      await client.echo(client.take(first));
      await until("the association at the endpoint", () => server.count("up") === 1);
      const ports = (await context.atEndpoint())
        .filter((p) => hasChunk(p, CHUNK.INIT))
        .map((p) => p.sctp?.sourcePort);
      assert.equal(ports.length, 2);
      assert.equal(ports[0], ports[1]);
      client.sendData(Buffer.from("one association"));
      await client.answer(CHUNK.SACK);
      assert.equal((await context.session()).phase, "established");
    },
  },
  {
    number: 15,
    name: "INIT retransmitted to another VIP at another member",
    rfc: "9260 §5.1, §6.4.1",
    done: "INIT goes to the primary and at once to a VIP of another member; the client goes on with the second's INIT-ACK.",
    seen: "One association; one NAT port survives and carries DATA over both VIPs; all members agree.",
    async run(context) {
      await context.open({ members: 3, clients: [2] });
      const server = await context.cluster.startEndpoint();
      const { owners, others } = await ownersOf(context);
      const [vip0, vip1] = [context.cluster.vips[0] as Address, others[0] as Address];
      assert.notEqual(owners.get(vip0), owners.get(vip1));
      const client = context.scripted();
      const answerFrom = (vip: Address) =>
        client.answers(CHUNK.INIT_ACK).find(({ heard }) => heard.source === vip);
      client.sendInit({}, { to: vip0 });
      // T1-init: whoever owns the second may have to find the way to this client first.
      for (let attempt = 0; attempt < 5 && answerFrom(vip1) === undefined; attempt++) {
        client.sendInit({}, { to: vip1 });
        await until("an INIT-ACK from the second", () => answerFrom(vip1), 1_000).catch(() => {});
      }
      await client.answer(CHUNK.INIT_ACK, { count: 2 });
      const chosen = answerFrom(vip1);
      assert.ok(chosen, "no INIT-ACK came from the second");
      client.behave();
      await client.echo(client.take(chosen), { to: vip1 });
      await until("the association at the endpoint", () => server.count("up") === 1);
      for (const to of [vip0, vip1]) {
        const count = client.answers(CHUNK.SACK).length + 1;
        client.sendData(Buffer.from("over both"), { to });
        await client.answer(CHUNK.SACK, { count });
      }
      await assertOnePort(context);
    },
  },
  {
    number: 16,
    name: "COOKIE-ECHO retransmitted to another VIP at another member",
    rfc: "9260 §5.1, §6.4.1",
    done: "INIT and INIT-ACK pass the owner of the primary; COOKIE-ECHO goes to a VIP of another member, then to the first too.",
    seen: "The association comes up with the same NAT port; the copy does no harm.",
    async run(context) {
      await context.open({ members: 3, clients: [2] });
      const server = await context.cluster.startEndpoint();
      const { others } = await ownersOf(context);
      const client = context.scripted();
      const init = await client.init();
      client.behave();
      await client.echo(init, { to: others[0] as Address });
      client.send([encodeCookieEcho(init.stateCookie as Uint8Array)], { tag: init.initiateTag });
      await client.answer(CHUNK.COOKIE_ACK, { count: 2 });
      client.sendData(Buffer.from("up"));
      await client.answer(CHUNK.SACK);
      assert.equal(server.count("up"), 1);
      assert.equal(server.count("restart"), 0);
      await assertOnePort(context);
    },
  },
];

/** VIP → owner, and the VIPs that the primary's owner has not. */
async function ownersOf(context: Context) {
  const owners = await context.cluster.settled();
  const first = owners.get(context.cluster.vips[0] as Address);
  return { owners, others: context.cluster.vips.filter((vip) => owners.get(vip) !== first) };
}

/** Every COOKIE-ECHO and DATA at the endpoint has one source port, and all members name it. */
async function assertOnePort(context: Context): Promise<void> {
  const ports = new Set(
    (await context.atEndpoint())
      .filter(
        (p) =>
          hasChunk(p, CHUNK.COOKIE_ECHO) ||
          (hasChunk(p, CHUNK.DATA) && context.cluster.vips.includes(p.source)),
      )
      .map((p) => p.sctp?.sourcePort),
  );
  assert.equal(ports.size, 1, `ports ${[...ports]}`);
  await until(
    "all members to agree",
    async () => {
      const sessions = await Promise.all(context.cluster.members.map((member) => context.session(member)));
      return sessions.every((s) => s.natPort === [...ports][0] && s.phase === "established");
    },
    5_000,
  );
}

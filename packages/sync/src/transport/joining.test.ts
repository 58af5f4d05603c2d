// How a member that knows nobody finds a cluster: by `cluster.join`, whatever else stands there.
import assert from "node:assert/strict";
import { createServer } from "node:net";
import { after, before, test } from "node:test";
import { type Logger, silentLogger, systemClock, systemRandom } from "@holdfast/model";
import { createAuthority, issueMemberCertificate, type KeyPair } from "../certificates/authority.ts";
import { until } from "./compliance.ts";
import type { Applicant, HostPort, JoinAddress } from "./settings.ts";
import { WsTransport } from "./websocket.ts";

const HOST = "127.0.0.1";
const TIMING = { backoffMs: 20, backoffMaxMs: 50, refusalPauseMs: 50, staggerMs: 20 };
let authority: KeyPair;
let m0: WsTransport;
const applicants: Applicant[] = [];
const all: WsTransport[] = [];

const handlers = {
  connected: () => {},
  disconnected: () => {},
  message: () => {},
  dropped: () => {},
};

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function open(number: number, listen: HostPort, join: readonly JoinAddress[], logger = silentLogger) {
  const identity = { clusterId: "alpha", memberName: `m${number}`, memberNumber: number };
  const pair = await issueMemberCertificate(authority, { ...identity, addresses: [HOST] });
  const transport = await WsTransport.open({
    ...{ ...identity, memberNumberCount: 8, listen: [listen], members: [], join, logger, timing: TIMING },
    ...{
      tls: { ...pair, authorityPem: authority.certificatePem },
      clock: systemClock,
      random: systemRandom(),
    },
  });
  all.push(transport);
  return transport;
}

before(async () => {
  authority = await createAuthority({ clusterId: "alpha" });
  m0 = await open(0, { host: HOST, port: 0 }, []);
  m0.start({ ...handlers, applied: (applicant) => void applicants.push(applicant) });
});
after(() => Promise.all(all.map((transport) => transport.stop())));

// One list for all machines is what operators write: it names the one that joins, too.
for (const [number, what, before] of [
  [3, "itself", ["itself"]],
  [4, "a name that leads nowhere and itself", ["nowhere", "itself"]],
  [5, "itself twice", ["itself", "itself"]],
] as const)
  test(`a member whose cluster.join names ${what} before another one comes to that one`, async () => {
    const own: HostPort = { host: HOST, port: await freePort() };
    const nowhere = { host: "nobody.invalid", port: own.port };
    const join = [
      ...before.map((each) => (each === "itself" ? { ...own } : nowhere)),
      m0.bound[0] as HostPort,
    ];
    const lines: string[] = [];
    const warn: Logger["warn"] = (fields, message) => void lines.push(`${JSON.stringify(fields)} ${message}`);
    const joining = await open(number, own, join, { ...silentLogger, warn });
    joining.start(handlers);
    await until("it to be heard", () => applicants.some((applicant) => applicant.number === number));
    assert.deepEqual(applicants.find((applicant) => applicant.number === number)?.addresses, [HOST]);
    assert.ok(
      lines.some((line) => line.includes(`m${number} has reached itself: an address in cluster.join`)),
      lines.join("\n"),
    );
    await until("it to be told", () =>
      lines.some((line) => /is not among .*'holdfast member add'/.test(line)),
    );
    await joining.stop();
  });

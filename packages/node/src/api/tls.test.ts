import assert from "node:assert/strict";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { connect } from "node:tls";
import { type Logger, silentLogger } from "@holdfast/model";
import { initAuthority, issueMember } from "@holdfast/sync";
import { type ApiListeners, startApi } from "./listen.ts";
import { fakeNode } from "./testing/fake-node.ts";

let top: string;
let api: ApiListeners;
let port: number;
const lines: string[] = [];

const install = (what: "crt" | "key", of: string) =>
  copyFileSync(join(top, `${of}.${what}`), join(top, `api.${what}`));

async function shown(): Promise<string> {
  const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false });
  await once(socket, "secureConnect");
  const name = String(socket.getPeerCertificate().subject.CN);
  socket.destroy();
  return name;
}

before(async () => {
  top = mkdtempSync(join(tmpdir(), "holdfast-api-tls-"));
  await initAuthority(top, { clusterId: "alpha" });
  for (const memberName of ["old", "new"]) await issueMember(top, { memberName });
  install("crt", "old");
  install("key", "old");
  const free = createServer().listen(0, "127.0.0.1");
  await once(free, "listening");
  port = (free.address() as AddressInfo).port;
  free.close();
  await once(free, "close");
  const note = (_fields: object, message: string) => void lines.push(message);
  const logger: Logger = { ...silentLogger, info: note, warn: note };
  api = await startApi(
    fakeNode().sources,
    {
      listen: `127.0.0.1:${port}`,
      tokens: [],
      tls: { certificate: join(top, "api.crt"), key: join(top, "api.key") },
    },
    () => [],
    logger,
  );
});
after(async () => {
  await api.close();
  rmSync(top, { recursive: true, force: true });
});

test("a new certificate of the API is taken once its key is there; until then the old pair stays", async () => {
  assert.equal(await shown(), "old");
  install("crt", "new");
  api.lookAtTls();
  assert.match(lines.at(-1) ?? "", /not taken/);
  assert.equal(await shown(), "old");
  install("key", "new");
  api.lookAtTls();
  assert.match(lines.at(-1) ?? "", /read anew/);
  assert.equal(await shown(), "new");
});

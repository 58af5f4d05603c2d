// The page in a real browser against a real cluster.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import type { ClusterPicture, SessionDetail, TakeOver } from "@holdfast/api";
import type { Address } from "@holdfast/model";
import { until } from "@holdfast/testkit";
import type { Browser, Page } from "playwright-core";
import { openBrowser, openPage, type Watched } from "./browser.ts";
import { OPERATE, READ, type Rig, withCluster } from "./rig.ts";

const SHAPE = { members: 3, endpoints: 2, clients: [1, 2, 3] };
const LIMIT_MS = 30_000;
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

let browser: Browser;
before(async () => {
  browser = await openBrowser();
});
after(() => browser.close());

async function openConsole(rig: Rig, member: number, path = "/console/"): Promise<Watched> {
  const watched = await openPage(browser, { viewport: { width: 1400, height: 1000 } }, rig.origins);
  watched.page.setDefaultTimeout(LIMIT_MS);
  await watched.page.goto(`${rig.origins[member]}${path}`);
  return watched;
}

async function useToken(page: Page, token: string): Promise<void> {
  await page.getByRole("button", { name: /^Token/ }).click();
  await page.getByLabel("Token of this cluster").fill(token);
  await page.getByRole("button", { name: "Use it" }).click();
}

/** Serious or not, axe-core finds nothing. Run in its own world: the page's policy lets no script in. */
async function assertAccessible(page: Page, where: string): Promise<void> {
  const session = await page.context().newCDPSession(page);
  const { frameTree } = await session.send("Page.getFrameTree");
  const { executionContextId } = await session.send("Page.createIsolatedWorld", {
    frameId: frameTree.frame.id,
    worldName: "axe",
  });
  const evaluate = async (expression: string) => {
    const { result, exceptionDetails } = await session.send("Runtime.evaluate", {
      contextId: executionContextId,
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    assert.equal(exceptionDetails, undefined, JSON.stringify(exceptionDetails));
    return result.value as unknown;
  };
  await evaluate(`${AXE};0`);
  const found = await evaluate(
    "axe.run(document).then(({violations})=>violations.map(v=>v.id+': '+v.nodes.map(n=>n.target+' '+n.failureSummary).join('; ')))",
  );
  assert.deepEqual(found, [], where);
  await session.detach();
}

async function pictureAt(rig: Rig, member: number): Promise<ClusterPicture> {
  return (await fetch(`${rig.origins[member]}/v1/cluster`)).json() as Promise<ClusterPicture>;
}

test("the page shows the cluster, acts for who may, and follows a death, in milliseconds, to another member", async () => {
  await withCluster(SHAPE, async (rig) => {
    const { cluster } = rig;
    const { page, complaints } = await openConsole(rig, 0);
    await page.locator("#vips tbody tr").first().waitFor();
    assert.equal(await page.locator("#vips tbody tr").count(), cluster.vips.length);
    await assertAccessible(page, "the first screen");

    // The loopback without a token reads; a wrong token does not; a token that reads acts on nothing.
    assert.equal(await page.locator("#role").textContent(), "you may look");
    assert.equal(await page.getByRole("button", { name: /^Drain/ }).count(), 0);
    await useToken(page, "a-token-of-nobody-here");
    await page.getByText("does not take this one").waitFor();
    await useToken(page, READ);
    await page.locator("#role", { hasText: "you may look" }).waitFor();
    assert.equal(await page.getByRole("button", { name: /^Drain/ }).count(), 0);
    await useToken(page, OPERATE);
    await page.locator("#role", { hasText: "you may operate" }).waitFor();

    // An endpoint is drained: what it will do is said first.
    const [endpoint] = (await pictureAt(rig, 0)).services[0]?.endpoints ?? [];
    assert.ok(endpoint);
    await page.getByRole("button", { name: `Drain… ${endpoint.endpoint}` }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText(`at ${endpoint.endpoint} go`, { exact: false }).waitFor();
    await assertAccessible(page, "an act");
    await page.keyboard.press("Escape");
    assert.equal((await pictureAt(rig, 0)).services[0]?.endpoints[0]?.state, "active");
    await page.getByRole("button", { name: `Drain… ${endpoint.endpoint}` }).click();
    await dialog.getByRole("button", { name: "Do it" }).click();
    await page.locator(`[data-endpoint="${endpoint.endpoint}"][data-state="drain"]`).waitFor();

    // The owner of the primary is killed: another member is shown as owner, with the take-over's milliseconds.
    const [vip] = cluster.vips;
    assert.ok(vip);
    const owner = (await cluster.settled()).get(vip);
    const index = cluster.members.findIndex(({ name }) => name === owner);
    const witness = index === 0 ? 1 : 0;
    await page.goto(`${rig.origins[witness]}/console/`);
    await page.locator(`#vips tr[data-vip="${vip}"][data-owner="${owner}"]`).waitFor();
    await cluster.members[index]?.killNode();
    await page
      .locator(`#vips tr[data-vip="${vip}"]:not([data-owner="${owner}"]):not([data-owner=""])`)
      .waitFor();
    const bar = page.locator(`#takeovers [data-vip="${vip}"]`).first();
    await bar.waitFor();
    const told = await until("every survivor to have it", async () => {
      const lists = await Promise.all(
        rig.origins.flatMap((origin, n) =>
          n === index
            ? []
            : [fetch(`${origin}/v1/takeovers`).then((r) => r.json() as Promise<{ items: TakeOver[] }>)],
        ),
      );
      const found = lists.map(({ items }) => items.find((t) => t.vip === vip && t.from === owner));
      return found.every((each) => each !== undefined) && found;
    });
    assert.deepEqual(told[0], told[1]);
    const takeOver = told[0] as TakeOver;
    assert.equal(takeOver.cause, "death");
    assert.ok(takeOver.firstPacketMs !== undefined && takeOver.verdictMs !== undefined);
    assert.ok(takeOver.verdictMs <= takeOver.announcedMs);
    const shown = Math.round(takeOver.firstPacketMs).toLocaleString("en");
    await bar.getByText(`first packet ${shown} ms`, { exact: false }).waitFor();
    await page.locator("#alerts").getByText(`Member ${owner} is missing`, { exact: false }).waitFor();
    await assertAccessible(page, "after a death");
    assert.deepEqual(complaints, []);
    await page.close();
  });
});

test("the member that serves the page dies: the page finds another, and says for how long nobody answers", async () => {
  await withCluster({ ...SHAPE, clients: [2] }, async (rig) => {
    const { cluster } = rig;
    const { page, complaints } = await openConsole(rig, 0);
    await page.locator("#told-by", { hasText: "m1" }).waitFor();
    await until("m1 to know where the others are", async () => {
      const { members } = await pictureAt(rig, 0);
      return members.every(({ report }) => report !== undefined && report.api.length === 1);
    });
    // The policy names the others once the member knows them.
    await page.reload();
    await page.locator("#told-by", { hasText: "m1" }).waitFor();
    await cluster.members[0]?.killDaemon();
    await page.locator("#told-by", { hasText: /m[23]/ }).waitFor();
    await page.locator('#events li:has-text("m1")').first().waitFor();
    await page.getByText("m1 does not answer: another member does.").waitFor();
    assert.equal(await page.locator("main").getAttribute("data-cut"), "false");
    await cluster.members[1]?.killDaemon();
    await cluster.members[2]?.killDaemon();
    await page.locator("#cut-off").waitFor();
    assert.equal(await page.locator("main").getAttribute("data-cut"), "true");
    await assertAccessible(page, "cut off");
    await cluster.members[0]?.start();
    await page.locator("#told-by", { hasText: "m1" }).waitFor();
    await page.locator('main[data-cut="false"]').waitFor();
    assert.deepEqual(complaints, []);
    await page.close();
  });
});

test("a partition is shown; sessions are searched and looked into; a phone's width and 200 % text lose nothing", async () => {
  await withCluster(SHAPE, async (rig) => {
    const { cluster } = rig;
    const { page, complaints } = await openConsole(rig, 0, "/console/#/sessions");
    const rows = page.locator("#sessions tbody tr");
    await rows.first().waitFor();
    const [service] = (await pictureAt(rig, 0)).services;
    assert.equal(await rows.count(), service?.sessions);
    const first = (await rows.first().locator("a").textContent()) ?? "";
    // Another protocol on the same addresses and the same port is another service.
    const made = await fetch(`${rig.origins[1]}/v1/services`, {
      method: "POST",
      headers: { authorization: `Bearer ${OPERATE}`, "content-type": "application/json" },
      body: JSON.stringify({
        name: "same-port",
        protocol: "tcp",
        vips: service?.vips,
        port: service?.port,
        endpoints: (service?.endpoints ?? []).map(({ endpoint }) => {
          const [address, port] = endpoint.split(":");
          return { address, port: Number(port) };
        }),
      }),
    });
    assert.equal(made.status, 201, await made.text());
    await page.goto(`${rig.origins[0]}/console/#/`);
    const tags = page.locator("#services .service h3 .tag");
    await until("both services to be there", async () => (await tags.allTextContents()).length === 2);
    assert.deepEqual((await tags.allTextContents()).sort(), ["SCTP", "TCP"]);
    await page.goto(`${rig.origins[0]}/console/#/sessions`);
    await page.goto(`${rig.origins[0]}/console/#/`);
    const [used] = (service?.endpoints ?? []).filter(({ sessions }) => sessions > 0);
    assert.ok(used);
    await page.getByRole("link", { name: `Sessions of ${used.endpoint}: ${used.sessions}` }).click();
    await until("that endpoint's to be there", async () => (await rows.count()) === used.sessions);
    assert.equal(await page.getByLabel("Endpoint").inputValue(), used.endpoint);
    await page.getByRole("button", { name: "Clear" }).click();
    await until("all to be there", async () => (await rows.count()) === service?.sessions);
    await page.getByLabel("Protocol").selectOption("tcp");
    await page.getByRole("button", { name: "Search" }).click();
    await page.getByText("No session is like that.").waitFor();
    await page.getByLabel("Protocol").selectOption("sctp");
    await page.getByLabel("Service").selectOption(service?.id ?? "");
    await page.getByRole("button", { name: "Search" }).click();
    await until("all to be there again", async () => (await rows.count()) === service?.sessions);
    await page.getByLabel("Client address").fill(first);
    await page.getByRole("button", { name: "Search" }).click();
    await until("only its sessions to be there", async () => (await rows.count()) === 2);
    await rows.first().locator("a").click();
    await page.locator("#matrix tbody tr").first().waitFor();
    assert.equal(await page.locator("#matrix thead th").count(), cluster.vips.length + 1);
    await page.locator("#matrix small").first().waitFor();
    await assertAccessible(page, "a session");
    for (const path of ["#/takeovers", "#/events", "#/sessions"]) {
      await page.goto(`${rig.origins[0]}/console/${path}`);
      await assertAccessible(page, path);
    }

    await page.setViewportSize({ width: 360, height: 740 });
    await page.goto(`${rig.origins[0]}/console/#/`);
    await page.locator("#vips tbody tr").first().waitFor();
    const overflow = () => page.evaluate("document.documentElement.scrollWidth - innerWidth");
    assert.ok(Number(await overflow()) <= 0, "a phone scrolls down only");
    await page.setViewportSize({ width: 1280, height: 800 });
    await page.evaluate("document.documentElement.style.setProperty('font-size', '200%')");
    assert.ok(Number(await overflow()) <= 0, "200 % text scrolls down only");
    await page.evaluate("document.documentElement.style.removeProperty('font-size')");

    const cut = cluster.members[2];
    assert.ok(cut);
    for (const network of ["path-a", "path-b", "path-c", "core", "cluster"]) cut.host.cut(network);
    await page.locator('#members tr[data-member="m3"]').getByText("dead", { exact: false }).waitFor();
    await page.locator("#alerts").getByText("Member m3 is missing", { exact: false }).waitFor();
    for (const network of ["path-a", "path-b", "path-c", "core", "cluster"]) cut.host.heal(network);
    await page.locator('#members tr[data-member="m3"] .state', { hasText: /\sready$/ }).waitFor();
    assert.deepEqual(complaints, []);
    await page.close();
  });
});

/** Tab until what has the focus is called so. */
async function tabTo(page: Page, name: RegExp): Promise<void> {
  const LIMIT_COUNT = 300;
  for (let n = 0; n < LIMIT_COUNT; n++) {
    await page.keyboard.press("Tab");
    const text = await page.evaluate(
      "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent",
    );
    if (name.test(String(text))) return;
  }
  assert.fail(`${name} is not reached by Tab`);
}

/** What the dialog says that it will do, before it is told to do it. */
async function doIt(page: Page, says: RegExp): Promise<void> {
  const dialog = page.getByRole("dialog");
  await dialog.getByText(says).first().waitFor();
  await tabTo(page, /^Do it$/);
  await page.keyboard.press("Enter");
  await dialog.waitFor({ state: "hidden" });
}

test("by keyboard alone: pin, unpin, drain, replay, end a session; dark as well as light", async () => {
  await withCluster({ ...SHAPE, clients: [2] }, async (rig) => {
    const { page, complaints } = await openConsole(rig, 0);
    await page.emulateMedia({ colorScheme: "dark" });
    const vips = page.locator("#vips tbody tr");
    await vips.first().waitFor();
    await assertAccessible(page, "dark");
    await tabTo(page, /^Skip to the content$/);
    await tabTo(page, /^Token/);
    await page.keyboard.press("Enter");
    await page.keyboard.type(OPERATE);
    await page.keyboard.press("Enter");
    await page.locator("#role", { hasText: "you may operate" }).waitFor();

    const [vip] = rig.cluster.vips as [Address];
    const owner = (await rig.cluster.settled()).get(vip);
    const row = page.locator(`#vips tr[data-vip="${vip}"]`);
    await tabTo(page, new RegExp(`^Pin… ${vip}$`));
    await page.keyboard.press("Enter");
    const chosen = await page.getByRole("dialog").getByRole("combobox").inputValue();
    assert.notEqual(chosen, owner);
    await doIt(
      page,
      new RegExp(`${vip} moves from ${owner} to ${chosen} now; 2 sessions follow it, none ends`),
    );
    await row.and(page.locator(`[data-owner="${chosen}"]`)).waitFor();
    const pinned = row.locator(".tag", { hasText: "pinned" });
    await pinned.waitFor();
    const bar = page.locator(`#takeovers [data-vip="${vip}"]`).first();
    await bar.getByText("planned").waitFor();
    await tabTo(page, new RegExp(`^Replay ${vip}$`));
    await page.keyboard.press("Enter");
    await bar.locator(".cursor").waitFor();
    await bar.locator(".cursor").waitFor({ state: "detached" });
    await tabTo(page, new RegExp(`^Unpin ${vip}$`));
    await page.keyboard.press("Enter");
    await doIt(page, /it may move. 2 sessions follow it/);
    await pinned.waitFor({ state: "detached" });

    await tabTo(page, /^Drain… m2$/);
    await page.keyboard.press("Enter");
    await doIt(page, /m2/);
    await page.locator('#members tr[data-member="m2"] .state', { hasText: "drains" }).waitFor();
    await page.locator('#vips tr[data-owner="m2"]').first().waitFor({ state: "detached" });
    await tabTo(page, /^Undrain… m2$/);
    await page.keyboard.press("Enter");
    await doIt(page, /m2 may own VIPs again/);
    await page.locator('#members tr[data-member="m2"] .state', { hasText: /\sready$/ }).waitFor();

    await page.goto(`${rig.origins[0]}/console/#/sessions`);
    const link = page.locator("#sessions tbody a").first();
    const href = (await link.getAttribute("href")) ?? "";
    await assertAccessible(page, "dark sessions");
    await tabTo(page, new RegExp(`^${await link.textContent()}$`));
    await page.keyboard.press("Enter");
    await page.locator("#matrix tbody tr").first().waitFor();
    await assertAccessible(page, "a dark session");
    await tabTo(page, /^Write a trace$/);
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Writing: stop and save" }).waitFor();
    const saved = page.waitForEvent("download");
    await page.keyboard.press("Enter");
    const download = await saved;
    assert.equal(download.suggestedFilename(), `${href.split("/").at(-1)}.pcapng`);
    // The section header block's type: pcapng, section 4.1.
    assert.equal(readFileSync(await download.path()).readUInt32BE(0), 0x0a0d0d0a);
    await page.getByRole("button", { name: "Write a trace" }).waitFor();
    await tabTo(page, /^End it…/);
    await page.keyboard.press("Enter");
    await doIt(page, /1 session ends/);
    await page.locator("#session .state", { hasText: "closed" }).waitFor();
    const id = href.split("/").at(-1);
    const elsewhere = (await (await fetch(`${rig.origins[1]}/v1/sessions/${id}`)).json()) as SessionDetail;
    assert.equal(elsewhere.ended, "operator");
    assert.deepEqual(complaints, []);
    await page.close();
  });
});

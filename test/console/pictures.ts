// `npm run pictures`: the pictures of README and docs, taken of the page before a cluster of the lab: the first screen, a
// take-over, a session. Beside them stands the hash of the page's sources, so that a test can say when they are old.
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { until } from "@holdfast/testkit";
import { pageHash } from "../../packages/console/build.ts";
import { openBrowser, openPage } from "./browser.ts";
import { OPERATE, withCluster } from "./rig.ts";

const DIRECTORY = fileURLToPath(new URL("../../docs/pictures/", import.meta.url));
export const PICTURES = ["overview.png", "takeover.png", "session.png", "phone.png"] as const;

async function take(): Promise<void> {
  mkdirSync(DIRECTORY, { recursive: true });
  const browser = await openBrowser();
  try {
    await withCluster({ members: 3, endpoints: 3, clients: [1, 2, 3] }, async ({ cluster, origins }) => {
      const vip = cluster.vips[0] as string;
      const owner = (await cluster.settled()).get(vip);
      const dying = cluster.members.find(({ name }) => name === owner);
      const witness = cluster.members.findIndex(({ name }) => name !== owner);
      const { page } = await openPage(browser, { viewport: { width: 1280, height: 980 } }, origins);
      await page.goto(`${origins[witness]}/console/`);
      await page.getByRole("button", { name: /^Token/ }).click();
      await page.getByLabel("Token of this cluster").fill(OPERATE);
      await page.getByRole("button", { name: "Use it" }).click();
      await page.locator("#role", { hasText: "you may operate" }).waitFor();
      await page.screenshot({ path: `${DIRECTORY}overview.png` });
      await dying?.killNode();
      const bar = page.locator(`#takeovers [data-vip="${vip}"]`).first();
      await bar.getByText("first packet", { exact: false }).first().waitFor();
      await page.locator("#alerts").getByText("is missing", { exact: false }).waitFor();
      await page.locator("#takeovers").screenshot({ path: `${DIRECTORY}takeover.png` });
      await page.setViewportSize({ width: 390, height: 844 });
      await page.screenshot({ path: `${DIRECTORY}phone.png` });
      await page.setViewportSize({ width: 1280, height: 980 });
      await page.goto(`${origins[witness]}/console/#/sessions`);
      const sessions = page.locator("#sessions tbody tr");
      await sessions.first().waitFor();
      const several = sessions.filter({ hasText: "+2" }).first();
      await several.locator("a").click();
      await until("its packets to be counted", async () => (await page.locator("#matrix small").count()) > 3);
      await page.screenshot({ path: `${DIRECTORY}session.png` });
    });
    writeFileSync(`${DIRECTORY}sources.sha256`, `${pageHash()}\n`);
  } finally {
    await browser.close();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await take();

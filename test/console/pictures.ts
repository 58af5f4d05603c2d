// `npm run pictures`: the pictures of README and docs, taken of the page before a cluster of the lab while things happen to
// it. Beside them stands the hash of what they show, so that a test can say when they are old.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { pageHash } from "@holdfast/console/build";
import type { Address } from "@holdfast/model";
import { until } from "@holdfast/testkit";
import type { Page } from "playwright-core";
import { openBrowser, openPage } from "./browser.ts";
import { OPERATE, type Rig, withCluster } from "./rig.ts";

export const PICTURES_DIRECTORY = fileURLToPath(new URL("../../docs/pictures/", import.meta.url));
export const PICTURES_STAMP = `${PICTURES_DIRECTORY}sources.sha256`;
export const PICTURES = [
  "overview",
  "dark",
  "phone",
  "wrong-token",
  "act",
  "drained",
  "session",
  "partition",
  "killed",
  "takeover",
  "moved",
  "cut-off",
] as const;
type Picture = (typeof PICTURES)[number];

const SIZE = { width: 1280, height: 900 };
const PHONE = { width: 390, height: 844 };
const LIMIT_MS = 60_000;

/** Of the page's sources and of what takes the pictures. */
export function picturesHash(): string {
  return createHash("sha256")
    .update(pageHash())
    .update(readFileSync(fileURLToPath(import.meta.url)))
    .digest("hex");
}

class Camera {
  readonly #page: Page;
  readonly #taken = new Set<Picture>();

  constructor(page: Page) {
    this.#page = page;
  }

  /** What the window shows, or only `part`. */
  async take(picture: Picture, part?: string): Promise<void> {
    const path = `${PICTURES_DIRECTORY}${picture}.png`;
    const options = { path, animations: "disabled" } as const;
    if (part === undefined) await this.#page.evaluate("scrollTo(0, 0)");
    if (part === undefined) await this.#page.screenshot(options);
    else await this.#page.locator(part).screenshot(options);
    // 256 colours are enough for a page; a third of the bytes.
    execFileSync("pngquant", ["--force", "--strip", "--speed=1", "--output", path, "256", path]);
    this.#taken.add(picture);
  }

  missing(): readonly Picture[] {
    return PICTURES.filter((picture) => !this.#taken.has(picture));
  }
}

async function useToken(page: Page, token: string): Promise<void> {
  await page.getByRole("button", { name: /^Token/ }).click();
  await page.getByLabel("Token of this cluster").fill(token);
  await page.getByRole("button", { name: "Use it" }).click();
}

/** Nothing fails, and who may do what. */
async function calm(rig: Rig, page: Page, camera: Camera): Promise<void> {
  await page.locator("#vips tbody tr").first().waitFor();
  await useToken(page, "a-token-of-nobody-here");
  await page.getByText("does not take this one").waitFor();
  await camera.take("wrong-token");
  await useToken(page, OPERATE);
  await page.locator("#role", { hasText: "you may operate" }).waitFor();
  // Curves of some seconds.
  await until("load to be drawn", async () => {
    const { items } = (await (await fetch(`${rig.origins[0]}/v1/sessions`)).json()) as { items: unknown[] };
    return items.length > 5 && (await page.locator("#curves canvas").count()) === 2;
  });
  await page.getByText("Nothing needs you").waitFor();
  await camera.take("overview");
  await page.emulateMedia({ colorScheme: "dark" });
  await camera.take("dark");
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize(PHONE);
  await camera.take("phone");
  await page.setViewportSize(SIZE);
}

/** An act, and what came of it; a session. */
async function acts(page: Page, camera: Camera): Promise<void> {
  const row = page.locator("#services tbody tr").first();
  const endpoint = await row.getAttribute("data-endpoint");
  await page.getByRole("button", { name: `Drain… ${endpoint}` }).click();
  await page.getByRole("dialog").getByText("go on there", { exact: false }).waitFor();
  await camera.take("act");
  await page.getByRole("dialog").getByRole("button", { name: "Do it" }).click();
  await page.locator(`[data-endpoint="${endpoint}"][data-state="drain"]`).waitFor();
  await camera.take("drained", "#services");
  await page.getByRole("button", { name: `Undrain… ${endpoint}` }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Do it" }).click();
  await page.locator(`[data-endpoint="${endpoint}"][data-state="active"]`).waitFor();
  await page.getByRole("link", { name: "Sessions", exact: true }).click();
  const several = page.locator("#sessions tbody tr").filter({ hasText: "+2" }).first();
  await several.locator("a").click();
  await until("its packets to be counted", async () => (await page.locator("#matrix small").count()) > 3);
  await camera.take("session");
  await page.getByRole("link", { name: "Overview" }).click();
}

/** A member that nobody reaches, and one that is killed with its machine. */
async function failures({ cluster }: Rig, witness: number, page: Page, camera: Camera): Promise<void> {
  const owners = await cluster.settled();
  const [vip] = cluster.vips as [Address];
  const owner = owners.get(vip);
  const dying = cluster.members.find(({ name }) => name === owner);
  const cut = cluster.members.find((each, n) => n !== witness && each !== dying);
  const networks = ["path-a", "path-b", "path-c", "core", "cluster"];
  for (const network of networks) cut?.host.cut(network);
  await page.locator("#alerts").getByText(`Member ${cut?.name} is missing`, { exact: false }).waitFor();
  await page.locator('#vips tr[data-owner=""]').first().waitFor({ state: "detached" });
  await camera.take("partition");
  for (const network of networks) cut?.host.heal(network);
  await page.getByText("Nothing needs you").waitFor();
  // What the others took over goes back once it is ready again.
  await until("every VIP to be where it was", async () => {
    const now = await cluster.settled();
    return [...owners].every(([each, before]) => now.get(each) === before);
  });
  await dying?.killNode();
  const bar = page
    .locator(`#takeovers [data-vip="${vip}"]`)
    .filter({ hasText: `${owner} →` })
    .first();
  await bar.getByText("death").waitFor();
  await bar.getByText("first packet", { exact: false }).first().waitFor();
  await page.locator("#alerts").getByText(`Member ${owner} is missing`, { exact: false }).waitFor();
  await camera.take("killed");
  await camera.take("takeover", "#takeovers");
}

/** The member that serves the page dies, then the last one. */
async function silence({ cluster }: Rig, witness: number, page: Page, camera: Camera): Promise<void> {
  await cluster.members[witness]?.killDaemon();
  await page.locator("#moved").filter({ hasText: "another member does" }).waitFor();
  await camera.take("moved");
  for (const member of cluster.members) if (member.running) await member.killDaemon();
  await page.locator("#cut-off").waitFor();
  await camera.take("cut-off");
}

async function takeAll(): Promise<void> {
  mkdirSync(PICTURES_DIRECTORY, { recursive: true });
  execFileSync("pngquant", ["--version"]);
  const browser = await openBrowser();
  try {
    await withCluster({ members: 3, endpoints: 3, clients: [1, 2, 3] }, async (rig) => {
      // The one that owns nothing that will be killed.
      const owner = (await rig.cluster.settled()).get(rig.cluster.vips[0] as Address);
      const witness = rig.cluster.members.findIndex(({ name }) => name !== owner);
      const { page, complaints } = await openPage(browser, { viewport: SIZE }, rig.origins);
      page.setDefaultTimeout(LIMIT_MS);
      await page.goto(`${rig.origins[witness]}/console/`);
      const camera = new Camera(page);
      await calm(rig, page, camera);
      await acts(page, camera);
      await failures(rig, witness, page, camera);
      await silence(rig, witness, page, camera);
      if (camera.missing().length > 0) throw new Error(`not taken: ${camera.missing().join(", ")}`);
      if (complaints.length > 0) throw new Error(complaints.join("\n"));
    });
    writeFileSync(PICTURES_STAMP, `${picturesHash()}\n`);
  } finally {
    await browser.close();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await takeAll();

// Debian's Chromium, driven by playwright-core.
import { existsSync } from "node:fs";
import { type Browser, chromium, type Page } from "playwright-core";

const PROGRAM = "/usr/bin/chromium";

export async function openBrowser(): Promise<Browser> {
  if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing: run 'npm run setup'`);
  // Tests run as root, where Chromium's own sandbox does not work.
  return chromium.launch({ executablePath: PROGRAM, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
}

export interface Watched {
  readonly page: Page;
  /** What the console or the policy complained of, and requests to anybody but the cluster. */
  readonly complaints: string[];
}

/** A page that notes what should not be. `origins`: those that it may ask. */
export async function openPage(
  browser: Browser,
  options: NonNullable<Parameters<Browser["newPage"]>[0]>,
  origins: readonly string[],
): Promise<Watched> {
  const page = await browser.newPage(options);
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    // A member that is gone is what some stories are about: the browser says so, too.
    if (message.type() === "error" && !/Failed to load resource|net::ERR/.test(message.text()))
      complaints.push(message.text());
  });
  page.on("request", (request) => {
    if (!origins.some((origin) => request.url().startsWith(`${origin}/`)))
      complaints.push(`it asked ${request.url()}`);
  });
  return { page, complaints };
}

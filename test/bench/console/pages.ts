// An open page in a real browser, before a cluster of the lab.
import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { openBrowser, openPage } from "../../console/browser.ts";
import { OPERATE, type Rig, withCluster } from "../../console/rig.ts";
import { type Row, rounded } from "../replication/report.ts";

const TICKS_PER_SECOND = 100;
/** What a wallboard of ten, or ten engineers, ask in a second. */
const READERS_PER_SECOND = 10;
const ACT_LIMIT_MS = 10_000;
/** How often the page is looked at while something is waited for. */
const LOOK_PERIOD_MS = 10;

interface Times {
  readonly rounds: number;
  readonly seconds: number;
  readonly acts: number;
}

export async function openPages(times: Times): Promise<Row[]> {
  const browser = await openBrowser();
  const rows: Row[] = [];
  try {
    await withCluster({ members: 3, endpoints: 2, clients: [1, 2, 3] }, async (rig) => {
      const { page } = await openPage(browser, { viewport: { width: 1400, height: 1000 } }, rig.origins);
      const show = async (open: boolean) => {
        await page.goto(open ? `${rig.origins[0]}/console/` : "about:blank");
        if (open) await page.locator("#vips tbody tr").first().waitFor();
      };
      await show(true);
      rows.push(...(await behind(rig, page, times.acts)));
      rows.push(...(await costs(rig, show, times)));
    });
  } finally {
    await browser.close();
  }
  return rows;
}

/** Runs in the page, whose policy lets no text become code. */
function isThere(selector: string): boolean {
  const { document } = globalThis as unknown as { document: { querySelector(text: string): unknown } };
  return document.querySelector(selector) !== null;
}

/** An endpoint is drained and undrained at the last member; the page of the first shows it. */
async function behind({ origins, cluster }: Rig, page: Page, count: number): Promise<Row[]> {
  const at = origins.at(-1);
  const { services } = (await (await fetch(`${at}/v1/cluster`)).json()) as {
    services: { id: string; endpoints: { endpoint: string }[] }[];
  };
  const [service] = services;
  const endpoint = service?.endpoints[0]?.endpoint ?? "";
  const path = `${at}/v1/services/${encodeURIComponent(service?.id ?? "")}/endpoints/${encodeURIComponent(endpoint)}`;
  const took: number[] = [];
  for (let n = 0; n < count; n++) {
    const [act, state] = n % 2 === 0 ? ["drain", "drain"] : ["undrain", "active"];
    const shown = page.waitForFunction(isThere, `[data-endpoint="${endpoint}"][data-state="${state}"]`, {
      timeout: ACT_LIMIT_MS,
      polling: LOOK_PERIOD_MS,
    });
    const startedMs = performance.now();
    const answer = await fetch(`${path}/${act}`, {
      method: "POST",
      headers: { authorization: `Bearer ${OPERATE}` },
    });
    if (!answer.ok) throw new Error(`${path}/${act}: ${answer.status}`);
    await shown;
    took.push(performance.now() - startedMs);
    // At no fixed distance from the page's own questions.
    await pause(Math.random() * 700);
  }
  took.sort((a, b) => a - b);
  const member = cluster.members.at(-1)?.name;
  const row = (name: string, value: number): Row => ({
    case: `an act at ${member} is on m1's page, ${name} of ${count}`,
    value: rounded(value),
    unit: "ms",
  });
  return [row("half", took[Math.floor(count / 2)] ?? 0), row("the last", took.at(-1) ?? 0)];
}

/** In turns: no page, a page, ten questions a second. */
async function costs(
  rig: Rig,
  show: (open: boolean) => Promise<void>,
  { rounds, seconds }: Times,
): Promise<Row[]> {
  const looks = { none: [] as number[][], page: [] as number[][], readers: [] as number[][] };
  for (let round = 0; round < rounds; round++) {
    await show(false);
    looks.none.push(await look(rig, seconds));
    await show(true);
    looks.page.push(await look(rig, seconds));
    await show(false);
    const stop = read(`${rig.origins[0]}/v1/cluster`);
    looks.readers.push(await look(rig, seconds));
    await stop();
  }
  /** % of a core, of the member that is asked and of the most that any other uses. */
  const mean = (each: number[][], pick: (shares: number[]) => number) =>
    (each.reduce((sum, shares) => sum + pick(shares), 0) / each.length) * 100;
  const asked = (shares: number[]) => shares[0] ?? 0;
  const others = (shares: number[]) =>
    shares.slice(1).reduce((sum, share) => sum + share, 0) / (shares.length - 1);
  const rows: Row[] = [];
  for (const [who, pick] of [
    ["the member that is asked", asked],
    ["each other", others],
  ] as const) {
    const idle = mean(looks.none, pick);
    rows.push({ case: `${who}: no page open`, value: rounded(idle, 2), unit: "% of a core" });
    for (const [what, each] of [
      ["a page open", looks.page],
      [`${READERS_PER_SECOND} questions a second`, looks.readers],
    ] as const) {
      const used = mean(each, pick);
      rows.push(
        {
          case: `${who}: ${what}`,
          value: rounded(used, 2),
          unit: "% of a core",
          versus: "no page",
          ratio: rounded(idle / used, 3),
        },
        { case: `${who}: ${what}, more than without`, value: rounded(used - idle, 2), unit: "% of a core" },
      );
    }
  }
  return rows;
}

/** Shares of a core that the members use, by member. */
async function look({ cluster }: Rig, seconds: number): Promise<number[]> {
  const processes = cluster.members.map(({ pid }) => pid ?? 0);
  await pause(1_000);
  const startedMs = performance.now();
  const before = processes.map(processorSeconds);
  await pause(seconds * 1_000);
  const passed = (performance.now() - startedMs) / 1_000;
  return processes.map((pid, n) => (processorSeconds(pid) - (before[n] ?? 0)) / passed);
}

/** Asks at that rate until the returned function is called. */
function read(url: string): () => Promise<void> {
  const open = new Set<Promise<unknown>>();
  const timer = setInterval(() => {
    const one = fetch(url)
      .then((answer) => answer.arrayBuffer())
      .catch(() => {})
      .finally(() => open.delete(one));
    open.add(one);
  }, 1_000 / READERS_PER_SECOND);
  return async () => {
    clearInterval(timer);
    await Promise.all(open);
  };
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** User and system time of all threads of a process. */
function processorSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

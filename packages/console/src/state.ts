// What the page knows, as signals, and what keeps it true: one question after the other for the whole cluster, and the stream
// of its events, which says when to ask at once.
import type { ClusterPicture, NodeEvent, TakeOver } from "@holdfast/api";
import { type ApiClient, ApiError, createClient } from "@holdfast/api/client";
import { computed, signal } from "@preact/signals";
import { MemberChoice } from "./members.ts";
import { isSearch } from "./places.ts";
import { rising, type Sample, sampleOf } from "./rates.ts";

/** Between an answer and the next question. Together with what a member may keep an answer (300 ms): below a second. */
const PERIOD_MS = 500;
/** An answer that takes longer is none: another member is asked. */
const ANSWER_LIMIT_MS = 2_000;
/** Without an answer for so long the page says so. */
export const OLD_MS = 1_500;
const RETRY_MS = 400;
const EVENT_COUNT_SHOWN = 200;
/** Curves: one point each second, of five minutes. */
export const CURVE_COUNT = 300;
const DROPS_WINDOW_MS = 60_000;
const TOKEN_KEY = "holdfast-token";

export const picture = signal<ClusterPicture | undefined>(undefined);
/** performance.now() of the answer that is shown. */
export const heardAtMs = signal(0);
export const nowMs = signal(performance.now());
export const role = signal<"read" | "operate" | undefined>(undefined);
export const refusal = signal("");
export const token = signal(sessionStorage.getItem(TOKEN_KEY) ?? "");
export const events = signal<readonly NodeEvent[]>([]);
export const takeOvers = signal<readonly TakeOver[]>([]);
export const drops = signal<ReturnType<typeof rising>>([]);
export const curve = signal<{ at: number[]; sessions: number[]; drops: (number | null)[] }>({
  at: [],
  sessions: [],
  drops: [],
});
export const route = signal(location.hash);
/** Where the reader was among the sessions. */
export const lastSearch = signal(isSearch(location.hash) ? location.hash : "#/sessions");
export const knownCount = signal(1);
/** The member that told first; another one tells once it is gone. */
export const firstMember = signal("");

export const silentMs = computed(() => (picture.value === undefined ? 0 : nowMs.value - heardAtMs.value));
export const isCutOff = computed(() => picture.value !== undefined && silentMs.value > OLD_MS);
export const mayOperate = computed(() => role.value === "operate" && !isCutOff.value);

const choice = new MemberChoice(location.origin);

function clientAt(base: string, timeoutMs = ANSWER_LIMIT_MS): ApiClient {
  return createClient({
    url: base,
    timeoutMs,
    ...(token.value !== "" && { token: token.value }),
    async fetch(url, init) {
      const response = await fetch(url, { ...init, credentials: "omit", cache: "no-store" });
      const given = response.headers.get("holdfast-role");
      if (response.ok && (given === "read" || given === "operate")) role.value = given;
      return response;
    },
  });
}

/** For what the reader asks for: at the member that answers now. */
export function client(timeoutMs = 10_000): ApiClient {
  return clientAt(choice.current, timeoutMs);
}

let wake = () => {};
/** Asks at once. */
export function askNow(): void {
  wake();
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    wake = () => {
      clearTimeout(timer);
      resolve();
    };
  });
}

export function setToken(text: string): void {
  token.value = text;
  if (text === "") sessionStorage.removeItem(TOKEN_KEY);
  else sessionStorage.setItem(TOKEN_KEY, text);
  role.value = undefined;
  restartEvents();
  askNow();
}

const dropSamples: Sample[] = [];
let drawnBefore: Sample | undefined;

function take(next: ClusterPicture): void {
  const atMs = performance.now();
  if (firstMember.value === "") firstMember.value = next.member;
  // The stream of events may be late, or gone.
  const ownersOf = ({ vips }: ClusterPicture) => vips.map(({ vip, owner }) => `${vip} ${owner}`).join();
  if (picture.value !== undefined && ownersOf(picture.value) !== ownersOf(next)) void refreshTakeOvers();
  picture.value = next;
  heardAtMs.value = atMs;
  nowMs.value = atMs;
  refusal.value = "";
  choice.learn(next.members.flatMap(({ report }) => report?.api ?? []));
  knownCount.value = choice.count;
  dropSamples.push(sampleOf(next, atMs, (report) => report.drops));
  while (dropSamples.length > 2 && atMs - (dropSamples[1]?.atMs ?? 0) > DROPS_WINDOW_MS) dropSamples.shift();
  const [first] = dropSamples;
  const last = dropSamples.at(-1);
  if (first !== undefined && last !== undefined) drops.value = rising(first, last);
  drawOn(next, atMs);
}

function drawOn(next: ClusterPicture, atMs: number): void {
  const { at, sessions, drops: dropped } = curve.value;
  const now = sampleOf(next, atMs, (report) => report.drops);
  if (drawnBefore !== undefined && atMs - drawnBefore.atMs < 1_000) return;
  const rate = drawnBefore && rising(drawnBefore, now).reduce((sum, { perSecond }) => sum + perSecond, 0);
  drawnBefore = now;
  const keep = <T>(list: readonly T[], value: T) => [...list, value].slice(-CURVE_COUNT);
  curve.value = {
    at: keep(at, Date.now() / 1000),
    sessions: keep(sessions, next.sessions),
    drops: keep(dropped, rate ?? null),
  };
}

async function ask(): Promise<void> {
  for (;;) {
    const base = choice.current;
    try {
      take(await clientAt(base).cluster());
      await pause(document.hidden ? 10 * PERIOD_MS : PERIOD_MS);
    } catch (error) {
      if (error instanceof ApiError && (error.status === 401 || error.status === 403)) {
        // It answers, and does not take what the reader has: another member would not either.
        refusal.value = error.message;
        role.value = undefined;
        await pause(5 * PERIOD_MS);
      } else if (choice.failed(base)) await pause(RETRY_MS);
    }
  }
}

let listening = new AbortController();
let lastEvent: string | undefined;

function restartEvents(): void {
  listening.abort();
  listening = new AbortController();
}

async function listen(): Promise<void> {
  for (;;) {
    const { signal: stop } = listening;
    try {
      // Later nothing may be left out.
      const from = lastEvent === undefined ? { after: "0", latest: EVENT_COUNT_SHOWN } : { after: lastEvent };
      const opened = performance.now();
      for await (const event of clientAt(choice.current).events({ ...from, signal: stop })) {
        lastEvent = event.id;
        // They come as the member heard them: what was kept of several members is not in the order of time.
        events.value = [event, ...events.value]
          .sort((a, b) => (a.at < b.at ? 1 : a.at > b.at ? -1 : 0))
          .slice(0, EVENT_COUNT_SHOWN);
        // What was kept comes first, all at once: one question is enough for that.
        if (performance.now() - opened > 200 && event.type !== "session") askNow();
        if (event.type === "ownership") void refreshTakeOvers();
      }
    } catch {
      // The next member of `ask` is the next one here.
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

/** The first packet is known a moment after the move. */
const TAKE_OVER_LOOKS_MS = [0, 300, 1_000, 5_000] as const;
let looksLeft = 0;
let looking = false;
/** All looks again, also when some are under way: it may be another move. */
export async function refreshTakeOvers(): Promise<void> {
  looksLeft = TAKE_OVER_LOOKS_MS.length;
  if (looking) return;
  looking = true;
  while (looksLeft > 0) {
    const delayMs = TAKE_OVER_LOOKS_MS[TAKE_OVER_LOOKS_MS.length - looksLeft--];
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    try {
      takeOvers.value = await client(ANSWER_LIMIT_MS).listTakeOvers();
    } catch {
      // The next look, or the next move.
    }
  }
  looking = false;
}

export function start(): void {
  addEventListener("hashchange", () => {
    route.value = location.hash;
    if (isSearch(location.hash)) lastSearch.value = location.hash;
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) askNow();
  });
  setInterval(() => {
    nowMs.value = performance.now();
  }, 250);
  void ask();
  void listen();
  void refreshTakeOvers();
}

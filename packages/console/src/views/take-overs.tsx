// A take-over as a bar: how long each step took, from the old owner's last sign of life to the first packet.
import type { TakeOver } from "@holdfast/api";
import { useEffect, useRef, useState } from "preact/hooks";
import { clock, day, milliseconds } from "../format.ts";
import { Panel } from "../parts.tsx";
import { takeOvers } from "../state.ts";
import { TEXT } from "../text.ts";

/** A replay runs so much slower than it was. */
const SLOWED = 12;

interface Step {
  readonly name: string;
  readonly from: number;
  readonly to: number;
  readonly kind: "silence" | "announce" | "packet";
}

export function stepsOf({ verdictMs, announcedMs, firstPacketMs }: TakeOver): Step[] {
  const verdict = verdictMs ?? 0;
  const steps: Step[] = [];
  if (verdictMs !== undefined)
    steps.push({ name: TEXT.takeovers.silence, from: 0, to: verdict, kind: "silence" });
  steps.push({
    name: TEXT.takeovers.announced,
    from: verdict,
    to: Math.max(verdict, announcedMs),
    kind: "announce",
  });
  if (firstPacketMs !== undefined && firstPacketMs > announcedMs)
    steps.push({ name: TEXT.takeovers.first, from: announcedMs, to: firstPacketMs, kind: "packet" });
  return steps;
}

/** The whole of it, ms. */
export function lengthOf({ announcedMs, firstPacketMs }: TakeOver): number {
  return Math.max(announcedMs, firstPacketMs ?? 0, 1);
}

function useReplay(lengthMs: number) {
  const [at, setAt] = useState<number | undefined>(undefined);
  const frame = useRef(0);
  useEffect(() => () => cancelAnimationFrame(frame.current), []);
  const replay = () => {
    cancelAnimationFrame(frame.current);
    const began = performance.now();
    const step = () => {
      const passed = (performance.now() - began) / SLOWED;
      setAt(passed > lengthMs * 1.1 ? undefined : passed);
      if (passed <= lengthMs * 1.1) frame.current = requestAnimationFrame(step);
    };
    step();
  };
  return { at, replay };
}

export function TakeOverBar({ takeOver, scaleMs }: { takeOver: TakeOver; scaleMs: number }) {
  const length = lengthOf(takeOver);
  const { at, replay } = useReplay(length);
  const { vip, from, to, verdictMs, announcedMs, firstPacketMs, sessions, cause } = takeOver;
  const x = (ms: number) => (ms / scaleMs) * 1000;
  const words = [
    ...(verdictMs === undefined ? [] : [`${TEXT.takeovers.verdict} ${milliseconds(verdictMs)}`]),
    `${TEXT.takeovers.announced} ${milliseconds(announcedMs)}`,
    firstPacketMs === undefined
      ? TEXT.takeovers.noPacket
      : `${TEXT.takeovers.first} ${milliseconds(firstPacketMs)}`,
  ];
  return (
    <li class="takeover" data-vip={vip}>
      <p class="head">
        <time dateTime={takeOver.at} title={day(takeOver.at)}>
          {clock(takeOver.at, true)}
        </time>{" "}
        <strong>{vip}</strong> {from ?? "?"} → <strong>{to}</strong>{" "}
        <span class="tag">{TEXT.takeovers.cause[cause]}</span>{" "}
        <span class="total">{milliseconds(firstPacketMs ?? announcedMs)}</span>
        <button type="button" class="small" onClick={replay} aria-label={`${TEXT.takeovers.replay} ${vip}`}>
          ▶ {TEXT.takeovers.replay}
        </button>
      </p>
      <svg
        class="bar"
        viewBox="0 0 1000 26"
        preserveAspectRatio="none"
        role="img"
        aria-label={words.join(", ")}
      >
        <rect class="track" x="0" y="6" width="1000" height="14" />
        {stepsOf(takeOver).map((step) => (
          <rect
            key={step.kind}
            class={step.kind}
            x={x(step.from)}
            y="6"
            height="14"
            width={Math.max(
              2,
              (at === undefined ? x(step.to) : x(Math.min(Math.max(at, step.from), step.to))) - x(step.from),
            )}
          />
        ))}
        {at !== undefined && (
          <rect class="cursor" x={x(Math.min(at, length)) - 1.5} y="0" width="3" height="26" />
        )}
      </svg>
      <p class="steps">
        {at === undefined
          ? words.join(" · ")
          : `${milliseconds(Math.min(at, length))} · ${saidAt(takeOver, at)}`}
        <span class="cost">{TEXT.takeovers.cost(sessions)}</span>
      </p>
    </li>
  );
}

function saidAt({ verdictMs, announcedMs, firstPacketMs, cause }: TakeOver, at: number): string {
  if (firstPacketMs !== undefined && at >= firstPacketMs) return TEXT.takeovers.first;
  if (at >= announcedMs) return TEXT.takeovers.announced;
  if (verdictMs !== undefined && at >= verdictMs) return TEXT.takeovers.verdict;
  return cause === "death" ? TEXT.takeovers.sign : TEXT.takeovers.letGo;
}

export function TakeOvers({ count }: { count: number }) {
  const list = takeOvers.value.slice(0, count);
  const scaleMs = Math.max(...list.map(lengthOf), 1);
  return (
    <Panel title={TEXT.takeovers.title} id="takeovers" hint={TEXT.takeovers.explain}>
      {list.length === 0 ? (
        <p class="calm">{TEXT.takeovers.none}</p>
      ) : (
        <>
          <p class="legend">
            <span class="key silence" /> {TEXT.takeovers.silence} <span class="key announce" />{" "}
            {TEXT.takeovers.announced} <span class="key packet" /> {TEXT.takeovers.first}
          </p>
          <ol class="takeovers">
            {list.map((takeOver) => (
              <TakeOverBar key={takeOver.id} takeOver={takeOver} scaleMs={scaleMs} />
            ))}
          </ol>
        </>
      )}
    </Panel>
  );
}

// Small pieces that the views share.
import type { ComponentChildren } from "preact";
import { TEXT } from "./text.ts";

/** A state that colour, shape and word tell alike. */
export type Tone = "good" | "bad" | "warn" | "idle" | "info";

const SHAPE: Readonly<Record<Tone, string>> = { good: "●", bad: "✕", warn: "▲", idle: "○", info: "◆" };

export function State({ tone, children }: { tone: Tone; children: ComponentChildren }) {
  return (
    <span class={`state ${tone}`}>
      <span aria-hidden="true" class="shape">
        {SHAPE[tone]}
      </span>{" "}
      {children}
    </span>
  );
}

export function Panel(props: { title: string; id: string; children: ComponentChildren; hint?: string }) {
  return (
    <section class="panel" aria-labelledby={`${props.id}-title`} id={props.id}>
      <h2 id={`${props.id}-title`}>{props.title}</h2>
      {props.hint !== undefined && <p class="hint">{props.hint}</p>}
      {props.children}
    </section>
  );
}

/** A table that scrolls in its own box when the window is narrow, also by keyboard. */
export function Table(props: {
  label: string;
  head: readonly ComponentChildren[];
  /** Columns of numbers, by index. */
  numbers?: readonly number[];
  children: ComponentChildren;
}) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <section class="scroll" tabIndex={0} aria-label={TEXT.table(props.label)}>
      <table>
        <thead>
          <tr>
            {props.head.map((cell, index) => (
              <th key={index} scope="col" class={props.numbers?.includes(index) ? "number" : ""}>
                {cell}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{props.children}</tbody>
      </table>
    </section>
  );
}

export function Share({ value, text }: { value: number; text: string }) {
  const tone = value > 0.8 ? "bad" : value > 0.6 ? "warn" : "good";
  return (
    <span class={`share ${tone}`}>
      <svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
        <rect width="100" height="6" class="track" />
        <rect width={Math.max(value > 0 ? 1 : 0, value * 100)} height="6" class="fill" />
      </svg>
      {text}
    </span>
  );
}

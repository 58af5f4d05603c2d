// Acts: what one will do is said before it is done.
import type { ApiClient } from "@holdfast/api/client";
import { ApiError } from "@holdfast/api/client";
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { askNow, client, mayOperate } from "./state.ts";
import { TEXT } from "./text.ts";

export interface Act {
  readonly title: string;
  /** Told anew while the picture changes. */
  readonly effects: () => readonly string[];
  readonly run: (api: ApiClient) => Promise<unknown>;
  /** Of members to choose from, for a pin. */
  readonly choice?: {
    readonly options: readonly string[];
    readonly effects: (chosen: string) => readonly string[];
    readonly run: (api: ApiClient, chosen: string) => Promise<unknown>;
  };
  readonly after?: () => void;
}

const current = signal<Act | undefined>(undefined);
const failure = signal("");
const busy = signal(false);
const chosen = signal("");

export function propose(act: Act): void {
  failure.value = "";
  chosen.value = act.choice?.options[0] ?? "";
  current.value = act;
}

/** Shown only to whoever may. */
export function ActButton({ label, name, act }: { label: string; name: string; act: () => Act }) {
  if (!mayOperate.value) return null;
  return (
    <button type="button" class="small" aria-label={`${label} ${name}`} onClick={() => propose(act())}>
      {label}
    </button>
  );
}

async function go(act: Act): Promise<void> {
  busy.value = true;
  failure.value = "";
  try {
    if (act.choice !== undefined) await act.choice.run(client(), chosen.value);
    else await act.run(client());
    current.value = undefined;
    askNow();
    act.after?.();
  } catch (error) {
    failure.value =
      error instanceof ApiError ? `${error.message} ${error.remedy}` : String((error as Error).message);
  } finally {
    busy.value = false;
  }
}

export function ActDialog() {
  const dialog = useRef<HTMLDialogElement>(null);
  const act = current.value;
  useEffect(() => {
    if (act !== undefined && dialog.current?.open === false) dialog.current.showModal();
    if (act === undefined && dialog.current?.open === true) dialog.current.close();
  }, [act]);
  const effects = act?.choice?.effects(chosen.value) ?? act?.effects() ?? [];
  return (
    <dialog
      ref={dialog}
      aria-labelledby="act-title"
      onClose={() => {
        current.value = undefined;
      }}
    >
      {act !== undefined && (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void go(act);
          }}
        >
          <h2 id="act-title">{act.title}</h2>
          {act.choice !== undefined && (
            <label>
              {TEXT.acts.to}{" "}
              <select
                value={chosen.value}
                onChange={(event) => {
                  chosen.value = event.currentTarget.value;
                }}
              >
                {act.choice.options.map((option) => (
                  <option key={option}>{option}</option>
                ))}
              </select>
            </label>
          )}
          <h3>{TEXT.acts.does}</h3>
          <ul class="effects">
            {effects.map((line) => (
              <li key={line}>{line}</li>
            ))}
          </ul>
          <p role="alert" class="refused">
            {failure.value !== "" && `${TEXT.acts.failed} ${failure.value}`}
          </p>
          <p class="buttons">
            <button type="submit" class="primary" disabled={busy.value}>
              {TEXT.acts.go}
            </button>{" "}
            <button
              type="button"
              onClick={() => {
                current.value = undefined;
              }}
            >
              {TEXT.acts.cancel}
            </button>
          </p>
        </form>
      )}
    </dialog>
  );
}

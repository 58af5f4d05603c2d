// The page: head, tabs, and what the address says is to be shown.
import { render } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { ActDialog } from "./acts.tsx";
import { clock } from "./format.ts";
import { State } from "./parts.tsx";
import {
  firstMember,
  isCutOff,
  knownCount,
  picture,
  refusal,
  role,
  route,
  setToken,
  silentMs,
  start,
  token,
} from "./state.ts";
import "./style.css";
import "uplot/dist/uPlot.min.css";
import { TEXT } from "./text.ts";
import { Events } from "./views/events.tsx";
import { Overview } from "./views/overview.tsx";
import { Session } from "./views/session.tsx";
import { Sessions } from "./views/sessions.tsx";
import { TakeOvers } from "./views/take-overs.tsx";

const TABS = [
  ["#/", TEXT.tabs.overview],
  ["#/sessions", TEXT.tabs.sessions],
  ["#/takeovers", TEXT.tabs.takeovers],
  ["#/events", TEXT.tabs.events],
] as const;

function Health() {
  if (picture.value === undefined) return null;
  return isCutOff.value || refusal.value !== "" ? null : <State tone="good">{TEXT.live}</State>;
}

function Head() {
  const shown = picture.value;
  const at = route.value === "" ? "#/" : route.value;
  return (
    <header>
      <a class="skip" href="#content">
        {TEXT.skip}
      </a>
      <p class="brand">
        <svg viewBox="0 0 24 24" aria-hidden="true">
          <path d="M12 2v6m0 8v6M4 8l5 3m6 2 5 3M4 16l5-3m6-2 5-3" />
          <circle cx="12" cy="12" r="4" />
        </svg>
        <strong>{TEXT.product}</strong>
        {shown !== undefined && (
          <span>
            {TEXT.cluster} <b>{shown.cluster}</b>, {TEXT.servedBy} <b id="told-by">{shown.member}</b>
          </span>
        )}
        <span role="status" id="moved">
          {shown !== undefined && shown.member !== firstMember.value && TEXT.moved(firstMember.value)}
        </span>
      </p>
      <nav aria-label={TEXT.product}>
        {TABS.map(([href, title]) => (
          <a
            key={href}
            href={href}
            {...((href === "#/" ? at === href : at.startsWith(href)) && { "aria-current": "page" as const })}
          >
            {title}
          </a>
        ))}
      </nav>
      <p class="right">
        <Health /> <TokenButton />
      </p>
    </header>
  );
}

function TokenButton() {
  const dialog = useRef<HTMLDialogElement>(null);
  return (
    <>
      <button type="button" onClick={() => dialog.current?.showModal()}>
        {TEXT.token.open}: <span id="role">{TEXT.token.role[role.value ?? "none"]}</span>
      </button>
      <dialog ref={dialog} aria-labelledby="token-title">
        <form
          method="dialog"
          onSubmit={(event) => {
            const text = new FormData(event.currentTarget).get("token");
            setToken(typeof text === "string" ? text.trim() : "");
            event.currentTarget.reset();
          }}
        >
          <h2 id="token-title">{TEXT.token.title}</h2>
          <label>
            {TEXT.token.label}
            <input type="password" name="token" autocomplete="off" />
          </label>
          <p class="hint">{TEXT.token.hint}</p>
          <p class="buttons">
            <button type="submit" class="primary">
              {TEXT.token.set}
            </button>{" "}
            {token.value !== "" && <button type="submit">{TEXT.token.clear}</button>}
          </p>
        </form>
      </dialog>
    </>
  );
}

/** Old is never shown as new. */
function Silence() {
  const shown = picture.value;
  return (
    <div role="alert" class={isCutOff.value || refusal.value !== "" ? "silence" : ""}>
      {refusal.value !== "" && (
        <p>
          <strong>{TEXT.refused}</strong> {shown !== undefined && TEXT.cutOffSince(clock(shown.at))}
        </p>
      )}
      {refusal.value === "" && isCutOff.value && shown !== undefined && (
        <p>
          <strong id="cut-off">{TEXT.cutOff(Math.floor(silentMs.value / 1000))}</strong>{" "}
          {TEXT.cutOffSince(clock(shown.at))} {TEXT.trying(knownCount.value)}
        </p>
      )}
    </div>
  );
}

function Content() {
  const shown = picture.value;
  if (shown === undefined) return <p class="loading">{TEXT.loading}</p>;
  const at = route.value;
  const session = /^#\/sessions\/([0-9a-f-]{36})$/.exec(at)?.[1];
  if (session !== undefined) return <Session id={session} />;
  if (at.startsWith("#/sessions")) return <Sessions picture={shown} />;
  if (at.startsWith("#/takeovers")) return <TakeOvers count={100} />;
  if (at.startsWith("#/events")) return <Events count={200} />;
  return <Overview picture={shown} />;
}

function Page() {
  const cut = isCutOff.value;
  useEffect(() => {
    document.documentElement.classList.toggle("cut", cut);
  }, [cut]);
  return (
    <>
      <Head />
      <Silence />
      <main id="content" tabIndex={-1} data-cut={cut}>
        <h1 class="hidden">{TEXT.product}</h1>
        <Content />
      </main>
      <ActDialog />
    </>
  );
}

start();
const root = document.getElementById("page");
if (root !== null) render(<Page />, root);

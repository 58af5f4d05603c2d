// One session: its client addresses × VIPs, both generations, who holds it, its history.
import type { SessionDetail } from "@holdfast/api";
import { ApiError } from "@holdfast/api/client";
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ActButton } from "../acts.tsx";
import { endSessionEffects } from "../effects.ts";
import { clock, day, milliseconds, protocolWords, short } from "../format.ts";
import { Panel, State, Table } from "../parts.tsx";
import { client, lastSearch, mayOperate } from "../state.ts";
import { TEXT } from "../text.ts";

const PERIOD_MS = 1_000;
const TRACE_S = 30;
const detail = signal<SessionDetail | undefined>(undefined);
const failure = signal("");

function useSession(id: string): void {
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let ended = false;
    detail.value = undefined;
    failure.value = "";
    const look = async () => {
      try {
        const found = await client().getSession(id);
        if (ended) return;
        detail.value = found;
        failure.value = "";
      } catch (error) {
        if (ended) return;
        const gone = error instanceof ApiError && error.status === 404;
        failure.value = gone ? TEXT.session.gone : String((error as Error).message);
      }
      if (!ended) timer = setTimeout(look, PERIOD_MS);
    };
    void look();
    return () => {
      ended = true;
      clearTimeout(timer);
    };
  }, [id]);
}

export function Session({ id }: { id: string }) {
  useSession(id);
  const session = detail.value;
  return (
    <>
      <p>
        <a href={lastSearch.value}>← {TEXT.session.back}</a>
      </p>
      <p role="alert" class="refused">
        {failure.value}
      </p>
      {session !== undefined && session.id === id && (
        <div class={failure.value === "" ? "" : "old"}>
          <Head session={session} />
          {isUnderstood(session) && <Matrix session={session} />}
          {session.generations.length > 0 && <Generations session={session} />}
          <div class="columns">
            <Replicas session={session} />
            <History session={session} />
          </div>
        </div>
      )}
    </>
  );
}

/** Members of releases before the field understand what they show. */
const isUnderstood = (session: SessionDetail) => session.bodyUnderstood !== false;

/** The trace that is being written. */
const tracing = signal<AbortController | undefined>(undefined);
/** A browser may read what a link points to a moment after the click. */
const LINK_KEPT_MS = 60_000;

/** All that came until the end, or until it was stopped. */
async function readAll(
  stream: ReadableStream<Uint8Array>,
  stop: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>[]> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return parts;
      parts.push(value as Uint8Array<ArrayBuffer>);
    }
  } catch (error) {
    if (stop.aborted) return parts;
    throw error;
  }
}

/** Punted and dropped packets of this session, as a file of the browser's. */
async function writeTrace(session: string): Promise<void> {
  const stop = new AbortController();
  tracing.value = stop;
  try {
    const stream = await client().trace({ session, seconds: TRACE_S, signal: stop.signal });
    const parts = await readAll(stream, stop.signal);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(parts, { type: "application/octet-stream" }));
    link.download = `${session}.pcapng`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), LINK_KEPT_MS);
  } catch (error) {
    failure.value = String((error as Error).message);
  } finally {
    tracing.value = undefined;
  }
}

const TONES: Readonly<Partial<Record<SessionDetail["phase"], "good" | "idle">>> = {
  established: "good",
  closed: "idle",
};

function Head({ session }: { session: SessionDetail }) {
  return (
    <Panel title={`${TEXT.session.title} ${session.id}`} id="session">
      <p>
        <State tone={TONES[session.phase] ?? "warn"}>{session.phase}</State>{" "}
        <span class="tag">{protocolWords(session.protocol)}</span>{" "}
        {session.pending && <span class="tag">{TEXT.sessions.pending}</span>}{" "}
        {session.ended !== undefined && <span class="tag">{session.ended}</span>} ·{" "}
        {session.serviceName === "" ? session.service : session.serviceName} · {session.clients[0]}:
        {session.clientPort} → {session.endpoint ?? "–"} · NAT {session.natPort ?? "–"} ·{" "}
        {session.member ?? "–"} · {day(session.createdAt)}
      </p>
      {isUnderstood(session) ? <Acts session={session} /> : <p>{TEXT.session.foreign(session.protocol)}</p>}
    </Panel>
  );
}

function Acts({ session }: { session: SessionDetail }) {
  return (
    <>
      <ActButton
        label={TEXT.session.end}
        name={session.id}
        act={() => ({
          title: TEXT.acts.end,
          effects: () => endSessionEffects(session.protocol, session.clients[0] ?? "", session.endpoint),
          run: (api) => api.removeSession(session.id),
        })}
      />{" "}
      {mayOperate.value && (
        <button
          type="button"
          class="small"
          title={TEXT.session.traceNote}
          onClick={() => (tracing.value === undefined ? void writeTrace(session.id) : tracing.value.abort())}
        >
          {tracing.value === undefined ? TEXT.session.trace : TEXT.session.tracing}
        </button>
      )}
    </>
  );
}

function Matrix({ session }: { session: SessionDetail }) {
  return (
    <Panel
      title={TEXT.session.matrix}
      id="matrix"
      hint={session.protocol === "sctp" ? TEXT.session.matrixHint : TEXT.session.matrixHintPlain}
    >
      <Table
        label={TEXT.session.matrix}
        head={[TEXT.sessions.fields.client, ...session.paths.map(({ vip }) => vip)]}
      >
        {session.clientAddresses.map(({ address, verified }) => (
          <tr key={address}>
            <th scope="row">
              {address}{" "}
              <State tone={verified ? "good" : "idle"}>
                {verified ? TEXT.session.proven : TEXT.session.unproven}
              </State>
            </th>
            {session.paths.map((path) => {
              const rows = session.counters.filter((row) => row.vip === path.vip && row.client === address);
              return (
                <td key={path.vip} class={path.pairedClient === address ? "owner" : ""}>
                  {path.pairedClient === address && <span class="tag">⇄ {TEXT.session.paired}</span>}
                  {path.lastHeard?.client === address && (
                    <span class="tag">
                      ◉ {TEXT.session.heard}, {path.lastHeard.member}
                    </span>
                  )}
                  {rows
                    .filter(({ up, down }) => up.packets + down.packets > 0)
                    .map(({ member, up, down }) => (
                      <small key={member}>
                        {member}: ↑ {short(up.packets)} ↓ {short(down.packets)}
                        {up.lastSeenMsAgo !== undefined && `, ${milliseconds(up.lastSeenMsAgo)}`}
                      </small>
                    ))}
                </td>
              );
            })}
          </tr>
        ))}
      </Table>
    </Panel>
  );
}

function Generations({ session }: { session: SessionDetail }) {
  return (
    <Panel title={TEXT.session.generations} id="generations">
      <Table label={TEXT.session.generations} head={["Role", "Phase", "Client tag", "Source", "Candidates"]}>
        {session.generations.map((generation) => (
          <tr key={`${generation.role} ${generation.clientTag}`}>
            <th scope="row">{generation.role}</th>
            <td>{generation.phase}</td>
            <td class="mono">{generation.clientTag}</td>
            <td>{generation.source}</td>
            <td>
              {generation.candidates.map((candidate) => (
                <small key={candidate.endpointTag}>
                  {candidate.endpoint}, NAT {candidate.natPort}, {candidate.member}, {candidate.endpointTag}
                  {candidate.committed && " ✓"}
                </small>
              ))}
            </td>
          </tr>
        ))}
      </Table>
    </Panel>
  );
}

const REPLICA_TONE = { holds: "good", behind: "warn", unknown: "idle" } as const;

function Replicas({ session }: { session: SessionDetail }) {
  return (
    <Panel title={TEXT.session.replicas} id="replicas">
      <ul class="list">
        {session.replication.map(({ member, state, lagMs }) => (
          <li key={member}>
            {member} <State tone={REPLICA_TONE[state]}>{state}</State>
            {lagMs !== undefined && ` ${milliseconds(lagMs)}`}
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function History({ session }: { session: SessionDetail }) {
  return (
    <Panel title={TEXT.session.history} id="history">
      <ol class="events">
        {session.history.map(({ at, phase, origin, note }, index) => (
          <li key={index}>
            <time dateTime={at}>{clock(at, true)}</time> <span class="tag">{phase}</span> {origin}{" "}
            {note ?? ""}
          </li>
        ))}
      </ol>
    </Panel>
  );
}

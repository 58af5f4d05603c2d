// Sessions: searched and paged by the server.

import type { ClusterPicture, SessionPage, SessionSummary } from "@holdfast/api";
import { ApiError } from "@holdfast/api/client";
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { clock, duration } from "../format.ts";
import { Panel, Table } from "../parts.tsx";
import { PHASES, type PhaseName, PROTOCOLS, type ProtocolName } from "../phases.ts";
import { client } from "../state.ts";
import { TEXT } from "../text.ts";

const PAGE_COUNT = 50;
type Field = keyof typeof TEXT.sessions.fields;
const FIELDS: readonly Field[] = ["client", "clientPort", "vip", "endpoint", "natPort", "tag"];

const query = signal<Partial<Record<Field, string>>>({});
const cursor = signal<string | undefined>(undefined);
const page = signal<SessionPage | undefined>(undefined);
const failure = signal("");
/** When the page of sessions was told, RFC 3339: it does not change by itself. */
const loadedAt = signal("");

async function load(): Promise<void> {
  failure.value = "";
  const { natPort, clientPort, phase, protocol, ...texts } = query.value;
  try {
    page.value = await client().listSessions({
      ...texts,
      limit: PAGE_COUNT,
      ...(natPort !== undefined && { natPort: Number(natPort) }),
      ...(clientPort !== undefined && { clientPort: Number(clientPort) }),
      ...(phase !== undefined && { phase: phase as PhaseName }),
      ...(protocol !== undefined && { protocol: protocol as ProtocolName }),
      ...(cursor.value !== undefined && { cursor: cursor.value }),
    });
    loadedAt.value = new Date().toISOString();
  } catch (error) {
    page.value = undefined;
    failure.value = error instanceof ApiError ? `${error.message} ${error.remedy}` : String(error);
  }
}

function search(form: HTMLFormElement): void {
  const wanted: Partial<Record<Field, string>> = {};
  for (const [name, value] of new FormData(form))
    if (typeof value === "string" && value.trim() !== "") wanted[name as Field] = value.trim();
  query.value = wanted;
  cursor.value = undefined;
  void load();
}

function Choice({ name, options }: { name: Field; options: readonly string[] }) {
  return (
    <label>
      {TEXT.sessions.fields[name]}
      <select name={name}>
        <option value="">{TEXT.sessions.any}</option>
        {options.map((option) => (
          <option key={option}>{option}</option>
        ))}
      </select>
    </label>
  );
}

function Search({ owners }: { readonly owners: readonly string[] }) {
  return (
    <form
      class="search"
      onSubmit={(event) => {
        event.preventDefault();
        search(event.currentTarget);
      }}
      onReset={() => {
        query.value = {};
        cursor.value = undefined;
        void load();
      }}
    >
      {FIELDS.map((name) => (
        <label key={name}>
          {TEXT.sessions.fields[name]}
          <input
            name={name}
            autocomplete="off"
            spellcheck={false}
            {...((name === "natPort" || name === "clientPort") && { inputMode: "numeric" })}
          />
        </label>
      ))}
      <Choice name="protocol" options={PROTOCOLS} />
      <Choice name="phase" options={PHASES} />
      <Choice name="owner" options={owners} />
      <span class="buttons">
        <button type="submit" class="primary">
          {TEXT.sessions.search}
        </button>{" "}
        <button type="reset">{TEXT.sessions.clear}</button>
      </span>
    </form>
  );
}

function Row({ session, now }: { readonly session: SessionSummary; readonly now: number }) {
  const { id, clients, clientPort, protocol, service, serviceName, phase } = session;
  return (
    <tr>
      <th scope="row">
        <a href={`#/sessions/${id}`}>{clients[0] ?? id}</a>{" "}
        {clients.length > 1 && <small>{TEXT.sessions.more(clients.length - 1)}</small>}
      </th>
      <td class="number">{clientPort}</td>
      <td>{protocol}</td>
      <td>{serviceName === "" ? service : serviceName}</td>
      <td>{phase}</td>
      <td>{session.endpoint ?? "–"}</td>
      <td class="number">{session.natPort ?? "–"}</td>
      <td>{session.member ?? "–"}</td>
      <td class="number">{duration(now - Date.parse(session.createdAt))}</td>
    </tr>
  );
}

export function Sessions({ picture }: { picture: ClusterPicture }) {
  useEffect(() => void load(), []);
  const {
    client: address,
    port,
    protocol,
    service,
    phase,
    endpoint,
    nat,
    member,
    age,
  } = TEXT.sessions.columns;
  const now = Date.parse(loadedAt.value);
  return (
    <Panel title={TEXT.sessions.title} id="sessions">
      <Search owners={picture.members.map(({ name }) => name)} />
      <p role="alert" class="refused">
        {failure.value}
      </p>
      {page.value !== undefined && (
        <p class="hint">
          {TEXT.sessions.asOf(clock(loadedAt.value))}{" "}
          <button type="button" class="small" onClick={() => void load()}>
            {TEXT.sessions.again}
          </button>
        </p>
      )}
      {page.value?.items.length === 0 && <p class="calm">{TEXT.sessions.none}</p>}
      {page.value !== undefined && page.value.items.length > 0 && (
        <Table
          label={TEXT.sessions.title}
          head={[address, port, protocol, service, phase, endpoint, nat, member, age]}
          numbers={[1, 6, 8]}
        >
          {page.value.items.map((each) => (
            <Row key={each.id} session={each} now={now} />
          ))}
        </Table>
      )}
      <p class="buttons">
        {cursor.value !== undefined && (
          <button
            type="button"
            onClick={() => {
              cursor.value = undefined;
              void load();
            }}
          >
            {TEXT.sessions.first}
          </button>
        )}{" "}
        {page.value?.next !== undefined && (
          <button
            type="button"
            onClick={() => {
              cursor.value = page.value?.next;
              void load();
            }}
          >
            {TEXT.sessions.next}
          </button>
        )}
      </p>
    </Panel>
  );
}

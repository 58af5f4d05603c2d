// Sessions: searched and paged by the server.

import type { ClusterPicture, SessionPage } from "@holdfast/api";
import { ApiError } from "@holdfast/api/client";
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { clock, duration, protocolWords } from "../format.ts";
import { Panel, Table } from "../parts.tsx";
import { PHASES, type PhaseName, PROTOCOLS, type ProtocolName } from "../phases.ts";
import { sessionsAt } from "../places.ts";
import { client, route } from "../state.ts";
import { TEXT } from "../text.ts";

const PAGE_COUNT = 50;
type Field = keyof typeof TEXT.sessions.fields;
const FIELDS: readonly Field[] = ["client", "clientPort", "vip", "endpoint", "natPort", "tag"];

const NAMES = [...FIELDS, "protocol", "service", "phase", "owner"] as const satisfies readonly Field[];
type Query = Partial<Record<Field, string>>;

const cursor = signal<string | undefined>(undefined);
const page = signal<SessionPage | undefined>(undefined);
const failure = signal("");
const searching = signal(false);
/** When the page of sessions was told, RFC 3339: it does not change by itself. */
const loadedAt = signal("");
let loadCount = 0;
/** The search that the cursor is of. */
let pagedAt = "";

/** What the page's address asks for. */
function queryOf(at: string): Query {
  const asked = new URLSearchParams(at.split("?")[1] ?? "");
  return Object.fromEntries(NAMES.flatMap((name) => (asked.get(name) ? [[name, asked.get(name)]] : [])));
}

async function load(): Promise<void> {
  const { natPort, clientPort, phase, protocol, ...texts } = queryOf(route.value);
  const own = ++loadCount;
  failure.value = "";
  searching.value = true;
  let found: SessionPage | undefined;
  let refused = "";
  try {
    found = await client().listSessions({
      ...texts,
      limit: PAGE_COUNT,
      ...(natPort !== undefined && { natPort: Number(natPort) }),
      ...(clientPort !== undefined && { clientPort: Number(clientPort) }),
      ...(protocol !== undefined && { protocol: protocol as ProtocolName }),
      ...(phase !== undefined && { phase: phase as PhaseName }),
      ...(cursor.value !== undefined && { cursor: cursor.value }),
    });
  } catch (error) {
    refused = error instanceof ApiError ? `${error.message} ${error.remedy}` : String(error);
  }
  // Of two searches the later one is shown, whichever was quicker.
  if (own !== loadCount) return;
  searching.value = false;
  page.value = found;
  failure.value = refused;
  loadedAt.value = new Date().toISOString();
}

function search(form: HTMLFormElement): void {
  const wanted: [string, string][] = [];
  for (const [name, value] of new FormData(form))
    if (typeof value === "string" && value.trim() !== "") wanted.push([name, value.trim()]);
  go(sessionsAt(Object.fromEntries(wanted)));
}

function go(at: string): void {
  cursor.value = undefined;
  if (location.hash === at) void load();
  else location.hash = at;
}

/** Options are values, or values with words for them. */
function Choice(props: {
  name: Field;
  chosen: string | undefined;
  options: readonly (string | readonly [string, string])[];
}) {
  const { name, chosen, options } = props;
  return (
    <label>
      {TEXT.sessions.fields[name]}
      <select name={name}>
        <option value="">{TEXT.sessions.any}</option>
        {options.map((option) => {
          const [value, words] = typeof option === "string" ? [option, option] : option;
          return (
            <option key={value} value={value} selected={value === chosen}>
              {words}
            </option>
          );
        })}
      </select>
    </label>
  );
}

/** Names of several services may be the same; ids are not. */
function serviceOptions({ services }: ClusterPicture): (readonly [string, string])[] {
  return services.map(({ id, name }) => [id, name === "" || name === id ? id : `${name}, ${id}`]);
}

function Row({ each, nowMs }: { each: SessionPage["items"][number]; nowMs: number }) {
  return (
    <tr data-protocol={each.protocol} data-phase={each.phase}>
      <th scope="row">
        <a href={`#/sessions/${each.id}`}>{each.clients[0] ?? each.id}</a>{" "}
        {each.clients.length > 1 && <small>{TEXT.sessions.more(each.clients.length - 1)}</small>}
      </th>
      <td class="number">{each.clientPort}</td>
      <td>{protocolWords(each.protocol)}</td>
      <td>{each.serviceName === "" ? each.service : each.serviceName}</td>
      <td>
        {each.phase}
        {each.pending && <small>{TEXT.sessions.pending}</small>}
        {each.ended !== undefined && <small>{each.ended}</small>}
      </td>
      <td>{each.endpoint ?? "–"}</td>
      <td class="number">{each.natPort ?? "–"}</td>
      <td>{each.member ?? "–"}</td>
      <td class="number">{duration(nowMs - Date.parse(each.createdAt))}</td>
    </tr>
  );
}

function SearchForm({ picture, query }: { picture: ClusterPicture; query: Query }) {
  return (
    <form
      class="search"
      onSubmit={(event) => {
        event.preventDefault();
        search(event.currentTarget);
      }}
      onReset={() => go(sessionsAt({}))}
    >
      {FIELDS.map((name) => (
        <label key={name}>
          {TEXT.sessions.fields[name]}
          <input
            name={name}
            defaultValue={query[name] ?? ""}
            autocomplete="off"
            spellcheck={false}
            {...((name === "natPort" || name === "clientPort") && { inputMode: "numeric" })}
          />
        </label>
      ))}
      <Choice
        name="protocol"
        chosen={query.protocol}
        options={PROTOCOLS.map((each) => [each, protocolWords(each)])}
      />
      <Choice name="service" chosen={query.service} options={serviceOptions(picture)} />
      <Choice name="phase" chosen={query.phase} options={PHASES} />
      <Choice name="owner" chosen={query.owner} options={picture.members.map(({ name }) => name)} />
      <span class="buttons">
        <button type="submit" class="primary">
          {TEXT.sessions.search}
        </button>{" "}
        <button type="reset">{TEXT.sessions.clear}</button>
      </span>
    </form>
  );
}

export function Sessions({ picture }: { picture: ClusterPicture }) {
  const asked = route.value;
  useEffect(() => {
    // Whoever comes back to a search is on the page of it where they were.
    if (pagedAt !== asked) cursor.value = undefined;
    pagedAt = asked;
    void load();
  }, [asked]);
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
      {/* A form of another search is another form: what stands in its fields is that search's. */}
      <SearchForm key={asked} picture={picture} query={queryOf(asked)} />
      <p role="alert" class="refused">
        {failure.value}
      </p>
      <p role="status" class="hint">
        {searching.value && TEXT.sessions.searching}
      </p>
      {page.value !== undefined && !searching.value && (
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
            <Row key={each.id} each={each} nowMs={now} />
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

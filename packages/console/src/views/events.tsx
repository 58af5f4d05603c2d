// What happened, the latest first.
import { clock, day } from "../format.ts";
import { Panel } from "../parts.tsx";
import { events } from "../state.ts";
import { TEXT } from "../text.ts";

export function Events({ count }: { count: number }) {
  const list = events.value.slice(0, count);
  return (
    <Panel title={TEXT.events.title} id="events">
      {list.length === 0 ? (
        <p class="calm">{TEXT.events.none}</p>
      ) : (
        <ol class="events">
          {list.map((event) => (
            <li key={event.id} class={event.type}>
              <time dateTime={event.at} title={day(event.at)}>
                {clock(event.at, true)}
              </time>{" "}
              <span class="tag">{event.type}</span> <span class="by">{event.member}</span> {event.message}
            </li>
          ))}
        </ol>
      )}
    </Panel>
  );
}

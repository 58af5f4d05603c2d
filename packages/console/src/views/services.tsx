// Services with their endpoints.
import type { ClusterPicture, ClusterService } from "@holdfast/api";
import { ActButton } from "../acts.tsx";
import { drainEndpointEffects, undrainEndpointEffects } from "../effects.ts";
import { percent, protocolWords, short } from "../format.ts";
import { Panel, Share, State, Table, type Tone } from "../parts.tsx";
import { sessionsAt } from "../places.ts";
import { TEXT } from "../text.ts";

type Endpoint = ClusterService["endpoints"][number];

const TONE: Readonly<Record<Endpoint["health"], Tone>> = { up: "good", down: "bad", unknown: "idle" };

export function Services({ picture }: { picture: ClusterPicture }) {
  const { endpoint, health, sessions, share } = TEXT.services;
  return (
    <Panel title={TEXT.services.title} id="services">
      {picture.services.length === 0 && <p class="calm">{TEXT.services.none}</p>}
      {picture.services.map((service) => (
        <div class="service" key={service.id}>
          <h3>
            {service.name === "" ? service.id : service.name}{" "}
            <span class="tag">{protocolWords(service.protocol)}</span>{" "}
            <small>
              {service.vips.join(", ")} : {service.port} · {service.selection} ·{" "}
              <a href={sessionsAt({ service: service.id })}>
                {short(service.sessions)} {TEXT.services.sessions.toLowerCase()}
              </a>
            </small>
            {service.refused !== undefined && (
              <State tone="bad">
                {TEXT.services.refused}: {service.refused}
              </State>
            )}
            {service.draining && <State tone="info">{TEXT.services.state.drain}</State>}
          </h3>
          <Table
            label={service.name}
            head={[endpoint, health, sessions, share, TEXT.services.acts]}
            numbers={[2]}
          >
            {service.endpoints.map((each) => (
              <EndpointRow key={each.endpoint} each={each} service={service} picture={picture} />
            ))}
          </Table>
        </div>
      ))}
    </Panel>
  );
}

function EndpointRow(props: { each: Endpoint; service: ClusterService; picture: ClusterPicture }) {
  const { each, service, picture } = props;
  const { endpoint, health, reason, state, sessions, natPortShare } = each;
  const draining = state === "drain";
  const part = service.sessions === 0 ? 0 : sessions / service.sessions;
  return (
    <tr data-endpoint={endpoint} data-state={state} data-health={health}>
      <th scope="row">{endpoint}</th>
      <td>
        <State tone={TONE[health]}>{TEXT.services.health_[health]}</State>{" "}
        {state !== "active" && <span class="tag">{TEXT.services.state[state]}</span>}
        {reason !== undefined && reason !== "" && <small>{reason}</small>}
      </td>
      <td class="number">
        <a
          href={sessionsAt({ service: service.id, endpoint })}
          aria-label={TEXT.sessions.of(short(sessions), endpoint)}
        >
          {short(sessions)}
        </a>{" "}
        <small>{percent(part)}</small>
      </td>
      <td>
        <Share value={natPortShare} text={percent(natPortShare)} />
      </td>
      <td>
        {state !== "leaving" && (
          <ActButton
            label={draining ? TEXT.services.undrain : TEXT.services.drain}
            name={endpoint}
            act={() => ({
              title: draining ? TEXT.acts.undrainEndpoint(endpoint) : TEXT.acts.drainEndpoint(endpoint),
              effects: () =>
                (draining ? undrainEndpointEffects : drainEndpointEffects)(picture, service.id, endpoint),
              run: (api) => api.drainEndpoint(service.id, endpoint, !draining),
            })}
          />
        )}
      </td>
    </tr>
  );
}

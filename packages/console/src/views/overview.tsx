// The first screen: what is served, by whom and why, whether servers are healthy and members in sync, what just happened.
import type { ClusterMember, ClusterPicture, ClusterVip } from "@holdfast/api";
import { ActButton } from "../acts.tsx";
import { drainMemberEffects, pinEffects, undrainMemberEffects } from "../effects.ts";
import { bytes, day, duration, milliseconds, short } from "../format.ts";
import { Panel, State, Table } from "../parts.tsx";
import { drops, takeOvers } from "../state.ts";
import { TEXT } from "../text.ts";
import { Curves } from "./curves.tsx";
import { Events } from "./events.tsx";
import { Services } from "./services.tsx";
import { TakeOvers } from "./take-overs.tsx";
import { memberTone, memberWords, Topology } from "./topology.tsx";

/** A report that is older is shown as old. */
const REPORT_OLD_MS = 1_500;

export function Overview({ picture }: { picture: ClusterPicture }) {
  const routers = picture.members.flatMap(({ name, report }) =>
    (report?.routers ?? []).map((router) => ({ member: name, router })),
  );
  return (
    <>
      <Facts picture={picture} />
      <Alerts picture={picture} />
      <Topology picture={picture} />
      <div class="columns">
        <Vips picture={picture} />
        <Members picture={picture} />
      </div>
      <Services picture={picture} />
      <TakeOvers count={3} />
      <div class="columns">
        <Curves />
        <Events count={10} />
      </div>
      <div class="columns">
        <Replication picture={picture} />
        <Drops />
      </div>
      {routers.length > 0 && <Routers routers={routers} />}
    </>
  );
}

function Fact({
  title,
  value,
  tone,
  detail,
}: {
  title: string;
  value: string;
  tone: string;
  detail?: string;
}) {
  return (
    <div class={`fact ${tone}`}>
      <dt>{title}</dt>
      <dd>
        {value}
        {detail !== undefined && <small>{detail}</small>}
      </dd>
    </div>
  );
}

function Facts({ picture }: { picture: ClusterPicture }) {
  const { vips, members, services, sessions } = picture;
  const owned = vips.filter(({ owner }) => owner !== undefined).length;
  const ready = members.filter((m) => m.ready && m.phase === "alive").length;
  const endpoints = services.flatMap((service) => service.endpoints);
  const up = endpoints.filter(({ health }) => health !== "down").length;
  const unknown = endpoints.filter(({ health }) => health === "unknown").length;
  const lags = members.flatMap(
    ({ report }) => report?.peers.filter((p) => p.connected && p.queue > 0).map((p) => p.lagMs) ?? [],
  );
  const [last] = takeOvers.value;
  const of = (some: number, all: number) => ({
    value: `${some} of ${all}`,
    tone: some === all ? "good" : "bad",
  });
  return (
    <dl class="facts">
      <Fact title={TEXT.facts.served} {...of(owned, vips.length)} />
      <Fact title={TEXT.facts.members} {...of(ready, members.length)} />
      <Fact
        title={TEXT.facts.endpoints}
        {...of(up, endpoints.length)}
        {...(unknown > 0 && { detail: TEXT.facts.unknown(unknown) })}
      />
      <Fact
        title={TEXT.facts.replication}
        value={lags.length === 0 ? TEXT.facts.inSync : milliseconds(Math.max(...lags))}
        tone={Math.max(0, ...lags) > 500 ? "bad" : "good"}
      />
      <Fact title={TEXT.facts.sessions} value={short(sessions)} tone="plain" />
      <Fact
        title={TEXT.facts.takeover}
        value={last === undefined ? TEXT.facts.none : milliseconds(last.firstPacketMs ?? last.announcedMs)}
        tone="plain"
        {...(last !== undefined && {
          detail: `${last.vip} → ${last.to}, ${TEXT.facts.ago(duration(Date.parse(picture.at) - Date.parse(last.at)))}`,
        })}
      />
    </dl>
  );
}

const ALERT_TONE = { critical: "bad", warning: "warn", info: "info" } as const;

function Alerts({ picture: { alerts } }: { picture: ClusterPicture }) {
  return (
    <section
      class={`panel alerts ${alerts[0]?.severity ?? "calm"}`}
      aria-labelledby="alerts-title"
      id="alerts"
    >
      <h2 id="alerts-title">{TEXT.alerts.title}</h2>
      <div aria-live="polite">
        {alerts.length === 0 ? (
          <p class="calm">
            <State tone="good">{TEXT.alerts.none}</State>
          </p>
        ) : (
          <ul>
            {alerts.map((alert) => (
              <li key={`${alert.code} ${alert.subject}`}>
                <State tone={ALERT_TONE[alert.severity]}>{TEXT.alerts.severity[alert.severity]}</State>{" "}
                <strong>{alert.message}</strong> <span class="remedy">{alert.remedy}</span>
              </li>
            ))}
          </ul>
        )}
      </div>
    </section>
  );
}

function Vips({ picture }: { picture: ClusterPicture }) {
  return (
    <Panel title={TEXT.vips.title} id="vips">
      <Table
        label={TEXT.vips.title}
        head={[TEXT.vips.vip, ...picture.members.map(({ name }) => name), TEXT.vips.why]}
      >
        {picture.vips.map((vip) => (
          <VipRow key={vip.vip} vip={vip} picture={picture} />
        ))}
      </Table>
    </Panel>
  );
}

function VipRow({ vip, picture }: { vip: ClusterVip; picture: ClusterPicture }) {
  const successors = vip.candidates.filter((name) => name !== vip.owner);
  return (
    <tr data-vip={vip.vip} data-owner={vip.owner ?? ""}>
      <th scope="row">
        {vip.vip}
        {vip.owner === undefined && <State tone="bad">{TEXT.vips.nobody}</State>}
        {vip.clash !== undefined && <State tone="bad">{vip.clash.code}</State>}
      </th>
      {picture.members.map(({ name }) => {
        const place = vip.owner === name ? 0 : successors.indexOf(name) + 1;
        const spots = vip.announcements.filter((each) => each.member === name);
        const trouble = spots.find((each) => each.trouble !== undefined);
        const isOwner = vip.owner === name;
        return (
          <td key={name} class={isOwner ? "owner" : ""}>
            {isOwner ? (
              <State tone={trouble === undefined ? "good" : "bad"}>{TEXT.vips.owner}</State>
            ) : (
              <span class="rank">{place > 0 ? TEXT.vips.successor(place) : "–"}</span>
            )}
            {vip.pin === name && <span class="tag">{TEXT.vips.pinned}</span>}
            {spots.length > 0 && (
              <small>
                {TEXT.vips.announced(spots[0]?.kind ?? "", spots.map((each) => each.interface).join(", "))}
                {trouble !== undefined && ` (${TEXT.vips.trouble}: ${trouble.trouble})`}
              </small>
            )}
          </td>
        );
      })}
      <td>
        <details>
          <summary>{TEXT.vips.why}</summary>
          <ul>
            {vip.reasons.map((reason) => (
              <li key={reason}>{reason}</li>
            ))}
          </ul>
        </details>
        <VipActs vip={vip} picture={picture} />
      </td>
    </tr>
  );
}

function VipActs({ vip: { vip, pin, owner }, picture }: { vip: ClusterVip; picture: ClusterPicture }) {
  return (
    <>
      <ActButton
        label={TEXT.vips.pin}
        name={vip}
        act={() => ({
          title: TEXT.acts.pin(vip),
          effects: () => [],
          run: async () => {},
          choice: {
            options: [...picture.members.map(({ name }) => name)].sort((a) => (a === owner ? 1 : -1)),
            effects: (to) => pinEffects(picture, vip, to),
            run: (api, to) => api.pinVip(vip, to),
          },
        })}
      />
      {pin !== undefined && (
        <ActButton
          label={TEXT.vips.unpin}
          name={vip}
          act={() => ({
            title: TEXT.acts.unpin(vip),
            effects: () => pinEffects(picture, vip, undefined),
            run: (api) => api.unpinVip(vip),
          })}
        />
      )}
    </>
  );
}

function Members({ picture }: { picture: ClusterPicture }) {
  const { name, state, sessions, ports, path, since } = TEXT.members;
  return (
    <Panel title={TEXT.members.title} id="members">
      <Table label={TEXT.members.title} head={[name, state, sessions, ports, path, since]} numbers={[2, 3]}>
        {picture.members.map((member) => (
          <MemberRow key={member.name} member={member} picture={picture} />
        ))}
      </Table>
    </Panel>
  );
}

function MemberRow({ member, picture }: { member: ClusterMember; picture: ClusterPicture }) {
  const { name, report, heardMsAgo = 0, draining } = member;
  const old = heardMsAgo > REPORT_OLD_MS;
  return (
    <tr data-member={name} class={old ? "old" : ""}>
      <th scope="row">{name}</th>
      <td>
        <State tone={memberTone(member)}>{memberWords(member)}</State>
        {old && <small>{TEXT.members.told(heardMsAgo)}</small>}{" "}
        <ActButton
          label={draining ? TEXT.members.undrain : TEXT.members.drain}
          name={name}
          act={() => ({
            title: draining ? TEXT.acts.undrainMember(name) : TEXT.acts.drainMember(name),
            effects: () => (draining ? undrainMemberEffects : drainMemberEffects)(picture, name),
            run: (api) => api.drainMember(name, !draining),
          })}
        />
      </td>
      <td class="number">{report === undefined || old ? "–" : short(report.sessions)}</td>
      <td class="number">{report === undefined || old ? "–" : short(report.natPortsUsed)}</td>
      <td>{report?.fastPath ?? "–"}</td>
      <td>{report === undefined ? "–" : day(report.startedAt)}</td>
    </tr>
  );
}

function Replication({ picture }: { picture: ClusterPicture }) {
  const names = picture.members.map(({ name }) => name);
  if (names.length < 2)
    return (
      <Panel title={TEXT.replication.title} id="replication">
        <p class="calm">{TEXT.replication.none}</p>
      </Panel>
    );
  return (
    <Panel title={TEXT.replication.title} id="replication" hint={TEXT.replication.hint}>
      <Table label={TEXT.replication.title} head={[TEXT.replication.from, ...names]}>
        {picture.members.map((from) => (
          <tr key={from.name}>
            <th scope="row">{from.name}</th>
            {names.map((to) => (
              <td key={to}>{to === from.name ? TEXT.replication.self : <Pair from={from} to={to} />}</td>
            ))}
          </tr>
        ))}
      </Table>
    </Panel>
  );
}

function Pair({ from, to }: { from: ClusterMember; to: string }) {
  const peer = from.report?.peers.find(({ member }) => member === to);
  if (peer === undefined || (from.heardMsAgo ?? 0) > REPORT_OLD_MS)
    return <State tone="idle">{TEXT.drawing.notHeard}</State>;
  if (!peer.connected) return <State tone="bad">{TEXT.replication.broken}</State>;
  return (
    <State tone={peer.queue === 0 || peer.lagMs <= 50 ? "good" : peer.lagMs > 500 ? "bad" : "warn"}>
      {milliseconds(peer.lagMs)}
      {peer.queue > 0 && `, ${bytes(peer.queue)}`}
    </State>
  );
}

function Drops() {
  return (
    <Panel title={TEXT.drops.title} id="drops">
      {drops.value.length === 0 ? (
        <p class="calm">
          <State tone="good">{TEXT.drops.none}</State>
        </p>
      ) : (
        <Table
          label={TEXT.drops.title}
          head={[TEXT.drops.reason, TEXT.drops.rate, TEXT.drops.total]}
          numbers={[1, 2]}
        >
          {drops.value.map(({ name, perSecond, total, members }) => (
            <tr key={name}>
              <th scope="row">
                {name} <small>{members.join(", ")}</small>
              </th>
              <td class="number">{TEXT.drops.perSecond(short(perSecond))}</td>
              <td class="number">{short(total)}</td>
            </tr>
          ))}
        </Table>
      )}
    </Panel>
  );
}

type Router = NonNullable<ClusterMember["report"]>["routers"][number];

function Routers({ routers }: { routers: readonly { member: string; router: Router }[] }) {
  const { router, member, session, since, told } = TEXT.routers;
  return (
    <Panel title={TEXT.routers.title} id="routers">
      <Table label={TEXT.routers.title} head={[router, member, session, since, told]}>
        {routers.map(({ member: at, router: each }) => (
          <tr key={`${at} ${each.name}`}>
            <th scope="row">{each.name}</th>
            <td>{at}</td>
            <td>
              <State tone={each.session === "Established" && each.bfd !== "Down" ? "good" : "bad"}>
                {each.session}
                {each.bfd !== undefined && `, BFD ${each.bfd}`}
              </State>
              {each.info !== "" && <small>{each.info}</small>}
            </td>
            <td>{day(each.since)}</td>
            <td>
              <details>
                <summary>
                  {each.routes.filter(({ sent }) => sent).length} {TEXT.vips.vip}
                </summary>
                <ul>
                  {each.routes.map((route) => (
                    <li key={route.vip}>
                      {route.vip}: {route.reason}
                    </li>
                  ))}
                </ul>
              </details>
            </td>
          </tr>
        ))}
      </Table>
    </Panel>
  );
}

// The drawing: networks, members with their VIPs, endpoints, and what connects them.
import type { ClusterMember, ClusterPicture } from "@holdfast/api";
import { type Box, draw } from "../drawing.ts";
import { Panel } from "../parts.tsx";
import { TEXT } from "../text.ts";

const VIP_SHOWN_MAX = 8;

export function Topology({ picture }: { picture: ClusterPicture }) {
  const drawing = draw(picture);
  return (
    <Panel title={TEXT.drawing.title} id="drawing">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <section class="scroll" tabIndex={0} aria-label={TEXT.picture(TEXT.drawing.title)}>
        <svg
          class="drawing"
          viewBox={`0 0 ${drawing.width} ${drawing.height}`}
          role="img"
          aria-label={TEXT.drawing.label}
        >
          {drawing.links.map(({ key, from, to, up }) => {
            const middle = (from[0] + to[0]) / 2;
            return (
              <path
                key={key}
                class={up ? "link" : "link broken"}
                d={`M${from[0]} ${from[1]} C${middle} ${from[1]} ${middle} ${to[1]} ${to[0]} ${to[1]}`}
              />
            );
          })}
          {drawing.networks.map((box) => (
            <g key={`${box.side} ${box.id}`} class="network">
              <rect x={box.x} y={box.y} width={box.width} height={box.height} rx="17" />
              <text x={box.x + box.width / 2} y={box.y + 22} text-anchor="middle">
                {box.id}
              </text>
            </g>
          ))}
          {drawing.members.map((box) => {
            const member = picture.members.find(({ name }) => name === box.id);
            return member && <MemberBox key={box.id} box={box} member={member} picture={picture} />;
          })}
          {drawing.endpoints.map((box) => (
            <EndpointBox key={`${box.service} ${box.id}`} box={box} picture={picture} />
          ))}
        </svg>
      </section>
      {drawing.leftOut > 0 && <p class="hint">{TEXT.drawing.leftOut(drawing.leftOut)}</p>}
    </Panel>
  );
}

export function memberTone(member: ClusterMember): "good" | "bad" | "warn" | "info" {
  if (member.phase === "dead" || member.phase === "unknown") return "bad";
  if (member.draining) return "info";
  return member.ready && member.phase === "alive" ? "good" : "warn";
}

export function memberWords(member: ClusterMember): string {
  if (member.phase !== "alive")
    return member.reason === undefined ? member.phase : `${member.phase}: ${member.reason}`;
  if (member.draining) return TEXT.members.draining;
  return member.ready ? TEXT.members.ready : `${TEXT.members.notReady}: ${member.reason ?? ""}`;
}

function MemberBox({ box, member, picture }: { box: Box; member: ClusterMember; picture: ClusterPicture }) {
  const tone = memberTone(member);
  const owned = picture.vips.filter(({ owner }) => owner === member.name);
  const shown = owned.slice(0, VIP_SHOWN_MAX);
  return (
    <g class={`member ${tone}`}>
      <rect x={box.x} y={box.y} width={box.width} height={box.height} rx="8" />
      <rect class="edge" x={box.x} y={box.y} width="6" height={box.height} rx="3" />
      <text class="name" x={box.x + 18} y={box.y + 24}>
        {member.name}
      </text>
      <text class="words" x={box.x + 18} y={box.y + 41}>
        {memberWords(member).slice(0, 34)}
      </text>
      {shown.map(({ vip, pin }, index) => (
        <g key={vip} class="vip">
          <rect x={box.x + 16} y={box.y + 48 + index * 22} width={box.width - 30} height="19" rx="4" />
          <text x={box.x + 24} y={box.y + 62 + index * 22}>
            {vip}
            {pin === undefined ? "" : ` (${TEXT.vips.pinned})`}
            {index === VIP_SHOWN_MAX - 1 && owned.length > VIP_SHOWN_MAX
              ? ` +${owned.length - VIP_SHOWN_MAX}`
              : ""}
          </text>
        </g>
      ))}
      {owned.length === 0 && (
        <text class="words" x={box.x + 18} y={box.y + 62}>
          {TEXT.drawing.nothing}
        </text>
      )}
    </g>
  );
}

function EndpointBox({ box, picture }: { box: Box & { readonly service: string }; picture: ClusterPicture }) {
  const endpoint = picture.services
    .find(({ id }) => id === box.service)
    ?.endpoints.find((each) => each.endpoint === box.id);
  if (endpoint === undefined) return null;
  const tone =
    endpoint.health === "down"
      ? "bad"
      : endpoint.state !== "active"
        ? "info"
        : endpoint.health === "up"
          ? "good"
          : "warn";
  const words =
    endpoint.health === "down"
      ? TEXT.services.health_.down
      : endpoint.state === "active"
        ? TEXT.services.health_[endpoint.health]
        : TEXT.services.state[endpoint.state];
  return (
    <g class={`member ${tone}`}>
      <rect x={box.x} y={box.y} width={box.width} height={box.height} rx="8" />
      <rect class="edge" x={box.x} y={box.y} width="6" height={box.height} rx="3" />
      <text class="vip-text" x={box.x + 16} y={box.y + 16}>
        {box.id}
      </text>
      <text class="words" x={box.x + 16} y={box.y + 30}>
        {words}, {TEXT.drawing.sessions(endpoint.sessions)}
      </text>
    </g>
  );
}

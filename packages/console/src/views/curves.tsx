// Sessions and packets of the last five minutes, as this page saw them.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { clock, short } from "../format.ts";
import { Panel } from "../parts.tsx";
import { CURVE_COUNT, curve } from "../state.ts";
import { TEXT } from "../text.ts";

const HEIGHT = 130;

const colour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function Plot({
  label,
  values,
  token,
}: {
  label: string;
  values: readonly (number | null)[];
  token: string;
}) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  useEffect(() => {
    const element = host.current;
    if (element === null) return;
    const axis = {
      stroke: colour("--dim"),
      grid: { stroke: colour("--line"), width: 1 },
      ticks: { show: false },
    };
    const made = new uPlot(
      {
        width: element.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        cursor: { show: false },
        scales: {
          x: { range: (_, __, high) => [(high ?? 0) - CURVE_COUNT, high ?? 0] },
          y: { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(1, (high ?? 0) * 1.1)] },
        },
        axes: [
          {
            ...axis,
            space: 90,
            values: (_, ticks) => ticks.map((at) => clock(new Date(at * 1000).toISOString())),
          },
          { ...axis, size: 54, values: (_, ticks) => ticks.map(short) },
        ],
        series: [
          {},
          { stroke: colour(token), width: 2, fill: `${colour(token)}22`, points: { show: false } },
        ],
      },
      [[], []],
      element,
    );
    plot.current = made;
    const watch = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    watch.observe(element);
    return () => {
      watch.disconnect();
      made.destroy();
      plot.current = undefined;
    };
  }, [token]);
  useEffect(() => {
    plot.current?.setData([curve.value.at, [...values]]);
  }, [values]);
  const last = values.at(-1);
  return (
    <figure>
      <figcaption>
        {label} <strong>{last === null || last === undefined ? "–" : short(last)}</strong>
      </figcaption>
      <div ref={host} class="plot" aria-hidden="true" />
    </figure>
  );
}

export function Curves() {
  const { sessions, drops } = curve.value;
  return (
    <Panel title={TEXT.curves.title} id="curves">
      <Plot label={TEXT.curves.sessions} values={sessions} token="--blue" />
      <Plot label={TEXT.curves.drops} values={drops} token="--orange" />
    </Panel>
  );
}

// What a scenario of TCP or UDP is: one row of the matrix, and the code that shows it.
import type { PlainProtocol } from "../../plain/steady.ts";
import type { ScenarioRow, Surroundings } from "../scenario.ts";
import type { PlainContext } from "./context.ts";

interface Row extends ScenarioRow {
  /** CI's long stage runs it. */
  readonly selected?: boolean;
}

/** On one member, which all of these share, one after the other. */
interface Alone extends Row {
  run(context: PlainContext): Promise<void>;
}

/**
 * On three members: all of these prepare what they need, then the owner's node is killed, once for all, and
 * each looks at what became of it.
 */
interface Bereaved extends Row {
  bereave(context: PlainContext): Promise<(context: PlainContext) => Promise<void>>;
}

export type PlainScenario = Alone | Bereaved;

export const isBereaved = (scenario: PlainScenario): scenario is Bereaved => "bereave" in scenario;

export interface PlainRun {
  readonly protocol: PlainProtocol;
  readonly scenario: PlainScenario;
  readonly surroundings: Surroundings;
}

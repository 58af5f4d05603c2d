// The configuration as it is in force, for people: YAML with every default, and where overrides came from.
import { stringify } from "yaml";
import type { LoadedConfiguration } from "./load.ts";
import type { Configuration } from "./schema.ts";

const HIDDEN = "(hidden)";

/** Without secrets: a configuration is shown on screens and pasted into tickets. */
export function shownConfiguration(configuration: Configuration): Configuration {
  const { api, cluster, loxilb } = configuration;
  return {
    ...configuration,
    cluster: { ...cluster, ...(cluster.secret !== undefined && { secret: HIDDEN }) },
    api: {
      ...api,
      ...(api.token !== undefined && { token: HIDDEN }),
      tokens: api.tokens.map((each) => ({ ...each, ...(each.token !== undefined && { token: HIDDEN }) })),
    },
    loxilb: { ...loxilb, ...(loxilb.token !== undefined && { token: HIDDEN }) },
  };
}

export function configurationText({
  configuration,
  overrides,
  unknownVariables,
}: LoadedConfiguration): string {
  const notes = [
    ...[...overrides].map(([field, variable]) => `# ${field} comes from ${variable}`),
    ...unknownVariables.map((variable) => `# ${variable} names no field and is ignored`),
  ];
  const head = notes.length > 0 ? `${notes.join("\n")}\n` : "";
  return head + stringify(shownConfiguration(configuration), { lineWidth: 110, flowCollectionPadding: true });
}

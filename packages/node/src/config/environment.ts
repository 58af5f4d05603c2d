// Environment overrides: HOLDFAST_ and the field's path in capitals, so log.level is HOLDFAST_LOG_LEVEL and
// coordinator.probeIntervalMs is HOLDFAST_COORDINATOR_PROBE_INTERVAL_MS. Lists are separated by commas; lists
// of sections (members, interfaces, services) belong in the file.
import type { TSchema } from "typebox";

/** One field that a variable can set. */
export interface EnvironmentField {
  readonly variable: string;
  readonly path: readonly string[];
  readonly schema: Record<string, unknown>;
}

/** Names with the prefix that are not fields: the command line's own. */
const NOT_FIELDS = new Set([
  "HOLDFAST_API",
  "HOLDFAST_TOKEN",
  "HOLDFAST_TOKEN_FILE",
  "HOLDFAST_CONFIG",
  "HOLDFAST_CA",
]);

/** Every field of the schema that the environment can set. */
export function environmentFields(schema: TSchema): EnvironmentField[] {
  const fields: EnvironmentField[] = [];
  const visit = (node: Record<string, unknown>, path: readonly string[]): void => {
    const properties = node["properties"] as Record<string, Record<string, unknown>> | undefined;
    if (properties !== undefined) {
      for (const [name, child] of Object.entries(properties)) visit(child, [...path, name]);
      return;
    }
    const items = node["items"] as Record<string, unknown> | undefined;
    if (items !== undefined && (items["properties"] !== undefined || items["type"] !== "string")) return;
    const variable = `HOLDFAST_${path.map((part) => part.replace(/([a-z0-9])([A-Z])/g, "$1_$2").toUpperCase()).join("_")}`;
    fields.push({ variable, path, schema: node });
  };
  visit(schema as unknown as Record<string, unknown>, []);
  return fields;
}

/**
 * Puts the overrides of `environment` into `document` (in place). Returns which path each variable set, and
 * the variables with the prefix that name no field: an orchestrator may inject such, so they are not errors.
 */
export function applyEnvironment(
  document: Record<string, unknown>,
  schema: TSchema,
  environment: Readonly<Record<string, string | undefined>>,
): { readonly applied: ReadonlyMap<string, string>; readonly unknown: readonly string[] } {
  const fields = new Map(environmentFields(schema).map((field) => [field.variable, field]));
  const applied = new Map<string, string>();
  const unknown: string[] = [];
  for (const [variable, text] of Object.entries(environment)) {
    if (!variable.startsWith("HOLDFAST_") || text === undefined || NOT_FIELDS.has(variable)) continue;
    const field = fields.get(variable);
    if (field === undefined) {
      unknown.push(variable);
      continue;
    }
    let target = document;
    for (const part of field.path.slice(0, -1)) {
      const next = target[part];
      if (typeof next === "object" && next !== null) target = next as Record<string, unknown>;
      else {
        const made: Record<string, unknown> = {};
        target[part] = made;
        target = made;
      }
    }
    target[field.path.at(-1) as string] = convert(text, field.schema);
    applied.set(field.path.join("."), variable);
  }
  return { applied, unknown };
}

function convert(text: string, schema: Record<string, unknown>): unknown {
  switch (schema["type"]) {
    case "integer":
    case "number":
      return text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
    case "boolean":
      return text === "true" ? true : text === "false" ? false : text;
    case "array":
      return text === "" ? [] : text.split(",").map((part) => part.trim());
    default:
      // A union of one or a list (api.listen): a comma makes the list.
      if (Array.isArray(schema["anyOf"]) && text.includes(","))
        return text.split(",").map((part) => part.trim());
      return text;
  }
}

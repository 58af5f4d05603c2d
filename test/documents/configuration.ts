// docs/configuration.md, from the schema.
import { expectation } from "@holdfast/api";
import { ConfigurationSchema, environmentFields, RELOADABLE_FIELDS } from "@holdfast/node/testing";
import { GENERATED, table } from "./table.ts";

type Node = Record<string, unknown>;

interface Row {
  readonly field: string;
  readonly type: string;
  readonly value: string;
  readonly description: string;
}

function rowsOf(node: Node, path: string): Row[] {
  const properties = node["properties"] as Record<string, Node> | undefined;
  if (properties === undefined) return [];
  const required = new Set((node["required"] as string[] | undefined) ?? []);
  return Object.entries(properties).flatMap(([name, child]): Row[] => {
    const field = path === "" ? name : `${path}.${name}`;
    const items = child["items"] as Node | undefined;
    const inner =
      child["properties"] !== undefined ? child : items?.["properties"] !== undefined ? items : undefined;
    if (inner !== undefined && child["type"] === "object") return rowsOf(inner, field);
    const missing = required.has(name) && child["default"] === undefined;
    const value =
      child["default"] === undefined ? (missing ? "required" : "absent") : JSON.stringify(child["default"]);
    const row: Row = {
      field,
      type: expectation(child),
      value,
      description: String(child["description"] ?? ""),
    };
    return inner === undefined ? [row] : [row, ...rowsOf(inner, `${field}[]`)];
  });
}

export function configurationText(): string {
  const sections = Object.entries(
    (ConfigurationSchema as unknown as Node)["properties"] as Record<string, Node>,
  );
  const variables = new Map(
    environmentFields(ConfigurationSchema).map((f) => [f.path.join("."), f.variable]),
  );
  const reloadable = (field: string) =>
    RELOADABLE_FIELDS.some(
      (prefix) => field === prefix || field.startsWith(`${prefix}.`) || field.startsWith(`${prefix}[`),
    );
  const parts = sections.map(([name, section]) => {
    const rows = rowsOf({ properties: { [name]: section }, required: [] }, "");
    const lines = rows.map(({ field, type, value, description }) => [
      `\`${field}\``,
      type,
      `\`${value}\``,
      variables.has(field) ? `\`${variables.get(field)}\`` : "",
      reloadable(field) ? "yes" : "",
      description,
    ]);
    const head = section["type"] === "object" ? String(section["description"] ?? "") : "";
    return `## ${name}\n\n${head === "" ? "" : `${head}\n\n`}${table(["Field", "Takes", "Default", "Variable", "Reload", "Meaning"], lines)}`;
  });
  return `${GENERATED}
# Configuration

One YAML file, named with \`--config\`; without one, the defaults and the environment. \`holdfast config show\` prints what is in
force with every default, \`holdfast config check\` every mistake with its line and the way out. An environment variable
overrides its field; lists are separated by commas. *Reload*: SIGHUP applies a change of it; a change of anything else is
refused as a whole, with the reason in the log, and needs a restart, which associations survive.

Services of the file live beside those that the APIs make: what the file changed since it was applied last is applied, as one
transaction, and nothing else; how sources live together, and what a removal does to living associations, is in
[operating.md](operating.md), "Services: file, API, LoxiLB".

A member without \`members\` needs nothing else: it runs alone. Examples are in \`deploy/examples/\`.

${parts.join("\n\n")}
`;
}

// docs/api.md, from the OpenAPI document that a node serves.
import { buildServer, fakeNode } from "@holdfast/node/testing";
import { GENERATED, table } from "./table.ts";

interface Operation {
  readonly summary?: string;
  readonly description?: string;
  readonly tags?: readonly string[];
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required?: boolean;
    readonly description?: string;
    readonly schema?: Record<string, unknown>;
  }[];
  readonly requestBody?: { readonly content: Record<string, { readonly schema: Record<string, unknown> }> };
  readonly responses: Record<
    string,
    { readonly content?: Record<string, { readonly schema: Record<string, unknown> }> }
  >;
}

export async function apiText(): Promise<string> {
  const app = await buildServer(fakeNode().sources, {
    authorization: { tokens: () => [], socket: false },
  });
  const document = app.swagger() as unknown as {
    readonly paths: Record<string, Record<string, Operation>>;
    readonly tags: readonly { readonly name: string; readonly description: string }[];
  };
  await app.close();
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );
  const parts = document.tags.map(({ name, description }) => {
    const own = operations.filter(({ operation }) => operation.tags?.includes(name) === true);
    return `## ${name}\n\n${description}\n\n${own.map(operationText).join("\n\n")}`;
  });
  return `${GENERATED}
# API

Every member serves the same API and answers for the whole cluster. \`GET /v1/openapi.json\` is its description for programs,
\`/v1/docs\` a page to try it, \`packages/api\` the typed client.

It listens on 127.0.0.1:7080 unless \`api.listen\` says otherwise; beyond the loopback a token (\`Authorization: Bearer …\`) and TLS
are required, and a node that has not both refuses to start. Health, this description and its page need no token.

Without any token configured, everybody on this machine may do everything. With tokens, each does what its role says: \`read\` looks,
\`operate\` (\`api.token\` has it) changes and traces, too; what goes beyond is refused with \`ROLE_INSUFFICIENT\`. A request over the
loopback without a token reads. The header \`holdfast-role\` of an answer says which role the request had.

Errors are \`application/problem+json\` (RFC 9457) with a stable \`code\`; [errors.md](errors.md) lists them all. Lists of sessions
come in pages: send \`next\` as \`cursor\`. A service has an ETag: \`If-Match\` makes a change conditional, \`If-None-Match\` a read cheap.
Creating the same service again is no error.

${parts.join("\n\n")}
`;
}

function operationText({
  path,
  method,
  operation,
}: {
  readonly path: string;
  readonly method: string;
  readonly operation: Operation;
}): string {
  const lines = [`### ${method} ${path}`, "", `${operation.summary ?? ""}.`];
  if (operation.description !== undefined) lines.push("", operation.description);
  const parameters = (operation.parameters ?? []).map((parameter) => [
    `\`${parameter.name}\``,
    parameter.in,
    typeText(parameter.schema ?? {}),
    `${parameter.description ?? String(parameter.schema?.["description"] ?? "")}${parameter.required === true ? " Required." : ""}`,
  ]);
  if (parameters.length > 0) lines.push("", table(["Parameter", "In", "Type", "Meaning"], parameters));
  const body = Object.values(operation.requestBody?.content ?? {})[0]?.schema;
  if (body !== undefined) lines.push("", "Body:", "", fieldTable(body));
  const [status, success] = Object.entries(operation.responses).find(([code]) => code.startsWith("2")) ?? [];
  const schema = Object.values(success?.content ?? {})[0]?.schema;
  if (schema?.["properties"] !== undefined) lines.push("", `Answer (${status}):`, "", fieldTable(schema));
  return lines.join("\n");
}

function fieldTable(schema: Record<string, unknown>): string {
  return table(
    ["Field", "Type", "Meaning"],
    fieldRows(schema, "").map(([field, type, meaning]) => [`\`${field}\``, type, meaning]),
  );
}

function fieldRows(schema: Record<string, unknown>, path: string): [string, string, string][] {
  const properties = (schema["properties"] as Record<string, Record<string, unknown>> | undefined) ?? {};
  const required = new Set((schema["required"] as string[] | undefined) ?? []);
  return Object.entries(properties).flatMap(([name, child]): [string, string, string][] => {
    const field = path === "" ? name : `${path}.${name}`;
    const items = child["items"] as Record<string, unknown> | undefined;
    const notes = [
      String(child["description"] ?? ""),
      child["default"] !== undefined ? `Default ${JSON.stringify(child["default"])}.` : "",
      required.has(name) || child["default"] !== undefined ? "" : "May be absent.",
    ];
    const row: [string, string, string] = [
      field,
      typeText(child),
      notes.filter((note) => note !== "").join(" "),
    ];
    if (child["properties"] !== undefined) return [row, ...fieldRows(child, field)];
    if (items?.["properties"] !== undefined) return [row, ...fieldRows(items, `${field}[]`)];
    return [row];
  });
}

function typeText(schema: Record<string, unknown>): string {
  if (Array.isArray(schema["enum"])) return schema["enum"].join(", ");
  if (Array.isArray(schema["anyOf"]))
    return (schema["anyOf"] as Record<string, unknown>[]).map(typeText).join(" or ");
  if (schema["const"] !== undefined) return String(schema["const"]);
  const items = schema["items"] as Record<string, unknown> | undefined;
  if (schema["type"] === "array" && items !== undefined)
    return `list of ${items["properties"] ? "objects" : typeText(items)}`;
  const [low, high] = [schema["minimum"], schema["maximum"]];
  const range = low !== undefined && high !== undefined ? ` ${low} … ${high}` : "";
  return `${String(schema["type"] ?? "any")}${range}`;
}

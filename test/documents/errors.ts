// docs/errors.md, from the catalogue.
import { ERROR_CATALOGUE, type ErrorEntry } from "@holdfast/model/testing";
import { GENERATED, table } from "./table.ts";

export function errorsText(): string {
  const entries = (Object.entries(ERROR_CATALOGUE) as [string, ErrorEntry][]).sort(([a], [b]) =>
    a < b ? -1 : 1,
  );
  const rows = entries.map(([code, { status, message, remedy }]) => [
    `\`${code}\``,
    String(status),
    message,
    remedy,
  ]);
  return `${GENERATED}
# Errors

Every mistake that an operator can make has a stable code. It is the \`code\` of an API problem (RFC 9457), stands behind the
command line's message, and is a field of the log line. Those with 200 are warnings: nothing was refused. Codes are only ever added. \`{name}\` stands for a detail.

${table(["Code", "HTTP", "What happened", "What to do"], rows)}

The command line has codes of its own for what no node could say:

${table(
  ["Code", "What happened", "What to do"],
  [
    [
      "`API_UNREACHABLE`",
      "No node answers at the address.",
      "Is it running? `--api` or `HOLDFAST_API` names another.",
    ],
    ["`API_NOT_A_NODE`", "Something answers that is no node.", "Check the address."],
    [
      "`CLI_FILE_UNREADABLE`",
      "A file named on the command line cannot be read.",
      "Name one that this user may read.",
    ],
    [
      "`CLI_API_INVALID`",
      "The address of the API has no known form.",
      "http://HOST:PORT, https://HOST:PORT or unix:/PATH.",
    ],
  ],
)}
`;
}

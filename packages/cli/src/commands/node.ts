// Commands that are the node itself or work on its files: run, config, certificates, journal, diagnose. They
// alone load @holdfast/node, and only when called, so that everything else starts fast.
import type { RevocationView } from "@holdfast/api";
import { type Command, InvalidArgumentError } from "commander";
import { type Context, printJson } from "../context.ts";
import { EXIT } from "../exit.ts";
import { renderTable } from "../output/table.ts";
import { collect, integer } from "./arguments.ts";

const config = () => import("@holdfast/node/config");
const certificates = () => import("@holdfast/node/certificates");

const configOption = ["--config <file>", "configuration file (YAML); HOLDFAST_CONFIG names it, too"] as const;
const configFile = (options: { config?: string }) => options.config ?? process.env["HOLDFAST_CONFIG"];

export function addNodeCommands(program: Command, context: Context): void {
  program
    .command("run")
    .description("run a member in the foreground, until SIGTERM or SIGINT")
    .option(...configOption)
    .option(
      "--discard-flows",
      "give up pinned flows that this version cannot carry over (BPF_FLOWS_NOT_CARRIED)",
    )
    .action(async (options: { config?: string; discardFlows?: boolean }) => {
      const { runDaemon } = await import("@holdfast/node/run");
      const { discardFlows } = options;
      const file = configFile(options);
      process.exitCode = await runDaemon({ file, ...(discardFlows !== undefined && { discardFlows }) });
    });

  const configCommand = program.command("config").description("look at a configuration");
  configCommand
    .command("show")
    .description("the whole configuration with every default, and where overrides came from")
    .option(...configOption)
    .action(async (options: { config?: string }) => {
      const { loadConfiguration, configurationText, shownConfiguration } = await config();
      const loaded = loadConfiguration(configFile(options));
      if (context.format() === "json") printJson(context, shownConfiguration(loaded.configuration));
      else context.print(configurationText(loaded).trimEnd());
    });
  configCommand
    .command("check")
    .description("say whether a configuration is right, and everything that is not")
    .option(...configOption)
    .action(async (options: { config?: string }) => {
      const { loadConfiguration } = await config();
      const { unknownVariables } = loadConfiguration(configFile(options));
      for (const variable of unknownVariables) context.warn(`${variable} names no field and is ignored`);
      context.print("the configuration is right");
    });

  const certificatesCommand = program
    .command("certificates")
    .description("the cluster's authority and its members' certificates");
  const directory = ["--directory <path>", "where the authority lives", "certificates"] as const;
  certificatesCommand
    .command("init")
    .description("make the cluster's authority and its shared secret")
    .requiredOption("--cluster <id>", "cluster.id of the configuration")
    .option(...directory)
    .option("--days <count>", "how long it is valid", integer)
    .action(async (options: { cluster: string; directory: string; days?: number }) => {
      const made = await (await certificates()).initCertificates(options.directory, {
        clusterId: options.cluster,
        ...(options.days !== undefined && { validDays: options.days }),
      });
      if (context.format() === "json") return printJson(context, made);
      context.print(`authority  ${made.certificateFile}\nsecret     ${made.secretFile}`);
      context.print("Copy both to every member; keep authority.key here, and safe.");
    });
  certificatesCommand
    .command("issue <member>")
    .description("make, or renew, a member's certificate")
    .option(...directory)
    .option("--number <number>", "its member number; the lowest free one when absent", integer)
    .option("--address <address>", "an address that others reach it at; several times", collect)
    .option("--days <count>", "how long it is valid", integer)
    .action(
      async (
        member: string,
        options: { directory: string; number?: number; address?: readonly string[]; days?: number },
      ) => {
        const made = await (await certificates()).issueCertificate(options.directory, {
          memberName: member,
          ...(options.number !== undefined && { memberNumber: options.number }),
          ...(options.address !== undefined && { addresses: options.address }),
          ...(options.days !== undefined && { validDays: options.days }),
        });
        if (context.format() === "json") return printJson(context, made);
        context.print(
          [
            `member       ${made.memberName}, number ${made.memberNumber}`,
            `certificate  ${made.certificateFile}`,
            `key          ${made.keyFile}`,
            `valid until  ${made.validUntil}`,
          ].join("\n"),
        );
      },
    );
  certificatesCommand
    .command("show")
    .description("the members of an authority, or what a certificate says")
    .option(...directory)
    .option("--certificate <file>", "a member's certificate, with --key and --authority")
    .option("--key <file>", "its key")
    .option("--authority <file>", "the authority's certificate")
    .action(
      async (options: { directory: string; certificate?: string; key?: string; authority?: string }) => {
        const { listCertificates, showCertificate } = await certificates();
        const rows =
          options.certificate !== undefined
            ? [await showCertificate(options.certificate, options.key, options.authority)]
            : await listCertificates(options.directory);
        if (context.format() === "json") return printJson(context, rows);
        context.print(
          renderTable(
            rows,
            [
              { title: "MEMBER", cell: (r) => r.memberName },
              { title: "NUMBER", cell: (r) => r.memberNumber, right: true },
              { title: "VALID UNTIL", cell: (r) => r.validUntil },
              { title: "STATE", cell: (r) => r.state },
            ],
            context.format(),
          ),
        );
      },
    );

  addRevocationCommands(certificatesCommand, context);

  program
    .command("journal")
    .description("read what the journals in a store say")
    .option(...configOption)
    .option("--store <path>", "the store's directory, instead of the configuration's")
    .option("--session <id>", "only this session")
    .action(async (options: { config?: string; store?: string; session?: string }) => {
      const { loadConfiguration } = await config();
      const { readJournal, journalText, plain } = await import("@holdfast/node/journal");
      const store = options.store ?? loadConfiguration(configFile(options)).configuration.store.directory;
      const report = await readJournal(store, options.session);
      context.print(context.format() === "json" ? plain(report) : journalText(report));
    });

  program
    .command("diagnose")
    .description("check this machine and the cluster, and say what to do about what is wrong")
    .option(...configOption)
    .option("--offline", "the machine only, without asking the node")
    .action(async (options: { config?: string; offline?: boolean }) => {
      const { diagnose, findingsText } = await import("@holdfast/node/diagnose");
      const findings = await diagnose({
        file: configFile(options),
        ...(options.offline !== true && { client: context.client() }),
      });
      if (context.format() === "json") printJson(context, findings);
      else context.print(findingsText(findings));
      if (findings.some((finding) => finding.level === "fail")) process.exitCode = EXIT.unhealthy;
    });
}

/** They speak to a node: the list is the cluster's. */
function addRevocationCommands(command: Command, context: Context): void {
  const show = (rows: readonly RevocationView[]) => {
    if (context.format() === "json") return printJson(context, rows);
    context.print(
      renderTable(
        rows,
        [
          { title: "ID", cell: (r: RevocationView) => r.id },
          { title: "REVOKED", cell: (r: RevocationView) => r.at },
        ],
        context.format(),
      ),
    );
  };
  command
    .command("revoke [member]")
    .description("believe no certificate of a member that was issued until now, in the whole cluster; or one")
    .option("--serial <number>", "only the certificate with this serial number, hexadecimal")
    .option("--certificate <file>", "only this certificate")
    .action(async (member: string | undefined, options: { serial?: string; certificate?: string }) => {
      const named = [member, options.serial, options.certificate].filter((name) => name !== undefined);
      if (named.length !== 1)
        throw new InvalidArgumentError("name a member, --serial or --certificate, one of them");
      const serial =
        options.certificate === undefined
          ? options.serial
          : (await certificates()).serialOfFile(options.certificate);
      const made = await context
        .client()
        .revokeCertificate(serial === undefined ? { member: member ?? "" } : { serial });
      show([made]);
    });
  command
    .command("unrevoke <id>")
    .description("take a revocation back, by its id")
    .action(async (id: string) => {
      await context.client().unrevokeCertificate(id);
      context.print(`${id} is taken back`);
    });
  command
    .command("revocations")
    .description("what is revoked")
    .action(async () => show(await context.client().listRevocations()));
}

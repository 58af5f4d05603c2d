// The speaker over a program that answers as BIRD does, and lets looks at its sessions wait for an order.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { silentLogger, systemClock } from "@holdfast/model";
import { TOR } from "../testing/tor.ts";
import { BirdSpeaker } from "./speaker.ts";

// Perl is on every Debian, and any user may run it.
const PROGRAM = String.raw`#!/usr/bin/perl
use strict;
use IO::Select;
use IO::Socket::UNIX;
my ($path) = join(" ", @ARGV) =~ /-s (\S+)/;
my $server = IO::Socket::UNIX->new(Local => $path, Listen => 5) or die "$path: $!";
my $select = IO::Select->new($server);
my ($lookCount, @waiting) = (0);
while (1) {
  for my $handle ($select->can_read) {
    if ($handle == $server) {
      my $client = $server->accept;
      $client->autoflush(1);
      $select->add($client);
      print $client "0001 BIRD 2.0.12 ready.\n";
      next;
    }
    my $count = sysread($handle, my $text, 4096);
    unless ($count) { $select->remove($handle); close $handle; next }
    for my $command (split /\n/, $text) {
      if ($command eq "configure") {
        print $handle "0003 Reconfigured\n";
        print STDERR "<INFO> ", scalar(@waiting), " looks waited\n";
        print $_ "0000 \n" for splice @waiting;
      } elsif ($command =~ /^show protocols/ && $lookCount++ > 0) {
        print STDERR "<INFO> a look waits\n";
        push @waiting, $handle;
      } else { print $handle "0000 \n" }
    }
  }
}
`;

test("an order waits for no look", { timeout: 60_000 }, async () => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-bird-"));
  const program = join(directory, "program");
  writeFileSync(program, PROGRAM, { mode: 0o755 });
  const said: string[] = [];
  let heard = () => {};
  const logger = {
    ...silentLogger,
    debug(_: object, text: string) {
      said.push(text);
      heard();
    },
  };
  const hears = (text: RegExp) =>
    new Promise<void>((resolve) => {
      heard = () => said.some((line) => text.test(line)) && resolve();
      heard();
    });
  const configuration = { routerId: "198.18.0.1", announce: [], holdDownMs: 0, routers: [TOR] };
  const speaker = new BirdSpeaker({ program, directory, configuration, clock: systemClock, logger });
  try {
    await speaker.start();
    await hears(/a look waits/);
    await speaker.apply([{ vip: "203.0.113.1", rank: 0, network: undefined }]);
    await hears(/[1-9] looks waited/);
    assert.equal(speaker.state().restartCount, 0);
  } finally {
    await speaker.stop({ graceful: false });
    rmSync(directory, { recursive: true, force: true });
  }
});

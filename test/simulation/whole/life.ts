// One life of a daemon on a simulated machine: the node's own composition (sync, data plane, announcer, coordinator,
// and what joins them) on simulated clocks. Three threads, three clocks: main loop, engine, probes.

import type { Announcer } from "@holdfast/announcer";
import type { Coordinator, MemberConfiguration } from "@holdfast/coordinator";
import { startCoordinator } from "@holdfast/coordinator";
import type { Forwarder } from "@holdfast/forwarder";
import { type Address, MemberBook, type Members, type Random, silentLogger } from "@holdfast/model";
import {
  type ClusterLink,
  type Configuration,
  clusterNetworks,
  composeDataPlane,
  createEventBus,
  createServiceRegistry,
  createTraceHub,
  type DataPlane,
  followWithLinks,
  followWithProbes,
  type JoinedMember,
  joinMember,
  listedInFile,
  livingSessions,
  MemberDirectory,
  type MembersKeeper,
  type OwnMember,
  openAnnouncer,
  ownMember,
  PublishingView,
  placing,
  Readiness,
  replicatedLink,
  type ServiceRegistry,
  SessionCatalogue,
  type Topology,
  workingInterfaces,
} from "@holdfast/node/testing";
import {
  CARRIES_UNKNOWN,
  type EngineLink,
  type JournalFactory,
  type MemoryNetwork,
  ReplicationEngine,
  type Sync,
  startSync,
  type ToEngine,
  type ToView,
} from "@holdfast/sync/testing";
import type { SimulatedClock } from "../clock.ts";
import { laterJournals } from "../later.ts";
import type { FaultContext, WholeFault } from "./faults.ts";
import { attachKeeper, JOIN, openKeeper } from "./keeping.ts";
import type { Machine } from "./machine.ts";
import { SimulatedProber } from "./prober.ts";
import type { SimulatedDisk } from "./slow-disk.ts";
import type { Greetings, Version } from "./versions.ts";
import { FORWARDER_LIMITS, MEMBER_NUMBER_COUNT, TIMES } from "./world.ts";

/** From one thread to the other. */
const THREAD_MS = 0.05;
/** Members that are waited for at a start, and before NAT ports are allocated; in proportion to M. */
const START_WAIT_MS = 300;
const ALLOCATE_WAIT_MS = 600;

export interface LifeOptions {
  readonly machine: Machine;
  readonly configuration: Configuration;
  readonly version: Version;
  readonly disk: SimulatedDisk;
  readonly links: MemoryNetwork;
  readonly greetings: Greetings;
  readonly journals: JournalFactory;
  readonly random: Random;
  readonly fault: WholeFault | undefined;
  /** A new clock of the machine. */
  readonly clock: () => SimulatedClock;
  /** This member begins to own a VIP. */
  readonly took: (vip: Address, caughtUp: boolean) => void;
  /** It is one of the cluster, or not, with one sentence. */
  readonly stood: (detail: string) => void;
}

export class Life {
  readonly view = new PublishingView();
  readonly main: SimulatedClock;
  readonly #clocks: readonly SimulatedClock[];
  readonly #options: LifeOptions;
  readonly #probes: SimulatedClock;
  readonly #engineClock: SimulatedClock;
  #engine: ReplicationEngine | undefined;
  #sync: Sync | undefined;
  #prober: SimulatedProber | undefined;
  #member: JoinedMember | undefined;
  #announcer: Announcer | undefined;
  link: ClusterLink | undefined;
  coordinator: Coordinator | undefined;
  dataPlane: (DataPlane & { readonly forwarder: Forwarder }) | undefined;
  registry: ServiceRegistry | undefined;
  keeper: MembersKeeper | undefined;
  members: Members | undefined;
  isOver = false;

  constructor(options: LifeOptions) {
    this.#options = options;
    this.main = options.clock();
    this.#engineClock = options.clock();
    this.#probes = options.clock();
    this.#clocks = [this.main, this.#engineClock, this.#probes];
  }

  get engine(): ReplicationEngine | undefined {
    return this.#engine;
  }

  get prober(): SimulatedProber | undefined {
    return this.#prober;
  }

  get isComposed(): boolean {
    return this.#member !== undefined;
  }

  async start(): Promise<void> {
    const { machine, configuration, random, fault } = this.#options;
    const { main, view } = this;
    const own = ownMember(configuration);
    const context: FaultContext = { number: own.number, view };
    this.#sync = await startSync({
      memberName: own.name,
      memberNumber: own.number,
      memberNumberCount: MEMBER_NUMBER_COUNT,
      clusterId: configuration.cluster.id,
      listen: [],
      members: configuration.members.map(({ name, number }) => ({ name, number, addresses: [] })),
      ...(machine.isJoining && { join: JOIN }),
      tls: "plain",
      storeDirectory: undefined,
      release: configuration.replication.release,
      settings: { memoryMs: this.#options.version.replication.memoryMs },
      clock: main,
      random,
      logger: silentLogger,
      view,
      yieldTurn: (action) => void main.after(0, action),
      host: (attach) => this.#host(attach),
    });
    if (this.isOver) return;
    const network = machine.network;
    const system = network.interfaces();
    const topology: Topology = {
      interfaces: workingInterfaces(configuration, [...system.keys()]),
      system: machine.system,
    };
    const members = new MemberBook(listedInFile(configuration, topology));
    const realLink = replicatedLink(this.#sync, view, members);
    const link = fault?.link?.(realLink, context) ?? realLink;
    this.link = link;
    const standing = () =>
      this.keeper ?? { isMember: !machine.isJoining, join: machine.isJoining ? JOIN : [] };
    const following = followWithLinks(members, link, main, standing);
    const events = createEventBus(own.name, main);
    const readiness = new Readiness(silentLogger);
    const { isJoining } = machine;
    const stood = (detail: string) => {
      following.tell();
      this.#options.stood(detail);
    };
    const keeping = { own, members, link, readiness, events, clock: main, isJoining, stood };
    const keeper = openKeeper(keeping);
    this.keeper = keeper;
    following.tell();
    this.members = members;
    const placed = placing(members, topology);
    const directory = new MemberDirectory(placed, own);
    const attached = machine.fastPath.attach(main);
    const dataPlane = composeDataPlane({
      configuration,
      own: fault?.memberNumber === undefined ? own : { ...own, number: fault.memberNumber(own.number) },
      members,
      topology,
      network,
      link,
      trace: createTraceHub(),
      isMember: () => keeper.isMember,
      reservedNumbers: () => keeper.reservedNumbers,
      clock: main,
      logger: silentLogger,
      fastPath: fault?.fastPath?.(attached, context) ?? attached,
      probeChannel: () => machine.probeChannel(main),
      random,
      limits: { ...FORWARDER_LIMITS, ...fault?.limits },
    });
    this.dataPlane = dataPlane;
    const { announcer } = await openAnnouncer({
      configuration,
      topology,
      network,
      services: () => [],
      clock: main,
      logger: silentLogger,
      sender: machine.frameSender(main),
    });
    this.#announcer = fault?.announcer?.(announcer) ?? announcer;
    const coordinator = await this.#startCoordinator(own, placed, topology);
    if (this.isOver) return;
    this.coordinator = fault?.coordinator?.(coordinator) ?? coordinator;
    attachKeeper(keeper, keeping, dataPlane, this.coordinator);
    followWithProbes(members, placed, coordinator, silentLogger);
    const sessions = livingSessions(new SessionCatalogue([link.table], main), () => link.caughtUp());
    const registry = createServiceRegistry(link.store, own.name, undefined, {
      sessions,
      clock: main,
      members: () => members.current().members.map(({ name }) => name),
    });
    this.registry = registry;
    this.#member = joinMember({
      configuration: () => configuration,
      own,
      topology,
      members,
      directory,
      network,
      link,
      registry,
      sessions,
      dataPlane,
      announcer: this.#announcer,
      coordinator: this.coordinator,
      readiness,
      events,
      clock: main,
      logger: silentLogger,
    });
    let owned = new Set<Address>();
    this.coordinator.onDuties((duties) => {
      const before = owned;
      owned = new Set(duties.filter((duty) => duty.owned).map(({ vip }) => vip));
      for (const vip of owned) if (!before.has(vip)) this.#options.took(vip, realLink.caughtUp());
    });
    await dataPlane.start();
    this.#member.observe();
  }

  #startCoordinator(
    own: OwnMember,
    placed: () => readonly MemberConfiguration[],
    topology: Topology,
  ): Promise<Coordinator> {
    const { machine, configuration, random } = this.#options;
    return startCoordinator({
      self: own.name,
      members: placed(),
      secret: configuration.cluster.secret ?? "",
      minimumMembers: configuration.coordinator.minimumMembers,
      clusterNetworks: clusterNetworks(topology.interfaces),
      timing: { settleMs: 400, settleMaxMs: 1_200, mainSilentMaxMs: 2_000 },
      clock: this.main,
      random,
      prober: (data) => {
        this.#prober = new SimulatedProber(data, {
          clock: this.#probes,
          main: this.main,
          send: (bytes, member) => machine.sendProbe(bytes, member),
          beat: () => machine.fastPath.beat(),
        });
        return this.#prober;
      },
    });
  }

  async #host(attach: (link: EngineLink<ToEngine, ToView>) => void): Promise<{ stop(): Promise<void> }> {
    const { machine, configuration, version, disk, links, greetings, journals, random } = this.#options;
    const own = ownMember(configuration);
    const identity = { name: own.name, number: own.number };
    const clock = this.#engineClock;
    const pair = threadLink(this.main, clock);
    attach(pair.view);
    const transport = greetings.admit(
      links.transport(identity),
      identity,
      configuration.members,
      version,
      random.bytes(16),
    );
    const store = disk.open(clock);
    let offered: readonly string[] = [];
    const link: EngineLink<ToView, ToEngine> = {
      listen: (listener) => pair.engine.listen(listener),
      post: (message) => {
        if (message.kind === "state") offered = message.state.offered;
        pair.engine.post(message);
      },
    };
    const engine = new ReplicationEngine({
      settings: {
        ...version.replication,
        capabilities: version.capabilities ?? [],
        member: identity,
        members: machine.isJoining
          ? [identity]
          : configuration.members.map(({ name, number }) => ({ name, number })),
        maintenancePeriodMs: TIMES.memoryMs / 5,
        startWaitMs: START_WAIT_MS,
        allocateWaitMs: ALLOCATE_WAIT_MS,
      },
      clock,
      random,
      logger: silentLogger,
      transport,
      store,
      journals:
        version.isLater === true
          ? laterJournals(journals, own.number, () => offered.includes(CARRIES_UNKNOWN))
          : journals,
      link,
    });
    this.#engine = engine;
    await engine.start();
    return {
      stop: async () => {
        await engine.stop();
        await transport.stop();
        await store.close();
      },
    };
  }

  /** SIGSTOP: all of it stands still. `main` alone: a busy event loop. */
  freeze(what: "all" | "main"): void {
    for (const clock of what === "all" ? this.#clocks : [this.main]) clock.freeze();
  }

  thaw(): void {
    for (const clock of this.#clocks) clock.thaw();
  }

  jump(byMs: number): void {
    for (const clock of this.#clocks) clock.jump(byMs);
  }

  /** One of the cluster, as far as it knows. */
  get isMember(): boolean {
    return this.isComposed && this.keeper?.isMember === true;
  }

  /** kill -9. */
  crash(): void {
    this.isOver = true;
    for (const clock of this.#clocks) clock.stop();
    this.#engine?.abandon();
  }

  /** SIGTERM: hands over, says goodbye, stops; as the daemon does. */
  async stop(): Promise<void> {
    await this.coordinator?.drain({ timeoutMs: 800 });
    await this.coordinator?.leave();
    this.#member?.close();
    this.keeper?.close();
    await this.#announcer?.stop();
    await this.dataPlane?.stop(true);
    await this.#sync?.stop();
    this.isOver = true;
    for (const clock of this.#clocks) clock.stop();
  }
}

/** Messages between main loop and engine: later, as plain data, run by the clock of whoever receives them. */
function threadLink(
  main: SimulatedClock,
  engine: SimulatedClock,
): { readonly engine: EngineLink<ToView, ToEngine>; readonly view: EngineLink<ToEngine, ToView> } {
  const toView = lane<ToView>(main);
  const toEngine = lane<ToEngine>(engine);
  return {
    engine: { post: toView.post, listen: toEngine.listen },
    view: { post: toEngine.post, listen: toView.listen },
  };
}

function lane<Message>(clock: SimulatedClock) {
  let listener: ((message: Message) => void) | undefined;
  const early: Message[] = [];
  return {
    post: (message: Message) => {
      clock.after(THREAD_MS, () => {
        if (listener === undefined) early.push(message);
        else listener(message);
      });
    },
    listen: (given: (message: Message) => void) => {
      listener = given;
      for (const message of early.splice(0)) given(message);
    },
  };
}

import type { SpamChecks } from '../services/accounts/spam-checks.js'
import type { DefaultRuleChoice } from '../protocol/default-push-rules.js'
import type { EventSigner } from '../protocol/event-builder.js'
import type { RoomId, ServerName } from '../protocol/ids.js'
import { AuthChainPlacer } from '../services/events/auth-chain-placer.js'
import { AuthCover } from '../services/events/auth-cover.js'
import { ConflictResolver } from '../services/events/conflict-resolver.js'
import { EarlyRedactions } from '../services/events/early-redactions.js'
import { EventAssembler } from '../services/events/event-assembler.js'
import { EventComposer } from '../services/events/event-composer.js'
import { EventJudge } from '../services/events/event-judge.js'
import { EventPolicy } from '../services/events/event-policy.js'
import { EventPersister } from '../services/events/event-persister.js'
import { EventProposals } from '../services/events/event-proposals.js'
import type { ReceivedEventPolicy } from '../services/federation/received-event-policy.js'
import { EventReceiver } from '../services/events/event-receiver.js'
import { EventTail } from '../services/events/event-tail.js'
import { EventSender } from '../services/events/event-sender.js'
import { FlatStates } from '../services/events/flat-states.js'
import { GivenStates } from '../services/events/given-states.js'
import { GraphRepair } from '../services/events/graph-repair.js'
import { LateJudge } from '../services/events/late-judge.js'
import { OutlierReceiver } from '../services/events/outlier-receiver.js'
import { EventLookup } from '../services/events/pending-events.js'
import { OutsideMemberships } from '../services/events/outside-memberships.js'
import { PartialRooms } from '../services/events/partial-rooms.js'
import { PartialStates } from '../services/events/partial-states.js'
import { AheadReader } from '../services/events/read-ahead.js'
import { PushActions } from '../services/events/push-actions.js'
import type { PushAudience } from '../services/events/push-audience.js'
import { RedactionRules } from '../services/events/redaction-rules.js'
import { RemoteRooms } from '../services/events/remote-rooms.js'
import { RoomAdopter } from '../services/events/room-adoption.js'
import { RoomHeads } from '../services/events/room-heads.js'
import { RoomRegistrar } from '../services/events/room-registrar.js'
import { RoomRemoval } from '../services/events/room-removal.js'
import { RoomRepair } from '../services/events/room-repair.js'
import { RoomState } from '../services/events/room-state.js'
import { SentTransactions } from '../services/events/sent-transactions.js'
import { SnapshotBuilder } from '../services/events/snapshot-builder.js'
import { StateChangeDescriber } from '../services/events/state-changes.js'
import { StateCompletion } from '../services/events/state-completion.js'
import { StateKeyInterner } from '../services/events/state-key-interner.js'
import { StateRecovery } from '../services/events/state-recovery.js'
import { StateRepair } from '../services/events/state-repair.js'
import { StateResolver } from '../services/events/state-resolver.js'
import { StickyRetrials } from '../services/events/sticky-retrials.js'
import { StateSurvey } from '../services/events/state-survey.js'
import type { FederationClient } from '../services/remote/federation-client.js'
import type { PositionSink } from '../services/streams/notifier.js'
import type { CacheRegistry } from '../storage/cache-registry.js'
import { CurrentStateStore } from '../storage/stores/current-state.js'
import { EventGraphStore } from '../storage/stores/event-graph.js'
import { EventSearchStore } from '../storage/stores/event-search.js'
import { EventStatesStore } from '../storage/stores/event-states.js'
import { EventTxnsStore } from '../storage/stores/event-txns.js'
import { EventWriter } from '../storage/stores/event-writer.js'
import { GraphSurveyStore } from '../storage/stores/graph-survey.js'
import { MessageWriter } from '../storage/stores/message-writer.js'
import { EventsStore } from '../storage/stores/events.js'
import { MissingEventsStore } from '../storage/stores/missing-events.js'
import { PartialStateStore } from '../storage/stores/partial-state.js'
import { RedactionsStore } from '../storage/stores/redactions.js'
import { RoomMembersStore } from '../storage/stores/room-members.js'
import { RoomRemovalStore } from '../storage/stores/room-removal.js'
import { RoomRepairStore } from '../storage/stores/room-repair.js'
import { ServerMembersStore } from '../storage/stores/server-members.js'
import { RoomsStore } from '../storage/stores/rooms.js'
import { StateDeltasStore } from '../storage/stores/state-deltas.js'
import { StateKeysStore } from '../storage/stores/state-keys.js'
import { StateSnapshotsStore } from '../storage/stores/state-snapshots.js'
import { StateSurveyStore } from '../storage/stores/state-survey.js'
import { StickyEventsStore } from '../storage/stores/sticky-events.js'
import { TimelinesStore } from '../storage/stores/timelines.js'
import type { Clock } from '../util/clock.js'
import { KeyedMutex } from '../util/keyed-mutex.js'
import type { Storage } from './wire-storage.js'

export interface EventOptions {
  readonly serverName: ServerName
  /** `push.enabled`: events count as unread. */
  readonly countsUnread: boolean
  readonly defaultPushRules?: DefaultRuleChoice
  /** Rooms whose events notify nobody. */
  readonly silentRooms?: ReadonlySet<RoomId>
  /** `forget_rooms_on_leave`. */
  readonly forgetsRoomsOnLeave?: boolean | undefined
}

/** What the write path needs of the rest of the server. */
export interface EventParts {
  readonly storage: Pick<Storage, 'db' | 'streams' | 'ids'>
  readonly clock: Clock
  readonly positions: PositionSink
  readonly signer: EventSigner
  /** Without it, everybody has the default push rules. */
  readonly pushAudience?: PushAudience
  /** How policy servers are reached. Without it, nobody is asked what may be said in a room. */
  readonly client?: Pick<FederationClient, 'isStopping' | 'request'>
  /** Services that say what is spam; without it, there are none. */
  readonly spam?: SpamChecks | undefined
}

export type EventStores = ReturnType<typeof createEventStores>

export interface EventServices {
  readonly roomState: RoomState
  readonly eventSender: EventSender
  readonly eventReceiver: EventReceiver
  readonly outlierReceiver: OutlierReceiver
  readonly eventProposals: EventProposals
  readonly outsideMemberships: OutsideMemberships
  readonly remoteRooms: RemoteRooms
  readonly roomAdopter: RoomAdopter
  readonly partialRooms: PartialRooms
  readonly roomRemoval: RoomRemoval
  readonly roomRepair: RoomRepair
  readonly stateCompletion: StateCompletion
  readonly stickyRetrials: StickyRetrials
  /** Undefined where nobody is asked what may be said in a room. */
  readonly eventPolicy: ReceivedEventPolicy | undefined
  /** What those who follow the events stream read first. */
  readonly eventTail: EventTail
  /** To be drained when the server stops. */
  readonly eventPersister: EventPersister
}

/** The stores of rooms and their events. `eventCacheSize`: entries, before factors. */
export function createEventStores(caches: CacheRegistry, options: { eventCacheSize: number }) {
  const rooms = new RoomsStore(caches)
  const snapshots = new StateSnapshotsStore(caches)
  return {
    rooms,
    snapshots,
    events: new EventsStore(caches, rooms, { cacheSize: options.eventCacheSize }),
    graph: new EventGraphStore(caches),
    writer: new EventWriter(snapshots),
    messages: new MessageWriter(),
    stateKeys: new StateKeysStore(caches),
    currentState: new CurrentStateStore(),
    members: new RoomMembersStore(),
    eventTxns: new EventTxnsStore(),
    redactions: new RedactionsStore(),
    missingEvents: new MissingEventsStore(),
    eventStates: new EventStatesStore(),
    partialState: new PartialStateStore(),
    stickyEvents: new StickyEventsStore(),
  }
}

/** Constructs what makes, judges and commits events. */
export function createEventServices(
  parts: EventParts,
  stores: EventStores,
  options: EventOptions,
): EventServices {
  const { clock, positions } = parts
  const { db, ids, streams } = parts.storage
  const { serverName } = options
  const tools = createWriteTools(parts, stores, options)
  const shared = { ...stores, ...tools }
  const { heads, persister, assembler, partialRooms } = tools
  const composer = new EventComposer(tools)
  const registrar = new RoomRegistrar(stores.rooms, ids.rooms)
  const roomState = new RoomState(db, stores)
  const policy =
    parts.client &&
    new EventPolicy(db, {
      assembler,
      serverName,
      client: parts.client,
      serverMembers: new ServerMembersStore(),
    })
  return {
    roomState,
    eventTail: tools.tail,
    eventPersister: persister,
    eventReceiver: new EventReceiver(db, shared),
    outlierReceiver: new OutlierReceiver(db, shared),
    eventProposals: new EventProposals({ ...tools, composer }),
    outsideMemberships: new OutsideMemberships(db, shared),
    remoteRooms: new RemoteRooms(db, { ...shared, registrar }),
    roomAdopter: new RoomAdopter(db, shared),
    partialRooms,
    roomRemoval: new RoomRemoval(db, {
      ...tools,
      store: new RoomRemovalStore({ ...stores, eventSearch: new EventSearchStore() }),
    }),
    roomRepair: createRoomRepair(parts, stores, tools),
    stateCompletion: new StateCompletion(db, {
      ...shared,
      repair: new RoomRepairStore(),
      judge: new LateJudge(tools),
      eventStream: streams.events,
      positions,
    }),
    stickyRetrials: new StickyRetrials(db, {
      ...shared,
      store: stores.stickyEvents,
      eventStream: streams.events,
      positions,
    }),
    eventPolicy: receivedPolicyOf(policy, heads, parts.spam),
    eventSender: new EventSender({
      ...tools,
      policy,
      spam: parts.spam,
      roomState,
      composer,
      registrar,
      transactions: new SentTransactions(db, stores.eventTxns, clock),
    }),
  }
}

function receivedPolicyOf(
  policy: EventPolicy | undefined,
  heads: RoomHeads,
  spam: SpamChecks | undefined,
): ReceivedEventPolicy | undefined {
  if (policy === undefined && spam === undefined) return undefined
  return {
    async approve(room, event) {
      const approved = policy === undefined ? event : await policy.approve(await heads.get(room), event)
      await spam?.checkEvent(approved)
      return approved
    },
  }
}

function createRoomRepair(
  { storage, positions }: EventParts,
  stores: EventStores,
  tools: ReturnType<typeof createWriteTools>,
): RoomRepair {
  const { db, ids, streams } = storage
  const survey = new StateSurveyStore()
  const graphSurvey = new GraphSurveyStore()
  const shared = { ...stores, ...tools, survey, graphSurvey }
  return new RoomRepair(db, {
    ...shared,
    repair: new RoomRepairStore(),
    graphRepair: new GraphRepair(db, {
      ...shared,
      placer: new AuthChainPlacer(db, { ...shared, chainIds: ids.authChains }),
    }),
    stateRepair: new StateRepair(db, {
      ...shared,
      stateSurvey: new StateSurvey(db, { survey }),
      stateRecovery: new StateRecovery(db, { ...shared, snapshotIds: ids.snapshots }),
    }),
    eventStream: streams.events,
    positions,
  })
}

/** What all who write events work with. */
function createWriteTools(parts: EventParts, stores: EventStores, options: EventOptions) {
  const { clock, signer, positions } = parts
  const { db, ids, streams } = parts.storage
  const { serverName, forgetsRoomsOnLeave } = options
  const builder = new SnapshotBuilder(db, stores.snapshots, ids.snapshots)
  const interner = new StateKeyInterner(db, stores.stateKeys, ids.stateKeys)
  const lookup = new EventLookup(db, stores)
  const cover = new AuthCover(db, { graph: stores.graph, lookup })
  const conflicts = new ConflictResolver(db, { stateKeys: stores.stateKeys, lookup, cover })
  const resolver = new StateResolver({ conflicts, interner, builder })
  const heads = new RoomHeads(db, stores.graph, resolver)
  const redactions = new RedactionRules(lookup)
  const partialRooms = new PartialRooms(db, stores.partialState, clock)
  const changes = new StateChangeDescriber(
    db,
    { lookup, stateKeys: stores.stateKeys },
    { serverName, forgetsRoomsOnLeave },
  )
  const tail = new EventTail(db, { timelines: new TimelinesStore(), deltas: new StateDeltasStore() })
  const assembler = new EventAssembler(db, { ...stores, lookup, chainIds: ids.authChains })
  const partialStates = new PartialStates({ partialRooms, interner, builder, conflicts })
  return {
    assembler,
    cover,
    conflicts,
    judge: new EventJudge({ assembler, resolver, partialStates }),
    lookup,
    interner,
    builder,
    resolver,
    heads,
    persister: new EventPersister(db, {
      ...stores,
      eventStream: streams.events,
      backfillStream: streams.backfill,
      builder,
      heads,
      positions,
      tail,
    }),
    tail,
    clock,
    signer,
    serverName,
    locks: new KeyedMutex(),
    eventIds: ids.events,
    changes,
    flat: new FlatStates(db, { ...stores, interner, changes }),
    givenStates: new GivenStates({ lookup, interner, builder }),
    partialRooms,
    pushActions: new PushActions(db, stores.members, {
      enabled: options.countsUnread,
      silentRooms: options.silentRooms,
      ...(options.defaultPushRules && { defaultRules: options.defaultPushRules }),
      ...(parts.pushAudience && { audience: parts.pushAudience }),
    }),
    redactions,
    aheadReader: new AheadReader(db, stores),
    earlyRedactions: new EarlyRedactions(db, {
      store: stores.redactions,
      lookup,
      assembler,
      builder,
      rules: redactions,
    }),
  }
}

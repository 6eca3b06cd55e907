import type { Event } from '../protocol/event.js'
import type { ServerName } from '../protocol/ids.js'
import type { HomeserverConfig } from '../config/homeserver-config.js'
import type { ErasedUsers } from '../services/events/erased-users.js'
import type { EventReceiver } from '../services/events/event-receiver.js'
import type { EventSender } from '../services/events/event-sender.js'
import type { OutlierReceiver } from '../services/events/outlier-receiver.js'
import type { OutsideMemberships } from '../services/events/outside-memberships.js'
import type { PartialRooms } from '../services/events/partial-rooms.js'
import type { RoomState } from '../services/events/room-state.js'
import type { RoomWitnesses } from '../services/events/room-witnesses.js'
import { StatePoints } from '../services/events/state-points.js'
import { AuthChains } from '../services/federation/auth-chains.js'
import { Backfill } from '../services/federation/backfill.js'
import { EduDispatcher } from '../services/federation/edu-dispatcher.js'
import type { EventAges } from '../services/federation/event-ages.js'
import { EventFetcher } from '../services/federation/event-fetcher.js'
import { EventWalk } from '../services/federation/event-walk.js'
import { ExtremityCleanup } from '../services/federation/extremity-cleanup.js'
import { InboundTransactions, TRANSACTION_LIFETIME_MS } from '../services/federation/inbound-transactions.js'
import { JoinsUnderWay } from '../services/federation/joins-under-way.js'
import { MissingEvents } from '../services/federation/missing-events.js'
import { OutlierFetcher } from '../services/federation/outlier-fetcher.js'
import { OutsideEvents } from '../services/federation/outside-events.js'
import { PduIntake } from '../services/federation/pdu-intake.js'
import { PduProcessor } from '../services/federation/pdu-processor.js'
import { PulledEvents } from '../services/federation/pulled-events.js'
import type { ReceivedEventPolicy } from '../services/federation/received-event-policy.js'
import { RemoteStates } from '../services/federation/remote-states.js'
import { RemoteTimestamps } from '../services/federation/remote-timestamps.js'
import { RemoteWitnesses } from '../services/federation/remote-witnesses.js'
import { RoomAnswers } from '../services/federation/room-answers.js'
import { RoomGate } from '../services/federation/room-gate.js'
import { INBOX_LIMITS, InboxShares } from '../services/federation/inbox-shares.js'
import { RoomInbox } from '../services/federation/room-inbox.js'
import { ServerAcls } from '../services/federation/server-acls.js'
import { ServerVisibility } from '../services/federation/server-visibility.js'
import type { FederationClient } from '../services/remote/federation-client.js'
import type { Keyring } from '../services/remote/keyring.js'
import type { Database } from '../storage/database.js'
import { FederationInboxStore } from '../storage/stores/federation-inbox.js'
import { RoomTimelineStore } from '../storage/stores/room-timeline.js'
import type { RoomRecord } from '../storage/stores/rooms.js'
import { ServerMembersStore } from '../storage/stores/server-members.js'
import type { Logger } from '../telemetry/logger.js'
import type { Clock } from '../util/clock.js'
import type { BackgroundWork } from './lifecycle.js'
import type { EventStores } from './wire-events.js'

export interface FederationInboundParts {
  readonly db: Database
  readonly clock: Clock
  readonly logger: Logger
  readonly serverName: ServerName
  readonly federationClient: FederationClient
  readonly keyring: Keyring
  readonly roomState: RoomState
  readonly eventReceiver: EventReceiver
  readonly outlierReceiver: OutlierReceiver
  readonly outsideMemberships: OutsideMemberships
  readonly eventSender: EventSender
  readonly eventPolicy: ReceivedEventPolicy | undefined
  readonly config: Pick<HomeserverConfig, 'rooms'>
  readonly partialRooms: PartialRooms
  readonly erased: ErasedUsers
  readonly ages?: EventAges
  /** Called with events of others that have become part of their room; what it starts must not fail. */
  readonly onAccepted?: (room: RoomRecord, event: Event) => void
}

/** What takes in events of other servers, gets them, and answers questions about rooms. */
export interface FederationInbound {
  /** Those that endpoints use. */
  readonly services: {
    readonly inboundTransactions: InboundTransactions
    readonly roomAnswers: RoomAnswers
    readonly roomWitnesses: RoomWitnesses
  }
  readonly acls: ServerAcls
  readonly intake: PduIntake
  readonly gate: RoomGate
  readonly chains: AuthChains
  readonly edus: EduDispatcher
  readonly fetcher: EventFetcher
  readonly outliers: OutlierFetcher
  readonly pulled: PulledEvents
  readonly states: RemoteStates
  readonly backfill: Backfill
  readonly remoteTimestamps: RemoteTimestamps
  readonly processor: PduProcessor
  readonly inbox: RoomInbox
  readonly ends: ExtremityCleanup
  readonly joins: JoinsUnderWay
  readonly background: BackgroundWork
}

/** Constructs the inbound half of federation. */
export function createFederationInbound(
  parts: FederationInboundParts,
  eventStores: EventStores,
): FederationInbound {
  const { db, clock, logger, roomState } = parts
  const stores = {
    ...eventStores,
    serverMembers: new ServerMembersStore(),
    timeline: new RoomTimelineStore(eventStores.events),
  }
  const acls = new ServerAcls(roomState)
  const intake = new PduIntake(parts.keyring)
  const getting = createGetting(parts, stores, intake)
  const { outliers, pulled } = getting
  const shared = { client: parts.federationClient, intake, logger, clock }
  const missing = new MissingEvents(db, { ...shared, graph: stores.graph })
  const processor = new PduProcessor({
    ...shared,
    receiver: parts.eventReceiver,
    policy: parts.eventPolicy,
    outliers,
    missing,
    pulled,
  })
  const inboxStore = new FederationInboxStore()
  const inbox = createInbox(parts, { processor, store: inboxStore, rooms: stores.rooms })
  const edus = new EduDispatcher({ acls, logger })
  const outside = new OutsideEvents(db, {
    members: stores.members,
    events: stores.events,
    outside: parts.outsideMemberships,
    serverName: parts.serverName,
  })
  const joins = new JoinsUnderWay()
  const inboundTransactions = new InboundTransactions(db, {
    ...stores,
    ...shared,
    store: inboxStore,
    acls,
    inbox,
    edus,
    outside,
    joins,
    ages: parts.ages,
  })
  const backfill = new Backfill(db, { ...stores, ...shared, pulled })
  const { roomAnswers, gate, chains } = createAnswers(parts, stores, acls)
  const ends = new ExtremityCleanup(db, {
    ...stores,
    sender: parts.eventSender,
    logger,
    threshold: parts.config.rooms.maxExtremities,
  })
  return {
    services: {
      inboundTransactions,
      roomAnswers,
      roomWitnesses: new RemoteWitnesses(db, { ...getting, ...stores }),
    },
    ...getting,
    processor,
    acls,
    intake,
    gate,
    chains,
    edus,
    backfill,
    remoteTimestamps: new RemoteTimestamps(db, { ...stores, ...shared, backfill }),
    inbox,
    ends,
    joins,
    background: toBackground(parts, { inbox, store: inboxStore, ends, joins }),
  }
}

/** What other servers have sent and waits to be worked off. */
function createInbox(
  { db, clock, logger, onAccepted }: FederationInboundParts,
  {
    processor,
    store,
    rooms,
  }: { processor: PduProcessor; store: FederationInboxStore } & Pick<EventStores, 'rooms'>,
): RoomInbox {
  return new RoomInbox(db, {
    store,
    rooms,
    shares: new InboxShares({ count: () => store.countByOrigin(db.reader), clock, limits: INBOX_LIMITS }),
    handle: async (room, sent, turn) => {
      const receptions = await processor.processAll(room, sent, turn)
      for (const [index, { outcome }] of receptions.entries()) {
        if (outcome === 'accepted') onAccepted?.(room, sent[index]!.event)
      }
      return receptions.length
    },
    logger,
  })
}

type InboundStores = EventStores & {
  readonly serverMembers: ServerMembersStore
  readonly timeline: RoomTimelineStore
}

/** What tells other servers of rooms. */
function createAnswers(parts: FederationInboundParts, stores: InboundStores, acls: ServerAcls) {
  const { db, roomState, partialRooms, clock, serverName } = parts
  const gate = new RoomGate(db, { ...stores, acls })
  const chains = new AuthChains(db, stores)
  const roomAnswers = new RoomAnswers(db, {
    ...stores,
    gate,
    chains,
    roomState,
    partialRooms,
    clock,
    serverName,
    visibility: new ServerVisibility(db, {
      ...stores,
      erased: parts.erased,
      points: new StatePoints(stores),
    }),
    walk: new EventWalk(db, stores),
  })
  return { roomAnswers, gate, chains }
}

/** What gets events and states that are not held. */
function createGetting(parts: FederationInboundParts, stores: EventStores, intake: PduIntake) {
  const { db, logger, federationClient: client } = parts
  const fetcher = new EventFetcher({ client, intake, logger })
  const outliers = new OutlierFetcher({ client, intake, fetcher, outliers: parts.outlierReceiver })
  const states = new RemoteStates(db, { ...stores, client, intake, outliers, logger })
  return {
    fetcher,
    outliers,
    states,
    pulled: new PulledEvents(db, {
      ...stores,
      receiver: parts.eventReceiver,
      policy: parts.eventPolicy,
      outliers,
      states,
      logger,
    }),
  }
}

function toBackground(
  { db, clock }: FederationInboundParts,
  {
    inbox,
    store,
    ends,
    joins,
  }: { store: FederationInboxStore } & Pick<FederationInbound, 'inbox' | 'ends' | 'joins'>,
): BackgroundWork {
  return {
    start: () => inbox.start(),
    stop: async () => {
      await joins.settle()
      await inbox.stop()
    },
    tasks: [
      {
        name: 'expire_federation_transactions',
        intervalMs: 60 * 60_000,
        run: async () => {
          const before = clock.now() - TRANSACTION_LIFETIME_MS
          await db.write('expire_federation_transactions', (tx) => store.deleteAnswersBefore(tx, before))
        },
      },
      { name: 'join_forward_extremities', intervalMs: 15 * 60_000, run: (signal) => ends.run(signal) },
    ],
  }
}

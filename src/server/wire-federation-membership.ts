import type { SpamChecks } from '../services/accounts/spam-checks.js'
import type { EventSigner } from '../protocol/event-builder.js'
import type { ServerName } from '../protocol/ids.js'
import { InvitePermissions } from '../services/accounts/invite-permissions.js'
import type { AppserviceRegistry } from '../services/appservices/appservice-registry.js'
import type { RateLimits } from '../services/accounts/ratelimits.js'
import type { PrejoinState } from '../services/events/prejoin-state.js'
import { AuthChains } from '../services/federation/auth-chains.js'
import { InviteReceiver } from '../services/federation/invite-receiver.js'
import { InviteSender } from '../services/federation/invite-sender.js'
import { JoinedRooms } from '../services/federation/joined-rooms.js'
import { JoiningHandshakes } from '../services/federation/joining-handshakes.js'
import { LeavingHandshakes } from '../services/federation/leaving-handshakes.js'
import { PartialStateSync } from '../services/federation/partial-state-sync.js'
import { ResidentAnswers } from '../services/federation/resident-answers.js'
import { ResidentHandshakes, type JoinAuthoriser } from '../services/federation/resident-handshakes.js'
import { RoomComplexity } from '../services/federation/room-complexity.js'
import { ThirdPartyExchange } from '../services/federation/third-party-exchange.js'
import type { FederationClient } from '../services/remote/federation-client.js'
import type { RoomBlocks } from '../services/rooms/room-blocks.js'
import { IncomingInvites } from '../services/rooms/incoming-invites.js'
import type { MembershipHandshakes } from '../services/rooms/remote-membership.js'
import type { Services } from '../services/services.js'
import type { Database } from '../storage/database.js'
import type { AccountDataStore } from '../storage/stores/account-data.js'
import { EventTextsStore } from '../storage/stores/event-texts.js'
import { RelayedEventsStore } from '../storage/stores/relayed-events.js'
import { RoomServersStore } from '../storage/stores/room-servers.js'
import type { UsersStore } from '../storage/stores/users.js'
import type { Logger } from '../telemetry/logger.js'
import type { Clock } from '../util/clock.js'
import type { EventServices, EventStores } from './wire-events.js'
import type { FederationInbound } from './wire-federation-inbound.js'

export interface FederationMembershipParts extends Omit<EventServices, 'eventPersister'> {
  readonly db: Database
  readonly clock: Clock
  readonly logger: Logger
  readonly serverName: ServerName
  readonly signer: EventSigner
  readonly rateLimits: RateLimits
  readonly registry: AppserviceRegistry
  readonly federationClient: Pick<FederationClient, 'request'>
  readonly inbound: Pick<FederationInbound, 'acls' | 'ends' | 'intake' | 'joins' | 'processor' | 'states'>
  /** Knows who may join restricted rooms. */
  readonly authoriser: JoinAuthoriser
  /** `block_non_admin_invites`. */
  readonly onlyAdminsInvite: boolean
  readonly prejoin: PrejoinState
  /** Rooms that nobody may enter; without it, there are none. */
  readonly blocks?: Pick<RoomBlocks, 'check'>
  readonly spam?: SpamChecks | undefined
}

/** How memberships come and go between servers. */
export interface FederationMembership {
  /** Those that endpoints use. */
  readonly services: Pick<Services, 'residentHandshakes' | 'inviteReceiver' | 'roomComplexity'>
  readonly handshakes: MembershipHandshakes
  readonly completing: PartialStateSync
}

/** Constructs both sides of the handshakes. */
export function createFederationMembership(
  parts: FederationMembershipParts,
  eventStores: EventStores & { readonly accountData: AccountDataStore; readonly users: UsersStore },
): FederationMembership {
  const { db, clock, logger, signer, federationClient: client, serverName, partialRooms } = parts
  const { acls, ends, intake, joins, processor, states } = parts.inbound
  const stores = {
    ...eventStores,
    relayed: new RelayedEventsStore(),
    servers: new RoomServersStore(),
    texts: new EventTextsStore(),
  }
  const shared = {
    ...stores,
    db,
    clock,
    logger,
    client,
    signer,
    intake,
    acls,
    ends,
    partialRooms,
    roomState: parts.roomState,
    proposals: parts.eventProposals,
    receiver: parts.eventReceiver,
    outside: parts.outsideMemberships,
    remoteRooms: parts.remoteRooms,
    answers: new ResidentAnswers(db, {
      ...stores,
      serverName,
      chains: new AuthChains(db, stores),
      prejoin: parts.prejoin,
    }),
    authoriser: parts.authoriser,
  }
  const completing = new PartialStateSync(db, { ...shared, states, completion: parts.stateCompletion })
  const joined = new JoinedRooms({
    ...shared,
    outliers: parts.outlierReceiver,
    adopter: parts.roomAdopter,
    onPartial: (room) => {
      completing.begin(room)
    },
  })
  const complexity = new RoomComplexity(db, shared)
  return {
    services: {
      roomComplexity: complexity,
      residentHandshakes: new ResidentHandshakes({ ...shared, rateLimits: parts.rateLimits }),
      inviteReceiver: new InviteReceiver({
        ...shared,
        policy: new IncomingInvites({
          ...shared,
          permissions: new InvitePermissions(db, stores.accountData),
          registry: parts.registry,
          rateLimits: parts.rateLimits,
          onlyAdminsInvite: parts.onlyAdminsInvite,
          blocks: parts.blocks,
          spam: parts.spam,
        }),
      }),
    },
    handshakes: {
      joining: new JoiningHandshakes({
        ...shared,
        joined,
        underWay: joins,
        receiver: {
          receive: (room, origin, event, options) => processor.process(origin, room, event, options),
        },
      }),
      leaving: new LeavingHandshakes(shared),
      inviting: new InviteSender(shared),
      exchange: new ThirdPartyExchange(client),
      complexity,
    },
    completing,
  }
}

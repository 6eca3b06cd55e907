import type { HomeserverConfig } from '../config/homeserver-config.js'
import type { ErasedUsers } from '../services/events/erased-users.js'
import { RelationshipWalk } from '../services/events/relationship-walk.js'
import type { RoomState } from '../services/events/room-state.js'
import { RelationshipAnswers } from '../services/federation/relationship-answers.js'
import { RemoteRelationships } from '../services/federation/remote-relationships.js'
import { ServerVisibility } from '../services/federation/server-visibility.js'
import type { FederationClient } from '../services/remote/federation-client.js'
import { EventRelationships } from '../services/rooms/event-relationships.js'
import type { Services } from '../services/services.js'
import type { Database } from '../storage/database.js'
import { EventRelationshipsStore } from '../storage/stores/event-relationships.js'
import { ServerMembersStore } from '../storage/stores/server-members.js'
import type { Logger } from '../telemetry/logger.js'
import type { Clock } from '../util/clock.js'
import type { EventStores } from './wire-events.js'
import type { FederationInbound } from './wire-federation-inbound.js'
import type { EventReading } from './wire-reading.js'

/** What threads by `m.relationship` need of the rest of the server. */
export interface RelationshipParts {
  readonly db: Database
  readonly clock: Clock
  readonly logger: Logger
  readonly federationClient: FederationClient
  readonly roomState: RoomState
  readonly erased: ErasedUsers
  readonly reading: EventReading
  readonly inbound: Pick<FederationInbound, 'gate' | 'chains' | 'intake' | 'outliers'>
}

/** Constructs what shows threads to clients and other servers; nothing where they are switched off. */
export function createRelationships(
  parts: RelationshipParts,
  eventStores: EventStores,
  { experimental }: Pick<HomeserverConfig, 'experimental'>,
): Pick<Services, 'eventRelationships' | 'relationshipAnswers'> {
  if (!experimental.eventRelationships) {
    return { eventRelationships: undefined, relationshipAnswers: undefined }
  }
  const { db, inbound, reading } = parts
  const stores = {
    ...eventStores,
    serverMembers: new ServerMembersStore(),
    relationships: new EventRelationshipsStore(eventStores.events),
  }
  const walk = new RelationshipWalk(db, stores)
  return {
    eventRelationships: new EventRelationships(db, {
      ...parts,
      ...stores,
      ...reading,
      walk,
      remote: new RemoteRelationships(db, {
        ...parts,
        ...stores,
        ...inbound,
        client: parts.federationClient,
      }),
    }),
    relationshipAnswers: new RelationshipAnswers(db, {
      ...stores,
      ...inbound,
      walk,
      visibility: new ServerVisibility(db, { ...stores, erased: parts.erased, points: reading.points }),
    }),
  }
}

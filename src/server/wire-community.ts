import { EventAges } from '../services/federation/event-ages.js'
import { toRoomOptions } from './room-options.js'
import type { Base } from './wire-base.js'
import { createFederationInbound } from './wire-federation-inbound.js'
import { createFederationMembership } from './wire-federation-membership.js'
import { createFederationOutbound } from './wire-federation-outbound.js'
import type { People } from './wire-people.js'
import { createRoomServices } from './wire-rooms.js'

export type Community = ReturnType<typeof createCommunity>

/** Constructs what happens in rooms, and what other servers have to do with it. */
export function createCommunity(base: Base, people: People) {
  const { later } = base
  // They need each other: what others ask for is judged by rooms, which are reached through others.
  const known: { rooms?: ReturnType<typeof createRooms>; outbound?: ReturnType<typeof createOutbound> } = {}
  const inbound = createInbound(base, () => required(known.rooms))
  const membership = createMembership(base, inbound, () => required(known.rooms).restrictedJoins)
  const rooms = createRooms(base, people, {
    inbound,
    membership,
    introductions: () => required(known.outbound).introductions,
  })
  const outbound = createOutbound(base, people, inbound)
  known.rooms = rooms
  known.outbound = outbound
  const { profileUpdates } = rooms.services
  const { autoJoin, departures } = rooms
  later.provide({
    profileUpdates,
    autoJoin,
    departures,
    sender: outbound.sender,
    onTyping: outbound.onTyping,
  })
  return { inbound, membership, rooms, outbound }
}

type Inbound = ReturnType<typeof createInbound>
type Membership = ReturnType<typeof createMembership>
type Rooms = ReturnType<typeof createRoomServices>

function createInbound(
  { parts, stores, shared, remote, events, erased }: Base,
  rooms: () => Pick<Rooms, 'guestAccess' | 'succession'>,
) {
  const { storage, config } = parts
  return createFederationInbound(
    {
      ...parts,
      ...remote,
      ...events,
      db: storage.db,
      serverName: config.server.serverName,
      erased,
      ages: createEventAges(parts),
      onAccepted: (room, { type }) => {
        if (type === 'm.room.guest_access')
          void rooms().guestAccess.enforce(room.roomId).catch(shared.onError)
        if (type === 'm.room.tombstone') rooms().succession.onTombstone(room.roomId)
      },
    },
    stores,
  )
}

function createMembership(
  { parts, stores, remote, events, prejoin, roomBlocks, spam }: Base,
  inbound: Inbound,
  restrictedJoins: () => Rooms['restrictedJoins'],
) {
  const { storage, config } = parts
  return createFederationMembership(
    {
      ...parts,
      ...remote,
      ...events,
      db: storage.db,
      serverName: config.server.serverName,
      inbound,
      authoriser: { judge: (room, userId) => restrictedJoins().judge(room, userId) },
      onlyAdminsInvite: config.server.blockNonAdminInvites,
      blocks: roomBlocks,
      spam,
      prejoin,
    },
    stores,
  )
}

function createRooms(
  { parts, stores, shared, events, identity, lookups, remoteLookups, roomBlocks, spam }: Base,
  { accounts }: People,
  {
    inbound,
    membership,
    introductions,
  }: {
    inbound: Inbound
    membership: Membership
    introductions: () => ReturnType<typeof createFederationOutbound>['introductions']
  },
): Rooms {
  const { storage, config, rateLimits, registry } = parts
  return createRoomServices(
    {
      ...shared,
      ...events,
      identity,
      eventStream: storage.streams.events,
      accountDataStream: storage.streams.accountData,
      pushRules: accounts.pushRules,
      rateLimits,
      namespaces: registry,
      blocks: roomBlocks,
      spam,
      ...lookups,
      handshakes: membership.handshakes,
      acls: inbound.acls,
      remoteLookups,
      isAllowed: (roomId, server) => inbound.acls.isAllowed(roomId, server),
      onJoined: (userId, room) => introductions().onJoined(userId, room),
    },
    stores,
    toRoomOptions(config),
  )
}

function createOutbound(
  { parts, stores, federating, events, remoteDevices, toDevice }: Base,
  { accounts, keys, localKeys, ephemeral }: People,
  inbound: Inbound,
) {
  return createFederationOutbound(
    {
      ...federating,
      ...accounts,
      ...keys,
      ...ephemeral,
      logger: parts.logger,
      remoteDevices,
      localKeys,
      toDevice,
      edus: inbound.edus,
      roomState: events.roomState,
      eventTail: events.eventTail,
      partialRooms: events.partialRooms,
      members: stores.members,
      sendsSticky: parts.config.experimental.stickyEvents,
      receiptsPerRoomPerSecond: parts.config.federation.receiptsPerRoomPerSecond,
      excludedFromPresence: parts.config.rooms.excludedFromPresence,
      ages: createEventAges(parts),
    },
    stores,
  )
}

function createEventAges({ config, metrics }: Base['parts']): EventAges {
  const { measuredDomains: domains } = config.federation
  return new EventAges({ metrics, serverName: config.server.serverName, domains })
}

function required<T>(service: T | undefined): T {
  if (service === undefined) throw new Error('A service is called before it has been constructed')
  return service
}

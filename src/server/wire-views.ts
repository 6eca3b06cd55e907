import type { UserId } from '../protocol/ids.js'
import { StickyEvents } from '../services/events/sticky-events.js'
import { noticesSenderOf } from './room-options.js'
import type { Base } from './wire-base.js'
import type { Community } from './wire-community.js'
import { createDiscoveryServices } from './wire-discovery.js'
import { followMemberships } from './wire-ephemeral.js'
import type { People } from './wire-people.js'
import { createReadingServices } from './wire-reading.js'
import { createRetention } from './wire-retention.js'
import { createSlidingSyncServices } from './wire-sliding-sync.js'
import { createSyncServices } from './wire-sync.js'

export type Views = ReturnType<typeof createViews>

/** Constructs what people see: history, syncs, searches. */
export function createViews(base: Base, people: People, { inbound }: Community) {
  const { parts, later, stores, shared, bus, events, toDevice } = base
  const { accounts, keys, ephemeral, connections } = people
  const { config, storage, clock } = parts
  const { db, streams } = storage
  const retention = createRetention({ ...parts, bus }, stores)
  const { reading, ...readers } = createReadingServices(
    {
      db,
      clock,
      eventsPosition: () => streams.events.position(),
      roomState: events.roomState,
      partialRooms: events.partialRooms,
      history: inbound,
      isServiceInRoom: (id, room) => later.get('audience').isInside(id, room),
      retention: retention.policies,
      erased: base.erased,
      passing: ephemeral,
    },
    stores,
    stores,
  )
  bus.subscribe(followMemberships(ephemeral.typing, shared.onError))
  const stickyEvents = config.experimental.stickyEvents
    ? new StickyEvents({ db, clock, store: stores.stickyEvents, events: stores.events })
    : undefined
  const { notifier, ignored, reads, ...syncs } = createSyncServices(
    {
      ...accounts,
      ...keys,
      ...ephemeral,
      ...reading,
      ...events,
      storage,
      clock,
      bus,
      toDevice,
      stickyEvents,
      prejoin: base.prejoin,
    },
    stores,
    {
      serverName: config.server.serverName,
      maxLimit: config.server.filterTimelineLimit,
      noticesFrom: noticesSenderOf(config),
      excludedRooms: config.rooms.excludedFromSync,
    },
  )
  const watching = { bus, reading, notifier, ignored, reads }
  return {
    ...watching,
    readers,
    syncs,
    retention,
    discovery: createDiscovery(base, people, { ...watching, readers, syncs }),
    sliding: createSlidingSyncServices({
      ...parts,
      ...accounts,
      ...keys,
      ...ephemeral,
      ...syncs,
      ...watching,
      connections,
      partialRooms: events.partialRooms,
      toDevice,
      stickyEvents,
    }),
  }
}

type Reading = ReturnType<typeof createReadingServices>
type Syncs = ReturnType<typeof createSyncServices>

function createDiscovery(
  { parts, later, stores, shared, bus, events, identity, spam }: Base,
  { accounts, ephemeral, sightings, pushers }: People,
  views: Pick<Reading, 'reading'> &
    Pick<Syncs, 'notifier'> & {
      readers: Omit<Reading, 'reading'>
      syncs: Omit<Syncs, 'notifier' | 'ignored' | 'reads'>
    },
) {
  const { notifier, reading, readers, syncs } = views
  const { streams } = parts.storage
  const { signer, metrics } = parts
  const watching = { bus, streams, notifier, reading, sightings, metrics }
  const onCounted = (userId: UserId): void => later.get('usageNotices').onCounted(userId)
  const addresses = { identity, signer, threepidCleanup: pushers }
  return createDiscoveryServices(
    {
      ...shared,
      ...events,
      ...readers,
      ...accounts,
      ...ephemeral,
      ...syncs,
      ...watching,
      ...addresses,
      onCounted,
      spam,
    },
    stores,
    parts.config,
  )
}

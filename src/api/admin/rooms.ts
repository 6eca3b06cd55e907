import { z } from 'zod'
import { clientEventJson } from '../../protocol/client-event.js'
import { invalidParam } from '../../protocol/errors.js'
import { route } from '../../http/route.js'
import type { RoomEntry } from '../../services/administration/room-overviews.js'
import type { JsonObject } from '../../util/json.js'
import { count, directionParam, flagParam, nextOf, pageParams } from './paging.js'

/** By what each is sorted, and whether the largest come first unless `dir` says otherwise. */
const ORDERS = {
  name: ['name', false],
  alphabetical: ['name', false],
  canonical_alias: ['canonicalAlias', false],
  joined_members: ['joinedMembers', true],
  size: ['joinedMembers', true],
  joined_local_members: ['localMembers', true],
  version: ['version', false],
  creator: ['creator', false],
  encryption: ['encryption', false],
  federatable: ['isFederated', false],
  public: ['isPublic', false],
  join_rules: ['joinRule', false],
  guest_access: ['guestAccess', false],
  history_visibility: ['historyVisibility', false],
  state_events: ['stateEvents', true],
} as const

export const listRooms = route({
  operationId: 'adminListRooms',
  method: 'GET',
  path: '/_synapse/admin/v1/rooms',
  auth: 'admin',
  query: z.looseObject({
    ...pageParams,
    order_by: z.enum(Object.keys(ORDERS) as [keyof typeof ORDERS]).default('name'),
    dir: directionParam,
    search_term: z.string().optional(),
    public_rooms: flagParam,
    empty_rooms: flagParam,
  }),
  async handler({ query }, { roomOverviews }) {
    if (query.search_term === '') throw invalidParam('search_term cannot be an empty string')
    const [orderBy, largestFirst] = ORDERS[query.order_by]
    const { rooms, total } = await roomOverviews.list({
      search: query.search_term,
      isPublic: query.public_rooms,
      isEmpty: query.empty_rooms,
      orderBy,
      isDescending: (query.dir === 'b') !== largestFirst,
      from: query.from,
      limit: query.limit,
    })
    const next = nextOf(query, total)
    return {
      rooms: rooms.map(roomJson),
      offset: query.from,
      total_rooms: total,
      ...(next !== undefined && { next_batch: next }),
      ...(query.from > 0 && { prev_batch: Math.max(0, query.from - query.limit) }),
    }
  },
})

export const getRoom = route({
  operationId: 'adminGetRoom',
  method: 'GET',
  path: '/_synapse/admin/v1/rooms/:roomId',
  auth: 'admin',
  async handler({ params }, { roomOverviews }) {
    const room = await roomOverviews.show(params.roomId)
    return {
      ...roomJson(room),
      avatar: room.avatarUrl ?? null,
      topic: room.topic ?? null,
      joined_local_devices: room.localDevices,
      forgotten: room.localMembers === 0 && room.isForgotten,
      tombstoned: room.replacement !== undefined,
      replacement_room: room.replacement ?? null,
    }
  },
})

export const listMembersOfRoom = route({
  operationId: 'adminListMembersOfRoom',
  method: 'GET',
  path: '/_synapse/admin/v1/rooms/:roomId/members',
  auth: 'admin',
  async handler({ params }, { roomOverviews }) {
    const members = await roomOverviews.listMembers(params.roomId)
    return { members, total: members.length }
  },
})

export const listStateOfRoom = route({
  operationId: 'adminListStateOfRoom',
  method: 'GET',
  path: '/_synapse/admin/v1/rooms/:roomId/state',
  auth: 'admin',
  query: z.looseObject({ type: z.string().optional() }),
  async handler({ params, query }, { roomOverviews }) {
    const state = await roomOverviews.listState(params.roomId, query.type)
    return { state: state.map((event) => clientEventJson(event, {})) }
  },
})

/** A space and the rooms in it, as far as this server knows them: no other server is asked. */
export const listHierarchyOfRoom = route({
  operationId: 'adminListHierarchyOfRoom',
  method: 'GET',
  path: '/_synapse/admin/v1/rooms/:roomId/hierarchy',
  auth: 'admin',
  query: z.looseObject({
    from: z.string().optional(),
    limit: count.pipe(z.number().min(1)).optional(),
    max_depth: count.pipe(z.number().max(1_000)).optional(),
  }),
  async handler({ params: { roomId }, query, requester }, { roomOverviews, unhinderedHierarchy }) {
    await roomOverviews.check(roomId)
    return unhinderedHierarchy.list(requester.userId, {
      roomId,
      suggestedOnly: false,
      maxDepth: query.max_depth,
      limit: query.limit,
      from: query.from,
    })
  },
})

function roomJson(room: RoomEntry): JsonObject {
  return {
    room_id: room.roomId,
    name: room.name ?? null,
    canonical_alias: room.canonicalAlias ?? null,
    joined_members: room.joinedMembers,
    joined_local_members: room.localMembers,
    version: room.version,
    creator: room.creator,
    encryption: room.encryption ?? null,
    federatable: room.isFederated,
    public: room.isPublic,
    join_rules: room.joinRule ?? null,
    guest_access: room.guestAccess ?? null,
    history_visibility: room.historyVisibility ?? null,
    state_events: room.stateEvents,
    room_type: room.roomType ?? null,
  }
}

import { z } from 'zod'
import { route } from '../../http/route.js'
import { NO_EVENT_FILTER, parseRoomEventFilter } from '../../protocol/event-filter.js'
import { jsonObject } from './json-object.js'

/** What each key is the text of. */
const TYPES = {
  'content.body': 'm.room.message',
  'content.name': 'm.room.name',
  'content.topic': 'm.room.topic',
} as const
const KEYS = Object.keys(TYPES) as (keyof typeof TYPES)[]

const DEFAULT_NEIGHBOURS = 5
const MAX_NEIGHBOURS = 25
const neighbours = z
  .int()
  .min(0)
  .default(DEFAULT_NEIGHBOURS)
  .transform((count) => Math.min(count, MAX_NEIGHBOURS))

const roomEvents = z.looseObject({
  search_term: z.string(),
  keys: z.array(z.enum(KEYS)).default(KEYS),
  filter: jsonObject.optional(),
  order_by: z.enum(['rank', 'recent']).default('rank'),
  event_context: z
    .looseObject({
      before_limit: neighbours,
      after_limit: neighbours,
      include_profile: z.boolean().default(false),
    })
    .optional(),
  include_state: z.boolean().default(false),
  groupings: z
    .looseObject({ group_by: z.array(z.looseObject({ key: z.enum(['room_id', 'sender']) })).default([]) })
    .default({ group_by: [] }),
})

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3search */
export const search = route({
  operationId: 'search',
  method: 'POST',
  path: '/_matrix/client/v3/search',
  auth: 'user',
  query: z.looseObject({ next_batch: z.string().optional() }),
  body: z.looseObject({ search_categories: z.looseObject({ room_events: roomEvents.optional() }) }),
  async handler({ requester, query, body }, { eventSearch }) {
    const wish = body.search_categories.room_events
    if (wish === undefined) return { search_categories: {} }
    const context = wish.event_context
    const found = await eventSearch.search(requester, {
      term: wish.search_term,
      types: wish.keys.map((key) => TYPES[key]),
      filter: wish.filter === undefined ? NO_EVENT_FILTER : parseRoomEventFilter(wish.filter),
      order: wish.order_by === 'rank' ? 'rank' : 'recency',
      context: context && {
        before: context.before_limit,
        after: context.after_limit,
        includeProfile: context.include_profile,
      },
      includeState: wish.include_state,
      groupBy: wish.groupings.group_by.map(({ key }) => key),
      nextBatch: query.next_batch === '' ? undefined : query.next_batch,
    })
    return { search_categories: { room_events: found } }
  },
})

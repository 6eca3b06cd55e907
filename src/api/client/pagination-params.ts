import { z } from 'zod'
import { invalidParam } from '../../protocol/errors.js'
import { NO_EVENT_FILTER, parseRoomEventFilter, type EventFilter } from '../../protocol/event-filter.js'
import { parsePaginationToken, type PaginationToken } from '../../protocol/pagination-token.js'
import { isJsonObject } from '../../util/json.js'

/** `b`: backwards in time, `f`: forwards. */
export const direction = z.enum(['b', 'f'])

/** How many events at most; not negative. */
export const limitParam = z
  .string()
  .regex(/^\d{1,15}$/, 'must be a whole number, not negative')
  .transform(Number)
  .optional()

/** The token in a parameter, if there is one; 400 `M_INVALID_PARAM` for what is none. An empty one counts as absent. */
export function tokenParam(text: string | undefined, name: string): PaginationToken | undefined {
  return text === undefined || text === '' ? undefined : parsePaginationToken(text, name)
}

/** The room event filter in a parameter. 400 `M_INVALID_PARAM` or `M_BAD_JSON` for what is none. */
export function filterParam(text: string | undefined): EventFilter {
  if (text === undefined || text === '') return NO_EVENT_FILTER
  const json = parseJson(text)
  if (!isJsonObject(json)) throw invalidParam('filter must be a JSON object')
  // What databases refuse cannot be in any event either.
  if (!isStorable(json)) throw invalidParam('filter contains a character that no event can have')
  return parseRoomEventFilter(json)
}

const DEFAULT_MESSAGES = 10

/** What a page of a room's messages is asked for with. */
export const messagesQuery = z.looseObject({
  from: z.string().optional(),
  to: z.string().optional(),
  // Required by the specification; other servers take its absence for forwards.
  dir: direction.default('f'),
  limit: limitParam,
  filter: z.string().optional(),
})

/** The page that a query asks for. 400 `M_INVALID_PARAM` or `M_BAD_JSON` for tokens and filters that are none. */
export function messagesPage(query: z.infer<typeof messagesQuery>): MessagesPage {
  const filter = filterParam(query.filter)
  return {
    direction: query.dir,
    from: tokenParam(query.from, 'from'),
    to: tokenParam(query.to, 'to'),
    limit: query.limit ?? filter.limit ?? DEFAULT_MESSAGES,
    filter,
  }
}

interface MessagesPage {
  readonly direction: z.infer<typeof direction>
  readonly from: PaginationToken | undefined
  readonly to: PaginationToken | undefined
  readonly limit: number
  readonly filter: EventFilter
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw invalidParam('filter is no valid JSON')
  }
}

function isStorable(json: unknown): boolean {
  const text = JSON.stringify(json)
  return !text.includes('\\u0000') && !/\\ud[89a-f]/.test(text)
}

import { invalidParam, MatrixError } from '../../protocol/errors.js'
import { parseRoomAlias, type RoomAlias } from '../../protocol/ids.js'
import type { JsonObject, JsonValue } from '../../util/json.js'

/** More alternatives than any room has. */
const MAX_ALT_ALIASES = 1_000

/**
 * The aliases that an `m.room.canonical_alias` event names and its predecessor did not: those that must lead to the room.
 * Throws `M_INVALID_PARAM` for what is no alias.
 * https://spec.matrix.org/latest/client-server-api/#put_matrixclientv3roomsroomidstateeventtypestatekey
 */
export function newAliases(content: JsonObject, previous: JsonObject | undefined): RoomAlias[] {
  const known = new Set<JsonValue | undefined>(previous ? [previous['alias'], ...altAliases(previous)] : [])
  const named = [...altAliases(content)]
  const alt = content['alt_aliases']
  if (alt !== undefined && alt !== null && !Array.isArray(alt))
    throw invalidParam('alt_aliases must be a list')
  if (named.length > MAX_ALT_ALIASES) throw invalidParam('Too many alt_aliases')
  const { alias } = content
  // An empty text and null take the alias away.
  if (alias !== undefined && alias !== null && alias !== '') named.push(alias)
  const added = new Set<RoomAlias>()
  for (const name of named) {
    if (known.has(name)) continue
    const parsed = typeof name === 'string' ? parseRoomAlias(name) : undefined
    if (parsed === undefined) throw invalidParam('A canonical alias is not a valid room alias')
    added.add(parsed)
  }
  return [...added]
}

/** The content without an alias; undefined where it does not name it. */
export function withoutAlias(content: JsonObject, alias: RoomAlias): JsonObject | undefined {
  const alt = altAliases(content)
  const isAlt = alt.includes(alias)
  if (content['alias'] !== alias && !isAlt) return undefined
  const left = alt.filter((one) => one !== alias)
  const others = Object.entries(content).filter(
    ([key, value]) => key !== 'alt_aliases' && !(key === 'alias' && value === alias),
  )
  return { ...Object.fromEntries(others), ...(left.length > 0 && { alt_aliases: left }) }
}

/** The answer to an event that names an alias of another room, or one that does not exist. */
export function badAlias(): MatrixError {
  return new MatrixError('M_BAD_ALIAS', 'A canonical alias does not point to this room')
}

function altAliases(content: JsonObject): JsonValue[] {
  const alt = content['alt_aliases']
  return Array.isArray(alt) ? alt : []
}

import { createHash } from 'node:crypto'
import { encodeBase64 } from '../util/base64.js'
import { isJsonObject, type JsonObject } from '../util/json.js'
import type { Event } from './event.js'
import { parseEventId, type EventId } from './ids.js'

/** What an event answers. https://github.com/matrix-org/matrix-spec-proposals/pull/2836 */
export interface EventRelationship {
  readonly parentId: EventId
  readonly relType: string
}

/** How many events answer one, by their kind, and a hash by which servers see whether they know the same. */
export interface ChildrenDigest {
  readonly counts: Readonly<Record<string, number>>
  /** SHA-256 of the sorted event IDs of all children, one after the other, in unpadded base64. */
  readonly hash: string
}

const FIELD = 'm.relationship'
const MAX_TYPE_LENGTH = 255
/** Kinds of answers that are told apart. */
const MAX_TYPES = 20

/** Undefined for events that answer none. */
export function relationshipOf(event: Event): EventRelationship | undefined {
  const relationship = event.content[FIELD]
  if (!isJsonObject(relationship) || event.isState()) return undefined
  const { event_id: id, rel_type: relType } = relationship
  const parentId = typeof id === 'string' ? parseEventId(id) : undefined
  if (parentId === undefined || !isRelType(relType)) return undefined
  return { parentId, relType }
}

/** `children`: each with the kind of its answer. */
export function digestChildren(children: ReadonlyMap<EventId, string>): ChildrenDigest {
  // Senders choose the kinds: an object would have some of their names already.
  const counts = new Map<string, number>()
  for (const relType of children.values()) counts.set(relType, (counts.get(relType) ?? 0) + 1)
  const ids = [...children.keys()].sort()
  return {
    counts: Object.fromEntries(counts),
    hash: encodeBase64(createHash('sha256').update(ids.join('')).digest()),
  }
}

/** How it stands under `unsigned` of an event. */
export function digestToJson({ counts, hash }: ChildrenDigest): JsonObject {
  return { children: { ...counts }, children_hash: hash }
}

/** What another server says under `unsigned`; undefined where it says nothing that makes sense. */
export function parseDigest(unsigned: unknown): ChildrenDigest | undefined {
  if (!isJsonObject(unsigned)) return undefined
  const { children, children_hash: hash } = unsigned
  if (!isJsonObject(children) || typeof hash !== 'string' || !/^[A-Za-z0-9+/]{43}$/.test(hash))
    return undefined
  const counts = Object.entries(children).slice(0, MAX_TYPES)
  if (!counts.every(([relType, count]) => isRelType(relType) && isCount(count))) return undefined
  return { counts: Object.fromEntries(counts) as Record<string, number>, hash }
}

/** How many children there are of all kinds. */
export function totalOf({ counts }: ChildrenDigest): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0)
}

function isRelType(value: unknown): value is string {
  if (typeof value !== 'string' || value.length > MAX_TYPE_LENGTH) return false
  // What else is no text to PostgreSQL.
  return value.isWellFormed() && !value.includes('\u0000')
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

import { badJson, invalidParam, MatrixError } from '../../protocol/errors.js'
import { parseEventId, type EventId, type UserId } from '../../protocol/ids.js'
import type { AnnotationsStore } from '../../storage/stores/annotations.js'
import type { Database } from '../../storage/database.js'
import type { EventsStore } from '../../storage/stores/events.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'

export interface RelationChecksDependencies {
  readonly db: Database
  readonly events: EventsStore
  readonly annotations: AnnotationsStore
}

/** What somebody wants to send. */
interface RelatedDraft {
  readonly type: string
  readonly content: JsonObject
  readonly sender: UserId
}

const MAX_KEY_LENGTH = 500

/**
 * Which relations to other events clients may make.
 * https://spec.matrix.org/latest/client-server-api/#forming-relationships-between-events
 */
export class RelationChecks {
  readonly #deps: RelationChecksDependencies

  constructor(deps: RelationChecksDependencies) {
    this.#deps = deps
  }

  /**
   * Throws `M_DUPLICATE_ANNOTATION` for the second same annotation, 400 `M_UNKNOWN` for threads that begin at a related
   * event, `M_BAD_JSON` and `M_INVALID_PARAM` for relations that are none or leave the room.
   */
  async check(room: RoomRecord, draft: RelatedDraft): Promise<void> {
    const relation = draft.content['m.relates_to']
    if (relation === undefined || !isJsonObject(relation)) return
    const { rel_type: relType, event_id: target } = relation
    if (typeof relType !== 'string' || target === undefined) return
    const targetId = typeof target === 'string' ? parseEventId(target) : undefined
    if (targetId === undefined) throw badJson('m.relates_to.event_id is not an event ID')
    await this.#checkTarget(room, targetId, relType)
    if (relType === 'm.annotation') await this.#checkAnnotation(draft, targetId, relation['key'])
  }

  async #checkTarget(room: RoomRecord, targetId: EventId, relType: string): Promise<void> {
    const { db, events, annotations } = this.#deps
    const target = await events.get(db.reader, targetId)
    if (!target) {
      if (await annotations.isTarget(db.reader, targetId)) return
      throw new MatrixError('M_UNKNOWN', "Can't send relation to unknown event", { status: 400 })
    }
    if (target.roomNid !== room.roomNid) throw invalidParam('Relations must be in the same room')
    const startsNestedThread = relType === 'm.thread' && target.relType !== null
    if (startsNestedThread) {
      throw new MatrixError('M_UNKNOWN', 'Cannot start threads from an event with a relation', {
        status: 400,
      })
    }
  }

  /** https://spec.matrix.org/latest/client-server-api/#avoiding-duplicate-annotations */
  async #checkAnnotation(draft: RelatedDraft, targetId: EventId, key: unknown): Promise<void> {
    if (typeof key !== 'string') throw badJson('An annotation has a key')
    if (key.length > MAX_KEY_LENGTH) throw invalidParam('The key of an annotation is too long')
    const { db, annotations } = this.#deps
    const earlier = await annotations.listOfSender(db.reader, targetId, draft.sender)
    const isDuplicate = earlier.some(({ event }) => {
      const relation = event.content['m.relates_to']
      return event.type === draft.type && isJsonObject(relation) && relation['key'] === key
    })
    if (isDuplicate) throw new MatrixError('M_DUPLICATE_ANNOTATION', "Can't send same reaction twice")
  }
}

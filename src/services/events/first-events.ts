import { authEventKeys } from '../../protocol/auth-events.js'
import { forbidden } from '../../protocol/errors.js'
import { buildEvent, type EventReference, type EventSigner } from '../../protocol/event-builder.js'
import type { Event } from '../../protocol/event.js'
import { checkEventAuth } from '../../protocol/event-auth.js'
import { referenceHash } from '../../protocol/hashes.js'
import type { RoomId } from '../../protocol/ids.js'
import type { RoomVersionRules } from '../../protocol/room-versions.js'
import { stateKeyOf, type StateKey } from '../../protocol/state-map.js'
import type { ComposeInput } from './event-composer.js'

interface NewRoom {
  readonly roomId: RoomId
  readonly rules: RoomVersionRules
  /** Milliseconds since the epoch. */
  readonly createdTs: number
}

/**
 * Whether a room may begin with these events, each after the one before: what it says no to leaves nothing behind, not
 * even names of state keys. Throws 403 `M_FORBIDDEN` for what the authorization rules refuse, and what `buildEvent` throws.
 */
export function checkFirstEvents(room: NewRoom, inputs: readonly ComposeInput[], signer: EventSigner): void {
  const state = new Map<StateKey, Event>()
  let previous: Event | undefined
  for (const [index, { draft, sender, originServerTs = room.createdTs }] of inputs.entries()) {
    const authEvents = authEventKeys(room.rules, { ...draft, sender }).flatMap(([type, stateKey]) => {
      const event = state.get(stateKeyOf(type, stateKey))
      return event ? [referenceTo(event)] : []
    })
    const isNamedByHash = draft.type === 'm.room.create' && room.rules.roomIdIsCreateHash
    const event = buildEvent(
      room.rules,
      {
        ...draft,
        ...(isNamedByHash ? {} : { roomId: room.roomId }),
        sender,
        prevEvents: previous ? [referenceTo(previous)] : [],
        authEvents,
        depth: index + 1,
        originServerTs,
      },
      signer,
    )
    const verdict = checkEventAuth(room.rules, event, {
      get: (type, stateKey) => state.get(stateKeyOf(type, stateKey)),
    })
    if (!verdict.allowed) throw forbidden(verdict.reason)
    if (draft.stateKey !== undefined) state.set(stateKeyOf(draft.type, draft.stateKey), event)
    previous = event
  }
}

function referenceTo(event: Event): EventReference {
  return { eventId: event.eventId, sha256: referenceHash(event) }
}

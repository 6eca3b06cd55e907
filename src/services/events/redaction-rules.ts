import type { StoredEvent } from '../../storage/stores/events.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import { badJson, forbidden, invalidParam } from '../../protocol/errors.js'
import type { Event } from '../../protocol/event.js'
import { parseEventId, serverNameOf, type EventId } from '../../protocol/ids.js'
import { parsePowerLevels, userPowerLevel } from '../../protocol/power-levels.js'
import { asAuthState, type StateLookup } from './event-assembler.js'
import type { EventLookup, PendingEvents } from './pending-events.js'

/** What is stored of a redaction: its target, and whether it takes the target's content away. */
export interface RedactionVerdict {
  readonly targetId: EventId
  readonly applied: boolean
}

/**
 * Which redactions count.
 * https://spec.matrix.org/latest/rooms/v11/#handling-redactions
 */
export class RedactionRules {
  readonly #lookup: EventLookup

  constructor(lookup: EventLookup) {
    this.#lookup = lookup
  }

  /**
   * A redaction by one of our users: one's own events, or others' with the power to. 403 `M_FORBIDDEN` otherwise, and
   * for the create event, without which a room cannot be understood. Undefined for other events.
   */
  async judgeLocal(
    room: RoomRecord,
    event: Event,
    { state, pending }: { state: StateLookup; pending: PendingEvents },
  ): Promise<RedactionVerdict | undefined> {
    if (event.type !== 'm.room.redaction') return undefined
    const targetId = redactionTarget(event)
    if (targetId === undefined) throw badJson('A redaction names the event that it redacts')
    const target = (await this.#lookup.byIds([targetId], pending)).get(targetId)
    const mayRedact = this.#hasPower(event, state)
    if (!target) {
      if (!mayRedact) throw forbidden("You don't have permission to redact events")
      return { targetId, applied: false }
    }
    if (target.roomNid !== room.roomNid) throw invalidParam('Cannot redact an event from a different room')
    if (target.event.type === 'm.room.create') throw forbidden('Redacting create events is not permitted')
    if (target.event.sender !== event.sender && !mayRedact) {
      throw forbidden("You don't have permission to redact events")
    }
    return { targetId, applied: target.redactedBy === null }
  }

  /** A redaction from elsewhere: ignored unless sender and target are of one server or the sender has the power. */
  judgeRemote(
    target: StoredEvent | undefined,
    event: Event,
    state: StateLookup,
  ): RedactionVerdict | undefined {
    const targetId = redactionTarget(event)
    if (targetId === undefined) return undefined
    const applied = target?.redactedBy === null && this.mayRedact(target.event, event, state)
    return { targetId, applied }
  }

  /** Whether a redaction from elsewhere may take an event's content away. `state`: that before the redaction. */
  mayRedact(target: Event, redaction: Event, state: StateLookup): boolean {
    if (target.roomId !== redaction.roomId) return false
    return serverNameOf(target.sender) === serverNameOf(redaction.sender) || this.#hasPower(redaction, state)
  }

  #hasPower(event: Event, state: StateLookup): boolean {
    const auth = asAuthState(state)
    const create = auth.get('m.room.create', '')
    if (!create) return false
    const levels = parsePowerLevels(event.rules, auth.get('m.room.power_levels', ''))
    return userPowerLevel(event.rules, levels, create, event.sender) >= levels.redact
  }
}

/** The event that a redaction names; undefined for other events, and where that is no event's ID. */
export function redactionTarget(event: Event): EventId | undefined {
  return event.type === 'm.room.redaction' ? parseEventId(event.redacts ?? '') : undefined
}

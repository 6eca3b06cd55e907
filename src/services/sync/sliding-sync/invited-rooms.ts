import { LIVE } from '../../../storage/stores/sliding-sync.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../../util/json.js'
import type { InvitesSection } from '../sections/invites.js'
import type { UserRoom } from '../user-rooms.js'
import type { DetailRequest } from './room-details.js'
import type { RoomPlan } from './room-plan.js'
import type { RoomResult } from './room-results.js'

/** Rooms that the user is invited to or knocks at: what tells an outsider which room that is. */
export class InvitedRooms {
  readonly #invites: Pick<InvitesSection, 'loadInvites' | 'loadKnocks'>

  constructor(invites: Pick<InvitesSection, 'loadInvites' | 'loadKnocks'>) {
    this.#invites = invites
  }

  async load(plans: readonly RoomPlan[], request: DetailRequest): Promise<RoomResult[]> {
    if (plans.length === 0) return []
    const of = (membership: string): UserRoom[] => plans.filter((plan) => plan.membership === membership)
    const frame = { request, invited: of('invite'), knocked: of('knock') }
    const [invites, knocks] = await Promise.all([
      this.#invites.loadInvites(frame),
      this.#invites.loadKnocks(frame),
    ])
    return plans.flatMap((plan) => {
      const { roomId, roomNid, isDm } = plan
      const { timelineLimit, requiredState } = plan.config
      const state = strippedState(invites[roomId] ?? knocks[roomId])
      if (state === undefined) return []
      // What becomes of the invitation or the knock is told as it comes, and is no more of what was told before.
      request.changes.note(roomNid, { sent: LIVE, isDm, timelineLimit, requiredState })
      return [{ roomId, roomNid, json: toJson(plan, state), timeline: [], isWide: plan.after === undefined }]
    })
  }
}

function toJson(plan: RoomPlan, state: readonly JsonObject[]): JsonObject {
  const contentOf = (type: string): JsonObject => {
    const content = state.find((event) => event['type'] === type)?.['content']
    return isJsonObject(content) ? content : {}
  }
  const { name } = contentOf('m.room.name')
  const { url } = contentOf('m.room.avatar')
  return {
    membership: plan.membership,
    ...(plan.after === undefined && { initial: true }),
    ...((plan.isDm || (plan.after !== undefined && plan.memory.isDm)) && { is_dm: plan.isDm }),
    ...(typeof name === 'string' && name !== '' && { name }),
    ...(typeof url === 'string' && { avatar: url }),
    bump_stamp: Math.max(0, plan.streamOrdering),
    notification_count: 0,
    highlight_count: 0,
    // Later drafts have another name for it.
    invite_state: [...state],
    stripped_state: [...state],
  }
}

/** The events of the section, all in the stripped form, the user's own membership too. */
function strippedState(section: JsonValue | undefined): JsonObject[] | undefined {
  if (!isJsonObject(section)) return undefined
  const part = section['invite_state'] ?? section['knock_state']
  const events = isJsonObject(part) ? part['events'] : undefined
  return Array.isArray(events) ? events.filter(isJsonObject).map(strip) : undefined
}

function strip(event: JsonObject): JsonObject {
  const { content = {}, sender = '', state_key: stateKey = '', type = '' } = event
  const { origin_server_ts: sentTs } = event
  const keepsTime = type === 'm.room.create' && sentTs !== undefined
  return { content, sender, state_key: stateKey, type, ...(keepsTime && { origin_server_ts: sentTs }) }
}

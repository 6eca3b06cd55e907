import type { StreamToken } from '../../protocol/stream-token.js'
import type { JsonObject } from '../../util/json.js'
import type { MemberMovements } from './member-movements.js'
import type { AccountDataSection } from './sections/account-data.js'
import type { DeviceListsSection } from './sections/device-lists.js'
import type { EphemeralSection } from './sections/ephemeral.js'
import type { InvitesSection } from './sections/invites.js'
import type { JoinedRoomsSection } from './sections/joined-rooms.js'
import type { KeyCountsSection } from './sections/key-counts.js'
import type { LeftRoomsSection } from './sections/left-rooms.js'
import type { PresenceSection } from './sections/presence.js'
import type { ToDeviceSection } from './sections/to-device.js'
import type { SyncFrame, SyncFrames } from './sync-frame.js'
import type { SyncRequest } from './sync-request.js'

/** An answer but for its token. */
export interface SyncResult {
  /** Whether there is anything that the client does not have: worth an answer. */
  readonly hasNews: boolean
  readonly nextBatch: StreamToken
  readonly body: JsonObject
}

export interface SyncSections {
  readonly accountData: AccountDataSection
  readonly deviceLists: DeviceListsSection
  readonly ephemeral: EphemeralSection
  readonly invites: InvitesSection
  readonly joinedRooms: JoinedRoomsSection
  readonly keyCounts: KeyCountsSection
  readonly leftRooms: LeftRoomsSection
  readonly presence: PresenceSection
  readonly toDevice: ToDeviceSection
}

/** Makes answers to `/sync`: asks the sections for their parts and puts them together. */
export class SyncBuilder {
  readonly #frames: SyncFrames
  readonly #movements: MemberMovements
  readonly #sections: SyncSections

  constructor(frames: SyncFrames, movements: MemberMovements, sections: SyncSections) {
    this.#frames = frames
    this.#movements = movements
    this.#sections = sections
  }

  /** Everything between what the client has and `now`, which was sampled before this is called. */
  async build(request: SyncRequest, since: StreamToken | undefined, now: StreamToken): Promise<SyncResult> {
    const frame = await this.#frames.load(request, since, now)
    const [rooms, others, keyCounts] = await Promise.all([
      this.#rooms(frame),
      this.#others(frame),
      this.#sections.keyCounts.load(frame),
    ])
    const parts: JsonObject = {
      ...(rooms.global.length > 0 && { account_data: { events: rooms.global } }),
      ...(Object.keys(rooms.rooms).length > 0 && { rooms: rooms.rooms }),
      ...others.parts,
    }
    return {
      hasNews: Object.keys(parts).length > 0,
      nextBatch: { ...now, toDevice: others.toDevice },
      body: { ...parts, ...keyCounts },
    }
  }

  async #rooms(frame: SyncFrame): Promise<{ rooms: JsonObject; global: JsonObject[] }> {
    const { accountData, ephemeral, invites, joinedRooms, leftRooms } = this.#sections
    const [data, passing] = await Promise.all([accountData.load(frame), ephemeral.load(frame)])
    const [join, invite, knock, leave] = await Promise.all([
      joinedRooms.load(frame, { ephemeral: passing, accountData: data.rooms }),
      invites.loadInvites(frame),
      invites.loadKnocks(frame),
      leftRooms.load(frame),
    ])
    const rooms = Object.entries({ join, invite, knock, leave }).filter(
      ([, section]) => Object.keys(section).length > 0,
    )
    return { rooms: Object.fromEntries(rooms), global: data.global }
  }

  async #others(frame: SyncFrame): Promise<{ parts: JsonObject; toDevice: number }> {
    const movements = await this.#movements.load(frame)
    const [toDevice, deviceLists, presence] = await Promise.all([
      this.#sections.toDevice.load(frame),
      this.#sections.deviceLists.load(frame, movements),
      this.#sections.presence.load(frame, movements),
    ])
    const { changed, left } = deviceLists
    const parts: JsonObject = {
      ...(toDevice.events.length > 0 && { to_device: { events: toDevice.events } }),
      ...(changed.length + left.length > 0 && {
        device_lists: {
          ...(changed.length > 0 && { changed: [...changed] }),
          ...(left.length > 0 && { left: [...left] }),
        },
      }),
      ...(presence.length > 0 && { presence: { events: presence } }),
    }
    return { parts, toDevice: toDevice.upTo }
  }
}

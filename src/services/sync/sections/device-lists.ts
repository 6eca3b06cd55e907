import type { Database, Query } from '../../../storage/database.js'
import type { CrossSigningStore } from '../../../storage/stores/cross-signing.js'
import type { SharedRoomsStore } from '../../../storage/stores/shared-rooms.js'
import type { UserId } from '../../../protocol/ids.js'
import type { Movements } from '../member-movements.js'
import type { SyncFrame } from '../sync-frame.js'

export interface SyncDeviceLists {
  readonly changed: readonly UserId[]
  readonly left: readonly UserId[]
}

const NOTHING: SyncDeviceLists = { changed: [], left: [] }

/**
 * Whose devices the client has to look at anew, and whose it need not follow any more.
 * https://spec.matrix.org/latest/client-server-api/#extensions-to-sync-1
 */
export class DeviceListsSection {
  readonly #db: Database
  readonly #shared: SharedRoomsStore
  readonly #crossSigning: Pick<CrossSigningStore, 'listSigned'>

  constructor(
    db: Database,
    stores: { shared: SharedRoomsStore; crossSigning: Pick<CrossSigningStore, 'listSigned'> },
  ) {
    this.#db = db
    this.#shared = stores.shared
    this.#crossSigning = stores.crossSigning
  }

  async load({ since, now, request }: SyncFrame, movements: Movements): Promise<SyncDeviceLists> {
    if (since === undefined) return NOTHING
    const { userId } = request.viewer
    const range = { after: since.deviceLists, upTo: now.deviceLists }
    const hasMoved = range.after < range.upTo
    if (!hasMoved && isNobody(movements)) return NOTHING
    return this.#db.read('sync_device_lists', async (q) => {
      const changed = hasMoved ? await this.#shared.listDeviceListChanges(q, userId, range) : []
      // Whom the user has verified with another device: nobody else hears of that.
      const signed = hasMoved ? await this.#crossSigning.listSigned(q, userId, range) : []
      const { met, parted } = await this.#compare(q, userId, movements)
      // The user's other clients may be those whose devices are made known.
      const oneself = movements.meetsServers ? [userId] : []
      const all = [...changed, ...signed, ...met, ...movements.expected, ...oneself]
      return { changed: [...new Set(all)], left: parted }
    })
  }

  /** Who of those that have moved shares a room with the user now, and who does not. */
  async #compare(
    q: Query,
    userId: UserId,
    { come, gone }: Movements,
  ): Promise<{ met: UserId[]; parted: UserId[] }> {
    const sharing = await this.#shared.listSharing(q, userId, [...new Set([...come, ...gone])])
    return {
      met: [...come].filter((other) => sharing.has(other)),
      parted: [...gone].filter((other) => !sharing.has(other)),
    }
  }
}

function isNobody({ come, gone, expected }: Movements): boolean {
  return come.size + gone.size + expected.size === 0
}

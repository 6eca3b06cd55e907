import type { Query } from '../../storage/database.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { StateKeysStore } from '../../storage/stores/state-keys.js'
import type { StateSnapshotsStore } from '../../storage/stores/state-snapshots.js'
import type { StateKey } from '../../protocol/state-map.js'
import { pushTo } from '../../util/group-by.js'

/** One piece of the state at one point. */
export interface StatePiece {
  readonly snapshotNid: number
  readonly key: StateKey
}

/** What held those pieces. */
export interface StateAtPoints {
  get(snapshotNid: number, key: StateKey): StoredEvent | undefined
}

interface Stores {
  readonly events: EventsStore
  readonly stateKeys: StateKeysStore
  readonly snapshots: StateSnapshotsStore
}

/** Single pieces of state at many points, in bulk: three statements at most, whatever the size of the rooms. */
export class StatePoints {
  readonly #stores: Stores

  constructor(stores: Stores) {
    this.#stores = stores
  }

  async lookUp(q: Query, points: readonly StatePiece[]): Promise<StateAtPoints> {
    const keys = new Map<number, StateKey[]>()
    for (const { snapshotNid, key } of points) pushTo(keys, snapshotNid, key)
    return this.lookUpKeys(q, keys)
  }

  /** The same, of points and the pieces that are wanted of each: lists may be shared between points. */
  async lookUpKeys(q: Query, keys: ReadonlyMap<number, readonly StateKey[]>): Promise<StateAtPoints> {
    const lists = new Set(keys.values())
    const keyNids = await this.#stores.stateKeys.find(q, [...new Set([...lists].flat())])
    const nidsOf = new Map([...lists].map((list) => [list, list.flatMap((key) => keyNids.get(key) ?? [])]))
    const request = new Map<number, readonly number[]>()
    for (const [snapshotNid, list] of keys) request.set(snapshotNid, nidsOf.get(list)!)
    const entries = await this.#stores.snapshots.lookUp(q, request)
    const nids = new Set<number>()
    for (const [snapshotNid, wanted] of request) {
      const found = entries.get(snapshotNid)!
      for (const keyNid of wanted) {
        const eventNid = found.get(keyNid)
        if (eventNid !== undefined) nids.add(eventNid)
      }
    }
    const events = await this.#stores.events.getByNids(q, [...nids])
    return {
      get: (snapshotNid, key) => {
        const keyNid = keyNids.get(key)
        const eventNid = keyNid === undefined ? undefined : entries.get(snapshotNid)?.get(keyNid)
        return eventNid === undefined ? undefined : events.get(eventNid)
      },
    }
  }
}

/** What a member event says; undefined where there is none. */
export function membershipOf(member: StoredEvent | undefined): string | undefined {
  const membership = member?.event.content['membership']
  return typeof membership === 'string' ? membership : undefined
}

import type { Database, Tx } from '../../storage/database.js'
import { encodeChanges, StateSnapshot, type StateChanges } from '../../storage/state-snapshot.js'
import {
  MAX_SNAPSHOT_HOPS,
  type SnapshotRow,
  type StateSnapshotsStore,
} from '../../storage/stores/state-snapshots.js'
import type { TakeoverStore } from '../../storage/stores/takeover.js'
import type { IdAllocator } from '../../storage/streams/sequences.js'
import type { SynapseSource } from '../../storage/synapse/source.js'
import {
  readGroupChains,
  readGroupEntries,
  type StateGroup,
  type StateGroupEntry,
} from '../../storage/synapse/state-groups.js'
import { stateKeyOf, type StateKey } from '../../protocol/state-map.js'
import type { StateKeyInterner } from '../events/state-key-interner.js'
import { eventNidOf, type SourceReferences } from './source-events.js'

export interface RoomStatesParts {
  readonly db: Database
  readonly source: SynapseSource
  readonly references: SourceReferences
  readonly snapshots: StateSnapshotsStore
  readonly interner: StateKeyInterner
  readonly snapshotIds: IdAllocator
  readonly takeover: TakeoverStore
}

/** Groups whose entries are read together. */
const GROUPS_AT_ONCE = 50
/** Snapshots that have yet to be written take no more memory than about this. */
const MAX_PENDING_BYTES = 16 * 1024 * 1024

/** A state group that differs from its base by one piece. */
interface Step {
  readonly base: number
  readonly keyNid: number
  readonly eventNid: number
}

/**
 * Makes snapshots of the state groups of one room. Each group is read once, as what it differs by from its base; the
 * states in between are kept as long as there is room for them.
 */
export class RoomStates {
  readonly #parts: RoomStatesParts
  readonly #roomNid: number
  readonly #nids = new Map<number, number>()
  readonly #byHash = new Map<string, number>()
  readonly #hops = new Map<number, number>()
  readonly #pending = new Map<number, StateSnapshot>()
  #pendingBytes = 0
  #rows: SnapshotRow[] = []
  #groups: { stateGroup: number; snapshotNid: number }[] = []
  #steps = new Map<number, Step>()
  /** The snapshot that was made last, which whole states are compared with. */
  #last: number | undefined

  constructor(parts: RoomStatesParts, roomNid: number) {
    this.#parts = parts
    this.#roomNid = roomNid
  }

  /** Takes in what an earlier run has made of the room. */
  async load(): Promise<void> {
    const { takeover, db } = this.#parts
    for (const { stateGroup, snapshotNid } of await takeover.listStateGroups(db.reader, this.#roomNid)) {
      this.#nids.set(stateGroup, snapshotNid)
    }
    for (const { snapshotNid, hash, hops } of await takeover.listSnapshots(db.reader, this.#roomNid)) {
      this.#byHash.set(hash, snapshotNid)
      this.#hops.set(snapshotNid, hops)
    }
  }

  /** Makes snapshots of these groups, so that `nidOf` knows them. */
  async prepare(stateGroups: Iterable<number>): Promise<void> {
    this.#steps = new Map()
    const unknown = [...new Set(stateGroups)].filter((group) => !this.#nids.has(group))
    if (unknown.length === 0) return
    const chains = await readGroupChains(this.#parts.source, unknown)
    const ordered = baseFirst(chains.filter(({ stateGroup }) => !this.#nids.has(stateGroup)))
    for (let start = 0; start < ordered.length; start += GROUPS_AT_ONCE) {
      await this.#make(ordered.slice(start, start + GROUPS_AT_ONCE))
    }
  }

  /** The snapshot of a group that has been prepared; undefined for one that the source has lost. */
  nidOf(stateGroup: number): number | undefined {
    return this.#nids.get(stateGroup)
  }

  /** The snapshot before one event changed this piece of state, where the source itself says so. */
  stepBefore(stateGroup: number, keyNid: number, eventNid: number): number | undefined {
    const step = this.#steps.get(stateGroup)
    return step?.keyNid === keyNid && step.eventNid === eventNid ? this.#nids.get(step.base) : undefined
  }

  /** The state of a snapshot. */
  async get(snapshotNid: number): Promise<StateSnapshot> {
    return (
      this.#pending.get(snapshotNid) ?? (await this.#parts.snapshots.get(this.#parts.db.reader, snapshotNid))
    )
  }

  /** The snapshot of a state with another event, or none, in one place. */
  async derive(snapshotNid: number, keyNid: number, eventNid: number | undefined): Promise<number> {
    const base = await this.get(snapshotNid)
    const changes = new Map([[keyNid, eventNid]])
    return this.#name(base.with(changes), { nid: snapshotNid, changes })
  }

  /** Writes what has been made since the last time. */
  async write(tx: Tx): Promise<void> {
    const [rows, groups] = [this.#rows, this.#groups]
    await Promise.all([
      rows.length > 0 ? this.#parts.snapshots.insert(tx, rows) : undefined,
      groups.length > 0 ? this.#parts.takeover.insertStateGroups(tx, this.#roomNid, groups) : undefined,
    ])
    tx.afterCommit(() => {
      this.#rows = []
      this.#groups = []
      this.#pending.clear()
      this.#pendingBytes = 0
    })
  }

  async #make(groups: readonly StateGroup[]): Promise<void> {
    const { source, references, interner, db } = this.#parts
    const entries = await readGroupEntries(
      source,
      groups.map(({ stateGroup }) => stateGroup),
    )
    const all = [...entries.values()].flat().filter(isStorable)
    const found = await references.resolve(all.map(({ eventId }) => eventId))
    const keyNids = await interner.intern([...new Set(all.map(keyOf))])
    for (const { stateGroup, base } of groups) {
      const changes = new Map<number, number>()
      for (const entry of entries.get(stateGroup) ?? []) {
        const keyNid = keyNids.get(keyOf(entry))
        const reference = found.get(entry.eventId)
        if (keyNid !== undefined && reference) changes.set(keyNid, eventNidOf(reference.streamOrdering))
      }
      await this.#add(stateGroup, base, changes)
      if (this.#pendingBytes > MAX_PENDING_BYTES) {
        await db.write('takeover_states', (tx) => this.write(tx))
      }
    }
  }

  async #add(stateGroup: number, base: number | undefined, changes: Map<number, number>): Promise<void> {
    const baseNid = base === undefined ? undefined : this.#nids.get(base)
    let nid: number
    if (base !== undefined && baseNid !== undefined) {
      const snapshot = await this.get(baseNid)
      nid = await this.#name(snapshot.with(changes), { nid: baseNid, changes })
      const [only] = changes
      if (changes.size === 1 && only)
        this.#steps.set(stateGroup, { base, keyNid: only[0], eventNid: only[1] })
    } else {
      nid = await this.#nameWhole(StateSnapshot.from(changes))
    }
    this.#nids.set(stateGroup, nid)
    this.#groups.push({ stateGroup, snapshotNid: nid })
  }

  /** Whole states repeat, for the most part, what was there before. */
  async #nameWhole(snapshot: StateSnapshot): Promise<number> {
    const last = this.#last
    if (last === undefined) return this.#name(snapshot, undefined)
    return this.#name(snapshot, { nid: last, changes: (await this.get(last)).changesTo(snapshot) })
  }

  async #name(
    snapshot: StateSnapshot,
    base: { nid: number; changes: StateChanges } | undefined,
  ): Promise<number> {
    const hash = snapshot.hashText
    const existing = this.#byHash.get(hash)
    if (existing !== undefined) return existing
    const hops = base === undefined ? Infinity : (this.#hops.get(base.nid) ?? MAX_SNAPSHOT_HOPS) + 1
    const isDelta = base !== undefined && hops <= MAX_SNAPSHOT_HOPS && base.changes.size * 2 <= snapshot.size
    const row: SnapshotRow = {
      snapshotNid: await this.#parts.snapshotIds.next(),
      roomNid: this.#roomNid,
      hash,
      baseNid: isDelta ? base.nid : undefined,
      hops: isDelta ? hops : 0,
      entries: snapshot.size,
      delta: encodeChanges(isDelta ? base.changes : new Map(snapshot.entries())),
    }
    this.#byHash.set(hash, row.snapshotNid)
    this.#hops.set(row.snapshotNid, row.hops)
    this.#rows.push(row)
    this.#pending.set(row.snapshotNid, snapshot)
    this.#pendingBytes += 200 + 12 * snapshot.size
    this.#parts.snapshots.remember(row, snapshot)
    this.#last = row.snapshotNid
    return row.snapshotNid
  }
}

/** Groups after what they build on. */
function baseFirst(groups: readonly StateGroup[]): StateGroup[] {
  const byId = new Map(groups.map((group) => [group.stateGroup, group]))
  const ordered: StateGroup[] = []
  const done = new Set<number>()
  for (const group of [...groups].sort((a, b) => a.stateGroup - b.stateGroup)) {
    const chain: StateGroup[] = []
    let next: StateGroup | undefined = group
    while (next && !done.has(next.stateGroup)) {
      done.add(next.stateGroup)
      chain.push(next)
      next = next.base === undefined ? undefined : byId.get(next.base)
    }
    ordered.push(...chain.reverse())
  }
  return ordered
}

function keyOf({ type, stateKey }: StateGroupEntry): StateKey {
  return stateKeyOf(type, stateKey)
}

/** PostgreSQL has no NUL in text, and such state nobody can have set in a room that others are in. */
function isStorable({ type, stateKey }: StateGroupEntry): boolean {
  return !type.includes('\0') && !stateKey.includes('\0')
}

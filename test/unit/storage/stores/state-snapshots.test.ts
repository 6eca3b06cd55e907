import { expect } from 'chai'
import fc from 'fast-check'
import { encodeChanges, StateSnapshot } from '../../../../src/storage/state-snapshot.js'
import { CacheRegistry } from '../../../../src/storage/cache-registry.js'
import type { Database } from '../../../../src/storage/database.js'
import { StateSnapshotsStore, type SnapshotRow } from '../../../../src/storage/stores/state-snapshots.js'
import { createMetrics } from '../../../../src/telemetry/metrics.js'
import { forEachDatabase } from '../../../support/databases.js'

function createStore(): StateSnapshotsStore {
  return new StateSnapshotsStore(new CacheRegistry(createMetrics()))
}

/** One step: which earlier snapshot it builds on, and what changes. */
const step = fc.record({
  base: fc.nat(50),
  changes: fc
    .array(
      fc.tuple(
        fc.integer({ min: 1, max: 12 }),
        fc.option(fc.integer({ min: 1, max: 2 ** 40 }), { nil: undefined }),
      ),
      { maxLength: 4 },
    )
    .map((pairs) => new Map(pairs)),
  whole: fc.boolean(),
})

forEachDatabase('StateSnapshotsStore', (open) => {
  let db: Database
  let nextNid = 1

  before(async () => {
    db = await open()
  })

  async function write(
    steps: readonly { base: number; changes: Map<number, number | undefined>; whole: boolean }[],
  ) {
    const snapshots = new Map<number, StateSnapshot>()
    const nids: number[] = []
    const rows: SnapshotRow[] = []
    const hops = new Map<number, number>()
    for (const { base, changes, whole } of steps) {
      const baseNid = nids[base % Math.max(1, nids.length)]
      const from = baseNid === undefined ? StateSnapshot.empty : snapshots.get(baseNid)!
      const snapshot = from.with(changes)
      const snapshotNid = nextNid++
      const isWhole = whole || baseNid === undefined
      hops.set(snapshotNid, isWhole ? 0 : hops.get(baseNid)! + 1)
      rows.push({
        snapshotNid,
        roomNid: snapshotNid,
        hash: snapshot.hashText,
        baseNid: isWhole ? undefined : baseNid,
        hops: hops.get(snapshotNid)!,
        entries: snapshot.size,
        delta: encodeChanges(isWhole ? new Map(snapshot.entries()) : from.changesTo(snapshot)),
      })
      snapshots.set(snapshotNid, snapshot)
      nids.push(snapshotNid)
    }
    await db.write('test', (tx) => createStore().insert(tx, rows))
    return snapshots
  }

  it('finds single entries as the whole snapshots have them, in memory or not', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
        const snapshots = await write(steps)
        const store = createStore()
        const keys = [1, 2, 5, 11, 12]
        const request = new Map([...snapshots.keys()].map((nid) => [nid, keys]))
        const expected = [...snapshots].map(([nid, snapshot]) => [nid, keys.map((key) => snapshot.get(key))])
        const lookUp = async (): Promise<unknown> => {
          const found = await store.lookUp(db.reader, request)
          return [...found].map(([nid, entries]) => [nid, keys.map((key) => entries.get(key))])
        }
        expect(await lookUp()).to.deep.equal(expected)
        expect(await lookUp()).to.deep.equal(expected)
        const whole = await store.getMany(db.reader, [...snapshots.keys()])
        for (const [nid, snapshot] of whole) {
          expect([...snapshot.entries()]).to.deep.equal([...snapshots.get(nid)!.entries()])
        }
        expect(await lookUp()).to.deep.equal(expected)
      }),
      { numRuns: 10 },
    )
  })

  it('finds nothing in snapshots that are not there', async () => {
    expect(await createStore().lookUp(db.reader, new Map([[999_999, [1]]]))).to.deep.equal(
      new Map([[999_999, new Map()]]),
    )
  })
})

import { expect } from 'chai'
import fc from 'fast-check'
import { compareRows, type Comparison } from '../../../../src/storage/porting/compare-rows.js'
import type { RowBatch } from '../../../../src/storage/porting/port-side.js'
import { keyOf } from '../../../../src/storage/porting/row-text.js'
import type { TableShape } from '../../../../src/storage/porting/table-shape.js'
import { anyField, rowOf } from '../../../support/row-texts.js'

const NID = { name: 'nid', type: 'integer' } as const
const TABLE: TableShape = { name: 't', columns: [NID, { name: 'value', type: 'text' }], key: [NID] }

type Rows = ReadonlyMap<number, string | null>

describe('comparing rows', () => {
  it('finds what has to be removed and inserted, wherever batches end', async () => {
    await fc.assert(
      fc.asyncProperty(
        anyRows(),
        anyRows(),
        anySizes(),
        anySizes(),
        async (source, target, cuts, otherCuts) => {
          const mended = new Map(target)
          const { differences, sourceRows, targetRows } = await compare(
            batches(source, cuts),
            batches(target, otherCuts),
            mended,
          )
          expect(mended).to.deep.equal(new Map(source))
          expect({ sourceRows, targetRows }).to.deep.equal({
            sourceRows: source.size,
            targetRows: target.size,
          })
          expect(differences).to.equal(countDifferences(source, target))
        },
      ),
    )
  })

  it('names every row of large tables that differ in few', async () => {
    const source = new Map<number, string>(
      Array.from({ length: 20_000 }, (_, nid) => [nid, `value ${nid}`] as const),
    )
    const target = new Map(source)
    for (const nid of [0, 7_777, 19_999]) target.set(nid, 'another')
    target.delete(5)
    target.set(30_000, 'more')
    const mended = new Map(target)
    const { differences } = await compare(batches(source, [1_000]), batches(target, [777]), mended)
    expect(differences).to.equal(5)
    expect(mended).to.deep.equal(source)
  })

  it('has one checksum for the same rows, and another for others', async () => {
    const rows = new Map([
      [1, 'a'],
      [2, 'b'],
    ])
    const one = await compare(batches(rows, [1]), batches(rows, [2]), new Map())
    const same = await compare(batches(rows, [2]), batches(new Map(), [1]), new Map())
    const other = await compare(batches(new Map([...rows, [2, 'c']]), [2]), batches(rows, [1]), new Map())
    expect(one.checksum).to.match(/^[0-9a-f]{64}$/)
    expect(same.checksum).to.equal(one.checksum)
    expect(other.checksum).to.not.equal(one.checksum)
  })

  async function compare(
    source: AsyncIterable<RowBatch>,
    target: AsyncIterable<RowBatch>,
    mended: Map<number, string | null>,
  ): Promise<Comparison> {
    return compareRows(
      TABLE,
      { source, target },
      {
        onDifferences: ({ remove, insert }) => {
          for (const [nid] of remove) mended.delete(Number(nid!.toString()))
          for (const row of insert) {
            const nid = Number(keyOf(row, TABLE)[0]!.toString())
            // What stays would be in the way.
            expect(mended.has(nid)).to.equal(false)
            mended.set(nid, valueOf(row))
          }
          return Promise.resolve()
        },
      },
    )
  }

  function valueOf(row: Buffer): string | null {
    return (
      [...VALUES].find((value) => rowOf([keyOf(row, TABLE)[0]!.toString(), value]).equals(row)) ?? textOf(row)
    )
  }

  function textOf(row: Buffer): string {
    return row.toString().split('\u0002')[1]!.trimEnd()
  }

  /** Few values, so that the two sides often agree. */
  const VALUES = fc.sample(anyField(), { numRuns: 12, seed: 7 })

  function anyRows(): fc.Arbitrary<Rows> {
    return fc
      .array(fc.tuple(fc.integer({ min: -20, max: 20 }), fc.constantFrom(...VALUES)), { maxLength: 40 })
      .map((rows) => new Map(rows))
  }

  function anySizes(): fc.Arbitrary<number[]> {
    return fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 4 })
  }

  async function* batches(rows: Rows, sizes: readonly number[]): AsyncGenerator<RowBatch> {
    await Promise.resolve()
    const texts = [...rows].sort(([a], [b]) => a - b).map(([nid, value]) => rowOf([String(nid), value]))
    for (let start = 0, turn = 0; start < texts.length; turn++) {
      const part = texts.slice(start, start + sizes[turn % sizes.length]!)
      yield { data: Buffer.concat(part), rows: part.length, last: keyOf(part.at(-1)!, TABLE) }
      start += part.length
    }
  }

  function countDifferences(source: Rows, target: Rows): number {
    const keys = new Set([...source.keys(), ...target.keys()])
    return [...keys].filter(
      (nid) => source.has(nid) !== target.has(nid) || source.get(nid) !== target.get(nid),
    ).length
  }
})

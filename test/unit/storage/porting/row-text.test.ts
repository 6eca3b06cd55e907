import { expect } from 'chai'
import fc from 'fast-check'
import { cutRows } from '../../../../src/storage/porting/cut-rows.js'
import {
  compareKeys,
  describeKey,
  endOfRow,
  fieldsOf,
  keyOf,
} from '../../../../src/storage/porting/row-text.js'
import type { TableShape } from '../../../../src/storage/porting/table-shape.js'
import { anyField, rowOf } from '../../../support/row-texts.js'

const TABLE: TableShape = {
  name: 't',
  columns: [
    { name: 'content', type: 'text' },
    { name: 'nid', type: 'integer' },
    { name: 'user_id', type: 'text' },
  ],
  key: [
    { name: 'nid', type: 'integer' },
    { name: 'user_id', type: 'text' },
  ],
}
// The columns of a key are those of the table themselves.
const [, nid, userId] = TABLE.columns
const KEYED: TableShape = { ...TABLE, key: [nid!, userId!] }

describe('the text of rows', () => {
  it('is taken apart into the fields that it was made of', () => {
    fc.assert(
      fc.property(fc.array(anyField(), { minLength: 2, maxLength: 6 }), (fields) => {
        const parsed = fieldsOf(rowOf(fields)).map((field) => field?.toString() ?? null)
        expect(parsed).to.deep.equal(fields)
      }),
    )
  })

  it('shows where each row ends, whatever is in its texts', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(anyField(), { minLength: 2, maxLength: 3 }), { maxLength: 5 }),
        (rows) => {
          const texts = rows.map(rowOf)
          const data = Buffer.concat(texts)
          const found: Buffer[] = []
          for (let start = 0; start < data.length;) {
            const end = endOfRow(data, start)
            found.push(data.subarray(start, end))
            start = end
          }
          expect(found).to.deep.equal(texts)
        },
      ),
    )
  })

  it('has no end where it is cut off', () => {
    const row = rowOf(['a\nb', '1'])
    for (let length = 0; length < row.length; length++) {
      expect(endOfRow(row.subarray(0, length), 0)).to.equal(-1)
    }
  })

  it('is cut into whole rows, however it comes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(anyField(), anyField()), { maxLength: 20 }),
        fc.array(fc.nat(40), { maxLength: 10 }),
        fc.integer({ min: 1, max: 7 }),
        async (rows, cuts, most) => {
          const texts = rows.map(rowOf)
          const batches = []
          for await (const batch of cutRows(pieces(Buffer.concat(texts), cuts), 'text', most))
            batches.push(batch)
          expect(Buffer.concat(batches.map(({ data }) => data))).to.deep.equal(Buffer.concat(texts))
          expect(batches.reduce((sum, batch) => sum + batch.rows, 0)).to.equal(texts.length)
          expect(batches.every((batch) => batch.rows <= most)).to.equal(true)
          expect(batches.at(-1)?.lastRow).to.deep.equal(texts.at(-1))
        },
      ),
    )
  })

  it('is ordered by its key: integers by value, texts by their bytes', () => {
    const key = (number: string, text: string): readonly Buffer[] =>
      keyOf(rowOf(['x\ny', number, text]), KEYED)
    const sorted = [
      key('-9223372036854775808', ''),
      key('-2', 'z'),
      key('9', ''),
      key('10', 'B'),
      key('10', 'a'),
      key('10', '\uffff'),
      key('10', '\u{10000}'),
      key('9223372036854775807', ''),
    ]
    expect([...sorted].reverse().sort((a, b) => compareKeys(a, b, KEYED))).to.deep.equal(sorted)
    expect(compareKeys(key('1', 'a'), key('1', 'a'), KEYED)).to.equal(0)
    expect(describeKey(key('10', 'a"b'), KEYED)).to.equal('nid=10, user_id="a\\"b"')
  })

  async function* pieces(data: Buffer, cuts: readonly number[]): AsyncGenerator<Buffer> {
    await Promise.resolve()
    let start = 0
    for (const length of cuts) {
      yield data.subarray(start, start + length)
      start += length
    }
    yield data.subarray(start)
  }
})

import { expect } from 'chai'
import fc from 'fast-check'
import { PriorityQueue } from '../../../src/util/priority-queue.js'

const ascending = (a: number, b: number): number => a - b

describe('PriorityQueue', () => {
  it('gives items in order, whatever order they came in', () => {
    fc.assert(
      fc.property(fc.array(fc.integer()), (items) => {
        const queue = new PriorityQueue(ascending, items)
        expect(queue.size).to.equal(items.length)
        const sorted = [...items].sort(ascending)
        for (const item of sorted) {
          expect(queue.peek()).to.equal(item)
          expect(queue.pop()).to.equal(item)
        }
        expect(queue.pop()).to.equal(undefined)
      }),
    )
  })

  it('takes new items in between', () => {
    const queue = new PriorityQueue(ascending, [5, 1])
    expect(queue.pop()).to.equal(1)
    queue.push(7)
    queue.push(2)
    expect([queue.pop(), queue.pop(), queue.pop(), queue.pop()]).to.deep.equal([2, 5, 7, undefined])
  })
})

import { expect } from 'chai'
import { readAhead } from '../../../../src/storage/porting/read-ahead.js'
import { nextTurn } from '../../../../src/util/clock.js'

describe('reading ahead', () => {
  it('gives the same values, and has the next one asked for meanwhile', async () => {
    const asked: number[] = []
    const taken: string[] = []
    for await (const value of readAhead(numbers(3, asked))) {
      await nextTurn()
      taken.push(`${value} when ${asked.length} were asked for`)
    }
    expect(taken).to.deep.equal([
      '1 when 2 were asked for',
      '2 when 3 were asked for',
      '3 when 3 were asked for',
    ])
  })

  it('raises an error in its place', async () => {
    const taken: number[] = []
    let error: unknown
    try {
      for await (const value of readAhead(failingAfter(2))) {
        await nextTurn()
        taken.push(value)
      }
    } catch (thrown) {
      error = thrown
    }
    expect(taken).to.deep.equal([1, 2])
    expect(error).to.have.property('message', 'over')
  })

  it('ends the values when nobody wants more', async () => {
    const asked: number[] = []
    for await (const _ of readAhead(numbers(1_000, asked))) break
    expect(asked.length).to.be.lessThan(4)
    expect(asked).to.not.include(-1_000)
    expect(ended).to.equal(true)
  })

  let ended = false

  async function* numbers(count: number, asked: number[]): AsyncGenerator<number> {
    ended = false
    try {
      for (let number = 1; number <= count; number++) {
        await nextTurn()
        asked.push(number)
        yield number
      }
    } finally {
      ended = true
    }
  }

  async function* failingAfter(count: number): AsyncGenerator<number> {
    yield* numbers(count, [])
    throw new Error('over')
  }
})

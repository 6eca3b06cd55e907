import { expect } from 'chai'
import { BatchedLookup } from '../../../src/util/batched-lookup.js'
import { createDeferred } from '../../../src/util/deferred.js'
import { rejection } from '../../support/rejection.js'

describe('BatchedLookup', () => {
  it('answers what is asked in one turn with one look-up, each key once', async () => {
    const loads: (readonly number[])[] = []
    const lookup = new BatchedLookup<number, string>(
      (keys) => {
        loads.push(keys)
        return Promise.resolve(new Map(keys.filter((key) => key < 3).map((key) => [key, `value ${key}`])))
      },
      { maxItems: 10 },
    )
    const answers = await Promise.all([lookup.get(1), lookup.get(2), lookup.get(1), lookup.get(3)])
    expect(answers).to.deep.equal(['value 1', 'value 2', 'value 1', undefined])
    expect(loads).to.deep.equal([[1, 2, 3]])
    expect([...(await lookup.getMany([2, 3, 2]))]).to.deep.equal([[2, 'value 2']])
    expect(loads).to.have.length(2)
  })

  it('never answers with what was looked up before the question', async () => {
    let value = 'old'
    const running = createDeferred()
    const begun = createDeferred()
    const lookup = new BatchedLookup<string, string>(
      async (keys) => {
        const seen = value
        begun.resolve()
        if (seen === 'old') await running.promise
        return new Map(keys.map((key) => [key, seen]))
      },
      { maxItems: 10 },
    )
    const before = lookup.get('key')
    await begun.promise
    value = 'new'
    const after = lookup.get('key')
    running.resolve()
    expect([await before, await after]).to.deep.equal(['old', 'new'])
  })

  it('lets no question suffer for another', async () => {
    const lookup = new BatchedLookup<string, number>(
      (keys) =>
        keys.includes('bad')
          ? Promise.reject(new Error('bad'))
          : Promise.resolve(new Map(keys.map((key) => [key, 1]))),
      { maxItems: 10 },
    )
    const bad = rejection(lookup.get('bad'))
    expect(await lookup.get('good')).to.equal(1)
    expect(await bad).to.have.property('message', 'bad')
  })
})

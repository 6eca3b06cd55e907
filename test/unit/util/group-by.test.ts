import { expect } from 'chai'
import { groupBy, pushTo } from '../../../src/util/group-by.js'

describe('groupBy', () => {
  it('keeps the order of the items, and of the groups that they begin', () => {
    const groups = groupBy(['bb', 'a', 'cc', 'd', 'ee'], ({ length }) => length)
    expect([...groups]).to.deep.equal([
      [2, ['bb', 'cc', 'ee']],
      [1, ['a', 'd']],
    ])
    expect([...groupBy(new Set<string>(), ({ length }) => length)]).to.deep.equal([])
  })
})

describe('pushTo', () => {
  it('begins a list or goes on with it', () => {
    const groups = new Map([['a', [1]]])
    pushTo(groups, 'a', 2)
    pushTo(groups, 'b', 3)
    expect([...groups]).to.deep.equal([
      ['a', [1, 2]],
      ['b', [3]],
    ])
  })
})

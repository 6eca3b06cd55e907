import { expect } from 'chai'
import { LRUCache } from 'lru-cache'
import { upTo } from '../../../src/util/lru-bounds.js'

describe('util/lru-bounds', () => {
  it('keeps so many entries, the last used', () => {
    const cache = new LRUCache<string, number>(upTo(2))
    cache.set('a', 1)
    cache.set('b', 2)
    cache.get('a')
    cache.set('c', 3)
    expect([...cache.keys()].sort()).to.deep.equal(['a', 'c'])
  })
})

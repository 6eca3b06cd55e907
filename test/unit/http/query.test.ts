import { expect } from 'chai'
import { firstParam, parseQuery, repeatedParam } from '../../../src/http/query.js'

describe('http/query', () => {
  it('reads names and values', () => {
    expect({ ...parseQuery('a=1&b=x%20y+z&c') }).to.deep.equal({ a: '1', b: 'x y z', c: '' })
    expect({ ...parseQuery('') }).to.deep.equal({})
  })

  it('gives a list for what is repeated', () => {
    const query = parseQuery('via=a&via=b')
    expect(query['via']).to.deep.equal(['a', 'b'])
    expect(firstParam(query, 'via')).to.equal('a')
    expect(repeatedParam.parse(query['via'])).to.deep.equal(['a', 'b'])
    expect(repeatedParam.parse('a')).to.deep.equal(['a'])
    expect(repeatedParam.parse(undefined)).to.deep.equal([])
  })

  it('survives what is not encoded properly', () => {
    expect(firstParam(parseQuery('a=%zz&b=%ff'), 'a')).to.equal('%zz')
    expect(firstParam(parseQuery('__proto__=x'), 'a')).to.equal(undefined)
  })

  it('refuses null characters', () => {
    for (const search of ['a=%00', 'a%00=1', 'a=1&a=%00']) {
      expect(() => parseQuery(search), search)
        .to.throw()
        .with.property('errcode', 'M_INVALID_PARAM')
    }
    expect(firstParam(parseQuery('a=%2500'), 'a')).to.equal('%00')
  })
})

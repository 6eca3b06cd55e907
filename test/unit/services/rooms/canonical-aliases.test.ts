import { expect } from 'chai'
import type { RoomAlias } from '../../../../src/protocol/ids.js'
import { newAliases, withoutAlias } from '../../../../src/services/rooms/canonical-aliases.js'

const A = '#a:hs.test' as RoomAlias
const B = '#b:hs.test' as RoomAlias

describe('canonical aliases', () => {
  it('are new unless the event before named them', () => {
    expect(newAliases({ alias: A, alt_aliases: [B, B] }, undefined)).to.have.members([A, B])
    expect(newAliases({ alias: A, alt_aliases: [B] }, { alias: B })).to.deep.equal([A])
    expect(newAliases({ alias: B }, { alt_aliases: [B] })).to.deep.equal([])
    expect(newAliases({}, { alias: A })).to.deep.equal([])
    expect(newAliases({ alias: '' }, undefined)).to.deep.equal([])
    expect(newAliases({ alias: null, alt_aliases: null }, undefined)).to.deep.equal([])
  })

  it('may be nonsense where they were before, and not otherwise', () => {
    expect(newAliases({ alias: 'nonsense' }, { alias: 'nonsense' })).to.deep.equal([])
    for (const content of [
      { alias: 'nonsense' },
      { alias: 7 },
      { alt_aliases: [7] },
      { alt_aliases: ['@a:hs.test'] },
      { alt_aliases: {} },
      { alt_aliases: Array.from({ length: 2000 }, (_, index) => `#${index}:hs.test`) },
    ]) {
      expect(() => newAliases(content, undefined))
        .to.throw()
        .with.property('errcode', 'M_INVALID_PARAM')
    }
  })

  it('are taken out of contents', () => {
    expect(withoutAlias({ alias: A, 'org.example': 1 }, A)).to.deep.equal({ 'org.example': 1 })
    expect(withoutAlias({ alias: A, alt_aliases: [A, B] }, A)).to.deep.equal({ alt_aliases: [B] })
    expect(withoutAlias({ alias: A, alt_aliases: [B] }, B)).to.deep.equal({ alias: A })
    expect(withoutAlias({ alias: A, alt_aliases: 'x' }, B)).to.equal(undefined)
    expect(withoutAlias({}, A)).to.equal(undefined)
  })
})

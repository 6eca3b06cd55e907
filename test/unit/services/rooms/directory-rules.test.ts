import { expect } from 'chai'
import type { RoomAlias, RoomId, UserId } from '../../../../src/protocol/ids.js'
import { DirectoryRules, type DirectoryRule } from '../../../../src/services/rooms/directory-rules.js'

const ALICE = '@alice:hs.test' as UserId
const ROOM = '!room:hs.test' as RoomId
const CATS = '#cats:hs.test' as RoomAlias

describe('directory rules', () => {
  const allows = (rules: Partial<DirectoryRule>[], aliases: RoomAlias[] = []): boolean =>
    new DirectoryRules(
      rules.map((rule) => ({ userId: '*', alias: '*', roomId: '*', action: 'allow', ...rule })),
    ).allows(ALICE, ROOM, aliases)

  it('allow what the first matching rule allows, and nothing where none matches', () => {
    expect(allows([])).to.equal(false)
    expect(allows([{}])).to.equal(true)
    expect(allows([{ userId: '@alice:*', action: 'deny' }, {}])).to.equal(false)
    expect(allows([{ userId: '@bob:*', action: 'deny' }, {}])).to.equal(true)
    expect(allows([{ roomId: '!other:*' }])).to.equal(false)
    expect(allows([{ roomId: '!r??m:hs.test' }])).to.equal(true)
  })

  it('match aliases one by one; only a star matches rooms without', () => {
    expect(allows([{ alias: '#cats*' }])).to.equal(false)
    expect(allows([{ alias: '#cats*' }], ['#dogs:hs.test' as RoomAlias, CATS])).to.equal(true)
    expect(allows([{ alias: '*' }])).to.equal(true)
    expect(allows([{ alias: '#CATS*' }], [CATS])).to.equal(false)
    expect(allows([{ alias: '#cats.hs.test' }], [CATS])).to.equal(false)
  })
})

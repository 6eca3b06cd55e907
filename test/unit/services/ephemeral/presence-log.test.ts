import { expect } from 'chai'
import fc from 'fast-check'
import type { UserId } from '../../../../src/protocol/ids.js'
import { PresenceLog } from '../../../../src/services/ephemeral/presence-log.js'

describe('PresenceLog', () => {
  it('gives those whose last change is in a range', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 40 }),
        fc.nat(45),
        fc.nat(45),
        (users, since, upTo) => {
          const log = new PresenceLog()
          const last = new Map<UserId, number>()
          users.forEach((user, index) => {
            const userId = `@u${user}:hs.test` as UserId
            log.add(userId, index + 1)
            last.set(userId, index + 1)
          })
          const expected = [...last].filter(([, position]) => position > since && position <= upTo)
          expect(log.changedUsers(since, upTo)).to.have.members(expected.map(([userId]) => userId))
        },
      ),
    )
  })

  it('does not grow with the number of changes', () => {
    const log = new PresenceLog()
    for (let position = 1; position <= 10_000; position++)
      log.add(`@u${position % 3}:hs.test` as UserId, position)
    expect(log.size).to.be.lessThan(2000)
    expect(log.changedUsers(0, 10_000)).to.have.length(3)
  })
})

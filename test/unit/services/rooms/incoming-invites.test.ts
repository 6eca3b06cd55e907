import { expect } from 'chai'
import { parseRegistration } from '../../../../src/protocol/appservice-registration.js'
import { MatrixError } from '../../../../src/protocol/errors.js'
import type { RoomId, ServerName, UserId } from '../../../../src/protocol/ids.js'
import { RateLimits } from '../../../../src/services/accounts/ratelimits.js'
import { IncomingInvites } from '../../../../src/services/rooms/incoming-invites.js'
import { ManualClock } from '../../../support/manual-clock.js'
import { rejection } from '../../../support/rejection.js'

const ROOM = '!room:b.test' as RoomId
const EVE = '@eve:b.test' as UserId

describe('incoming invitations', () => {
  const parsed = parseRegistration(
    {
      id: 'bridge',
      url: null,
      as_token: 'as',
      hs_token: 'hs',
      sender_localpart: 'bridge',
      namespaces: { users: [{ exclusive: true, regex: '@bridge_.*:a\\.test' }] },
    },
    'a.test' as ServerName,
  )

  function policy({ onlyAdminsInvite = false, burstCount = 100 } = {}): IncomingInvites {
    const users = new Map([
      ['@alice:a.test', { isDeactivated: false }],
      ['@gone:a.test', { isDeactivated: true }],
      ['@alone:a.test', { isDeactivated: false }],
    ])
    const rate = { perSecond: 0.001, burstCount }
    return new IncomingInvites({
      db: { reader: {} } as never,
      users: { get: (_q: unknown, userId: string) => Promise.resolve(users.get(userId)) } as never,
      permissions: {
        check: (_inviter, [invited]) =>
          invited === '@alone:a.test'
            ? Promise.reject(new MatrixError('M_INVITE_BLOCKED', 'no'))
            : Promise.resolve(),
      },
      registry: { list: () => ('registration' in parsed ? [parsed.registration] : []) },
      rateLimits: new RateLimits(new ManualClock(), { invitesPerRoom: rate, invitesPerUser: rate }),
      onlyAdminsInvite,
    })
  }

  const ask = (invites: IncomingInvites, userId: string): Promise<void> =>
    invites.check({ sender: EVE, roomId: ROOM } as never, userId as UserId)

  it('reach users who are there, and those whom an application service would make', async () => {
    await ask(policy(), '@alice:a.test')
    await ask(policy(), '@bridge_bob:a.test')
    for (const userId of ['@nobody:a.test', '@gone:a.test']) {
      expect(await rejection(ask(policy(), userId))).to.have.property('errcode', 'M_FORBIDDEN')
    }
  })

  it('are refused by who takes none', async () => {
    expect(await rejection(ask(policy(), '@alone:a.test'))).to.have.property('errcode', 'M_INVITE_BLOCKED')
    const closed = policy({ onlyAdminsInvite: true })
    expect(await rejection(ask(closed, '@alice:a.test'))).to.have.property('errcode', 'M_FORBIDDEN')
  })

  it('are limited', async () => {
    const invites = policy({ burstCount: 2 })
    await ask(invites, '@alice:a.test')
    await ask(invites, '@alice:a.test')
    expect(await rejection(ask(invites, '@alice:a.test'))).to.have.property('errcode', 'M_LIMIT_EXCEEDED')
  })
})

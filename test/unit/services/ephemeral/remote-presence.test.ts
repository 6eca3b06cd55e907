import { expect } from 'chai'
import type { ServerName, UserId } from '../../../../src/protocol/ids.js'
import { RemotePresence } from '../../../../src/services/ephemeral/remote-presence.js'
import type { PresenceRecord } from '../../../../src/storage/stores/presence.js'
import { ManualClock } from '../../../support/manual-clock.js'

const OTHER = 'other.example' as ServerName
const BOB = '@bob:other.example' as UserId

function say(userId: string, presence: string): Parameters<RemotePresence['onPresence']> {
  return [OTHER, { push: [{ user_id: userId, presence, last_active_ago: 0 }] }]
}

/** Runs what is due and what follows from it at once. */
async function settle(clock: ManualClock, ms: number): Promise<void> {
  clock.advance(ms)
  for (let turn = 0; turn < 10; turn++) await Promise.resolve()
}

describe('RemotePresence', () => {
  function build() {
    const clock = new ManualClock()
    const sharing = new Set<UserId>()
    const taken: PresenceRecord[] = []
    let asked = 0
    const remote = new RemotePresence({
      clock,
      presence: { setRemote: (record) => taken.push(record), listPresent: () => [] },
      filterSharing: (userIds) => {
        asked += 1
        return Promise.resolve(new Set(userIds.filter((userId) => sharing.has(userId))))
      },
      isRemote: () => true,
      onError: (error) => expect.fail(String(error)),
    })
    const states = (): string[] => taken.map(({ userId, state }) => `${userId} ${state}`)
    return { clock, sharing, remote, states, asked: () => asked }
  }

  it('takes what it was told of people who are seen coming into a room afterwards, at once', async () => {
    const { clock, sharing, remote, states } = build()
    await remote.onPresence(...say(BOB, 'online'))
    expect(states()).to.deep.equal([])
    sharing.add(BOB)
    remote.onJoin()
    await settle(clock, 10)
    expect(states()).to.deep.equal([`${BOB} online`])
    remote.onJoin()
    await settle(clock, 10)
    expect(states()).to.have.length(1)
    await remote.stop()
  })

  it('takes what has been said last, and nothing older after it', async () => {
    const { clock, sharing, remote, states } = build()
    await remote.onPresence(...say(BOB, 'online'))
    sharing.add(BOB)
    remote.onJoin()
    await remote.onPresence(...say(BOB, 'unavailable'))
    await settle(clock, 10)
    expect(states()).to.deep.equal([`${BOB} unavailable`])
    await remote.stop()
  })

  it('forgets after a while, and of too many the first', async () => {
    const { clock, sharing, remote, states, asked } = build()
    await remote.onPresence(...say(BOB, 'online'))
    sharing.add(BOB)
    await settle(clock, 10_000)
    const before = asked()
    remote.onJoin()
    await settle(clock, 10)
    expect([states(), asked()]).to.deep.equal([[], before])
    const many = Array.from({ length: 1_001 }, (_, index) => `@user${index}:other.example` as UserId)
    for (const userId of many) await remote.onPresence(...say(userId, 'online'))
    for (const userId of many) sharing.add(userId)
    remote.onJoin()
    await settle(clock, 10)
    expect(states()).to.have.length(1_000)
    expect(states()).not.to.include('@user0:other.example online')
    await remote.stop()
  })

  it('leaves alone what a server says of the users of another', async () => {
    const { sharing, remote, states } = build()
    sharing.add('@carol:third.example' as UserId)
    await remote.onPresence(...say('@carol:third.example', 'online'))
    expect(states()).to.deep.equal([])
    await remote.stop()
  })
})

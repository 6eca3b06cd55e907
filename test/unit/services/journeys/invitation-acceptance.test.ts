import { expect } from 'chai'
import { forbidden } from '../../../../src/protocol/errors.js'
import type { RoomId, ServerName, UserId } from '../../../../src/protocol/ids.js'
import {
  InvitationAcceptance,
  type InvitationAcceptanceDependencies,
} from '../../../../src/services/journeys/invitation-acceptance.js'
import type { JsonObject } from '../../../../src/util/json.js'
import { nextTurn } from '../../../../src/util/clock.js'
import { ManualClock } from '../../../support/manual-clock.js'

const ALICE = '@alice:hs.test' as UserId
const BOB = '@bob:hs.test' as UserId
const ZOE = '@zoe:other.test' as UserId
const ROOM = '!room:hs.test' as RoomId

interface Fixture {
  readonly clock: ManualClock
  readonly joins: string[]
  readonly errors: unknown[]
  /** What of m.direct was written. */
  readonly direct: JsonObject[]
  /** An invitation of Bob that is committed. */
  invite(inviter: UserId, content?: JsonObject): Promise<void>
  /** The invitation is gone. */
  withdraw(): void
  stop(): Promise<void>
}

interface Given {
  readonly options?: Partial<InvitationAcceptanceDependencies['options']>
  /** What the joins fail with, one after the other; nothing: they work. */
  readonly failures?: readonly Error[]
  /** The account of who is invited; null: there is none. */
  readonly user?: object | null
  readonly hidden?: readonly UserId[]
  readonly direct?: JsonObject
}

function start({ options, failures = [], user = {}, hidden = [], direct: before }: Given = {}): Fixture {
  const clock = new ManualClock()
  const joins: string[] = []
  const errors: unknown[] = []
  const direct: JsonObject[] = []
  const open = [...failures]
  let position = 5
  let invitation: object | undefined
  const event = (): Map<number, unknown> =>
    new Map([[7, { eventNid: 7, roomNid: 1, event: { roomId: ROOM, stateKey: BOB, ...invitation } }]])
  const acceptance = new InvitationAcceptance({
    db: { reader: {}, write: (_name: string, fn: (tx: object) => unknown) => fn({}) } as never,
    clock,
    logger: { debug: () => undefined, info: () => undefined },
    tail: {
      between: () =>
        Promise.resolve({ events: [], deltas: [{ type: 'm.room.member', stateKey: BOB, eventNid: 7 }] }),
    } as never,
    events: { getByNids: () => Promise.resolve(event()) } as never,
    members: { get: () => Promise.resolve(invitation && { eventNid: 7, membership: 'invite' }) } as never,
    users: { get: () => Promise.resolve(user ? { userId: BOB, ...user } : undefined) } as never,
    accountData: { get: () => Promise.resolve(before) },
    writer: {
      writeIn: (_tx, _userId, { content }) => {
        direct.push(content)
        return Promise.resolve()
      },
    },
    hiddenInviters: { of: () => Promise.resolve(new Set(hidden)) },
    membership: {
      join: ({ userId }, roomId) => {
        joins.push(`${userId} ${roomId}`)
        const failure = open.shift()
        return failure ? Promise.reject(failure) : Promise.resolve('$join' as never)
      },
    },
    eventsPosition: () => position,
    onError: (error) => errors.push(error),
    options: { serverName: 'hs.test' as ServerName, onlyDirect: false, onlyFromOurs: false, ...options },
  })
  acceptance.start()
  return {
    clock,
    joins,
    errors,
    direct,
    async invite(inviter, content = {}) {
      invitation = { sender: inviter, content: { membership: 'invite', ...content } }
      position += 1
      acceptance.onNewPosition('events')
      await nextTurn()
    },
    withdraw: () => (invitation = undefined),
    stop: () => acceptance.stop(),
  }
}

describe('InvitationAcceptance', () => {
  const refused = forbidden('You are not invited')

  it('accepts invitations as they come, and no other memberships', async () => {
    const fixture = start()
    await fixture.invite(ALICE, { membership: 'leave' })
    expect(fixture.joins).to.deep.equal([])
    await fixture.invite(ALICE)
    expect(fixture.joins).to.deep.equal([`${BOB} ${ROOM}`])
    await fixture.stop()
    expect([fixture.direct, fixture.errors]).to.deep.equal([[], []])
  })

  it('tries again, later each time, and gives up after five times', async () => {
    const fixture = start({ failures: Array.from({ length: 9 }, () => refused) })
    await fixture.invite(ZOE)
    const counts: number[] = []
    for (const ms of [1_000, 2_000, 4_000, 8_000, 60_000]) {
      counts.push(fixture.joins.length)
      await fixture.clock.advanceAsync(ms)
    }
    expect([...counts, fixture.joins.length]).to.deep.equal([1, 2, 3, 4, 5, 5])
    expect(fixture.errors).to.deep.equal([])
    await fixture.stop()
  })

  it('ends with the first that works', async () => {
    const fixture = start({ failures: [refused] })
    await fixture.invite(ZOE)
    await fixture.clock.advanceAsync(60_000)
    expect(fixture.joins).to.have.length(2)
    await fixture.stop()
  })

  it('does not try again once the invitation is gone, or the server stops', async () => {
    const gone = start({ failures: [refused, refused] })
    await gone.invite(ZOE)
    gone.withdraw()
    await gone.clock.advanceAsync(60_000)
    expect(gone.joins).to.have.length(1)
    const stopped = start({ failures: [refused, refused] })
    await stopped.invite(ZOE)
    await stopped.stop()
    expect([stopped.joins.length, stopped.errors, stopped.clock.pending]).to.deep.equal([1, [], 0])
    await gone.stop()
  })

  it('tells of what it does not expect, and goes on', async () => {
    const fixture = start({ failures: [new Error('No database')] })
    await fixture.invite(ALICE)
    expect(fixture.errors).to.have.length(1)
    await fixture.invite(ALICE)
    expect(fixture.joins).to.have.length(2)
    await fixture.stop()
  })

  it('accepts only invitations to direct chats, or of our users, where it is told so', async () => {
    const direct = start({ options: { onlyDirect: true } })
    await direct.invite(ALICE)
    await direct.invite(ALICE, { is_direct: false })
    expect(direct.joins).to.deep.equal([])
    await direct.invite(ZOE, { is_direct: true })
    expect(direct.joins).to.have.length(1)
    const ours = start({ options: { onlyFromOurs: true } })
    await ours.invite(ZOE)
    expect(ours.joins).to.deep.equal([])
    await ours.invite(ALICE)
    expect(ours.joins).to.have.length(1)
    await Promise.all([direct.stop(), ours.stop()])
  })

  it('accepts nothing for accounts that nobody can use, nor of those whom somebody ignores', async () => {
    const given: Given[] = [
      { user: null },
      { user: { isDeactivated: true } },
      { user: { isSuspended: true } },
      { user: { isLocked: true } },
      { hidden: [ALICE] },
    ]
    for (const one of given) {
      const fixture = start(one)
      await fixture.invite(ALICE, { is_direct: true })
      expect([fixture.joins, fixture.direct], JSON.stringify(one)).to.deep.equal([[], []])
      await fixture.stop()
    }
  })

  it('marks direct chats as such, beside those that there are', async () => {
    const marked = async (direct?: JsonObject): Promise<JsonObject[]> => {
      const fixture = start(direct && { direct })
      await fixture.invite(ALICE, { is_direct: true })
      await fixture.stop()
      return fixture.direct
    }
    expect(await marked()).to.deep.equal([{ [ALICE]: [ROOM] }])
    expect(await marked({ [ALICE]: ['!other'], [ZOE]: ['!third'] })).to.deep.equal([
      { [ALICE]: ['!other', ROOM], [ZOE]: ['!third'] },
    ])
    expect(await marked({ [ALICE]: 'nonsense' })).to.deep.equal([{ [ALICE]: [ROOM] }])
    expect(await marked({ [ALICE]: [ROOM] })).to.deep.equal([])
  })
})

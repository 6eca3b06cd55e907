import { expect } from 'chai'
import type { RoomId, UserId } from '../../../../src/protocol/ids.js'
import { UsageNotices } from '../../../../src/services/journeys/usage-notices.js'
import type { JsonObject } from '../../../../src/util/json.js'

const ALICE = '@alice:hs.test' as UserId
const ROOM = '!notices:hs.test' as RoomId

/** What a user is sent, whose notices are in memory. */
function start({ tells = true }: { tells?: boolean } = {}) {
  const sent: { type: string; content: JsonObject }[] = []
  const errors: unknown[] = []
  const state = { isFull: false, roomId: undefined as RoomId | undefined, pinned: [] as unknown }
  const known = new Map<string, object>()
  const notices = new UsageNotices({
    db: { reader: {} } as never,
    limits: { isFull: () => Promise.resolve(state.isFull) },
    notices: {
      findRoom: () => Promise.resolve(state.roomId),
      send: (_userId, { type, content }) => {
        const eventId = `$${sent.length}`
        state.roomId = ROOM
        sent.push({ type, content })
        known.set(eventId, { event: { content } })
        if (type === 'm.room.pinned_events') state.pinned = content['pinned']
        return Promise.resolve(eventId as never)
      },
    },
    roomState: {
      getStateEvent: () => Promise.resolve({ event: { content: { pinned: state.pinned } } } as never),
    },
    events: {
      getByIds: (_q, ids) =>
        Promise.resolve(
          new Map(ids.flatMap((id) => (known.has(id) ? [[id, known.get(id)!] as const] : []))) as never,
        ),
    },
    onError: (error) => errors.push(error),
    options: { tells, adminContact: 'mailto:admin@hs.test' },
  })
  const count = async (isFull: boolean): Promise<string[]> => {
    state.isFull = isFull
    const before = sent.length
    notices.onCounted(ALICE)
    await notices.settle()
    return sent.slice(before).map(({ type }) => type)
  }
  return { sent, errors, state, known, count }
}

describe('UsageNotices', () => {
  it('say once that the limit is reached, pinned, and take it back when there is room', async () => {
    const { sent, errors, state, count } = start()
    expect(await count(false)).to.deep.equal([])
    expect(await count(true)).to.deep.equal(['m.room.message', 'm.room.pinned_events'])
    expect(sent[0]?.content).to.include({
      msgtype: 'm.server_notice',
      server_notice_type: 'm.server_notice.usage_limit_reached',
      limit_type: 'monthly_active_user',
      admin_contact: 'mailto:admin@hs.test',
    })
    expect(state.pinned).to.deep.equal(['$0'])
    expect(await count(true)).to.deep.equal([])
    expect(await count(false)).to.deep.equal(['m.room.pinned_events'])
    expect(state.pinned).to.deep.equal([])
    expect(await count(false)).to.deep.equal([])
    expect(errors).to.deep.equal([])
  })

  it('leave other pinned events where they are, whatever is there', async () => {
    const { state, known, count } = start()
    state.roomId = ROOM
    state.pinned = ['$other', 7, '$unknown']
    known.set('$other', { event: { content: { msgtype: 'm.server_notice' } } })
    await count(true)
    expect(state.pinned).to.deep.equal(['$other', '$unknown', '$0'])
    await count(false)
    expect(state.pinned).to.deep.equal(['$other', '$unknown'])
    state.pinned = 'nonsense'
    await count(true)
    expect(state.pinned).to.deep.equal(['$3'])
  })

  it('say nothing where the operator does not want it, and take back what was said', async () => {
    const { state, known, count } = start({ tells: false })
    expect(await count(true)).to.deep.equal([])
    state.roomId = ROOM
    state.pinned = ['$said']
    const content = { server_notice_type: 'm.server_notice.usage_limit_reached' }
    known.set('$said', { event: { content } })
    expect(await count(true)).to.deep.equal(['m.room.pinned_events'])
    expect(state.pinned).to.deep.equal([])
  })
})

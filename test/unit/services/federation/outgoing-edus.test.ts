import { expect } from 'chai'
import type { RoomId, UserId } from '../../../../src/protocol/ids.js'
import { subjectOf, toEdus, type OutgoingEdu } from '../../../../src/services/federation/outgoing-edus.js'

const ROOM = '!room:a.test' as RoomId
const OTHER = '!other:a.test' as RoomId
const ALICE = '@alice:a.test' as UserId
const BOB = '@bob:a.test' as UserId

function receipt(
  userId: UserId,
  eventId: string,
  changes: Partial<{ roomId: RoomId; threadId: string }> = {},
) {
  return {
    kind: 'receipt',
    roomId: ROOM,
    userId,
    threadId: undefined,
    eventId,
    ts: 5,
    streamId: 1,
    ...changes,
  } as const
}

function presence(userId: UserId, state: string): OutgoingEdu {
  return { kind: 'presence', userId, content: { presence: state } }
}

describe('outgoing EDUs', () => {
  it('put receipts together where there is room for them', () => {
    const edus = [
      receipt(ALICE, '$1'),
      receipt(BOB, '$2', { threadId: 'main' }),
      receipt(ALICE, '$3', { roomId: OTHER }),
      receipt(ALICE, '$4', { threadId: '$root' }),
    ]
    const { json, taken } = toEdus(edus, 100)
    expect(taken).to.deep.equal(edus)
    expect(json).to.deep.equal([
      {
        edu_type: 'm.receipt',
        content: {
          [ROOM]: {
            'm.read': {
              [ALICE]: { data: { ts: 5 }, event_ids: ['$1'] },
              [BOB]: { data: { ts: 5, thread_id: 'main' }, event_ids: ['$2'] },
            },
          },
          [OTHER]: { 'm.read': { [ALICE]: { data: { ts: 5 }, event_ids: ['$3'] } } },
        },
      },
      {
        edu_type: 'm.receipt',
        content: {
          [ROOM]: { 'm.read': { [ALICE]: { data: { ts: 5, thread_id: '$root' }, event_ids: ['$4'] } } },
        },
      },
    ])
  })

  it('put the presence of many into one', () => {
    const users = Array.from({ length: 51 }, (_, n) => `@user${n}:a.test` as UserId)
    const { json } = toEdus(
      users.map((userId) => presence(userId, 'online')),
      100,
    )
    expect(json.map(({ content }) => (content['push'] as unknown[]).length)).to.deep.equal([50, 1])
    expect(json[1]).to.deep.equal({
      edu_type: 'm.presence',
      content: { push: [{ presence: 'online', user_id: users[50] }] },
    })
  })

  it('are no more than asked for; what still fits into those is taken', () => {
    const typing: OutgoingEdu = { kind: 'typing', roomId: ROOM, userId: ALICE, typing: true }
    const edus = [presence(ALICE, 'online'), typing, receipt(ALICE, '$1'), presence(BOB, 'offline')]
    const { json, taken } = toEdus(edus, 2)
    expect(json.map(({ edu_type: type }) => type)).to.deep.equal(['m.presence', 'm.typing'])
    expect(taken).to.deep.equal([edus[0], edus[1], edus[3]])
    expect(toEdus(edus, 0)).to.deep.equal({ json: [], taken: [] })
  })

  it('are about a user, and a room, and a thread', () => {
    expect(subjectOf(receipt(ALICE, '$1'))).to.equal(subjectOf(receipt(ALICE, '$2')))
    const others = [
      receipt(ALICE, '$1'),
      receipt(BOB, '$1'),
      receipt(ALICE, '$1', { threadId: 'main' }),
      receipt(ALICE, '$1', { roomId: OTHER }),
      presence(ALICE, 'online'),
    ]
    expect(new Set(others.map(subjectOf)).size).to.equal(others.length)
  })
})

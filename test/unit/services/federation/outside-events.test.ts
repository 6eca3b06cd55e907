import { expect } from 'chai'
import type { MatrixError } from '../../../../src/protocol/errors.js'
import type { Event } from '../../../../src/protocol/event.js'
import type { ServerName } from '../../../../src/protocol/ids.js'
import { OutsideEvents } from '../../../../src/services/federation/outside-events.js'
import type { RoomRecord } from '../../../../src/storage/stores/rooms.js'
import type { JsonObject } from '../../../../src/util/json.js'

const BOB = '@bob:b.test'
const ALICE = '@alice:a.test'
const ROOM = { roomNid: 1 } as RoomRecord

describe('OutsideEvents', () => {
  /** Somebody's waiting membership of ours, as the database has it. */
  function build(waiting: { membership: string; sender: string; unsigned?: JsonObject }) {
    const stored: string[] = []
    const { membership, sender, unsigned = {} } = waiting
    const event = { eventId: '$waiting', sender, content: { membership }, json: { unsigned } }
    const outside = new OutsideEvents({ reader: {} } as never, {
      members: { get: () => Promise.resolve({ membership, eventNid: 7, sender } as never) },
      events: { getByNids: () => Promise.resolve(new Map([[7, { event } as never]])) },
      outside: {
        store: (_room, { eventId }) => {
          stored.push(eventId)
          return Promise.resolve({} as never)
        },
      },
      serverName: 'b.test' as ServerName,
    })
    const receive = async (
      by: string,
      { is = 'leave', stateKey = BOB, cites = ['$power', '$waiting'], type = 'm.room.member' } = {},
    ): Promise<boolean> => {
      const content = { membership: is }
      const end = { eventId: '$end', type, stateKey, sender: by, content, authEventIds: cites }
      const error = await outside
        .receive(ROOM, end as unknown as Event)
        .catch((err: unknown) => err as MatrixError)
      const isStored = stored.splice(0).length === 1
      expect(!error || error.status === 403).to.equal(true)
      expect(error === undefined).to.equal(isStored)
      return isStored
    }
    return receive
  }

  it('ends an invitation for who has sent it, with the event that was sent for it only', async () => {
    const receive = build({ membership: 'invite', sender: ALICE })
    expect(await receive(ALICE)).to.equal(true)
    expect(await receive(ALICE, { is: 'ban' })).to.equal(true)
    expect(await receive('@anna:a.test')).to.equal(false)
    expect(await receive('@eve:evil.test')).to.equal(false)
    // As it has ended an earlier one.
    expect(await receive(ALICE, { cites: ['$power', '$earlier'] })).to.equal(false)
  })

  it('ends a knock for users of servers only that are known to be in the room', async () => {
    const state = [{ type: 'm.room.create', state_key: '', sender: '@carol:c.test', content: {} }]
    const receive = build({
      membership: 'knock',
      sender: BOB,
      unsigned: { via: ['a.test'], knock_room_state: state },
    })
    expect(await receive(ALICE)).to.equal(true)
    expect(await receive('@cleo:c.test', { is: 'ban' })).to.equal(true)
    expect(await receive('@eve:evil.test')).to.equal(false)
    expect(await receive(ALICE, { cites: ['$earlier'] })).to.equal(false)
  })

  it('ends no knock of which it is not known who has taken it', async () => {
    expect(await build({ membership: 'knock', sender: BOB })(ALICE)).to.equal(false)
  })

  it('takes nothing else', async () => {
    const receive = build({ membership: 'invite', sender: ALICE })
    expect(await receive(ALICE, { is: 'join' })).to.equal(false)
    expect(await receive(ALICE, { stateKey: '@zoe:z.test' })).to.equal(false)
    expect(await receive(ALICE, { type: 'm.room.message' })).to.equal(false)
    for (const membership of ['join', 'leave', 'ban']) {
      expect(await build({ membership, sender: ALICE })(ALICE)).to.equal(false)
    }
  })
})

import { expect } from 'chai'
import type { EventId, ServerName } from '../../../../src/protocol/ids.js'
import { FederationError, type FederationRequest } from '../../../../src/services/remote/federation-client.js'
import { RemoteStates } from '../../../../src/services/federation/remote-states.js'
import type { RoomRecord } from '../../../../src/storage/stores/rooms.js'
import { silentLogger } from '../../../../src/telemetry/logger.js'

const SERVER = 'b.test' as ServerName
const ROOM = { roomNid: 1, roomId: '!room:b.test' } as RoomRecord
const STATE = ['$create', '$member', '$name'] as EventId[]
const AFTER = '$after' as EventId

describe('RemoteStates', () => {
  /** `gives`: which events the server gives when it is asked for them. */
  function build(gives: readonly EventId[], onAsked: () => void = () => undefined) {
    const held = new Set<EventId>()
    const asked: string[] = []
    const stored = (eventId: EventId) => ({
      roomNid: 1,
      rejected: null,
      event: {
        eventId,
        type: eventId === '$create' ? 'm.room.create' : eventId,
        stateKey: eventId === AFTER ? undefined : '',
        isState: () => eventId !== AFTER,
      },
    })
    const find = <T>(ids: readonly EventId[], of: (id: EventId) => T): Promise<Map<EventId, T>> =>
      Promise.resolve(new Map(ids.filter((id) => held.has(id)).map((id) => [id, of(id)])))
    const states = new RemoteStates({ reader: {} } as never, {
      client: {
        requestWithText: ({ path, signal, destination }: FederationRequest) => {
          asked.push(path)
          if (signal?.aborted || !path.includes('/state_ids/')) {
            return Promise.reject(new FederationError(destination, 'unreachable', 'no'))
          }
          return Promise.resolve({ json: { pdu_ids: STATE, auth_chain_ids: [] }, text: '' })
        },
      },
      intake: {} as never,
      outliers: {
        store: () => Promise.resolve(),
        fetch: (_room: RoomRecord, ids: readonly EventId[]) => {
          for (const id of ids) if (gives.includes(id)) held.add(id)
          onAsked()
          return Promise.resolve()
        },
      } as never,
      events: {
        getNids: (_q: unknown, ids: readonly EventId[]) => find(ids, () => 1),
        getByIds: (_q: unknown, ids: readonly EventId[]) => find(ids, stored),
      } as never,
      currentState: { get: () => Promise.resolve(undefined) } as never,
      logger: silentLogger(),
    })
    return { states, asked, held }
  }

  it('gives the state as far as the server has its events', async () => {
    const { states } = build(['$create', '$member', AFTER] as EventId[])
    expect(await states.after(ROOM, AFTER, [SERVER])).to.deep.equal(['$create', '$member'])
  })

  it('gives no state of which a part has not come in time, and goes on with what has', async () => {
    const ending = new AbortController()
    const { states, held } = build(['$create', '$member', AFTER] as EventId[], () => ending.abort())
    expect(await states.after(ROOM, AFTER, [SERVER], ending.signal)).to.equal(undefined)
    held.add('$name' as EventId)
    expect(await states.after(ROOM, AFTER, [SERVER])).to.deep.equal(STATE)
  })

  it('asks nobody when the time is over', async () => {
    const { states, asked } = build([])
    expect(await states.after(ROOM, AFTER, [SERVER], AbortSignal.abort())).to.equal(undefined)
    expect(asked).to.deep.equal([])
  })
})

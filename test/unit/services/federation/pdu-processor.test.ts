import { expect } from 'chai'
import type { Event } from '../../../../src/protocol/event.js'
import type { EventId, RoomId, ServerName } from '../../../../src/protocol/ids.js'
import type { Reception } from '../../../../src/services/events/reception.js'
import { PduProcessor } from '../../../../src/services/federation/pdu-processor.js'
import type { PullOptions } from '../../../../src/services/federation/pulled-events.js'
import type { RoomRecord } from '../../../../src/storage/stores/rooms.js'
import { silentLogger } from '../../../../src/telemetry/logger.js'
import { ManualClock } from '../../../support/manual-clock.js'

const [SLOW, OTHER] = ['slow.test', 'other.test'] as [ServerName, ServerName]
const EVENT = { eventId: '$event' } as never
const MISSING: Reception = { outcome: 'missing', prevEvents: ['$before' as EventId], authEvents: [] }
const ACCEPTED: Reception = { outcome: 'accepted', stored: {} as never }

describe('PduProcessor', () => {
  /**
   * `explains`: who tells what came before; `takesMs`: how long everybody takes to answer; `states`: how many more
   * questions what they tell leads to.
   */
  function build({
    explains,
    takesMs,
    states = 0,
  }: {
    explains: ReadonlySet<ServerName>
    takesMs: number
    states?: number
  }) {
    const clock = new ManualClock()
    const asked: ServerName[] = []
    let isExplained = false
    const receive = (): Promise<Reception> => {
      const outcome = isExplained ? ACCEPTED : MISSING
      isExplained = false
      return Promise.resolve(outcome)
    }
    const processor = new PduProcessor({
      receiver: { receive, receiveAll: () => Promise.resolve([MISSING]) } as never,
      outliers: {} as never,
      missing: {
        fetch: (_room: RoomRecord, _event: Event, server: ServerName) => {
          asked.push(server)
          clock.advance(takesMs)
          isExplained = explains.has(server)
          return Promise.resolve([])
        },
      } as never,
      pulled: {
        receive: (_room: RoomRecord, _events: Event[], { servers, signal }: PullOptions) => {
          for (let state = 0; state < states && !signal!.aborted; state++) {
            asked.push(...servers)
            clock.advance(takesMs)
          }
          return Promise.resolve(0)
        },
      } as never,
      policy: undefined,
      clock,
      logger: silentLogger(),
    })
    const send = async (origin: ServerName, roomNid = 1): Promise<string> => {
      const room = { roomNid, roomId: `!${roomNid}` as RoomId } as RoomRecord
      const [reception] = await processor.processAll(room, [{ origin, event: EVENT }])
      return reception!.outcome
    }
    return { clock, asked, processor, send }
  }

  it('lets no server hold up a room again and again that does not explain what it sends', async () => {
    const { clock, asked, send } = build({ explains: new Set([OTHER]), takesMs: 60_000 })
    expect(await send(SLOW)).to.equal('missing')
    expect(await send(SLOW)).to.equal('missing')
    expect(asked).to.deep.equal([SLOW])
    // Other servers, and other rooms, have nothing to do with it.
    expect(await send(OTHER)).to.equal('accepted')
    expect(await send(SLOW, 2)).to.equal('missing')
    expect(asked).to.deep.equal([SLOW, OTHER, SLOW])
    clock.advance(240_000)
    await send(SLOW)
    expect(asked).to.have.length(4)
  })

  it('lets nobody hold up a room all the time by explaining slowly', async () => {
    const { clock, asked, send } = build({ explains: new Set([SLOW]), takesMs: 60_000 })
    expect(await send(SLOW)).to.equal('accepted')
    expect(await send(SLOW)).to.equal('missing')
    clock.advance(60_000)
    expect(await send(SLOW)).to.equal('accepted')
    expect(asked).to.deep.equal([SLOW, SLOW])
  })

  it('asks for so long only, to whatever number of questions an event leads', async () => {
    const { clock, asked, send } = build({ explains: new Set(), takesMs: 50_000, states: 10 })
    const begin = clock.now()
    expect(await send(SLOW)).to.equal('missing')
    expect([asked.length, clock.now() - begin, clock.pending]).to.deep.equal([4, 200_000, 0])
  })

  it('lets others be dealt with while it asks', async () => {
    const { processor, asked } = build({ explains: new Set([SLOW]), takesMs: 20 })
    const during: number[] = []
    const room = { roomNid: 1, roomId: '!1' as RoomId } as RoomRecord
    await processor.processAll(room, [{ origin: SLOW, event: EVENT }], {
      signal: new AbortController().signal,
      whileAsking: async (ask) => {
        const before = asked.length
        const outcome = await ask()
        during.push(asked.length - before)
        return outcome
      },
    })
    // First the policy of the room, then who has sent the event.
    expect(during).to.deep.equal([0, 1])
  })

  it('leaves out what it had no time to ask about, so that it is dealt with another time', async () => {
    const { clock, processor } = build({ explains: new Set(), takesMs: 20 })
    const ending = new AbortController()
    const room = { roomNid: 1, roomId: '!1' as RoomId } as RoomRecord
    let turns = 0
    const receptions = await processor.processAll(
      room,
      [
        { origin: SLOW, event: EVENT },
        { origin: OTHER, event: EVENT },
      ],
      {
        signal: ending.signal,
        whileAsking: (ask) => {
          // The first turn is for the policy of the room.
          if (++turns === 2) ending.abort()
          return ask()
        },
      },
    )
    expect([receptions, turns, clock.pending]).to.deep.equal([[], 2, 0])
  })

  it('asks those again that answer fast, whatever they say', async () => {
    const { asked, send } = build({ explains: new Set(), takesMs: 20 })
    await send(SLOW)
    await send(SLOW)
    expect(asked).to.deep.equal([SLOW, SLOW])
  })
})

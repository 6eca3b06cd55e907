import { expect } from 'chai'
import type { Event } from '../../../../src/protocol/event.js'
import type { EventId, RoomId, ServerName } from '../../../../src/protocol/ids.js'
import type { Reception } from '../../../../src/services/events/reception.js'
import { PduProcessor } from '../../../../src/services/federation/pdu-processor.js'
import type { RoomRecord } from '../../../../src/storage/stores/rooms.js'
import { silentLogger } from '../../../../src/telemetry/logger.js'
import { ManualClock } from '../../../support/manual-clock.js'

const [SLOW, OTHER] = ['slow.test', 'other.test'] as [ServerName, ServerName]
const EVENT = { eventId: '$event' } as never
const MISSING: Reception = { outcome: 'missing', prevEvents: ['$before' as EventId], authEvents: [] }
const ACCEPTED: Reception = { outcome: 'accepted', stored: {} as never }

describe('PduProcessor', () => {
  /** `explains`: who tells what came before; `takesMs`: how long everybody takes to answer. */
  function build({ explains, takesMs }: { explains: ReadonlySet<ServerName>; takesMs: number }) {
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
      pulled: { receive: () => Promise.resolve(0) } as never,
      policy: undefined,
      clock,
      logger: silentLogger(),
    })
    const send = async (origin: ServerName, roomNid = 1): Promise<string> => {
      const room = { roomNid, roomId: `!${roomNid}` as RoomId } as RoomRecord
      const [reception] = await processor.processAll(room, [{ origin, event: EVENT }])
      return reception!.outcome
    }
    return { clock, asked, send }
  }

  it('lets no server hold up a room again and again that does not explain what it sends', async () => {
    const { clock, asked, send } = build({ explains: new Set([OTHER]), takesMs: 60_000 })
    expect(await send(SLOW)).to.equal('missing')
    expect(await send(SLOW)).to.equal('missing')
    expect(asked).to.deep.equal([SLOW])
    // Other servers, and other rooms, have nothing to do with it.
    expect(await send(OTHER)).to.equal('accepted')
    expect(await send(OTHER)).to.equal('accepted')
    expect(await send(SLOW, 2)).to.equal('missing')
    expect(asked).to.deep.equal([SLOW, OTHER, OTHER, SLOW])
    clock.advance(240_000)
    await send(SLOW)
    expect(asked).to.have.length(5)
  })

  it('asks those again that answer fast, whatever they say', async () => {
    const { asked, send } = build({ explains: new Set(), takesMs: 20 })
    await send(SLOW)
    await send(SLOW)
    expect(asked).to.deep.equal([SLOW, SLOW])
  })
})

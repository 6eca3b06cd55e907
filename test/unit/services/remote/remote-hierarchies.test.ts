import { expect } from 'chai'
import type { RoomId, ServerName } from '../../../../src/protocol/ids.js'
import type { FederationRequest } from '../../../../src/services/remote/federation-client.js'
import { RemoteHierarchies } from '../../../../src/services/remote/remote-hierarchies.js'
import { ManualClock } from '../../../support/manual-clock.js'

const SERVER = 'b.test' as ServerName
const ALL = { suggestedOnly: false }

describe('RemoteHierarchies', () => {
  /** `bytes`: how long each answer is said to be. */
  function build(bytes: number) {
    const asked: string[] = []
    const clock = new ManualClock()
    const hierarchies = new RemoteHierarchies({
      clock,
      client: {
        requestWithText: ({ path }: FederationRequest) => {
          const roomId = decodeURIComponent(path.split('/').at(-1)!)
          asked.push(roomId)
          return Promise.resolve({ json: { room: { room_id: roomId } }, text: 'x'.repeat(bytes) })
        },
      },
    })
    const get = (index: number): Promise<unknown> =>
      hierarchies.get(`!r${index}:b.test` as RoomId, [SERVER], ALL)
    return { asked, clock, get }
  }

  it('remembers what was told for a minute', async () => {
    const { asked, clock, get } = build(100)
    for (let round = 0; round < 3; round++) await get(1)
    expect(asked).to.have.length(1)
    clock.advance(60_000)
    await get(1)
    expect(asked).to.have.length(2)
  })

  it('remembers so much only, whatever a server tells', async () => {
    const { asked, get } = build(8 * 1024 * 1024)
    for (let index = 0; index < 6; index++) await get(index)
    await get(5)
    expect(asked).to.have.length(6)
    await get(0)
    expect(asked).to.have.length(7)
  })
})

import { expect } from 'chai'
import type { RoomId, ServerName } from '../../../../src/protocol/ids.js'
import { EduDispatcher } from '../../../../src/services/federation/edu-dispatcher.js'
import { silentLogger } from '../../../../src/telemetry/logger.js'
import type { JsonObject } from '../../../../src/util/json.js'

const ORIGIN = 'other.test' as ServerName
const SHUT = '!shut:hs.test' as RoomId

describe('EduDispatcher', () => {
  let edus: EduDispatcher
  let taken: JsonObject[]

  beforeEach(() => {
    taken = []
    const acls = { isAllowed: (roomId: RoomId) => Promise.resolve(roomId !== SHUT) }
    edus = new EduDispatcher({ acls, logger: silentLogger() })
    for (const type of ['m.typing', 'm.receipt', 'm.presence']) {
      edus.on(type, (_origin, content) => {
        taken.push(content)
        return Promise.resolve()
      })
    }
  })
  const dispatch = (type: string, content: JsonObject): Promise<void> =>
    edus.dispatch(ORIGIN, [{ edu_type: type, content }])

  it('hands EDUs to whom they concern, in order', async () => {
    edus.on('m.other', (origin, content) => {
      taken.push({ origin, ...content })
      return Promise.resolve()
    })
    await edus.dispatch(ORIGIN, [
      { edu_type: 'm.presence', content: { n: 1 } },
      { edu_type: 'm.other', content: { n: 2 } },
    ])
    expect(taken).to.deep.equal([{ n: 1 }, { origin: ORIGIN, n: 2 }])
  })

  it('leaves out what is no EDU and what nobody takes', async () => {
    const odd = [
      null,
      1,
      'x',
      [],
      {},
      { edu_type: 3 },
      { edu_type: 'm.presence' },
      { edu_type: 'm.unknown', content: {} },
    ]
    await edus.dispatch(ORIGIN, [...odd, { edu_type: 'm.presence', content: [] }])
    expect(taken).to.deep.equal([])
  })

  it('goes on after a handler that fails', async () => {
    edus.on('m.bad', () => Promise.reject(new Error('The handler fails')))
    await edus.dispatch(ORIGIN, [
      { edu_type: 'm.bad', content: {} },
      { edu_type: 'm.presence', content: { n: 1 } },
    ])
    expect(taken).to.deep.equal([{ n: 1 }])
  })

  it('takes out what rooms do not let the server say', async () => {
    await dispatch('m.typing', { room_id: SHUT, typing: true })
    await dispatch('m.typing', { room_id: 'no room', typing: true })
    await dispatch('m.typing', { typing: true })
    expect(taken).to.deep.equal([])
    await dispatch('m.typing', { room_id: '!open:hs.test', typing: true })
    await dispatch('m.receipt', { [SHUT]: { a: 1 }, '!open:hs.test': { b: 2 } })
    expect(taken).to.deep.equal([{ room_id: '!open:hs.test', typing: true }, { '!open:hs.test': { b: 2 } }])
  })
})

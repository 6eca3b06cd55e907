import { startHomeserver, type TestHomeserver } from '../../../support/homeserver.js'
import { expectAnswer, expectAnswers, textIn } from '../../../support/expected-answers.js'
import { path, type MatrixClient } from '../../../support/matrix-client.js'

describe('answers about account data', () => {
  let hs: TestHomeserver
  let alice: MatrixClient
  let bob: MatrixClient
  let roomId: string

  before(async () => {
    hs = await startHomeserver()
    alice = await hs.register('alice')
    bob = await hs.register('bob')
    roomId = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(roomId)
  })
  after(() => hs[Symbol.asyncDispose]())

  it('come to their owner alone', async () => {
    const data = path`/_matrix/client/v3/user/${alice.userId}/account_data/org.example.notes`
    await expectAnswers([
      [alice, `GET ${data}`, [404, 'M_NOT_FOUND']],
      [alice, `PUT ${data}`, 200, { color: 'red' }],
      [alice, `GET ${data}`, 200],
      [bob, `GET ${data}`, [403, 'M_FORBIDDEN']],
      [bob, `PUT ${data}`, [403, 'M_FORBIDDEN'], {}],
      [hs.client(), `GET ${data}`, [401, 'M_MISSING_TOKEN']],
      [alice, `PUT ${data}`, [400, 'M_BAD_JSON'], [1]],
    ])
    await expectAnswer(alice, `PUT ${data}`, [400, 'M_NOT_JSON'], { rawBody: '{"color": ' })
  })

  it('of a room come to their owner alone', async () => {
    const ofRoom = (room: string): string =>
      path`/_matrix/client/v3/user/${alice.userId}/rooms/${room}/account_data/org.example.notes`
    const data = ofRoom(roomId)
    await expectAnswers([
      [alice, `GET ${data}`, [404, 'M_NOT_FOUND']],
      [alice, `PUT ${data}`, 200, { color: 'blue' }],
      [alice, `GET ${data}`, 200],
      [bob, `GET ${data}`, [403, 'M_FORBIDDEN']],
      [bob, `PUT ${data}`, [403, 'M_FORBIDDEN'], {}],
      [alice, `PUT ${data}`, [400, 'M_BAD_JSON'], 'text'],
      [alice, `PUT ${ofRoom('no room')}`, [400, 'M_INVALID_PARAM'], {}],
      [alice, `GET ${ofRoom('no room')}`, [400, 'M_INVALID_PARAM']],
    ])
    await expectAnswer(alice, `PUT ${data}`, [400, 'M_NOT_JSON'], { rawBody: 'color' })
  })

  it('leave to the server what is its own', async () => {
    for (const type of ['m.fully_read', 'm.push_rules']) {
      const mine = path`/_matrix/client/v3/user/${alice.userId}/account_data/${type}`
      const ofRoom = path`/_matrix/client/v3/user/${alice.userId}/rooms/${roomId}/account_data/${type}`
      await expectAnswers([
        [alice, `PUT ${mine}`, [405, 'M_BAD_JSON'], {}],
        [alice, `PUT ${ofRoom}`, [405, 'M_BAD_JSON'], {}],
      ])
    }
  })

  it('tell tags to their owner alone', async () => {
    const tags = path`/_matrix/client/v3/user/${alice.userId}/rooms/${roomId}/tags`
    await expectAnswers([
      [alice, `PUT ${tags}/u.work`, 200, { order: 0.5 }],
      [alice, `GET ${tags}`, 200],
      [bob, `GET ${tags}`, [403, 'M_FORBIDDEN']],
      [bob, `PUT ${tags}/u.work`, [403, 'M_FORBIDDEN'], {}],
      [bob, `DELETE ${tags}/u.work`, [403, 'M_FORBIDDEN']],
      [alice, `DELETE ${tags}/u.work`, 200],
    ])
  })

  it('give filters to those who have made them', async () => {
    const filters = path`/_matrix/client/v3/user/${alice.userId}/filter`
    const answer = await expectAnswer(alice, `POST ${filters}`, 200, { body: { room: { timeline: {} } } })
    const filter = `${filters}/${textIn(answer, 'filter_id')}`
    await expectAnswers([
      [alice, `GET ${filter}`, 200],
      [alice, `GET ${filters}/999`, [404, 'M_NOT_FOUND']],
      [alice, `GET ${filters}/none`, [404, 'M_NOT_FOUND']],
      [bob, `GET ${filter}`, [403, 'M_FORBIDDEN']],
      [bob, `POST ${filters}`, [403, 'M_FORBIDDEN'], {}],
    ])
  })
})

import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { path, type MatrixClient } from '../../support/matrix-client.js'

const REPORTS = '/_synapse/admin/v1/event_reports'

forEachServerDatabase('the administration API of event reports', (database) => {
  let server: TestHomeserver
  let admin: MatrixClient
  let room: string
  let first: string
  let second: string

  before(async () => {
    server = await startHomeserver({ database })
    admin = await server.register('admin', { isAdmin: true })
    const alice = await server.register('alice')
    const bob = await server.register('bob')
    room = await alice.createRoom({ name: 'Cats', preset: 'public_chat' })
    await bob.join(room)
    first = await alice.sendText(room, 'One')
    second = await alice.sendText(room, 'Two')
    for (const eventId of [first, second]) {
      await bob.must('POST', path`/_matrix/client/v3/rooms/${room}/report/${eventId}`, {
        body: { reason: `About ${eventId}`, score: -50 },
      })
    }
  })
  after(() => server[Symbol.asyncDispose]())

  const list = (query: string): Promise<JsonObject> => admin.must('GET', `${REPORTS}${query}`)
  const eventsOf = async (query: string): Promise<unknown[]> =>
    ((await list(query))['event_reports'] as JsonObject[]).map((report) => report['event_id'])

  it('lists them, the newest first', async () => {
    expect(await eventsOf('')).to.have.members([first, second])
    expect(await eventsOf('?dir=b&limit=1')).to.deep.equal([(await eventsOf('?dir=f'))[1]])
    expect(await list('?limit=1')).to.deep.include({ total: 2, next_token: 1 })
    expect(await list('?limit=1&from=1')).not.to.have.property('next_token')
    expect(await eventsOf('?user_id=bob')).to.have.length(2)
    expect(await eventsOf('?user_id=%25')).to.deep.equal([])
    expect(await eventsOf(`?room_id=${encodeURIComponent(room)}`)).to.have.length(2)
    expect(await eventsOf('?event_sender_user_id=@bob:hs.test')).to.deep.equal([])
    expect(await eventsOf('?event_sender_user_id=@alice:hs.test')).to.have.length(2)
  })

  it('shows one with its event, and deletes it', async () => {
    const [report] = (await list('?dir=f'))['event_reports'] as JsonObject[]
    const id = Number(report?.['id'])
    expect(report).to.deep.include({
      room_id: room,
      name: 'Cats',
      canonical_alias: null,
      user_id: '@bob:hs.test',
      sender: '@alice:hs.test',
      reason: `About ${report?.['event_id'] as string}`,
      score: -50,
    })
    const shown = await list(`/${id}`)
    expect(shown).to.deep.include(report)
    expect(shown['event_json']).to.have.property('type', 'm.room.message')
    expect((await admin.request('DELETE', `${REPORTS}/${id}`)).body).to.deep.equal({})
    const gone = await admin.request('GET', `${REPORTS}/${id}`)
    expect([gone.status, gone.body['errcode']]).to.deep.equal([404, 'M_NOT_FOUND'])
    expect((await admin.request('DELETE', `${REPORTS}/${id}`)).status).to.equal(404)
    expect((await admin.request('GET', `${REPORTS}/x`)).body['errcode']).to.equal('M_INVALID_PARAM')
  })
})

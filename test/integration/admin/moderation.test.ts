import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { eventsAt, path, type MatrixClient } from '../../support/matrix-client.js'

const V1 = '/_synapse/admin/v1'

forEachServerDatabase('the administration API for moderators', (database) => {
  let server: TestHomeserver
  let admin: MatrixClient
  let alice: MatrixClient
  let bob: MatrixClient

  before(async () => {
    server = await startHomeserver({ database })
    admin = await server.register('admin', { isAdmin: true })
    alice = await server.register('alice')
    bob = await server.register('bob')
  })
  after(() => server[Symbol.asyncDispose]())

  const refusal = async (method: string, target: string, body?: JsonObject) => {
    const answer = await admin.request(method, target, body === undefined ? {} : { body })
    return [answer.status, answer.body['errcode']]
  }
  const idsOf = (answer: JsonObject, name = 'chunk') =>
    eventsAt(answer, name).map((event) => event['event_id'])

  it('shows the history of rooms that administrators are not in', async () => {
    const roomId = await alice.createRoom({ name: 'Secret' })
    const [first, second] = [await alice.sendText(roomId, '1'), await alice.sendText(roomId, '2')]
    const room = `${V1}/rooms/${roomId}`
    const page = await admin.must('GET', `${room}/messages?dir=b&limit=1`)
    expect(idsOf(page)).to.deep.equal([second])
    expect(page).to.include.keys('start', 'end')
    const next = await admin.must('GET', `${room}/messages?dir=b&limit=1&from=${page['end'] as string}`)
    expect(idsOf(next)).to.deep.equal([first])
    const { event } = await admin.must('GET', `${V1}/fetch_event/${encodeURIComponent(first)}`)
    expect(event).to.deep.include({ event_id: first, room_id: roomId, type: 'm.room.message' })
    expect(event).to.include.keys('auth_events', 'hashes', 'signatures', 'depth')
    expect(await refusal('GET', `${V1}/fetch_event/$nothing`)).to.deep.equal([404, 'M_NOT_FOUND'])
    const context = await admin.must('GET', `${room}/context/${encodeURIComponent(first)}?limit=2`)
    expect(context['event']).to.have.property('event_id', first)
    expect(idsOf(context, 'events_after')).to.deep.equal([second])
    const latest = await admin.must('GET', `${room}/timestamp_to_event?ts=99999999999999&dir=b`)
    expect(latest['event_id']).to.equal(second)
    const ends = await admin.must('GET', `${room}/forward_extremities`)
    expect(ends['count']).to.equal(1)
    expect((ends['results'] as JsonObject[])[0]).to.include.keys(
      'event_id',
      'state_group',
      'depth',
      'received_ts',
    )
    expect((ends['results'] as JsonObject[])[0]).to.have.property('event_id', second)
    for (const what of ['messages', 'timestamp_to_event?ts=1', 'context/$x', 'forward_extremities']) {
      expect(await refusal('GET', `${V1}/rooms/!nowhere:hs.test/${what}`), what).to.deep.equal([
        404,
        'M_NOT_FOUND',
      ])
    }
  })

  it('brings users into rooms', async () => {
    const open = await alice.createRoom({ preset: 'public_chat', room_alias_name: `open_${database}` })
    const alias = encodeURIComponent(`#open_${database}:hs.test`)
    const joined = await admin.must('POST', `${V1}/join/${alias}`, { body: { user_id: bob.userId } })
    expect(joined).to.deep.equal({ room_id: open })
    expect((await bob.must('GET', '/_matrix/client/v3/joined_rooms'))['joined_rooms']).to.include(open)
    const closed = await admin.createRoom({})
    await admin.must('POST', `${V1}/join/${closed}`, { body: { user_id: bob.userId } })
    expect((await bob.must('GET', '/_matrix/client/v3/joined_rooms'))['joined_rooms']).to.include(closed)
    const foreign = await alice.createRoom({})
    const target = `${V1}/join/${foreign}`
    expect(await refusal('POST', target, { user_id: bob.userId })).to.deep.equal([403, 'M_FORBIDDEN'])
    expect(await refusal('POST', target, { user_id: '@a:b.test' })).to.deep.equal([400, 'M_INVALID_PARAM'])
    expect(await refusal('POST', target, { user_id: '@no:hs.test' })).to.deep.equal([404, 'M_NOT_FOUND'])
  })

  for (const version of ['11', '12']) {
    it(`gives administrators power in rooms of version ${version}`, async () => {
      const roomId = await alice.createRoom({ room_version: version })
      const target = `${V1}/rooms/${roomId}/make_room_admin`
      expect(await admin.must('POST', target)).to.deep.equal({})
      await admin.join(roomId)
      const levels = await admin.state(roomId, 'm.room.power_levels')
      expect((levels['users'] as JsonObject)[admin.userId]).to.be.at.least(100)
      await admin.sendState(roomId, 'm.room.power_levels', '', { ...levels, ban: 60 })
      await admin.must('POST', target, { body: { user_id: bob.userId } })
      await bob.join(roomId)
      for (const client of [alice, admin, bob]) await client.leave(roomId)
      expect(await refusal('POST', target)).to.deep.equal([400, 'M_UNKNOWN'])
    })
  }

  it('redacts what a user has sent', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(roomId)
    const spam = [await bob.sendText(roomId, '1'), await bob.sendText(roomId, '2')]
    const kept = await alice.sendText(roomId, '3')
    const body = { rooms: [roomId], reason: 'Spam' }
    const { redact_id: id } = await admin.must('POST', path`/_synapse/admin/v1/user/${bob.userId}/redact`, {
      body,
    })
    let status: JsonObject
    do status = await admin.must('GET', `${V1}/user/redact_status/${id as string}`)
    while (status['status'] === 'active')
    expect(status).to.deep.equal({ status: 'complete', failed_redactions: {} })
    const shown = eventsAt(await alice.messages(roomId), 'chunk')
    const contentOf = (eventId: string) => shown.find((event) => event['event_id'] === eventId)?.['content']
    expect(spam.map(contentOf)).to.deep.equal([{}, {}])
    expect(contentOf(kept)).to.have.property('body', '3')
    const tasks = (await admin.must('GET', `${V1}/scheduled_tasks?action_name=redact_all_events`))[
      'scheduled_tasks'
    ]
    expect((tasks as JsonObject[])[0]).to.deep.include({
      id,
      status: 'complete',
      resource_id: bob.userId,
      error: null,
    })
    expect(await admin.must('GET', `${V1}/scheduled_tasks?status=active`)).to.deep.equal({
      scheduled_tasks: [],
    })
    expect(await refusal('GET', `${V1}/user/redact_status/nothing`)).to.deep.equal([404, 'M_NOT_FOUND'])
  })
})

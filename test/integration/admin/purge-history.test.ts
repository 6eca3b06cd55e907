import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { eventsAt, path, type MatrixClient } from '../../support/matrix-client.js'

const V1 = '/_synapse/admin/v1'

const idsOf = (events: readonly JsonObject[]) => events.map((event) => event['event_id'])
const typesOf = (events: readonly JsonObject[]) => events.map((event) => event['type'])

forEachServerDatabase('the administration API of purging history', (database) => {
  let server: TestHomeserver
  let admin: MatrixClient
  let alice: MatrixClient

  before(async () => {
    server = await startHomeserver({ database })
    admin = await server.register('admin', { isAdmin: true })
    alice = await server.register('alice')
  })
  after(() => server[Symbol.asyncDispose]())

  async function say(roomId: string, count: number): Promise<string[]> {
    const ids: string[] = []
    for (let index = 0; index < count; index++) ids.push(await alice.sendText(roomId, `Message ${index}`))
    return ids
  }

  async function purge(target: string, body: JsonObject): Promise<void> {
    const { purge_id: id } = await admin.must('POST', `${V1}/purge_history/${target}`, { body })
    let status: JsonObject
    do status = await admin.must('GET', `${V1}/purge_history_status/${id as string}`)
    while (status['status'] === 'active')
    expect(status).to.deep.equal({ status: 'complete' })
  }

  const messagesOf = async (roomId: string) => eventsAt(await alice.messages(roomId), 'chunk')

  it('takes away what came before an event, and leaves the room as it was', async () => {
    const roomId = await alice.createRoom({ name: 'Cats' })
    const since = await alice.syncToken()
    const [first, ...others] = await say(roomId, 12)
    const last = others.at(-1)!
    const after = await alice.syncToken()
    await purge(path`${roomId}/${last}`, { delete_local_events: true })

    expect(idsOf(await messagesOf(roomId))).to.deep.equal([last])
    const room = (await alice.sync())['rooms']
    const timeline = eventsAt(room, 'join', roomId, 'timeline', 'events')
    expect(idsOf(timeline)).to.deep.equal([last])
    const state = typesOf(eventsAt(room, 'join', roomId, 'state', 'events'))
    expect(state).to.include.members(['m.room.create', 'm.room.member', 'm.room.power_levels', 'm.room.name'])
    for (const token of [since, after]) await alice.sync({ since: token })
    const gone = await alice.request('GET', path`/_matrix/client/v3/rooms/${roomId}/event/${first!}`)
    expect(gone.status).to.equal(404)

    const next = await alice.sendText(roomId, 'Here we go')
    expect(idsOf(await messagesOf(roomId))).to.deep.equal([next, last])
    const bob = await server.register(`bob_${database}`)
    await alice.invite(roomId, bob.userId)
    await bob.join(roomId)
    expect((await bob.state(roomId, 'm.room.name'))['name']).to.equal('Cats')
  })

  it('goes by time, and by the body', async () => {
    const roomId = await alice.createRoom({})
    const ids = await say(roomId, 4)
    const shown = await alice.must('GET', path`/_matrix/client/v3/rooms/${roomId}/event/${ids[2]!}`)
    await purge(roomId, { delete_local_events: true, purge_up_to_event_id: ids[1]! })
    expect(idsOf(await messagesOf(roomId))).to.deep.equal([ids[3], ids[2], ids[1]])
    await purge(roomId, {
      delete_local_events: true,
      purge_up_to_ts: Number(shown['origin_server_ts']) + 60_000,
    })
    expect(idsOf(await messagesOf(roomId))).to.deep.equal([ids[3]])
  })

  it('keeps what only this server has, unless it is told otherwise', async () => {
    const roomId = await alice.createRoom({})
    const [first, last] = await say(roomId, 2)
    await purge(path`${roomId}/${last!}`, {})
    expect(idsOf(await messagesOf(roomId))).to.deep.equal([last])
    const report = path`/_matrix/client/v3/rooms/${roomId}/event/${first!}`
    expect((await alice.request('GET', report)).status).to.equal(404)
  })

  it('says what is wrong with a request', async () => {
    const [roomId, other] = [await alice.createRoom({}), await alice.createRoom({})]
    const [eventId] = await say(other, 1)
    const refusals: [string, JsonObject, number, string][] = [
      [roomId, {}, 400, 'M_BAD_JSON'],
      [path`${roomId}/${eventId!}`, {}, 400, 'M_UNKNOWN'],
      [path`${roomId}/${'$nothing'}`, {}, 404, 'M_NOT_FOUND'],
      ['!nowhere:hs.test', { purge_up_to_ts: 1 }, 404, 'M_NOT_FOUND'],
      [roomId, { purge_up_to_ts: 1 }, 404, 'M_NOT_FOUND'],
      [roomId, { purge_up_to_ts: 'x' }, 400, 'M_BAD_JSON'],
    ]
    for (const [target, body, status, errcode] of refusals) {
      const answer = await admin.request('POST', `${V1}/purge_history/${target}`, { body })
      expect([answer.status, answer.body['errcode']], target).to.deep.equal([status, errcode])
    }
    const unknown = await admin.request('GET', `${V1}/purge_history_status/nothing`)
    expect([unknown.status, unknown.body['errcode']]).to.deep.equal([404, 'M_NOT_FOUND'])
    const plain = await alice.request('POST', `${V1}/purge_history/${roomId}`, { body: {} })
    expect(plain.status).to.equal(403)
  })
})

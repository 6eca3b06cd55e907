import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { startFederation, type TestFederation } from '../../support/federation.js'
import { eventsAt, path, syncJoinedTo, syncLeftFrom, type MatrixClient } from '../../support/matrix-client.js'

describe('The history of rooms that were joined late', () => {
  let servers: TestFederation
  let alice: MatrixClient
  let bob: MatrixClient

  before(async () => {
    servers = await startFederation(['a.test', 'b.test'])
    alice = await servers.get('a.test').register('alice')
    bob = await servers.get('b.test').register('bob')
  })
  after(() => servers[Symbol.asyncDispose]())

  async function say(roomId: string, count: number): Promise<string[]> {
    const ids: string[] = []
    for (let index = 0; index < count; index++) ids.push(await alice.sendText(roomId, `message ${index}`))
    return ids
  }
  const join = (roomId: string): Promise<string> => bob.join(roomId, { via: ['a.test'] })

  /** All of the room as Bob, or somebody else, pages back to its beginning. */
  async function readBack(roomId: string, limit: number, reader = bob): Promise<string[]> {
    const ids: string[] = []
    let from: string | undefined
    for (let page = 0; page < 20; page++) {
      const answer: JsonObject = await reader.messages(roomId, { dir: 'b', limit, ...(from && { from }) })
      ids.push(...eventsAt(answer, 'chunk').map((event) => event['event_id'] as string))
      if (answer['end'] === undefined) return ids.reverse()
      from = answer['end'] as string
    }
    throw new Error('There is no end')
  }

  for (const version of ['1', '6', '11', '12']) {
    it(`is got from those who have it, in version ${version}`, async () => {
      const roomId = await alice.createRoom({ preset: 'public_chat', room_version: version })
      const said = await say(roomId, 20)
      await join(roomId)
      const read = await readBack(roomId, 10)
      expect(read.filter((id) => said.includes(id))).to.deep.equal(said)
      expect(new Set(read).size).to.equal(read.length)
    })
  }

  /** Purges what came before an event, at one of the servers. */
  async function purge(server: string, roomId: string, eventId: string): Promise<void> {
    const admin = await servers.get(server).register('admin', { isAdmin: true })
    const purges = '/_synapse/admin/v1/purge_history'
    const { purge_id: id } = await admin.must('POST', `${purges}/${path`${roomId}/${eventId}`}`, { body: {} })
    let status: JsonObject
    do status = await admin.must('GET', `${purges}_status/${id as string}`)
    while (status['status'] === 'active')
    expect(status).to.deep.equal({ status: 'complete' })
  }

  it('is got again when it was purged, with what was taken back', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await join(roomId)
    const said = await say(roomId, 30)
    await alice.sendState(roomId, 'm.room.topic', '', { topic: 'Cats' })
    said.push(...(await say(roomId, 1)))
    await alice.redact(roomId, said[3]!)
    const last = await alice.sendText(roomId, 'last')
    await bob.mustSyncUntil((sync) => JSON.stringify(sync).includes(last))
    const before = await readBack(roomId, 10)
    await purge('b.test', roomId, last)
    expect(await readBack(roomId, 10)).to.deep.equal(before)
    const redacted = await bob.must('GET', path`/_matrix/client/v3/rooms/${roomId}/event/${said[3]!}`)
    expect(redacted['content']).to.deep.equal({})
    expect((await bob.state(roomId, 'm.room.topic'))['topic']).to.equal('Cats')
  })

  it('is got again from those who do not know what came before them', async () => {
    const roomId = await alice.createRoom({ preset: 'private_chat' })
    await say(roomId, 2)
    await alice.invite(roomId, bob.userId)
    await join(roomId)
    const said = await say(roomId, 5)
    await bob.mustSyncUntil((sync) => JSON.stringify(sync).includes(said.at(-1)!))
    said.push(await bob.sendText(roomId, 'heard'))
    await alice.mustSyncUntil((sync) => JSON.stringify(sync).includes(said.at(-1)!))
    const last = await alice.sendText(roomId, 'last')
    await bob.mustSyncUntil((sync) => JSON.stringify(sync).includes(last))
    await purge('a.test', roomId, last)
    const read = await readBack(roomId, 10, alice)
    expect(read.filter((id) => said.includes(id))).to.deep.equal(said)
    expect(await alice.state(roomId, 'm.room.member', bob.userId)).to.include({ membership: 'join' })
  })

  it('is got in more than one piece', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    const said = await say(roomId, 230)
    await join(roomId)
    const read = await readBack(roomId, 150)
    expect(read.filter((id) => said.includes(id))).to.deep.equal(said)
  })

  it('is got for those who come back', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    const early = await say(roomId, 3)
    await join(roomId)
    await alice.mustSyncUntil(syncJoinedTo(roomId, bob.userId))
    await bob.leave(roomId)
    await bob.mustSyncUntil(syncLeftFrom(roomId), { filter: { room: { include_leave: true } } })
    await alice.mustSyncUntil((response) => JSON.stringify(response).includes('"leave"'))
    const late = await say(roomId, 20)
    await join(roomId)
    const read = await readBack(roomId, 10)
    expect(read.filter((id) => [...early, ...late].includes(id))).to.deep.equal([...early, ...late])
  })

  it('ends where nobody can be asked', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await say(roomId, 3)
    await join(roomId)
    await servers.cut('a.test', 'b.test')
    try {
      const read = await readBack(roomId, 10)
      expect(read).to.have.length.above(0)
    } finally {
      await servers.heal('a.test', 'b.test')
    }
  })

  it('is found by time, and around what was found', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    const [a, b] = [await alice.sendText(roomId, 'a'), await alice.sendText(roomId, 'b')]
    const tsOf = async (id: string): Promise<number> =>
      Number(
        (await alice.must('GET', path`/_matrix/client/v3/rooms/${roomId}/event/${id}`))['origin_server_ts'],
      )
    const [tsA, tsB] = [await tsOf(a), await tsOf(b)]
    await join(roomId)
    const at = (ts: number, dir: string): Promise<JsonObject> =>
      bob.must('GET', path`/_matrix/client/v1/rooms/${roomId}/timestamp_to_event` + `?ts=${ts}&dir=${dir}`)
    expect(await at(tsB, 'b')).to.deep.equal({ event_id: b, origin_server_ts: tsB })
    const context = await bob.must('GET', path`/_matrix/client/v3/rooms/${roomId}/context/${b}` + '?limit=0')
    const before = await bob.messages(roomId, { dir: 'b', from: context['start'] as string, limit: 100 })
    expect(eventsAt(before, 'chunk').map((event) => event['event_id'])).to.include(a)
    const around = await bob.messages(roomId, { dir: 'b', from: context['end'] as string, limit: 100 })
    expect(eventsAt(around, 'chunk').map((event) => event['event_id'])).to.include.members([a, b])
    expect(await at(tsA, 'f')).to.deep.equal({ event_id: a, origin_server_ts: tsA })
  })

  it('stands around an event that is asked for', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    const said = await say(roomId, 5)
    await join(roomId)
    const { chunk } = await bob.messages(roomId, { dir: 'b', limit: 1 })
    const [last] = eventsAt(chunk)
    const target = path`/_matrix/client/v3/rooms/${roomId}/context/${last!['event_id'] as string}?limit=8`
    const context = await bob.must('GET', target.replace('%3F', '?'))
    const ids = eventsAt(context, 'events_before').map((event) => event['event_id'])
    expect(ids).to.include.members(said.slice(-3))
  })
})

import { expect } from 'chai'
import type { RoomId } from '../../../src/protocol/ids.js'
import type { JsonObject } from '../../../src/util/json.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { dig, path, type MatrixClient } from '../../support/matrix-client.js'
import { listOf, roomsIn, SlidingClient } from '../../support/sliding-client.js'

forEachServerDatabase('rooms that are excluded from syncs', (database) => {
  let hs: TestHomeserver
  let alice: MatrixClient
  let bob: MatrixClient
  let shown: string
  let hidden: string

  before(async () => {
    hs = await startHomeserver({ database })
    const [first, second] = [await hs.register('alice'), await hs.register('bob')]
    shown = await first.createRoom({ preset: 'public_chat' })
    hidden = await first.createRoom({ preset: 'public_chat' })
    // IDs are known once there are rooms.
    const excluded = hs.config.rooms.excludedFromSync as Set<RoomId>
    excluded.add(hidden as RoomId)
    await hs.restart()
    alice = await hs.login(first.userId)
    bob = await hs.login(second.userId)
    await bob.join(shown)
  })
  after(() => hs[Symbol.asyncDispose]())

  const roomsOf = (answer: JsonObject): string[] =>
    Object.values((answer['rooms'] ?? {}) as Record<string, JsonObject>).flatMap((rooms) =>
      Object.keys(rooms),
    )
  const archived = { room: { include_leave: true } }
  const tokenOf = (answer: JsonObject): string => answer['next_batch'] as string

  it('are in no sync of those who are in them, at the beginning or later', async () => {
    const tag = path`/_matrix/client/v3/user/${alice.userId}/rooms/${hidden}/tags/u.tag`
    await alice.must('PUT', tag, { body: {} })
    const begun = await alice.sync()
    expect(roomsOf(begun)).to.deep.equal([shown])
    await alice.must('PUT', tag, { body: { order: 0.5 } })
    await alice.sendText(hidden, 'Hello')
    await alice.sendState(hidden, 'm.room.name', '', { name: 'Hidden' })
    await alice.must('PUT', path`/_matrix/client/v3/rooms/${hidden}/typing/${alice.userId}`, {
      body: { typing: true, timeout: 30_000 },
    })
    const later = await alice.sync({ since: tokenOf(begun) })
    expect(roomsOf(later)).to.deep.equal([])
    await alice.sendText(shown, 'Hello')
    expect(roomsOf(await alice.sync({ since: tokenOf(later) }))).to.deep.equal([shown])
    expect(roomsOf(await alice.sync({ since: tokenOf(later), fullState: true }))).to.deep.equal([shown])
  })

  it('are in no sync of those who are invited, come, go, or are thrown out', async () => {
    const carol = await hs.register('carol')
    let since = await carol.syncToken()
    const news = async (): Promise<string[]> => {
      const answer = await carol.sync({ since })
      since = tokenOf(answer)
      return roomsOf(answer)
    }
    await alice.invite(hidden, carol.userId)
    expect(await news()).to.deep.equal([])
    await carol.join(hidden)
    expect(await news()).to.deep.equal([])
    await carol.leave(hidden)
    expect(await news()).to.deep.equal([])
    expect(roomsOf(await carol.sync({ filter: archived }))).to.deep.equal([])
    await carol.join(hidden)
    await alice.kick(hidden, carol.userId)
    expect(await news()).to.deep.equal([])
    expect(roomsOf(await carol.sync())).to.deep.equal([])
    await carol.join(shown)
    expect(await news()).to.deep.equal([shown])
  })

  it('are in no list of sliding sync, and cannot be subscribed to', async () => {
    const sliding = new SlidingClient(alice)
    const answer = await sliding.sync({
      ...listOf([0, 9]),
      room_subscriptions: { [hidden]: { timeline_limit: 1, required_state: [] } },
    })
    expect(roomsIn(answer)).to.deep.equal([shown])
    expect(dig(answer, 'lists', 'all', 'count')).to.equal(1)
    await alice.sendText(hidden, 'Hello')
    expect(roomsIn(await sliding.sync(listOf([0, 9])))).to.deep.equal([])
    const dave = await hs.register('dave')
    await alice.invite(hidden, dave.userId)
    expect(roomsIn(await new SlidingClient(dave).sync(listOf([0, 9])))).to.deep.equal([])
    await dave.join(hidden)
    await alice.kick(hidden, dave.userId)
    expect(roomsIn(await new SlidingClient(dave).sync(listOf([0, 9])))).to.deep.equal([])
  })

  it('notify nobody, since nobody could read what has notified them', async () => {
    const erin = await hs.register('erin')
    await alice.invite(hidden, erin.userId)
    await erin.join(hidden)
    await erin.join(shown)
    await alice.sendText(hidden, `${erin.userId} where are you?`)
    await alice.sendText(shown, `${erin.userId} where are you?`)
    const { notifications } = await erin.must('GET', '/_matrix/client/v3/notifications')
    const rooms = (notifications as JsonObject[]).map(({ room_id: roomId }) => roomId)
    expect(rooms).to.deep.equal([shown])
  })

  it('are rooms like all others for everything else', async () => {
    await bob.join(hidden)
    const eventId = await bob.sendText(hidden, 'Anybody here?')
    const { chunk } = await alice.messages(hidden, { dir: 'b', limit: 1 })
    expect(chunk).to.have.nested.property('[0].event_id', eventId)
    const { joined_rooms: joined } = await bob.must('GET', '/_matrix/client/v3/joined_rooms')
    expect(joined).to.have.members([hidden, shown])
    const before = await alice.must('GET', path`/_matrix/client/v3/rooms/${hidden}/joined_members`)
    expect(dig(before, 'joined', bob.userId)).to.not.equal(undefined)
  })
})

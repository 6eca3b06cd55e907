import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { ManualClock } from '../../support/manual-clock.js'
import { dig, type ClientError, type MatrixClient } from '../../support/matrix-client.js'
import {
  extensionIn,
  keysIn,
  listOf,
  roomIn,
  roomsIn,
  SlidingClient,
  textsIn,
} from '../../support/sliding-client.js'

const LONG_MS = 60_000
const DAY_MS = 24 * 3_600_000

forEachServerDatabase('Connections of sliding sync', (database) => {
  let hs: TestHomeserver
  let alice: MatrixClient
  let bob: MatrixClient
  let roomId: string
  let users = 0

  before(async () => {
    hs = await startHomeserver({ database })
  })

  after(() => hs[Symbol.asyncDispose]())

  beforeEach(async () => {
    users++
    alice = await hs.register(`alice${users}`)
    bob = await hs.register(`bob${users}`)
    roomId = await alice.createRoom({ preset: 'public_chat', topic: 'Leaves' })
    await bob.join(roomId)
  })

  const BODY = listOf([0, 9], {
    timelineLimit: 3,
    requiredState: [
      ['m.room.topic', ''],
      ['m.room.member', '$LAZY'],
    ],
  })

  async function refusal(answer: Promise<unknown>): Promise<unknown> {
    return answer.then(
      () => 'answered',
      (error: unknown) => [(error as ClientError).status, (error as ClientError).errcode],
    )
  }

  it('wait for news, and answer with empty hands when the time is over', async () => {
    const sliding = new SlidingClient(bob)
    await sliding.sync(BODY)
    const waiting = sliding.sync(BODY, { timeout: LONG_MS })
    await alice.sendText(roomId, 'hello')
    expect(textsIn(roomIn(await waiting, roomId))).to.deep.equal(['hello'])
    const before = sliding.pos
    const nothing = await sliding.sync(BODY, { timeout: 10 })
    expect(roomsIn(nothing)).to.deep.equal([])
    expect(dig(nothing, 'lists', 'all', 'count')).to.equal(1)
    expect(sliding.pos).to.equal(before)
    const invited = sliding.sync(BODY, { timeout: LONG_MS })
    const other = await alice.createRoom({ invite: [bob.userId] })
    expect(roomsIn(await invited)).to.deep.equal([other])
  })

  it('give the same answer when it is asked for again, until the client goes on from it', async () => {
    const sliding = new SlidingClient(alice)
    const first = await sliding.sync(BODY)
    await bob.sendText(roomId, 'hello')
    const pos = first['pos'] as string
    const lost = await sliding.sync(BODY)
    const again = await sliding.sync(BODY, { pos })
    expect(textsIn(roomIn(again, roomId))).to.deep.equal(['hello'])
    expect(keysIn(roomIn(again, roomId))).to.deep.equal(keysIn(roomIn(lost, roomId)))
    expect(roomsIn(await sliding.sync(BODY))).to.deep.equal([])
  })

  it('tell a room again whose first answer was lost', async () => {
    const sliding = new SlidingClient(alice)
    const before = await sliding.sync({})
    const pos = before['pos'] as string
    expect(roomIn(await sliding.sync(BODY), roomId)).to.include({ initial: true })
    const again = roomIn(await sliding.sync(BODY, { pos }), roomId)
    expect(again).to.include({ initial: true })
    expect(keysIn(again)).to.include('m.room.topic/')
    const other = await alice.createRoom()
    expect(roomsIn(await sliding.sync(BODY))).to.deep.equal([other])
    await sliding.sync(BODY)
    expect(await refusal(sliding.sync(BODY, { pos }))).to.deep.equal([400, 'M_UNKNOWN_POS'])
  })

  it('are known by user, device and ID', async () => {
    const list = new SlidingClient(alice, 'room-list')
    const encryption = new SlidingClient(alice, 'encryption')
    const settings = { extensions: { to_device: { enabled: true }, e2ee: { enabled: true } } }
    const [first] = await Promise.all([list.sync(BODY), encryption.sync(settings)])
    const both = [
      list.sync(BODY, { timeout: LONG_MS }),
      encryption.sync(settings, { timeout: LONG_MS }),
    ] as const
    const target = `/_matrix/client/v3/sendToDevice/org.example.x/${users}`
    await bob.must('PUT', target, { body: { messages: { [alice.userId]: { '*': { a: 1 } } } } })
    expect(dig(extensionIn(await both[1], 'to_device'), 'events', 0, 'content')).to.deep.equal({ a: 1 })
    await bob.sendText(roomId, 'hello')
    expect(textsIn(roomIn(await both[0], roomId))).to.deep.equal(['hello'])
    const pos = first['pos'] as string
    const phone = await hs.client().login(`alice${users}`, 'correct horse')
    for (const other of [
      new SlidingClient(bob, 'room-list'),
      new SlidingClient(phone, 'room-list'),
      encryption,
    ])
      expect(await refusal(other.sync(BODY, { pos }))).to.deep.equal([400, 'M_UNKNOWN_POS'])
    for (const nonsense of ['x', '', 's1', 's1_2~3', `${pos}~0`])
      expect(await refusal(list.sync(BODY, { pos: nonsense }))).to.deep.equal([400, 'M_UNKNOWN_POS'])
  })

  it('begin anew without a position: the old one is forgotten', async () => {
    const sliding = new SlidingClient(alice)
    const first = await sliding.sync(BODY)
    const anew = new SlidingClient(alice)
    expect(roomIn(await anew.sync(BODY), roomId)).to.include({ initial: true })
    expect(await refusal(sliding.sync(BODY, { pos: first['pos'] as string }))).to.deep.equal([
      400,
      'M_UNKNOWN_POS',
    ])
  })

  it('answer an old request when the next one comes', async () => {
    const sliding = new SlidingClient(alice)
    const first = await sliding.sync(BODY)
    const pos = first['pos'] as string
    const old = new SlidingClient(alice).sync(BODY, { pos, timeout: LONG_MS })
    const watched = async (): Promise<JsonObject> =>
      sliding.sync({ ...BODY, txn_id: 'new' }, { pos, timeout: LONG_MS })
    const next = watched()
    expect(roomsIn(await Promise.race([old, next]))).to.deep.equal([])
    await bob.sendText(roomId, 'hello')
    const answers = await Promise.all([old, next])
    const told = answers.filter((answer) => roomsIn(answer).length > 0)
    expect(told).to.have.length(1)
  })

  it('go with their devices', async () => {
    const phone = await hs.client().login(`alice${users}`, 'correct horse')
    await new SlidingClient(phone).sync(BODY)
    await phone.must('POST', '/_matrix/client/v3/logout')
    const left = await new SlidingClient(alice).sync(BODY)
    expect(roomsIn(left)).to.deep.equal([roomId])
  })

  it('go on after the server has started again', async () => {
    const sliding = new SlidingClient(alice, 'room-list')
    const other = await alice.createRoom({ topic: 'Water' })
    await sliding.sync(BODY)
    await alice.sendText(other, 'seen')
    await sliding.sync(BODY)
    // The last answer is lost with the server.
    await alice.sendText(other, 'lost')
    const pos = sliding.pos ?? ''
    await sliding.sync({ ...BODY, ...listOf([0, 0], { timelineLimit: 3 }) })
    await hs.restart()
    const again = new SlidingClient(hs.client().withSession(alice), 'room-list')
    const answer = await again.sync(BODY, { pos })
    expect(roomsIn(answer)).to.deep.equal([other])
    expect(roomIn(answer, other)).to.not.have.property('initial')
    expect(textsIn(roomIn(answer, other))).to.deep.equal(['lost'])
    const narrow = listOf([0, 0], { timelineLimit: 3 })
    await hs.client().withSession(bob).sendText(roomId, 'above')
    await again.sync(narrow)
    await hs.client().withSession(alice).sendText(other, 'on top')
    await hs.client().withSession(alice).sendText(other, 'of it')
    await again.sync(narrow)
    await hs.client().withSession(bob).sendText(roomId, 'later')
    await hs.client().withSession(alice).sendText(other, 'again')
    await again.sync(narrow)
    await hs.restart()
    const last = new SlidingClient(hs.client().withSession(alice), 'room-list')
    const late = roomIn(await last.sync(BODY, { pos: again.pos ?? '' }), roomId)
    expect(textsIn(late)).to.deep.equal(['later'])
  })
})

describe('Connections of sliding sync that nobody uses', () => {
  it('are forgotten after a week', async () => {
    const clock = new ManualClock()
    await using hs = await startHomeserver({ clock })
    const alice = await hs.register('alice')
    await alice.createRoom()
    const sliding = new SlidingClient(alice)
    await sliding.sync(listOf([0, 9]))
    clock.advance(6 * DAY_MS)
    await sliding.sync(listOf([0, 9]))
    clock.advance(6 * DAY_MS)
    await sliding.sync(listOf([0, 9]))
    clock.advance(8 * DAY_MS)
    const refused = await sliding
      .sync(listOf([0, 9]))
      .catch((error: unknown) => (error as ClientError).errcode)
    expect(refused).to.equal('M_UNKNOWN_POS')
  })
})

import { expect } from 'chai'
import {
  ClientEvent,
  createClient,
  Direction,
  EventType,
  KnownMembership,
  MsgType,
  Preset,
  RoomEvent,
  type MatrixClient,
  type MatrixEvent,
  type Room,
} from 'matrix-js-sdk'
import { logger, type Logger } from 'matrix-js-sdk/lib/logger.js'
import { checkedFetch } from '../../support/checked-fetch.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'

const MESSAGES = 300

/** The real client library, twice: what Element and others build on. */
forEachServerDatabase('matrix-js-sdk', (database) => {
  let hs: TestHomeserver
  let alice: MatrixClient
  let bob: MatrixClient

  before(async function () {
    this.timeout(60_000)
    // Parts of the library do not ask which logger the client has.
    for (const chatty of [logger, logger.getChild('[MatrixRTCSessionManager]')]) {
      ;(chatty as unknown as { disableAll(): void }).disableAll()
    }
    hs = await startHomeserver({ database })
    alice = await register(hs.url, 'alice')
    bob = await register(hs.url, 'bob')
    await Promise.all([start(alice), start(bob)])
  })

  after(async () => {
    alice.stopClient()
    bob.stopClient()
    await hs[Symbol.asyncDispose]()
  })

  it('lets two people meet, talk, read back, redact and part', async function () {
    this.timeout(60_000)
    const { room_id: roomId } = await alice.createRoom({ name: 'Tea', preset: Preset.PrivateChat })
    await alice.invite(roomId, bob.getSafeUserId())
    const invited = await until(bob, () => roomWith(bob, roomId, KnownMembership.Invite))
    expect(invited.name).to.equal('Tea')
    await bob.joinRoom(roomId)
    const room = await until(bob, () => roomWith(bob, roomId, KnownMembership.Join))
    const atAlice = await until(alice, () => {
      const here = alice.getRoom(roomId)
      return here?.getMember(bob.getSafeUserId())?.membership === KnownMembership.Join ? here : undefined
    })
    // The library counts after it has told of the membership.
    await until(alice, () => atAlice.getJoinedMemberCount() === 2)

    // Both ways.
    const { event_id: hello } = await alice.sendTextMessage(roomId, 'Hello Bob')
    await until(bob, () => textsIn(room).includes('Hello Bob'))
    await bob.sendEvent(roomId, EventType.RoomMessage, { msgtype: MsgType.Text, body: 'Hello Alice' })
    await until(alice, () => textsIn(atAlice).includes('Hello Alice'))

    // Redaction reaches the other side.
    await alice.redactEvent(roomId, hello)
    await until(bob, () => room.findEventById(hello)?.isRedacted())
    expect(textsIn(room)).to.not.include('Hello Bob')

    await pageBack(roomId)
    await part(roomId)
  })

  /** A third session of Bob's that has seen none of it reads 300 messages back, in their order. */
  async function pageBack(roomId: string): Promise<void> {
    for (let index = 0; index < MESSAGES; index++) await alice.sendTextMessage(roomId, `Message ${index}`)
    const reader = await login(hs.url, 'bob')
    await start(reader)
    const room = await until(reader, () => roomWith(reader, roomId, KnownMembership.Join))
    for (
      let page = 0;
      page < 40 && room.getLiveTimeline().getPaginationToken(Direction.Backward) !== null;
      page++
    ) {
      await reader.scrollback(room, 30)
    }
    const expected = Array.from({ length: MESSAGES }, (_, index) => `Message ${index}`)
    expect(textsIn(room).filter((text) => text.startsWith('Message '))).to.deep.equal(expected)
    const forward = await reader.createMessagesRequest(roomId, null, 20, Direction.Forward)
    expect(forward.chunk[0]?.type).to.equal('m.room.create')
    reader.stopClient()
    await reader.logout(true)
  }

  async function part(roomId: string): Promise<void> {
    await bob.leave(roomId)
    await until(bob, () => bob.getRoom(roomId)?.getMyMembership() === KnownMembership.Leave)
    await until(alice, () => alice.getRoom(roomId)?.getJoinedMemberCount() === 1)
    await bob.logout(true)
    const error = await bob.whoami().catch((reason: unknown) => reason as { errcode?: string })
    expect(error).to.have.property('errcode', 'M_UNKNOWN_TOKEN')
  }
})

const ignore = (): void => undefined
const silent: Logger = {
  getChild: () => silent,
  trace: ignore,
  debug: ignore,
  info: ignore,
  warn: ignore,
  error: ignore,
}

async function register(baseUrl: string, username: string): Promise<MatrixClient> {
  const anonymous = createClient({ baseUrl, logger: silent, fetchFn: checkedFetch })
  const session = await anonymous.registerRequest({
    username,
    password: 'correct horse',
    auth: { type: 'm.login.dummy' },
  })
  return clientOf(baseUrl, session)
}

async function login(baseUrl: string, user: string): Promise<MatrixClient> {
  const session = await createClient({ baseUrl, logger: silent, fetchFn: checkedFetch }).loginRequest({
    type: 'm.login.password',
    identifier: { type: 'm.id.user', user },
    password: 'correct horse',
  })
  return clientOf(baseUrl, session)
}

function clientOf(
  baseUrl: string,
  session: { user_id: string; access_token?: string; device_id?: string },
): MatrixClient {
  return createClient({
    baseUrl,
    userId: session.user_id,
    accessToken: session.access_token ?? '',
    deviceId: session.device_id ?? '',
    timelineSupport: true,
    logger: silent,
    fetchFn: checkedFetch,
  })
}

/** Starts syncing; resolves after the first answer. */
async function start(client: MatrixClient): Promise<void> {
  const prepared = new Promise<void>((resolve) => {
    client.once(ClientEvent.Sync, () => resolve())
  })
  await client.startClient({ initialSyncLimit: 10 })
  await prepared
}

function roomWith(client: MatrixClient, roomId: string, membership: string): Room | undefined {
  const room = client.getRoom(roomId)
  return room?.getMyMembership() === membership ? room : undefined
}

function textsIn(room: Room): string[] {
  const bodyOf = (event: MatrixEvent): unknown => event.getContent()['body']
  return room
    .getLiveTimeline()
    .getEvents()
    .map(bodyOf)
    .filter((body) => typeof body === 'string')
}

/** What `check` gives once it gives something; it is asked whenever the client has synced or seen an event. */
function until<T>(client: MatrixClient, check: () => T | undefined | false): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      stop()
      reject(new Error(`${client.getSafeUserId()} has waited too long for ${check.toString()}`))
    }, 10_000)
    const look = (): void => {
      const found = check()
      if (found === undefined || found === false) return
      stop()
      resolve(found)
    }
    const stop = (): void => {
      clearTimeout(timer)
      client.off(ClientEvent.Sync, look)
      client.off(RoomEvent.Timeline, look)
      client.off(RoomEvent.Redaction, look)
    }
    client.on(ClientEvent.Sync, look)
    client.on(RoomEvent.Timeline, look)
    client.on(RoomEvent.Redaction, look)
    look()
  })
}

import { expect } from 'chai'
import { createClient, Direction, MsgType, type MatrixClient as SdkClient, type Room } from 'matrix-js-sdk'
import { logger } from 'matrix-js-sdk/lib/logger.js'
import { SlidingSync, SlidingSyncEvent } from 'matrix-js-sdk/lib/sliding-sync.js'
import { checkedFetch } from '../../support/checked-fetch.js'
import { startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import type { MatrixClient } from '../../support/matrix-client.js'

const ROOMS = 200
const STEP = 50
const DEADLINE_MS = 40_000
const POLL_MS = 2_000

/** The real client library with sliding sync, as Element Web and Sable use it: all rooms of an account, step by step. */
describe('matrix-js-sdk with sliding sync', () => {
  let hs: TestHomeserver
  let alice: MatrixClient
  let bob: MatrixClient
  let sdk: SdkClient
  let sliding: SlidingSync
  const roomIds: string[] = []

  before(async function () {
    this.timeout(120_000)
    for (const chatty of [logger, logger.getChild('[MatrixRTCSessionManager]')]) {
      ;(chatty as unknown as { disableAll(): void }).disableAll()
    }
    hs = await startHomeserver()
    alice = await hs.register('alice')
    bob = await hs.register('bob')
    for (let index = 0; index < ROOMS; index++)
      roomIds.push(await alice.createRoom({ name: `Room ${index}`, invite: index < 3 ? [bob.userId] : [] }))
    for (const roomId of roomIds.slice(0, 3)) await bob.join(roomId)
    sdk = createClient({
      baseUrl: hs.url,
      userId: alice.userId,
      deviceId: alice.deviceId,
      accessToken: alice.accessToken,
      fetchFn: checkedFetch,
    })
    const list = {
      ranges: [[0, STEP - 1]],
      timeline_limit: 1,
      required_state: [
        ['m.room.create', ''],
        ['m.room.member', '$ME'],
        ['m.room.member', '$LAZY'],
      ],
    }
    const subscription = { timeline_limit: 20, required_state: [['*', '*']] }
    sliding = new SlidingSync(hs.url, new Map([['all', list]]), subscription, sdk, POLL_MS)
    await sdk.startClient({ slidingSync: sliding, threadSupport: true })
  })

  after(async () => {
    sdk.stopClient()
    await hs[Symbol.asyncDispose]()
  })

  /** Resolves when an answer brings about what is waited for. */
  async function until<T>(check: () => T | undefined | false | null): Promise<T> {
    const found = check()
    if (found) return found
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        clearTimeout(timer)
        sliding.off(SlidingSyncEvent.Lifecycle, onAnswer)
      }
      const onAnswer = (): void => {
        const value = check()
        if (!value) return
        stop()
        resolve(value)
      }
      const timer = setTimeout(() => {
        stop()
        reject(new Error('What was waited for has not come'))
      }, DEADLINE_MS)
      sliding.on(SlidingSyncEvent.Lifecycle, onAnswer)
    })
  }

  function textsIn(room: Room): unknown[] {
    return room
      .getLiveTimeline()
      .getEvents()
      .flatMap((event) => (event.getContent()['body'] as unknown) ?? [])
  }

  it('loads all rooms in steps, by their names', async function () {
    this.timeout(DEADLINE_MS * 2)
    await until(() => sdk.getRooms().length >= STEP)
    expect(sliding.getListData('all')?.joinedCount).to.equal(ROOMS)
    for (let end = STEP * 2; end <= ROOMS; end += STEP) {
      sliding.setListRanges('all', [[0, end - 1]])
      await until(() => sdk.getRooms().length >= end)
    }
    const names = sdk.getRooms().map(({ name }) => name)
    expect(new Set(names)).to.deep.equal(new Set(roomIds.map((_, index) => `Room ${index}`)))
    expect(sdk.getRoom(roomIds[0])?.getMyMembership()).to.equal('join')
    expect(sdk.getRoom(roomIds[0])?.getJoinedMemberCount()).to.equal(2)
  })

  it('hears what is said, and says something itself', async function () {
    this.timeout(DEADLINE_MS * 2)
    const roomId = roomIds[1] ?? ''
    const room = await until(() => sdk.getRoom(roomId))
    await bob.sendText(roomId, 'hello')
    await until(() => textsIn(room).includes('hello'))
    expect(room.getMember(bob.userId)?.name).to.equal('bob')
    await sdk.sendEvent(roomId, 'm.room.message' as never, { msgtype: MsgType.Text, body: 'hi' } as never)
    await until(() => textsIn(room).includes('hi'))
    expect(textsIn(room).filter((text) => text === 'hi')).to.have.length(1)
  })

  it('opens a room with more of its past, and all of its state', async function () {
    this.timeout(DEADLINE_MS * 2)
    const roomId = roomIds[2] ?? ''
    const room = await until(() => sdk.getRoom(roomId))
    for (const text of ['one', 'two', 'three']) {
      await bob.sendText(roomId, text)
      // One answer for each: of several that come together the list shows the last alone.
      await until(() => textsIn(room).includes(text))
    }
    sliding.modifyRoomSubscriptions(new Set([roomId]))
    await until(() =>
      room.getLiveTimeline().getState(Direction.Forward)?.getStateEvents('m.room.power_levels', ''),
    )
    expect(textsIn(room).slice(-3)).to.deep.equal(['one', 'two', 'three'])
    expect(room.getMember(bob.userId)?.membership).to.equal('join')
  })

  it('hears of new rooms and invitations', async function () {
    this.timeout(DEADLINE_MS * 2)
    const roomId = await bob.createRoom({ name: 'Tea', invite: [alice.userId] })
    const room = await until(() => sdk.getRoom(roomId))
    expect(room.getMyMembership()).to.equal('invite')
    expect(room.name).to.equal('Tea')
    await sdk.joinRoom(roomId)
    await until(() => sdk.getRoom(roomId)?.getMyMembership() === 'join')
  })

  it('begins anew when the server has forgotten the connection', async function () {
    this.timeout(DEADLINE_MS * 2)
    // Another connection of the device with the same (no) name takes its place.
    const path = '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync'
    await alice.must('POST', path, { body: {} })
    const roomId = roomIds[0] ?? ''
    await bob.sendText(roomId, 'still there?')
    const room = await until(() => sdk.getRoom(roomId))
    await until(() => textsIn(room).includes('still there?'))
  })
})

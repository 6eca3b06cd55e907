import { expect } from 'chai'
import type { UserId } from '../../../../../src/protocol/ids.js'
import { formatSlidingPos } from '../../../../../src/protocol/sliding-pos.js'
import { STREAM_START } from '../../../../../src/protocol/stream-token.js'
import { Watch } from '../../../../../src/services/streams/notifier.js'
import { REPLACED } from '../../../../../src/services/sync/sliding-sync/connections.js'
import { SlidingSync } from '../../../../../src/services/sync/sliding-sync/sliding-sync.js'
import { ManualClock } from '../../../../support/manual-clock.js'

const TIMEOUT_MS = 30_000

describe('SlidingSync', () => {
  let clock: ManualClock
  let watch: Watch
  let connection: AbortController
  let request: AbortController

  beforeEach(() => {
    clock = new ManualClock()
    watch = new Watch(clock, { follow: () => undefined, close: () => undefined })
    connection = new AbortController()
    request = new AbortController()
  })

  /** A request that has nothing to be told; `isOver` once it is answered. */
  async function begin(): Promise<{ isOver: boolean }> {
    const parts = {
      builder: { build: () => Promise.resolve({ hasNews: false, body: {}, changes: {} }) },
      connections: {
        open: () => Promise.resolve({ connection: { nid: 1 }, superseded: connection.signal }),
        commit: () => Promise.resolve(undefined),
        release: () => undefined,
      },
      userRooms: { at: () => Promise.resolve({ joinedIds: new Set() }), joinedNow: () => undefined },
      notifier: { watch: () => watch, currentToken: () => STREAM_START },
      presence: { onSync: () => () => undefined, whenStored: () => Promise.resolve() },
      threads: { position: () => 0 },
      clock,
    }
    const sliding = new SlidingSync(parts as unknown as ConstructorParameters<typeof SlidingSync>[0], {
      isEnabled: true,
    })
    const pos = { stream: STREAM_START, threads: 0, connectionNid: 1, version: 0, paused: new Map() }
    const state = { isOver: false }
    const raw = {
      viewer: { userId: '@a:hs.test' as UserId, deviceId: undefined },
      pos: formatSlidingPos(pos),
      timeoutMs: TIMEOUT_MS,
      setPresence: undefined,
      body: {},
    }
    void sliding.wait(raw, request.signal).then(() => (state.isOver = true))
    await clock.advanceAsync(1)
    expect(state.isOver).to.equal(false)
    return state
  }

  it('answers at once when the next request of the connection comes', async () => {
    const state = await begin()
    connection.abort()
    await clock.advanceAsync(0)
    expect(state.isOver).to.equal(true)
  })

  it('lets those wait until the end whose connection has begun anew, lest two take it from each other in turns', async () => {
    const state = await begin()
    connection.abort(REPLACED)
    await clock.advanceAsync(TIMEOUT_MS - 2)
    watch.wake()
    await clock.advanceAsync(0)
    expect(state.isOver).to.equal(false)
    await clock.advanceAsync(1)
    expect(state.isOver).to.equal(true)
  })

  it('ends with the request', async () => {
    const state = await begin()
    connection.abort(REPLACED)
    request.abort()
    await clock.advanceAsync(0)
    expect(state.isOver).to.equal(true)
  })
})

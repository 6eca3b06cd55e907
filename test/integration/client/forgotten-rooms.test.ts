import { expect } from 'chai'
import { silentLogger } from '../../../src/telemetry/logger.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { ManualClock } from '../../support/manual-clock.js'
import { path, type MatrixClient } from '../../support/matrix-client.js'

const HOUR_MS = 60 * 60_000
const config = { forgotten_room_retention_period: '10h' }

forEachServerDatabase('rooms that everybody has forgotten', (database) => {
  let hs: TestHomeserver
  let clock: ManualClock
  let alice: MatrixClient
  let bob: MatrixClient
  let admin: MatrixClient
  let roomId: string

  beforeEach(async () => {
    clock = new ManualClock()
    // That a room stays after all is a failure in the log.
    const log = { logger: silentLogger(), flush: () => undefined, reopen: () => Promise.resolve() }
    hs = await startHomeserver({ database, clock, config, log })
    ;[alice, bob] = [await hs.register('alice'), await hs.register('bob')]
    admin = await hs.register('admin', { isAdmin: true })
    roomId = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(roomId)
    await alice.sendText(roomId, 'hello')
  })
  afterEach(() => hs[Symbol.asyncDispose]())

  async function forget(client: MatrixClient): Promise<void> {
    const room = path`/_matrix/client/v3/rooms/${roomId}`
    await client.must('POST', `${room}/leave`, { body: {} })
    await client.must('POST', `${room}/forget`, { body: {} })
  }

  async function isKnown(): Promise<boolean> {
    const target = path`/_synapse/admin/v1/rooms/${roomId}`
    const { status } = await hs.client().withSession(admin).request('GET', target)
    return status === 200
  }

  it('are removed when nobody has remembered them for long enough', async () => {
    await forget(alice)
    await bob.must('POST', path`/_matrix/client/v3/rooms/${roomId}/leave`, { body: {} })
    for (let hour = 0; hour < 12; hour++) await clock.advanceAsync(HOUR_MS)
    expect(await isKnown(), 'Bob remembers it').to.equal(true)
    await forget(bob)
    while (await isKnown()) await clock.advanceAsync(HOUR_MS)
  })

  it('stay for somebody who comes back while one is being removed', async () => {
    const { roomShutdowns, lastingTasks } = hs.server.services
    const failures: string[] = []
    const id = await roomShutdowns.removeForgotten(roomId as never)
    await roomShutdowns.outcome(id).catch((error: unknown) => failures.push(String(error)))
    await lastingTasks.settle()
    expect(failures[0]).to.include('come back')
    expect(await isKnown()).to.equal(true)
    expect(await alice.state(roomId, 'm.room.create')).to.have.property('room_version')
  })
})

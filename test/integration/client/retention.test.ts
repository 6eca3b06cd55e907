import { expect } from 'chai'
import { openDatabase } from '../../../src/storage/open-database.js'
import type { JsonObject } from '../../../src/util/json.js'
import { quietContext } from '../../support/databases.js'
import { forEachServerDatabase, startHomeserver } from '../../support/homeserver.js'
import { ManualClock } from '../../support/manual-clock.js'
import { eventsAt, path, type MatrixClient } from '../../support/matrix-client.js'

const DAY_MS = 24 * 60 * 60_000

const retentionOf = (max_lifetime: number) => ({
  type: 'm.room.retention',
  state_key: '',
  content: { max_lifetime },
})
const idsOf = (events: readonly JsonObject[]) => events.map((event) => event['event_id'])
const messagesOf = async (client: MatrixClient, roomId: string) =>
  idsOf(eventsAt(await client.messages(roomId), 'chunk').filter((event) => event['state_key'] === undefined))
const timelineOf = async (client: MatrixClient, roomId: string) =>
  idsOf(eventsAt(await client.sync(), 'rooms', 'join', roomId, 'timeline', 'events'))

forEachServerDatabase('retention', (database) => {
  it('hides what is too old at once', async () => {
    const clock = new ManualClock()
    const config = { retention: { enabled: true } }
    await using hs = await startHomeserver({ database, clock, config })
    const alice = await hs.register('alice')
    const roomId = await alice.createRoom({ name: 'Short', initial_state: [retentionOf(DAY_MS)] })
    const kept = await alice.createRoom({})
    const old = await alice.sendText(roomId, 'old news')
    const oldKept = await alice.sendText(kept, 'kept news')
    clock.advance(DAY_MS - 1000)
    expect(await messagesOf(alice, roomId)).to.deep.equal([old])
    const young = await alice.sendText(roomId, 'young news')
    clock.advance(2000)
    expect(await messagesOf(alice, roomId)).to.deep.equal([young])
    expect(await timelineOf(alice, roomId)).to.include(young)
    expect(await timelineOf(alice, roomId)).not.to.include(old)
    const target = path`/_matrix/client/v3/rooms/${roomId}/event/${old}`
    expect((await alice.request('GET', target)).status).to.equal(404)
    const search = { search_categories: { room_events: { search_term: 'news' } } }
    const found = async () => {
      const answer = await alice.must('POST', '/_matrix/client/v3/search', { body: search })
      return eventsAt(answer, 'search_categories', 'room_events', 'results').map(
        (result) => (result['result'] as JsonObject)['event_id'],
      )
    }
    expect(await found()).to.have.members([young, oldKept])
    expect(await messagesOf(alice, kept)).to.deep.equal([oldKept])
    expect((await alice.state(roomId, 'm.room.name'))['name']).to.equal('Short')
  })

  it('keeps to the default and to the bounds that the operator sets', async () => {
    const clock = new ManualClock()
    const retention = {
      enabled: true,
      default_policy: { max_lifetime: '2d' },
      allowed_lifetime_min: '1d',
      allowed_lifetime_max: '3d',
    }
    await using hs = await startHomeserver({ database, clock, config: { retention } })
    const alice = await hs.register('alice')
    const rooms = {
      usual: await alice.createRoom({}),
      short: await alice.createRoom({ initial_state: [retentionOf(1000)] }),
      long: await alice.createRoom({ initial_state: [retentionOf(30 * DAY_MS)] }),
    }
    for (const roomId of Object.values(rooms)) await alice.sendText(roomId, 'news')
    const left = async () => {
      const counts = await Promise.all(Object.values(rooms).map((roomId) => messagesOf(alice, roomId)))
      return counts.map((messages) => messages.length)
    }
    clock.advance(DAY_MS / 2)
    expect(await left()).to.deep.equal([1, 1, 1])
    clock.advance(DAY_MS)
    expect(await left()).to.deep.equal([1, 0, 1])
    clock.advance(DAY_MS)
    expect(await left()).to.deep.equal([0, 0, 1])
    clock.advance(DAY_MS)
    expect(await left()).to.deep.equal([0, 0, 0])
  })
})

forEachServerDatabase('redacted content', (database) => {
  /** Whether a text is in the database after so many days, whether or not anybody is shown it. */
  async function isKept(days: number, config: JsonObject): Promise<boolean> {
    const clock = new ManualClock()
    await using hs = await startHomeserver({ database, clock, config })
    const alice = await hs.register('alice')
    const roomId = await alice.createRoom({})
    const eventId = await alice.sendText(roomId, 'my secret')
    await alice.must('PUT', path`/_matrix/client/v3/rooms/${roomId}/redact/${eventId}/1`, { body: {} })
    const found = path`/_matrix/client/v3/rooms/${roomId}/event/${eventId}`
    const shown = await alice.must('GET', found)
    clock.advance(days * DAY_MS)
    // Stopping waits for what runs in the background, and that is begun within minutes of a start.
    await hs.restart()
    clock.advance(DAY_MS / 24)
    await hs.restart()
    const again = hs.client().withSession(alice)
    expect(await again.must('GET', found)).to.deep.include({ content: {}, type: shown['type'] })
    const db = await openDatabase(hs.config.database, quietContext())
    const row = await db.reader.first<{ json: string }>('SELECT json FROM events WHERE event_id = ?', [
      eventId,
    ])
    await db.close()
    return row!.json.includes('my secret')
  }

  it('goes for good a week after its redaction, or when the operator says', async () => {
    expect(await isKept(6, {})).to.equal(true)
    expect(await isKept(8, {})).to.equal(false)
    expect(await isKept(8, { redaction_retention_period: '9d' })).to.equal(true)
    expect(await isKept(1000, { redaction_retention_period: null })).to.equal(true)
  })
})

describe('retention', () => {
  it('is told to clients where the operator wants that', async () => {
    const target = '/_matrix/client/unstable/org.matrix.msc1763/retention/configuration'
    const told = async (retention: JsonObject, isOn = true): Promise<unknown> => {
      const config = { retention, experimental_features: { msc1763_enabled: isOn } }
      await using hs = await startHomeserver({ config })
      const alice = await hs.register('alice')
      expect(await hs.client().request('GET', target)).to.include({ status: 401 })
      const { status, body } = await alice.request('GET', target)
      return status === 200 ? body : [status, body['errcode']]
    }
    const limits = { allowed_lifetime_min: '1d', allowed_lifetime_max: '1y' }
    const policy = { default_policy: { min_lifetime: '1d', max_lifetime: '7d' } }
    expect(await told({ enabled: true, ...policy, ...limits })).to.deep.equal({
      policies: { '*': { min_lifetime: 86_400_000, max_lifetime: 604_800_000 } },
      limits: { max_lifetime: { min: 86_400_000, max: 31_536_000_000 } },
    })
    expect(await told({ enabled: true }, false)).to.deep.equal([404, 'M_UNRECOGNIZED'])
  })

  it('is off unless the operator wants it', async () => {
    const clock = new ManualClock()
    await using hs = await startHomeserver({ clock })
    const alice = await hs.register('alice')
    const roomId = await alice.createRoom({ initial_state: [retentionOf(1000)] })
    const eventId = await alice.sendText(roomId, 'news')
    clock.advance(DAY_MS)
    expect(await messagesOf(alice, roomId)).to.deep.equal([eventId])
  })
})

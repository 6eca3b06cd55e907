import { expect } from 'chai'
import {
  createEphemeralFixture,
  requesterOf,
  type EphemeralFixture,
} from '../../../support/ephemeral-services.js'
import type { Database } from '../../../../src/storage/database.js'
import { forEachDatabase } from '../../../support/databases.js'
import { ManualClock } from '../../../support/manual-clock.js'
import { rejection } from '../../../support/rejection.js'
import { RoomRows } from '../../../support/room-rows.js'

const alice = requesterOf('alice')
const bob = requesterOf('bob')
const carol = requesterOf('carol')

forEachDatabase('Presence', (open) => {
  let db: Database
  let room: RoomRows
  let fixture: EphemeralFixture
  const running: EphemeralFixture[] = []
  const start = async (options: Parameters<typeof createEphemeralFixture>[1] = {}) => {
    fixture = await createEphemeralFixture(db, options)
    running.push(fixture)
    await fixture.presence.start()
    return fixture
  }
  beforeEach(async () => {
    db = await open()
    room = await RoomRows.create(db)
    await room.setMembership(alice.userId, 'join')
    await room.setMembership(bob.userId, 'join')
    await start()
  })
  afterEach(async () => {
    for (const { presence } of running.splice(0)) await presence.stop()
  })

  const of = async (who = alice) => (await fixture.presence.get(bob, who.userId))['presence']
  const settled = async (): Promise<number> => {
    await fixture.presence.drain()
    return fixture.streams.presence.position()
  }
  const visible = async (who: typeof alice, since: number | undefined) =>
    fixture.presence.listVisibleChanges(
      db.reader,
      { since, upTo: fixture.streams.presence.position() },
      who.userId,
    )

  it('is online from the first sync until some time after the last', async () => {
    expect(await of()).to.equal('offline')
    const end = fixture.presence.onSync(alice, 'online')
    expect(await fixture.presence.get(bob, alice.userId)).to.deep.equal({
      presence: 'online',
      last_active_ago: 0,
      currently_active: true,
    })
    fixture.clock.advance(120_000)
    expect(await of()).to.equal('online')
    end()
    end()
    fixture.clock.advance(29_999)
    expect(await of()).to.equal('online')
    fixture.clock.advance(1)
    expect(await of()).to.equal('offline')
    expect(await fixture.presence.get(bob, alice.userId)).to.deep.include({ last_active_ago: 150_000 })
  })

  it('stays online while one sync follows another, and is idle when nothing is done', async () => {
    let end = fixture.presence.onSync(alice, 'online')
    for (let passed = 0; passed < 300_000; passed += 30_000) {
      expect(await of()).to.equal('online')
      fixture.clock.advance(30_000)
      end()
      end = fixture.presence.onSync(alice, 'online')
    }
    expect(await of()).to.equal('unavailable')
    fixture.presence.onActivity(alice)
    expect(await of()).to.equal('online')
  })

  it('is what the client says', async () => {
    fixture.presence.onSync(alice, 'unavailable')
    expect(await of()).to.equal('unavailable')
    fixture.presence.onSync(alice, 'online')
    expect(await of()).to.equal('online')
    fixture.presence.onSync(carol, 'offline')
    await room.setMembership(carol.userId, 'join')
    expect(await of(carol)).to.equal('offline')
  })

  it('can be set, with a message', async () => {
    fixture.presence.set(alice, alice.userId, { state: 'online', statusMsg: 'at work' })
    expect(await fixture.presence.get(bob, alice.userId)).to.deep.include({
      presence: 'online',
      status_msg: 'at work',
    })
    fixture.presence.set(alice, alice.userId, { state: 'unavailable', statusMsg: undefined })
    expect(await fixture.presence.get(bob, alice.userId)).to.deep.equal({
      presence: 'unavailable',
      last_active_ago: 0,
    })
  })

  it('refuses what cannot be set', () => {
    const set = (state: string, statusMsg?: string) => (): void =>
      fixture.presence.set(alice, alice.userId, { state, statusMsg })
    expect(set('asleep')).to.throw().with.property('errcode', 'M_INVALID_PARAM')
    expect(set('online', 'x'.repeat(5000)))
      .to.throw()
      .with.property('errcode', 'M_TOO_LARGE')
    expect(() => fixture.presence.set(alice, bob.userId, { state: 'online', statusMsg: undefined }))
      .to.throw()
      .with.property('errcode', 'M_FORBIDDEN')
  })

  it('is seen by those who share a room, and by oneself', async () => {
    fixture.presence.set(alice, alice.userId, { state: 'online', statusMsg: undefined })
    await settled()
    expect(await rejection(fixture.presence.get(carol, alice.userId))).to.include({ errcode: 'M_FORBIDDEN' })
    expect(await fixture.presence.get(alice, alice.userId)).to.include({ presence: 'online' })
    expect((await visible(bob, 0)).map(({ sender }) => sender)).to.deep.equal([alice.userId])
    expect((await visible(alice, 0)).map(({ sender }) => sender)).to.deep.equal([alice.userId])
    expect(await visible(carol, 0)).to.deep.equal([])
  })

  it('tells the rooms of the user, once for each change', async () => {
    const since = await settled()
    const end = fixture.presence.onSync(alice, 'online')
    const first = await settled()
    expect(fixture.positions.filter(({ stream }) => stream === 'presence')).to.deep.equal([
      { stream: 'presence', hints: { users: [alice.userId], rooms: [room.roomId] } },
    ])
    expect(await visible(bob, since)).to.deep.equal([
      {
        type: 'm.presence',
        sender: alice.userId,
        content: { presence: 'online', last_active_ago: 0, currently_active: true },
      },
    ])
    // Activity of those who are active anyway is nothing new.
    fixture.clock.advance(1000)
    fixture.presence.onActivity(alice)
    end()
    expect(await settled()).to.equal(first)
    expect(await visible(bob, first)).to.deep.equal([])
  })

  it('says when the latest change of a user is stored', async () => {
    const since = fixture.streams.presence.position()
    fixture.presence.onSync(alice, 'online')
    fixture.presence.set(alice, alice.userId, { state: 'online', statusMsg: 'busy' })
    await fixture.presence.whenStored(alice.userId)
    const [event] = await visible(bob, since)
    expect(event?.['content']).to.deep.include({ presence: 'online', status_msg: 'busy' })
    // There is nothing to wait for.
    await fixture.presence.whenStored(alice.userId)
    await fixture.presence.whenStored(carol.userId)
  })

  it('shows those who are not offline to a client that starts', async () => {
    fixture.presence.onSync(alice, 'online')
    fixture.presence.onSync(carol, 'online')
    await settled()
    expect((await visible(bob, undefined)).map(({ sender }) => sender)).to.deep.equal([alice.userId])
    const range = { since: undefined, upTo: fixture.streams.presence.position() }
    const wanted = await fixture.presence.listChanges(db.reader, range, [carol.userId, bob.userId])
    expect(wanted.map(({ sender }) => sender)).to.deep.equal([carol.userId])
  })

  it('survives a restart: those who do not come back go offline, messages stay', async () => {
    fixture.presence.set(alice, alice.userId, { state: 'online', statusMsg: 'back soon' })
    const before = await settled()
    await fixture.presence.stop()
    const clock = new ManualClock(fixture.clock.now() + 1000)
    await start({ clock })
    expect(await of()).to.equal('online')
    clock.advance(30_000)
    expect(await of()).to.equal('offline')
    await settled()
    const [event] = await visible(bob, before)
    expect(event?.['content']).to.deep.include({ presence: 'offline', status_msg: 'back soon' })
  })

  it('says nothing where it is switched off', async () => {
    await start({ presence: { enabled: false } })
    fixture.presence.onSync(alice, 'online')()
    fixture.presence.onActivity(alice)
    fixture.presence.set(alice, alice.userId, { state: 'online', statusMsg: undefined })
    expect(await fixture.presence.get(bob, alice.userId)).to.deep.equal({ presence: 'offline' })
    expect(await visible(bob, undefined)).to.deep.equal([])
    expect(fixture.positions).to.deep.equal([])
  })

  it('is only what users set where it is not tracked', async () => {
    await start({ presence: { tracked: false } })
    fixture.presence.onSync(alice, 'online')
    expect(await of()).to.equal('offline')
    fixture.presence.set(alice, alice.userId, { state: 'online', statusMsg: undefined })
    fixture.clock.advance(10_000_000)
    expect(await of()).to.equal('online')
    await settled()
  })
})

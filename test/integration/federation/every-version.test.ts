import { expect } from 'chai'
import type { JsonObject, JsonValue } from '../../../src/util/json.js'
import { ROOM_VERSIONS } from '../../../src/protocol/room-versions.js'
import { createLogger } from '../../../src/telemetry/logger.js'
import { startFederation, type TestFederation } from '../../support/federation.js'
import {
  ClientError,
  dig,
  eventsAt,
  path,
  syncInvitedTo,
  syncJoinedTo,
  syncTimelineHas,
  syncTimelineHasEventId,
  type MatrixClient,
  type SyncCheck,
} from '../../support/matrix-client.js'

const NAMES = ['a.test', 'b.test', 'c.test'] as const
const VERSIONS = [...ROOM_VERSIONS.keys()]
/** The first version in which one can knock, in which rooms can be restricted, and in which both go together. */
const KNOCK = 7
const RESTRICTED = 8
const KNOCK_RESTRICTED = 10
/** Of these creators nobody can say what they may do. */
const PRIVILEGED_CREATORS = 12

/** A room and those on the three servers who are in it to the end. */
interface Story {
  readonly version: string
  readonly roomId: string
}

/**
 * The life of a room on three servers: people are invited, come, talk, quarrel while their servers cannot reach each other,
 * leave, knock, come from another room, and move on. After each part all servers must have the same state.
 */
describe('rooms of every version, on three servers', function () {
  this.timeout(40_000)
  let servers: TestFederation
  let space: string
  /** Of the first server: the creator. */
  let alice: MatrixClient
  /** Of the second: a moderator, and a member. */
  let bob: MatrixClient
  let bea: MatrixClient
  /** Of the third: a member, and one who may ban. */
  let carol: MatrixClient
  let mallory: MatrixClient
  /** One of each server, who are never put out. */
  let witnesses: MatrixClient[]

  before(async () => {
    // What does not get through is logged, and is expected here.
    const log = await createLogger({ level: 'silent', destination: { write: () => undefined } })
    const federation = {
      max_short_retries: 0,
      destination_min_retry_interval: 50,
      destination_max_retry_interval: 200,
    }
    servers = await startFederation(NAMES, { log, config: { federation } })
    const [a, b, c] = servers.list
    ;[alice, bob, bea, carol, mallory] = await Promise.all([
      a!.register('alice'),
      b!.register('bob'),
      b!.register('bea'),
      c!.register('carol'),
      c!.register('mallory'),
    ])
    witnesses = [alice, bob, carol]
    space = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(space, { via: ['a.test'] })
  })
  after(async () => {
    await servers[Symbol.asyncDispose]()
  })

  // Wherever one ended: the next begins with everybody.
  afterEach(() => eachLink((one, other) => servers.heal(one, other)))

  for (const version of VERSIONS) {
    it(`live and end alike in version ${version}`, async () => {
      const story = await open(version)
      await quarrel(story)
      await leave(story)
      await knock(story)
      await comeFromElsewhere(story)
      await moveOn(story)
    })
  }

  /** Everybody is invited, and comes at the same time. */
  async function open(version: string): Promise<Story> {
    const guests = [bob, bea, carol, mallory]
    const roomId = await alice.createRoom({
      preset: 'private_chat',
      room_version: version,
      name: `A room of version ${version}`,
      power_level_content_override: powerLevels(version, { [bob.userId]: 90, [mallory.userId]: 50 }),
      invite: guests.map(({ userId }) => userId),
    })
    await Promise.all(
      guests.map(async (guest) => {
        await until([guest], { roomId }, syncInvitedTo(roomId))
        await guest.join(roomId)
      }),
    )
    // Who comes together with others is not told of them before somebody speaks who knows them all.
    await until([alice], { roomId }, ...guests.map(({ userId }) => syncJoinedTo(roomId, userId)))
    const welcome = await alice.sendText(roomId, 'Welcome')
    await all({ roomId }, syncTimelineHasEventId(roomId, welcome))
    return { version, roomId }
  }

  async function talk(story: Story): Promise<void> {
    const said = await Promise.all(witnesses.map((witness) => witness.sendText(story.roomId, 'Hello')))
    await all(story, ...said.map((eventId) => syncTimelineHasEventId(story.roomId, eventId)))
    await conclude(story)
  }

  /** What follows all that was said ends the branches that there were. */
  async function conclude(story: Story): Promise<void> {
    const last = await alice.sendText(story.roomId, 'The last word')
    await all(story, syncTimelineHasEventId(story.roomId, last))
    await expectSameState(story)
  }

  /** While nobody reaches anybody, they ban each other, and change the same things. */
  async function quarrel(story: Story): Promise<void> {
    const { version, roomId } = story
    await eachLink((one, other) => servers.cut(one, other))
    await alice.sendState(roomId, 'm.room.power_levels', '', powerLevels(version, { [mallory.userId]: 50 }))
    await alice.sendState(roomId, 'm.room.topic', '', { topic: 'of the first' })
    await alice.ban(roomId, mallory.userId)
    await bob.sendState(roomId, 'm.room.power_levels', '', powerLevels(version, { [bob.userId]: 90 }))
    await bob.sendState(roomId, 'm.room.topic', '', { topic: 'of the second' })
    await mallory.sendState(roomId, 'm.room.topic', '', { topic: 'of the third' })
    await mallory.ban(roomId, bea.userId)
    await talkOfEachServer(roomId)
    await eachLink((one, other) => servers.heal(one, other))
    await talk(story)
    // The first version does not know whose power counts for more.
    if (version === '1') return
    expect(await carol.state(roomId, 'm.room.topic')).to.deep.equal({ topic: 'of the first' })
    const memberships = [mallory, bea].map(({ userId }) => membershipOf(carol, roomId, userId))
    expect(await Promise.all(memberships)).to.deep.equal(['ban', 'join'])
    expect(dig(await bob.state(roomId, 'm.room.power_levels'), 'users', bob.userId)).to.equal(undefined)
  }

  /** What nobody else hears. */
  async function talkOfEachServer(roomId: string): Promise<void> {
    for (const witness of witnesses) await witness.sendText(roomId, 'Is there anybody?')
  }

  async function leave(story: Story): Promise<void> {
    await bob.leave(story.roomId)
    await bea.leave(story.roomId)
    await until([alice, carol], story, memberIs(story, bob, 'leave'), memberIs(story, bea, 'leave'))
    await expectSameState(story, [alice, carol])
  }

  /** By an invitation where the version has no knocks. */
  async function knock(story: Story): Promise<void> {
    const { version, roomId } = story
    // In the first versions a rule that they do not know lets nobody in, not even who is invited.
    await setJoinRules(story, { join_rule: Number(version) < KNOCK ? 'invite' : 'knock' })
    const via = { query: { via: 'a.test' }, body: { reason: 'please' } }
    const knocking = bob.must('POST', path`/_matrix/client/v3/knock/${roomId}`, via)
    if (Number(version) < KNOCK) {
      expect(await statusOf(knocking)).to.equal(403)
    } else {
      await knocking
      await until([alice, carol], story, memberIs(story, bob, 'knock'))
    }
    expect(await statusOf(bob.join(roomId, { via: ['a.test'] }))).to.equal(403)
    await alice.invite(roomId, bob.userId)
    await until([bob], story, syncInvitedTo(roomId))
    await bob.join(roomId)
    await all(story, syncJoinedTo(roomId, bob.userId))
    await expectSameState(story)
  }

  /** Out, and in again as a member of another room, where the version has such rooms. */
  async function comeFromElsewhere(story: Story): Promise<void> {
    const { version, roomId } = story
    const number = Number(version)
    if (number < RESTRICTED) return
    await bob.leave(roomId)
    await until([alice, carol], story, memberIs(story, bob, 'leave'))
    const allow = [{ type: 'm.room_membership', room_id: space, via: ['a.test'] }]
    const rule = number < KNOCK_RESTRICTED ? 'restricted' : 'knock_restricted'
    await setJoinRules(story, { join_rule: rule, allow })
    await bob.join(roomId, { via: ['a.test'] })
    const { join_authorised_via_users_server: by } = await bob.state(roomId, 'm.room.member', bob.userId)
    expect(by).to.equal(alice.userId)
    expect(await statusOf(bea.join(roomId, { via: ['a.test'] }))).to.equal(403)
    await all(story, syncJoinedTo(roomId, bob.userId))
    await expectSameState(story)
  }

  /** To a room of the next version. */
  async function moveOn(story: Story): Promise<void> {
    const { version, roomId } = story
    await setJoinRules(story, { join_rule: 'public' })
    const next = VERSIONS[VERSIONS.indexOf(version) + 1] ?? version
    const upgrade = await alice.must('POST', path`/_matrix/client/v3/rooms/${roomId}/upgrade`, {
      body: { new_version: next },
    })
    const replacement = upgrade['replacement_room'] as string
    await conclude(story)
    for (const witness of [bob, carol]) {
      const tombstone = await witness.state(roomId, 'm.room.tombstone')
      expect(tombstone['replacement_room']).to.equal(replacement)
      await witness.join(replacement, { via: ['a.test'] })
    }
    const create = await carol.state(replacement, 'm.room.create')
    expect([create['room_version'], dig(create, 'predecessor', 'room_id')]).to.deep.equal([next, roomId])
    const moved = { version: next, roomId: replacement }
    await all(moved, ...[bob, carol].map(({ userId }) => syncJoinedTo(replacement, userId)))
    await conclude(moved)
    if (version !== '1') expect(await membershipOf(bob, replacement, mallory.userId)).to.equal('ban')
  }

  async function setJoinRules({ roomId }: Story, content: JsonObject): Promise<void> {
    const eventId = await alice.sendState(roomId, 'm.room.join_rules', '', content)
    await until([carol], { roomId }, syncTimelineHasEventId(roomId, eventId))
  }

  async function expectSameState({ roomId }: Pick<Story, 'roomId'>, of = witnesses): Promise<void> {
    const [first, ...others] = await Promise.all(of.map((witness) => stateOf(witness, roomId)))
    for (const other of others) expect(other).to.deep.equal(first)
  }

  /** Until each server's witness has seen all of it. */
  function all(story: Pick<Story, 'roomId'>, ...checks: readonly SyncCheck[]): Promise<void> {
    return until(witnesses, story, ...checks)
  }

  async function eachLink(change: (one: string, other: string) => Promise<void>): Promise<void> {
    const [a, b, c] = NAMES
    await Promise.all([change(a, b), change(b, c), change(c, a)])
  }

  /** Of a room that alice has made: her power stays as it is. */
  function powerLevels(version: string, users: Readonly<Record<string, number>>): JsonObject {
    const creator = Number(version) < PRIVILEGED_CREATORS ? { [alice.userId]: 100 } : {}
    return { users: { ...creator, ...users }, events: {}, ban: 50, state_default: 50 }
  }
})

async function until(
  clients: readonly MatrixClient[],
  { roomId }: Pick<Story, 'roomId'>,
  ...checks: readonly SyncCheck[]
): Promise<void> {
  const filter = { room: { rooms: [roomId], timeline: { limit: 50 } } }
  await Promise.all(clients.map((client) => client.mustSyncUntil(checks, { filter })))
}

function memberIs({ roomId }: Story, { userId }: MatrixClient, membership: string): SyncCheck {
  return syncTimelineHas(
    roomId,
    (event) => event['state_key'] === userId && dig(event, 'content', 'membership') === membership,
  )
}

async function membershipOf(client: MatrixClient, roomId: string, userId: string): Promise<unknown> {
  return (await client.state(roomId, 'm.room.member', userId))['membership']
}

/** The IDs of the events of the current state. */
async function stateOf(client: MatrixClient, roomId: string): Promise<string[]> {
  const { text } = await client.request('GET', path`/_matrix/client/v3/rooms/${roomId}/state`)
  return eventsAt(JSON.parse(text) as JsonValue)
    .map((event) => event['event_id'] as string)
    .sort()
}

async function statusOf(action: Promise<unknown>): Promise<number> {
  try {
    await action
    return 200
  } catch (error) {
    if (error instanceof ClientError) return error.status
    throw error
  }
}

import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { path, type MatrixClient } from '../../support/matrix-client.js'
import { SlidingClient, listOf } from '../../support/sliding-client.js'
import { StatementCounts, type Statements } from '../../support/statement-counts.js'

/** A room without a name, with a thread, reactions and receipts, in proportion to its size. */
interface Room {
  readonly id: string
  readonly owner: MatrixClient
  /** Somebody who is in no other room. */
  readonly member: MatrixClient
  readonly root: string
  readonly messages: readonly string[]
}

type Request = (room: Room, round: number) => Promise<unknown>

/** Each is made so often; what else the server does meanwhile disturbs at most some of them. */
const ROUNDS = 3
/**
 * How much more the same may take in the large room: where pages end differs by a look-up or two, and what follows from a
 * change in the background may fall into every round. What grows with the members would take 70 more.
 */
const SLACK: Statements = { reads: 10, rows: 30, writes: 10 }

const V3 = '/_matrix/client/v3'
const MUTUAL_ROOMS = '/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms'
const LAZY = { room: { timeline: { limit: 5, lazy_load_members: true }, state: { lazy_load_members: true } } }
const LAZY_EVENTS = JSON.stringify({ lazy_load_members: true })

describe('Requests that ask for little', function () {
  this.timeout(60_000)
  let server: TestHomeserver
  let counts: StatementCounts
  let small: Room
  let large: Room

  before(async () => {
    server = await startHomeserver()
    counts = new StatementCounts(async () => (await fetch(`${server.url}/_synapse/metrics`)).text())
    small = await buildRoom('small', { members: 10, messages: 20 })
    large = await buildRoom('large', { members: 80, messages: 100 })
  })

  after(async () => {
    await server[Symbol.asyncDispose]()
  })

  async function buildRoom(name: string, size: { members: number; messages: number }): Promise<Room> {
    const owner = await server.register(`${name}-owner`)
    const id = await owner.createRoom({ preset: 'public_chat' })
    const join = async (localpart: string): Promise<MatrixClient> => {
      const client = await server.register(localpart)
      await client.join(id)
      return client
    }
    const members = await times(size.members, (index) => join(`${name}-${index}`))
    const author = (index: number): MatrixClient => members[index % members.length]!
    const root = await owner.sendText(id, 'The root of a thread')
    const messages = await times(size.messages, (index) => author(index).sendText(id, `Word number ${index}`))
    await times(size.messages / 4, async (index) => {
      const reply = {
        msgtype: 'm.text',
        body: 'Re',
        'm.relates_to': { rel_type: 'm.thread', event_id: root },
      }
      await author(index).sendEvent(id, 'm.room.message', reply)
    })
    await times(size.members, async (index) => {
      const relation = { rel_type: 'm.annotation', event_id: messages[0]!, key: `${index % 5}` }
      await author(index).sendEvent(id, 'm.reaction', { 'm.relates_to': relation })
      await readUpTo(author(index), id, messages[index % messages.length]!)
    })
    return { id, owner, member: await join(`${name}-member`), root, messages }
  }

  async function fewest(room: Room, request: Request): Promise<Statements> {
    const rounds: Statements[] = []
    for (let round = 0; round < ROUNDS; round++) {
      rounds.push(await counts.during(() => request(room, round)))
    }
    const least = (name: keyof Statements): number => Math.min(...rounds.map((one) => one[name]))
    return { reads: least('reads'), rows: least('rows'), writes: least('writes') }
  }

  function doNotGrow(title: string, requests: Readonly<Record<string, Request>>): void {
    describe(title, () => {
      for (const [name, request] of Object.entries(requests)) {
        it(name, async () => {
          const few = await fewest(small, request)
          const many = await fewest(large, request)
          for (const kind of ['reads', 'rows', 'writes'] as const) {
            const message = `${kind}: ${few[kind]} in the small room, ${many[kind]} in the large one`
            expect(many[kind], message).to.be.at.most(few[kind] + SLACK[kind])
          }
        })
      }
    })
  }

  it('are told from those that ask for everything', async () => {
    const listMembers: Request = ({ member, id }) =>
      member.must('GET', path`/_matrix/client/v3/rooms/${id}/members`)
    const few = await fewest(small, listMembers)
    const many = await fewest(large, listMembers)
    expect(many.rows).to.be.greaterThan(few.rows + SLACK.rows)
  })

  doNotGrow('writing costs the same in a room of any size', {
    'a message': ({ member, id }) => member.sendText(id, 'Hello'),
    'a message in a thread': ({ member, id, root }) =>
      member.sendEvent(id, 'm.room.message', {
        msgtype: 'm.text',
        body: 'Hello',
        'm.relates_to': { rel_type: 'm.thread', event_id: root },
      }),
    'a reaction': ({ member, id, messages }, round) =>
      member.sendEvent(id, 'm.reaction', {
        'm.relates_to': { rel_type: 'm.annotation', event_id: messages[1]!, key: `own ${round}` },
      }),
    'a redaction': async ({ owner, id, messages }, round) => owner.redact(id, messages[2 + round]!),
    'a piece of state': ({ owner, id }, round) =>
      owner.sendState(id, 'm.room.topic', '', { topic: `${round}` }),
    'a change of power levels': async ({ owner, id }, round) => {
      const levels = await owner.state(id, 'm.room.power_levels')
      await owner.sendState(id, 'm.room.power_levels', '', { ...levels, state_default: 50 + round })
    },
    'coming and going': async ({ member, id }) => {
      await member.leave(id)
      await member.join(id)
    },
    'a ban': ({ owner, id }, round) => owner.ban(id, `@nobody-${round}:hs.test`),
    'a display name': ({ member }, round) =>
      member.must('PUT', path`/_matrix/client/v3/profile/${member.userId}/displayname`, {
        body: { displayname: `Name ${round}` },
      }),
    'a read receipt': ({ member, id, messages }, round) => readUpTo(member, id, messages[5 + round]!),
    'read markers': ({ member, id, messages }, round) =>
      member.must('POST', path`/_matrix/client/v3/rooms/${id}/read_markers`, {
        body: { 'm.fully_read': messages[10 + round]!, 'm.read': messages[10 + round]! },
      }),
    typing: ({ member, id }, round) =>
      member.must('PUT', path`/_matrix/client/v3/rooms/${id}/typing/${member.userId}`, {
        body: { typing: round % 2 === 0, timeout: 20_000 },
      }),
    'account data of the room': ({ member, id }, round) =>
      member.must('PUT', path`/_matrix/client/v3/user/${member.userId}/rooms/${id}/account_data/x`, {
        body: { round },
      }),
  })

  const get = (client: MatrixClient, target: string, query: Record<string, string | number> = {}) =>
    client.must('GET', target, { query })

  doNotGrow('reading costs the same in a room of any size', {
    'a piece of state': ({ member, id }) => member.state(id, 'm.room.create'),
    'one membership': ({ member, id, owner }) => member.state(id, 'm.room.member', owner.userId),
    'an event': ({ member, id, root }) => get(member, path`/_matrix/client/v3/rooms/${id}/event/${root}`),
    'an event with many reactions': ({ member, id, messages }) =>
      get(member, path`/_matrix/client/v3/rooms/${id}/event/${messages[0]!}`),
    'an event and those around it': ({ member, id, messages }) =>
      get(member, path`/_matrix/client/v3/rooms/${id}/context/${messages[15]!}`, {
        limit: 6,
        filter: LAZY_EVENTS,
      }),
    'the newest page': ({ member, id }) => member.messages(id, { dir: 'b', limit: 5, filter: LAZY_EVENTS }),
    'the oldest page': ({ member, id }) => member.messages(id, { dir: 'f', limit: 5, filter: LAZY_EVENTS }),
    relations: ({ member, id, root }) =>
      get(member, path`/_matrix/client/v1/rooms/${id}/relations/${root}/m.thread`, { limit: 5 }),
    threads: ({ member, id }) => get(member, path`/_matrix/client/v1/rooms/${id}/threads`, { limit: 5 }),
    'a search for a rare word': ({ member }) =>
      member.must('POST', `${V3}/search`, { body: search('number 12', 5) }),
    'a search for what is in every message': ({ member }) =>
      member.must('POST', `${V3}/search`, { body: search('word', 5) }),
    'the event at a time': ({ member, id }) =>
      get(member, path`/_matrix/client/v1/rooms/${id}/timestamp_to_event`, { ts: Date.now(), dir: 'b' }),
    'the summary': ({ member, id }) => get(member, path`/_matrix/client/v1/room_summary/${id}`),
    'the hierarchy': ({ member, id }) => get(member, path`/_matrix/client/v1/rooms/${id}/hierarchy`),
    'people by a prefix': ({ member, id }) =>
      member.must('POST', `${V3}/user_directory/search`, {
        body: { search_term: id === small.id ? 'small-1' : 'large-1', limit: 3 },
      }),
    notifications: ({ member }) => get(member, `${V3}/notifications`, { limit: 5 }),
    'device keys of one user': ({ member, owner }) =>
      member.must('POST', `${V3}/keys/query`, { body: { device_keys: { [owner.userId]: [] } } }),
    'rooms in common': ({ member, owner }) => get(member, MUTUAL_ROOMS, { user_id: owner.userId }),
  })

  describe('syncs', () => {
    const tokens = new Map<string, string>()
    const connections = new Map<string, SlidingClient>()
    const window = {
      ...listOf([0, 5], { timelineLimit: 5, requiredState: [['m.room.member', '$LAZY']] }),
      extensions: { typing: { enabled: true }, account_data: { enabled: true }, e2ee: { enabled: true } },
    }

    before(async () => {
      for (const room of [small, large]) {
        tokens.set(room.id, await room.member.syncToken())
        const connection = new SlidingClient(room.member, 'followed')
        await connection.sync(window)
        connections.set(room.id, connection)
      }
    })

    async function syncOn({ member, id }: Room): Promise<void> {
      const answer = await member.sync({ since: tokens.get(id), filter: LAZY })
      tokens.set(id, answer['next_batch'] as string)
    }

    doNotGrow('cost the same in a room of any size', {
      'with nothing to tell': syncOn,
      'with a message': async (room) => {
        await room.owner.sendText(room.id, 'News')
        await syncOn(room)
      },
      'with a new member': async (room, round) => {
        const newcomer = await server.register(`${room === small ? 'small' : 'large'}-late-${round}`)
        await newcomer.join(room.id)
        await syncOn(room)
      },
      'of a sliding window with nothing to tell': ({ id }) => connections.get(id)!.sync(window),
      'of a sliding window with a message': async ({ owner, id }) => {
        await owner.sendText(id, 'News')
        await connections.get(id)!.sync(window)
      },
      'of a new sliding window': ({ member }, round) =>
        new SlidingClient(member, `new ${round}`).sync(window),
    })
  })
})

function search(term: string, limit: number): JsonObject {
  return {
    search_categories: { room_events: { search_term: term, order_by: 'recent', filter: { limit } } },
  }
}

async function readUpTo(client: MatrixClient, roomId: string, eventId: string): Promise<void> {
  await client.must('POST', path`/_matrix/client/v3/rooms/${roomId}/receipt/m.read/${eventId}`, { body: {} })
}

/** Runs `work` for each number below `count`, some at the same time; gives the results in order. */
async function times<T>(count: number, work: (index: number) => Promise<T>): Promise<T[]> {
  const results: T[] = []
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < count) {
      const index = next++
      results[index] = await work(index)
    }
  }
  await Promise.all(Array.from({ length: 8 }, lane))
  return results
}

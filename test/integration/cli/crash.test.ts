import { randomInt } from 'node:crypto'
import { expect } from 'chai'
import { createTestDatabase, startPostgres, type TestDatabase } from '../../support/databases.js'
import { MatrixClient, dig, eventsAt } from '../../support/matrix-client.js'
import type { JsonObject, JsonValue } from '../../../src/util/json.js'
import { ServerProcess, sqliteDatabase } from '../../support/server-process.js'

const CRASHES = 20
const SENDERS = 8
/** Acknowledged messages of one round, about: the process is killed at some moment after so many. */
const ROUND = { least: 10, most: 80 }

interface Sent {
  readonly roomId: string
  readonly txnId: string
  readonly body: string
  /** Undefined while nobody has acknowledged it. */
  eventId: string | undefined
}

/**
 * What a client was told is there: after each crash every acknowledged event is found, once, from the position that the
 * client had before; and what was not acknowledged can be sent again with the same transaction ID.
 */
for (const kind of ['sqlite', 'postgres'] as const) {
  describe(`kill -9 under load (${kind})`, function () {
    this.timeout(600_000)
    let server: ServerProcess
    let database: TestDatabase | undefined

    before(async () => {
      if (kind === 'postgres') {
        await startPostgres()
        database = await createTestDatabase('postgres')
      }
      server = await ServerProcess.start({
        database: sectionOf(database),
        config: { enable_registration: true, enable_registration_without_verification: true },
      })
    })

    after(async () => {
      await server[Symbol.asyncDispose]()
      await database?.remove()
    })

    it(`loses nothing in ${CRASHES} crashes`, async () => {
      const anonymous = new MatrixClient(server.url)
      const clients = await Promise.all(
        Array.from({ length: SENDERS }, (_, index) => anonymous.register(`sender${index}`, 'secret')),
      )
      const [alice] = clients
      const rooms = [
        await alice!.createRoom({ preset: 'public_chat' }),
        await clients[1]!.createRoom({ preset: 'public_chat' }),
      ]
      for (const client of clients) for (const roomId of rooms) await client.join(roomId)
      let since = await alice!.syncToken()
      for (let crash = 0; crash < CRASHES; crash++) {
        const sent = await sendUntilKilled(server, { clients, rooms, crash })
        await server.restart()
        await sendAgain(clients, sent)
        since = await expectAllSince(alice!, since, sent)
      }
      await expectNoneTwice(alice!, rooms)
    })
  })
}

/** Everybody sends one message after the other until the process is gone. */
async function sendUntilKilled(
  server: ServerProcess,
  load: { clients: readonly MatrixClient[]; rooms: readonly string[]; crash: number },
): Promise<Sent[]> {
  const all: Sent[] = []
  let acknowledged = 0
  let alive = true
  const killAfter = randomInt(ROUND.least, ROUND.most)
  let reached: () => void = () => undefined
  const enough = new Promise<void>((resolve) => (reached = resolve))
  const sending = load.clients.map(async (client, sender) => {
    for (let index = 0; alive; index++) {
      const body = `${load.crash}-${sender}-${index}`
      const sent: Sent = {
        roomId: load.rooms[index % load.rooms.length]!,
        txnId: body,
        body,
        eventId: undefined,
      }
      all.push(sent)
      try {
        sent.eventId = await send(client, sent)
      } catch {
        return
      }
      if (++acknowledged >= killAfter) reached()
    }
  })
  await enough
  // Not always between two turns of the event loop of ours, but at any moment of the server's.
  await new Promise((resolve) => setTimeout(resolve, randomInt(0, 12)))
  await server.end('SIGKILL')
  alive = false
  await Promise.all(sending)
  expect(all.filter((sent) => sent.eventId === undefined)).to.have.length.of.at.most(load.clients.length)
  return all
}

/** Repeats each last message that the crash left open, and an acknowledged one, which gives the same event. */
async function sendAgain(clients: readonly MatrixClient[], sent: readonly Sent[]): Promise<void> {
  for (const message of sent) {
    message.eventId ??= await send(clientOf(clients, message), message)
  }
  const known = sent.find((message) => message.eventId !== undefined)
  if (known) expect(await send(clientOf(clients, known), known)).to.equal(known.eventId)
}

function clientOf(clients: readonly MatrixClient[], message: Sent): MatrixClient {
  return clients[Number(message.body.split('-')[1])]!
}

async function send(client: MatrixClient, message: Sent): Promise<string> {
  return client.sendEvent(
    message.roomId,
    'm.room.message',
    { msgtype: 'm.text', body: message.body },
    message.txnId,
  )
}

/** Syncs from an old token: each message is there, once. Gives the next token. */
async function expectAllSince(client: MatrixClient, since: string, sent: readonly Sent[]): Promise<string> {
  const filter = { room: { timeline: { limit: 100 } } }
  const seen: string[] = []
  const response = await client.sync({ since, filter })
  for (const [roomId, room] of Object.entries((dig(response, 'rooms', 'join') ?? {}) as JsonObject)) {
    seen.push(...eventIdsAt(room, 'timeline', 'events'))
    if (dig(room, 'timeline', 'limited') === true) {
      seen.push(
        ...(await readBack(client, roomId, { from: textAt(room, 'timeline', 'prev_batch'), to: since })),
      )
    }
  }
  const counts = new Map<string, number>()
  for (const id of seen) counts.set(id, (counts.get(id) ?? 0) + 1)
  const wrong = sent.filter((message) => counts.get(message.eventId ?? '') !== 1)
  expect(wrong, 'messages that are not there exactly once').to.deep.equal([])
  return textAt(response, 'next_batch')
}

function eventIdsAt(value: JsonValue, ...keys: readonly string[]): string[] {
  return eventsAt(value, ...keys).map((event) => textAt(event, 'event_id'))
}

function textAt(value: JsonValue, ...keys: readonly string[]): string {
  const text = dig(value, ...keys)
  if (typeof text !== 'string') throw new Error(`No text at ${keys.join('.')}`)
  return text
}

async function readBack(
  client: MatrixClient,
  roomId: string,
  range: { from: string; to: string },
): Promise<string[]> {
  const ids: string[] = []
  let from: string | undefined = range.from
  while (from !== undefined) {
    const page = await client.messages(roomId, { dir: 'b', limit: 100, from, to: range.to })
    ids.push(...eventIdsAt(page, 'chunk'))
    from = typeof page['end'] === 'string' ? page['end'] : undefined
  }
  return ids
}

/** No text that was sent is in a room twice, over the whole history. */
async function expectNoneTwice(client: MatrixClient, rooms: readonly string[]): Promise<void> {
  for (const roomId of rooms) {
    const bodies = new Set<string>()
    let from: string | undefined
    do {
      const page = await client.messages(roomId, {
        dir: 'b',
        limit: 100,
        ...(from !== undefined && { from }),
      })
      for (const event of eventsAt(page, 'chunk')) {
        const body = dig(event, 'content', 'body')
        if (event['type'] !== 'm.room.message' || typeof body !== 'string') continue
        expect(bodies.has(body), `${body} is there twice`).to.equal(false)
        bodies.add(body)
      }
      from = typeof page['end'] === 'string' ? page['end'] : undefined
    } while (from !== undefined)
  }
}

/** The `database` section that leads to a test's database. */
function sectionOf(database: TestDatabase | undefined): object {
  if (database?.config.name !== 'postgres' || !('url' in database.config.connection)) return sqliteDatabase()
  const url = new URL(database.config.connection.url)
  return {
    name: 'psycopg2',
    args: {
      host: url.searchParams.get('host') ?? url.hostname,
      ...(url.port === '' ? {} : { port: Number(url.port) }),
      user: decodeURIComponent(url.username),
      ...(url.password === '' ? {} : { password: decodeURIComponent(url.password) }),
      dbname: url.pathname.slice(1),
      cp_min: 2,
      cp_max: 5,
    },
  }
}

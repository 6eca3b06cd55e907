import type { RequestListener } from 'node:http'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect } from 'chai'
import { createLogger } from '../../../src/telemetry/logger.js'
import { toTemplate } from '../../../src/protocol/pdu.js'
import type { FakeAnswer, FakeHomeserver } from '../../support/fake-homeserver.js'
import { startFederation, type TestFederation } from '../../support/federation.js'
import { MISBEHAVIOUR } from '../../support/http-servers.js'
import { LinearRoom } from '../../support/linear-room.js'
import { path, type MatrixClient } from '../../support/matrix-client.js'

const MIB = 1024 * 1024
/** Requests that are under way together. */
const CROWD = 5
/**
 * What this process may grow by, the evil server's own share and what waits for the garbage collector included: far less
 * than the answers would take.
 */
const BOUND = 400 * MIB

describe('the memory that a server of ill will takes', function () {
  this.timeout(180_000)
  let federation: TestFederation
  let fake: FakeHomeserver
  let alice: MatrixClient

  before(async () => {
    const log = await createLogger({ level: 'silent', destination: { write: () => undefined } })
    federation = await startFederation(['a.test'], {
      log,
      config: { federation: { client_timeout: 1_000, max_short_retries: 0 }, max_upload_size: '1M' },
    })
    fake = await federation.fake('fake.test')
    alice = await federation.get('a.test').register('alice')
  })
  after(() => federation[Symbol.asyncDispose]())

  const raw =
    (handler: RequestListener): (() => FakeAnswer) =>
    () => ({ raw: (response) => handler(response.req, response) })

  /** By how much the memory in use has grown at its highest while something went on. */
  async function growthWhile(
    work: () => Promise<unknown>,
    { measure = inUse, everyMs = 5 } = {},
  ): Promise<number> {
    const before = measure()
    let highest = before
    const timer = setInterval(() => (highest = Math.max(highest, measure())), everyMs)
    try {
      await work()
    } finally {
      clearInterval(timer)
    }
    return highest - before
  }

  const statusesOf = (requests: readonly Promise<{ status: number }>[]): Promise<Set<number>> =>
    Promise.all(requests).then((answers) => new Set(answers.map(({ status }) => status)))

  it('is bounded when its answers never end', async () => {
    fake.on('GET', '/_matrix/federation/v1/query/profile', raw(MISBEHAVIOUR.endless))
    let statuses = new Set<number>()
    const growth = await growthWhile(async () => {
      statuses = await statusesOf(
        Array.from({ length: CROWD }, (_, n) =>
          alice.request('GET', path`/_matrix/client/v3/profile/${`@u${n}:fake.test`}`),
        ),
      )
    })
    expect([...statuses].every((status) => status >= 400)).to.equal(true)
    expect(growth).to.be.below(BOUND)
  })

  /** Joins a room of which the evil server says what the handler does. */
  async function joinThat(
    handler: RequestListener,
  ): Promise<{ status: number; growth: number; roomId: string }> {
    const room = new LinearRoom(fake, '10')
    room.serve()
    fake.on('GET', '/_matrix/federation/v1/make_join/:roomId/:userId', ({ params }) => ({
      json: {
        room_version: '10',
        event: toTemplate(
          room.build({
            type: 'm.room.member',
            sender: params['userId']!,
            stateKey: params['userId']!,
            content: { membership: 'join' },
          }),
        ),
      },
    }))
    fake.on('PUT', '/_matrix/federation/v2/send_join/:roomId/:eventId', raw(handler))
    let status = 0
    const growth = await growthWhile(async () => {
      const answer = await alice.request('POST', path`/_matrix/client/v3/join/${room.roomId}`, {
        query: { via: 'fake.test' },
        body: {},
      })
      status = answer.status
    })
    return { status, growth, roomId: room.roomId }
  }

  it('is bounded when a room has a state without end', async () => {
    const { status, growth, roomId } = await joinThat(MISBEHAVIOUR.endless)
    expect(status).to.equal(502)
    expect(growth).to.be.below(BOUND)
    const members = await alice.request('GET', path`/_matrix/client/v3/rooms/${roomId}/joined_members`)
    expect(members.status).to.equal(403)
  })

  it('is bounded when a state is of little text and takes much', async () => {
    const { status, growth } = await joinThat((_, response) => {
      response.setHeader('Content-Type', 'application/json')
      response.end(`{"state":[${'{},'.repeat(6 * MIB)}{}],"auth_chain":[],"event":{}}`)
    })
    expect(status).to.equal(502)
    expect(growth).to.be.below(BOUND)
  })

  it('is bounded when what it sends is huge', async () => {
    // The body is not what is signed.
    const rawBody = `{"pdus":[],"edus":[${'"x",'.repeat(12 * MIB)}"x"]}`
    const request = { method: 'PUT', path: '/_matrix/federation/v1/send/huge', rawBody, body: {} } as const
    let answer: number | undefined
    const growth = await growthWhile(async () => {
      // The connection may break before all of it has been written.
      answer = (await fake.send('a.test', request).catch(() => undefined))?.status
    })
    expect(answer ?? 413).to.equal(413)
    expect(growth).to.be.below(BOUND)
    expect((await fake.sendTransaction('a.test', {})).status).to.equal(200)
  })

  /** Transactions that come together; the body is not what is signed. */
  async function sendCrowd(
    rawBody: string,
    measuring: { measure?: () => number; everyMs?: number } = {},
  ): Promise<{ statuses: Set<number>; growth: number }> {
    let statuses = new Set<number>()
    const growth = await growthWhile(async () => {
      statuses = await statusesOf(
        Array.from({ length: CROWD }, (_, n) =>
          fake.send('a.test', { method: 'PUT', path: `/_matrix/federation/v1/send/${n}`, rawBody, body: {} }),
        ),
      )
    }, measuring)
    return { statuses, growth }
  }

  it('is bounded when what it sends is of little text and takes much', async () => {
    const { statuses, growth } = await sendCrowd(`{"pdus":[],"edus":[${'{},'.repeat(4 * MIB)}{}]}`)
    expect([...statuses]).to.have.members([413])
    expect(growth).to.be.below(BOUND)
  })

  it('is bounded when much comes together of what is allowed', async () => {
    // Few letters of which the engine makes objects with room for others.
    const rawBody = `{"pdus":[],"edus":[${'{"999":1},'.repeat(800_000)}{}]}`
    // Each takes 160 MiB when it has been parsed, and much in passing that the garbage collector leaves for a while.
    const { statuses, growth } = await sendCrowd(rawBody, { measure: inUseForGood, everyMs: 100 })
    // Those that are looked at are refused for their signatures: one, or more where one after the other came.
    expect([401, 429]).to.include.members([...statuses])
    expect(growth).to.be.below(BOUND)
    expect((await fake.sendTransaction('a.test', {})).status).to.equal(200)
  })
})

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Without what only waits for the garbage collector. */
function inUseForGood(): number {
  collectGarbage()
  return inUse()
}

function inUse(): number {
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

import { expect } from 'chai'
import { FakePushGateway } from '../../support/fake-push-gateway.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import type { MatrixClient } from '../../support/matrix-client.js'
import { StatementCounts, type Statements } from '../../support/statement-counts.js'

const SET = '/_matrix/client/v3/pushers/set'
const FEW = 10
const MANY = 70
const ROUNDS = 3
/** Members are registered and join so many at a time. */
const AT_ONCE = 10

interface Room {
  readonly id: string
  readonly owner: MatrixClient
  readonly pushers: number
}

forEachServerDatabase('Thousands of pushers', function (database) {
  let server: TestHomeserver
  let gateway: FakePushGateway
  let counts: StatementCounts

  before(async () => {
    gateway = await FakePushGateway.start()
    server = await startHomeserver({ database, config: { ip_range_blacklist: [] } })
    counts = new StatementCounts(async () => (await fetch(`${server.url}/_synapse/metrics`)).text())
  })
  after(async () => {
    await server[Symbol.asyncDispose]()
    await gateway[Symbol.asyncDispose]()
  })

  /** A named room with members who all have a pusher. */
  async function roomWith(name: string, pushers: number): Promise<Room> {
    const owner = await server.register(`${name}-owner`)
    const id = await owner.createRoom({ preset: 'public_chat', name })
    for (let first = 0; first < pushers; first += AT_ONCE) {
      const numbers = Array.from({ length: Math.min(AT_ONCE, pushers - first) }, (_, index) => first + index)
      await Promise.all(
        numbers.map(async (number) => {
          const member = await server.register(`${name}-${number}`)
          await member.join(id)
          await member.must('POST', SET, { body: gateway.pusher({ pushkey: `${name} ${number}` }) })
        }),
      )
    }
    return { id, owner, pushers }
  }

  /** The least that a message took until everybody had been told: other work falls into some rounds. */
  async function fewestOfMessage({ id, owner, pushers }: Room): Promise<Statements> {
    const rounds: Statements[] = []
    for (let round = 0; round < ROUNDS; round += 1) {
      const before = gateway.notifications.length
      const taken = await counts.during(async () => {
        await owner.sendText(id, `Message ${round}`)
        await gateway.waitFor(before + pushers)
      })
      rounds.push(taken)
    }
    const least = (of: (taken: Statements) => number): number => Math.min(...rounds.map(of))
    return {
      reads: least(({ reads }) => reads),
      rows: least(({ rows }) => rows),
      writes: least(({ writes }) => writes),
    }
  }

  it('cost a message in a room without any of them nothing, and one with them little for each', async function () {
    this.timeout(60_000)
    const quiet = await roomWith('quiet', 0)
    const alone = await fewestOfMessage(quiet)
    const few = await fewestOfMessage(await roomWith('few', FEW))
    const many = await fewestOfMessage(await roomWith('many', MANY))
    const beside = await fewestOfMessage(quiet)
    expect(beside.reads, 'reads of a message beside rooms with pushers').to.be.at.most(alone.reads + 5)
    // One at a time, each pusher would take about ten.
    const perPusher = (many.reads - few.reads) / (MANY - FEW)
    expect(perPusher, `reads for each pusher (${few.reads}, then ${many.reads})`).to.be.at.most(0.5)
    expect(many.writes, 'writes of a message').to.be.at.most(few.writes + MANY / 4)
  })
})

import { expect } from 'chai'
import type { HomeserverConfig } from '../../src/config/homeserver-config.js'
import { createHomeserver, type Homeserver } from '../../src/server/homeserver.js'
import { createLogger } from '../../src/telemetry/logger.js'
import { createTestDatabase, startPostgres, type TestDatabase } from '../support/databases.js'
import { startHomeserver } from '../support/homeserver.js'
import { MatrixClient } from '../support/matrix-client.js'
import { port } from '../support/porting.js'
import { rejection } from '../support/rejection.js'

describe('a server that moves to another database', function () {
  this.timeout(60_000)
  const removals: (() => Promise<void>)[] = []

  before(() => startPostgres())
  after(async () => {
    for (const remove of removals) await remove()
  })

  it('goes on where it was, for clients that notice nothing, there and back', async () => {
    await using first = await startHomeserver()
    const alice = await first.register('alice')
    const bob = await first.register('bob')
    const roomId = await alice.createRoom({ preset: 'public_chat', name: 'Moving' })
    await bob.join(roomId)
    await alice.sendText(roomId, 'packed in boxes')
    const since = await bob.syncToken()

    const postgres = await database('postgres')
    const early = await port(first.config.database, postgres.config, { whileRunning: true })
    expect(early.complete).to.equal(false)
    const refusal = await rejection(start({ ...first.config, database: postgres.config } as HomeserverConfig))
    expect(refusal).to.have.property('name', 'UnfinishedPortError')

    await alice.sendText(roomId, 'one more box')
    await first.server.stop()
    const last = await port(first.config.database, postgres.config)
    expect(last).to.deep.include({ complete: true, resumed: true })
    await expectToGoOn({ ...first.config, database: postgres.config } as HomeserverConfig, 'one more box')

    const second = await database('sqlite')
    expect(await port(postgres.config, second.config)).to.deep.include({ complete: true, resumed: false })
    await expectToGoOn({ ...first.config, database: second.config } as HomeserverConfig, 'and one')

    /** The same sessions, positions and search; and new events. */
    async function expectToGoOn(config: HomeserverConfig, newest: string): Promise<void> {
      const server = await start(config)
      try {
        const [address] = server.addresses
        const at = (client: MatrixClient): MatrixClient =>
          new MatrixClient('url' in address! ? address.url : '').withSession(client)
        await at(alice).sendText(roomId, 'and one')
        const { rooms } = (await at(bob).sync({ since })) as unknown as Sync
        const bodies = rooms.join[roomId]!.timeline.events.map(({ content }) => content.body)
        expect(bodies).to.include.members([newest, 'and one'])
        const found = await at(bob).must('POST', '/_matrix/client/v3/search', {
          body: { search_categories: { room_events: { search_term: 'packed boxes' } } },
        })
        expect(found).to.have.nested.property('search_categories.room_events.count', 1)
        await at(bob).leave(roomId)
        await at(bob).join(roomId)
        await at(await at(alice).login('alice', 'correct horse')).createRoom({ name: 'Another' })
      } finally {
        await server.stop()
      }
    }
  })

  async function database(kind: 'sqlite' | 'postgres'): Promise<TestDatabase> {
    const made = await createTestDatabase(kind)
    removals.push(made.remove)
    return made
  }

  async function start(config: HomeserverConfig): Promise<Homeserver> {
    const log = await createLogger({
      level: 'error',
      destination: { write: (line) => process.stderr.write(line) },
    })
    const server = await createHomeserver(config, { log })
    await server.start()
    return server
  }
})

interface Sync {
  readonly rooms: {
    readonly join: Readonly<
      Record<
        string,
        { readonly timeline: { readonly events: readonly { readonly content: { body?: string } }[] } }
      >
    >
  }
}

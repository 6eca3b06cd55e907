import { expect } from 'chai'
import RoomsExplain from '../../../commands/rooms/explain.js'
import RoomsList from '../../../commands/rooms/list.js'
import RoomsRepair from '../../../commands/rooms/repair.js'
import RoomsShow from '../../../commands/rooms/show.js'
import { openDatabase } from '../../../src/storage/open-database.js'
import { controlSocketIn, writeCommandConfig } from '../../support/command-config.js'
import { expectCommandJson } from '../../support/command-schemas.js'
import { runCommand } from '../../support/commands.js'
import { quietContext } from '../../support/databases.js'
import { startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import type { MatrixClient } from '../../support/matrix-client.js'
import { useScratch } from '../../support/scratch.js'

describe('mxhs rooms', function () {
  this.timeout(30_000)
  const scratch = useScratch()
  let server: TestHomeserver
  let alice: MatrixClient
  let config: string
  let cats: string
  let dogs: string

  beforeEach(async () => {
    server = await startHomeserver({
      config: { ...controlSocketIn(scratch), room_list_publication_rules: [{ action: 'allow' }] },
    })
    config = writeCommandConfig(scratch, server)
    alice = await server.register('alice')
    cats = await alice.createRoom({ name: 'Cats', room_alias_name: 'cats', visibility: 'public' })
    dogs = await alice.createRoom({ name: 'Dogs', topic: 'Of dogs' })
    await alice.sendText(dogs, 'Woof')
  })
  afterEach(() => server[Symbol.asyncDispose]())

  const run = (command: Parameters<typeof runCommand>[0], ...argv: string[]): ReturnType<typeof runCommand> =>
    runCommand(command, ...argv, '-c', config)

  async function json<T>(
    name: string,
    command: Parameters<typeof runCommand>[0],
    ...argv: string[]
  ): Promise<T> {
    const { stdout } = await run(command, ...argv, '--json')
    return expectCommandJson(`rooms-${name}`, stdout) as T
  }

  const listed = async (...argv: string[]): Promise<string[]> => {
    const { rooms } = await json<{ rooms: { roomId: string }[] }>('list', RoomsList, ...argv)
    return rooms.map(({ roomId }) => roomId)
  }

  async function damage(sql: string): Promise<void> {
    const db = await openDatabase(server.config.database, quietContext())
    await db.write('damage', (tx) => tx.execute(sql))
    await db.close()
  }

  it('list finds and sorts rooms', async () => {
    expect(await listed('--sort', 'name')).to.deep.equal([cats, dogs])
    expect(await listed('--sort', 'name', '--reverse')).to.deep.equal([dogs, cats])
    expect(await listed('--sort', 'size')).to.deep.equal([dogs, cats])
    expect(await listed('--search', 'CAT')).to.deep.equal([cats])
    expect(await listed('--public')).to.deep.equal([cats])
    expect(await listed('--empty')).to.deep.equal([])
    expect(await listed('--sort', 'name', '--from', '1')).to.deep.equal([dogs])
    const text = await run(RoomsList, '--sort', 'name', '--limit', '1')
    expect(text.stdout).to.match(
      /^room +name +members \(ours\) +events +state +ends +version\n!.*Cats {2}1 \(1\)/,
    )
    expect(text.stderr).to.equal('1 more: --from 1\n')
  })

  it('show tells about one, by ID and by alias', async () => {
    const shown = await json<Record<string, unknown>>('show', RoomsShow, '#cats:hs.test')
    expect(shown).to.deep.include({ roomId: cats, name: 'Cats', isPublic: true, members: { join: 1 } })
    expect(shown).to.deep.include({ aliases: ['#cats:hs.test'], joinedMembers: 1, extremities: 1 })
    expect((await run(RoomsShow, dogs)).stdout)
      .to.match(/\ntopic {9}Of dogs\n/)
      .and.match(/\nend +type/)
    expect((await run(RoomsShow, '!nowhere:hs.test')).stderr).to.match(/^error: There is no room !nowhere/)
    expect((await run(RoomsShow, '#birds:hs.test')).exitCode).to.equal(1)
    expect((await run(RoomsShow, 'birds')).exitCode).to.equal(2)
  })

  it('explain says why the state is what it is, and why an event is there', async () => {
    const first = await alice.sendState(dogs, 'm.room.topic', '', { topic: 'One' })
    const second = await alice.sendState(dogs, 'm.room.topic', '', { topic: 'Two' })
    const state = await json<{ state: { holder: object } }>(
      'explain',
      RoomsExplain,
      dogs,
      '-s',
      'm.room.topic',
    )
    expect(state.state.holder).to.deep.include({ eventId: second, status: 'accepted' })
    const text = await run(RoomsExplain, dogs, '--state', 'm.room.topic')
    expect(text.stdout).to.include(`${second}  m.room.topic ''\n  by @alice:hs.test, `)
    expect(text.stdout).to.match(new RegExp(`\\n  \\${first}  .*  replaced by \\${second}\\n`))
    await json('explain', RoomsExplain, dogs, first)
    const event = await run(RoomsExplain, dogs, first)
    expect(event.stdout)
      .to.match(/\nIt is accepted\.\n/)
      .and.match(/\nBy the state before it: allowed\n/)
    expect((await run(RoomsExplain, dogs)).exitCode).to.equal(2)
    expect((await run(RoomsExplain, dogs, '$nothing')).exitCode).to.equal(1)
  })

  it('repair says what is wrong and puts it right, in the running server or without one', async () => {
    expect((await run(RoomsRepair, cats)).stdout).to.equal(`${cats} is as it should be.\n`)
    await damage('UPDATE rooms SET joined_members = 9')
    const found = await json<{ findings: object[]; isRepaired: boolean }>('repair', RoomsRepair, cats, '-n')
    expect(found.findings).to.deep.equal([
      { kind: 'wrongCounts', joined: 9, trueJoined: 1, invited: 0, trueInvited: 0 },
    ])
    expect(found.isRepaired).to.equal(false)
    const dry = await run(RoomsRepair, cats, '--dry-run')
    expect(dry.stdout).to.equal('counts    9 joined, 0 invited; should be 1 and 0\n')
    expect(dry.stderr).to.equal('Nothing was changed.\n')
    expect((await run(RoomsRepair, '#cats:hs.test')).stderr).to.equal(`${cats} has been repaired.\n`)
    await server.server.stop()
    expect((await run(RoomsRepair, dogs)).stderr).to.equal(`${dogs} has been repaired.\n`)
    expect((await run(RoomsRepair, dogs)).stdout).to.equal(`${dogs} is as it should be.\n`)
  })
})

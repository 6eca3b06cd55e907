import { expect } from 'chai'
import AppserviceAdd from '../../../commands/appservice/add.js'
import AppserviceCheck from '../../../commands/appservice/check.js'
import AppserviceDeadLetters from '../../../commands/appservice/dead-letters.js'
import AppserviceList from '../../../commands/appservice/list.js'
import AppservicePing from '../../../commands/appservice/ping.js'
import AppserviceRemove from '../../../commands/appservice/remove.js'
import DbMigrate from '../../../commands/db/migrate.js'
import { withDatabase } from '../../../src/cli/with-database.js'
import { AppservicesStore } from '../../../src/storage/stores/appservices.js'
import { expectCommandJson } from '../../support/command-schemas.js'
import { runCommand } from '../../support/commands.js'
import { FakeAppservice } from '../../support/fake-appservice.js'
import { useScratch } from '../../support/scratch.js'

describe('mxhs appservice', () => {
  const scratch = useScratch()
  let service: FakeAppservice

  before(async () => {
    service = await FakeAppservice.start()
  })
  after(() => service[Symbol.asyncDispose]())

  async function config(): Promise<string> {
    const database = `database: {name: sqlite3, args: {database: ${scratch.path('a.db')}}}`
    const path = scratch.write('homeserver.yaml', `server_name: hs.test\n${database}\n`)
    await runCommand(DbMigrate, '-c', path)
    return path
  }

  it('adds, lists, pings and removes services', async () => {
    const path = await config()
    const added = await runCommand(AppserviceAdd, service.file, '-c', path)
    expect(added.stdout).to.equal('Added bridge.\n')
    const { stdout } = await runCommand(AppserviceList, '-c', path, '--json')
    expect(expectCommandJson('appservice-list', stdout)).to.deep.equal([
      {
        id: 'bridge',
        url: service.registration['url'],
        sender: '@bridge_bot:hs.test',
        source: 'database',
        state: 'new',
        failures: 0,
        failingSinceTs: null,
        lastSuccessTs: null,
        lastError: null,
        deadLetters: 0,
      },
    ])
    const pong = await runCommand(AppservicePing, 'bridge', '-c', path)
    expect(pong.stderr).to.equal('')
    expect(pong.stdout).to.match(/^bridge answered within \d+ ms/)
    service.onRequest = () => ({ status: 401 })
    const refused = await runCommand(AppservicePing, 'bridge', '-c', path)
    expect([refused.exitCode, refused.stderr]).to.deep.equal([
      1,
      'error: bridge: the application service answered 401\n',
    ])
    const letters = await runCommand(AppserviceDeadLetters, '-c', path, '--json')
    expect(expectCommandJson('appservice-dead-letters', letters.stdout)).to.deep.equal([])
    expect((await runCommand(AppserviceRemove, 'bridge', '-c', path)).stdout).to.equal('Removed bridge.\n')
    expect((await runCommand(AppserviceRemove, 'bridge', '-c', path)).exitCode).to.equal(1)
  })

  it('gives programs what they find', async () => {
    const path = await config()
    service.onRequest = () => ({ status: 200, body: {} })
    const json = async (command: Parameters<typeof runCommand>[0], argument: string): Promise<string> =>
      (await runCommand(command, argument, '-c', path, '--json')).stdout
    const report = { id: 'bridge', remarks: [] }
    expectCommandJson('appservice-check', await json(AppserviceCheck, service.file))
    expect(expectCommandJson('appservice-add', await json(AppserviceAdd, service.file))).to.deep.equal(report)
    expectCommandJson('appservice-ping', await json(AppservicePing, 'bridge'))
    const letter = { appserviceId: 'bridge', txnId: 3, error: 'status 400', ts: 5, body: '{"events":[]}' }
    await withDatabase([path], (db) =>
      db.write('refuse', (tx) => new AppservicesStore().addDeadLetter(tx, letter, 100)),
    )
    expect(
      expectCommandJson('appservice-dead-letters', await json(AppserviceDeadLetters, 'bridge')),
    ).to.deep.equal([{ ...letter, body: { events: [] } }])
    expectCommandJson('appservice-remove', await json(AppserviceRemove, 'bridge'))
    expectCommandJson('error', await json(AppserviceRemove, 'bridge'))
  })

  it('says what is wrong with a registration, and what may be', async () => {
    const path = await config()
    const good = await runCommand(AppserviceCheck, service.file, '-c', path)
    expect(good.stdout).to.equal('The registration of bridge is valid.\n')
    const odd = scratch.write(
      'odd.yaml',
      [
        'id: odd',
        'url: null',
        'as_token: a',
        'hs_token: b',
        'sender_localpart: odd',
        'namespaces: {users: [{exclusive: true, regex: "@.*"}], aliases: [{regex: "irc_.*"}]}',
      ].join('\n'),
    )
    const { stderr } = await runCommand(AppserviceCheck, odd, '-c', path)
    expect(stderr).to.include('@.* of users is exclusive').and.include('does not begin with #')
    const bad = scratch.write('bad.yaml', 'id: x\nurl: ftp://x\nas_token: a\nhs_token: a\nnamespaces: []\n')
    const wrong = await runCommand(AppserviceCheck, bad, '-c', path)
    expect(wrong.exitCode).to.equal(1)
    expect(wrong.stderr)
      .to.include('url must be a URL')
      .and.include('sender_localpart must be a text')
      .and.include('as_token and hs_token must differ')
      .and.include('namespaces must be a map')
  })
})

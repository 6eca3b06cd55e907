import { expect } from 'chai'
import UsersDeactivate from '../../../commands/users/deactivate.js'
import UsersList from '../../../commands/users/list.js'
import UsersLock from '../../../commands/users/lock.js'
import UsersLogout from '../../../commands/users/logout.js'
import UsersRecent from '../../../commands/users/recent.js'
import UsersSetAdmin from '../../../commands/users/set-admin.js'
import UsersSetPassword from '../../../commands/users/set-password.js'
import UsersShow from '../../../commands/users/show.js'
import UsersSuspend from '../../../commands/users/suspend.js'
import { controlSocketIn, writeCommandConfig } from '../../support/command-config.js'
import { expectCommandJson } from '../../support/command-schemas.js'
import { runCommand, runProgram } from '../../support/commands.js'
import { startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import type { ClientError, MatrixClient } from '../../support/matrix-client.js'
import { useScratch } from '../../support/scratch.js'

describe('mxhs users', function () {
  this.timeout(30_000)
  const scratch = useScratch()
  let server: TestHomeserver
  let alice: MatrixClient
  let bob: MatrixClient
  let config: string

  beforeEach(async () => {
    server = await startHomeserver({ config: controlSocketIn(scratch) })
    config = writeCommandConfig(scratch, server)
    alice = await server.register('alice', { isAdmin: true })
    bob = await server.register('bob')
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
    return expectCommandJson(`users-${name}`, stdout) as T
  }

  const listed = async (...argv: string[]): Promise<string[]> => {
    const { accounts } = await json<{ accounts: { userId: string }[] }>('list', UsersList, ...argv)
    return accounts.map(({ userId }) => userId)
  }

  const whoAmI = (client: MatrixClient): Promise<unknown> =>
    client.must('GET', '/_matrix/client/v3/account/whoami')

  const errcodeOf = async (request: Promise<unknown>): Promise<string | undefined> =>
    request.then(
      () => undefined,
      (error: unknown) => (error as ClientError).errcode,
    )

  it('list finds accounts by what they are', async () => {
    expect(await listed()).to.deep.equal(['@alice:hs.test', '@bob:hs.test'])
    expect(await listed('--admins')).to.deep.equal(['@alice:hs.test'])
    expect(await listed('--search', 'OB')).to.deep.equal(['@bob:hs.test'])
    expect(await listed('--search', '%')).to.deep.equal([])
    expect(await listed('--limit', '1', '--from', '1')).to.deep.equal(['@bob:hs.test'])
    const text = await run(UsersList, '--limit', '1')
    expect(text.stdout).to.match(/^user +name +is +created +last seen\n@alice:hs\.test +alice +admin +\d{4}-/)
    expect(text.stderr).to.equal('1 more: --from 1\n')
    expect((await run(UsersList, '--sort', 'nothing')).exitCode).to.equal(2)
  })

  it('show tells about one', async () => {
    await alice.createRoom()
    const shown = await json<Record<string, unknown>>('show', UsersShow, 'alice')
    expect(shown).to.deep.include({ userId: '@alice:hs.test', isAdmin: true, hasPassword: true })
    expect(shown['rooms']).to.deep.equal({ join: 1 })
    expect(shown['devices']).to.have.length(1)
    expect(JSON.stringify(shown)).to.not.include('$2b$')
    const text = await run(UsersShow, '@alice:hs.test')
    expect(text.stdout)
      .to.match(/^user {11}@alice:hs\.test\n/)
      .and.match(/\nrooms {10}1 join\n/)
    const nobody = await run(UsersShow, 'nobody')
    expect([nobody.exitCode, nobody.stdout, nobody.stderr]).to.deep.equal([
      1,
      '',
      'error: There is no user @nobody:hs.test\n',
    ])
    expect((await run(UsersShow, '@alice:elsewhere.org')).exitCode).to.equal(1)
    expect((await run(UsersShow, '@')).exitCode).to.equal(2)
  })

  it('set-admin, lock and suspend are in force in the running server at once', async () => {
    const version = (): Promise<unknown> => bob.must('GET', '/_matrix/client/v1/admin/lock/@alice:hs.test')
    expect(await errcodeOf(version())).to.equal('M_FORBIDDEN')
    expect(await json('set-admin', UsersSetAdmin, 'bob')).to.deep.equal({
      userId: '@bob:hs.test',
      value: true,
      changed: true,
    })
    expect(await listed('--admins')).to.deep.equal(['@alice:hs.test', '@bob:hs.test'])
    expect((await run(UsersSetAdmin, 'bob')).stdout).to.equal(
      '@bob:hs.test is an administrator, as before.\n',
    )
    await run(UsersSetAdmin, 'bob', '--remove')
    await json('lock', UsersLock, 'bob')
    expect(await errcodeOf(whoAmI(bob))).to.equal('M_USER_LOCKED')
    await run(UsersLock, 'bob', '--remove')
    expect(await errcodeOf(whoAmI(bob))).to.equal(undefined)
    await json('suspend', UsersSuspend, 'bob')
    expect(await errcodeOf(bob.createRoom({}))).to.equal('M_USER_SUSPENDED')
  })

  it('set-password reads the password from a pipe', async () => {
    const argv = ['users', 'set-password', 'bob', '--logout-devices', '--json', '-c', config]
    const changed = await runProgram(argv, { input: 'another one\n' })
    expect(expectCommandJson('users-set-password', changed.stdout)).to.deep.equal({
      userId: '@bob:hs.test',
      devicesLoggedOut: true,
    })
    expect(await errcodeOf(whoAmI(bob))).to.equal('M_UNKNOWN_TOKEN')
    await server.client().login('@bob:hs.test', 'another one')
  })

  it('what would count for nothing is refused where an authentication service has the accounts', async () => {
    const section = 'matrix_authentication_service: {enabled: true, secret: s}'
    const delegating = scratch.write('delegated.yaml', `server_name: hs.test\n${section}\n`)
    for (const [command, ...argv] of [
      [UsersSetAdmin, 'bob'],
      [UsersSetAdmin, 'bob', '--remove'],
      [UsersSetPassword, 'bob'],
    ] as const) {
      const { exitCode, stderr } = await runCommand(command, ...argv, '-c', delegating)
      expect(exitCode).to.equal(1)
      expect(stderr).to.contain('in the hands of an authentication service').and.contain('mas-cli manage')
    }
  })

  it('logout ends sessions', async () => {
    const other = await server.login('@bob:hs.test')
    const ended = await json('logout', UsersLogout, 'bob', '--device', bob.deviceId)
    expect(ended).to.deep.equal({ userId: '@bob:hs.test', devices: [bob.deviceId] })
    expect(await errcodeOf(whoAmI(bob))).to.equal('M_UNKNOWN_TOKEN')
    await whoAmI(other)
    await run(UsersLogout, 'bob')
    expect(await errcodeOf(whoAmI(other))).to.equal('M_UNKNOWN_TOKEN')
    expect((await run(UsersLogout, 'bob', '--device', 'NONE')).exitCode).to.equal(1)
  })

  it('deactivate ends an account, with the server running or not', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(roomId)
    expect((await run(UsersDeactivate, 'bob')).exitCode, 'without --yes').to.equal(2)
    expect(await json('deactivate', UsersDeactivate, 'bob', '--erase', '--yes')).to.deep.equal({
      userId: '@bob:hs.test',
      erased: true,
    })
    expect(await listed()).to.deep.equal(['@alice:hs.test'])
    expect(await listed('--deactivated')).to.deep.equal(['@bob:hs.test'])
    await server.server.stop()
    expect((await run(UsersDeactivate, 'alice', '-y')).exitCode).to.equal(0)
    const shown = await json<object>('show', UsersShow, 'alice')
    expect(shown).to.deep.include({ isDeactivated: true, isAdmin: false, rooms: { leave: 1 } })
  })

  it('recent shows who is new', async () => {
    const signUps = await json<object[]>('recent', UsersRecent, '--since', '1h')
    expect(signUps.map((signUp) => (signUp as { userId: string }).userId)).to.deep.equal([
      '@alice:hs.test',
      '@bob:hs.test',
    ])
    expect((await run(UsersRecent, '-u', '-a', '-e')).stdout).to.equal('@alice:hs.test\n@bob:hs.test\n')
    expect((await run(UsersRecent, '--since', '0s', '-u')).stdout).to.equal('')
    expect((await run(UsersRecent, '--since', 'yesterday')).exitCode).to.equal(2)
  })
})

import { expect } from 'chai'
import RegisterUser from '../../../commands/register-user.js'
import { expectCommandJson } from '../../support/command-schemas.js'
import { runCommand, runProgram } from '../../support/commands.js'
import { FakeAuthenticationService } from '../../support/fake-authentication-service.js'
import { startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { useScratch } from '../../support/scratch.js'

const SECRET = 'a shared secret'

describe('mxhs register-user', () => {
  const scratch = useScratch()
  let server: TestHomeserver

  before(async () => {
    server = await startHomeserver({ config: { registration_shared_secret: SECRET } })
  })
  after(() => server[Symbol.asyncDispose]())

  /** The configuration of the running server, as far as the command needs it. */
  function config(): string {
    const port = new URL(server.url).port
    return scratch.write(
      'homeserver.yaml',
      `server_name: hs.test
registration_shared_secret: ${SECRET}
listeners:
  - {port: 1, tls: true, resources: [{names: [client]}]}
  - {port: 2, resources: [{names: [federation]}]}
  - {port: ${port}, bind_addresses: ['127.0.0.1'], resources: [{names: [client]}]}
tls_certificate_path: a
tls_private_key_path: b
`,
    )
  }

  async function mayLogIn(user: string, password: string): Promise<boolean> {
    const { status } = await server.client().request('POST', '/_matrix/client/v3/login', {
      body: { type: 'm.login.password', identifier: { type: 'm.id.user', user }, password },
    })
    return status === 200
  }

  it('makes an account at the server of the configuration', async () => {
    const { stdout, stderr, exitCode } = await runCommand(
      RegisterUser,
      ...['-u', 'alice', '-p', 'pass', '--no-admin', '-c', config()],
    )
    expect({ stdout, exitCode }).to.deep.equal({ stdout: '@alice:hs.test\n', exitCode: 0 })
    expect(stderr).to.equal('Sending registration request...\nSuccess!\n')
    expect(await mayLogIn('alice', 'pass')).to.equal(true)
  })

  it('makes administrators and users of a kind, at the server of the argument', async () => {
    const argv = ['-u', 'root', '-p', 'pass', '-a', '-t', 'bot', '-k', SECRET, server.url, '--json']
    const { stdout, exitCode } = await runCommand(RegisterUser, ...argv)
    expect(exitCode).to.equal(0)
    const answer = expectCommandJson('register-user', stdout) as Record<string, unknown>
    expect(answer['user_id']).to.equal('@root:hs.test')
    expect(answer).to.include.keys('access_token', 'device_id')
    const requester = await server.server.services.accessTokens.authenticate(String(answer['access_token']), {
      ip: '127.0.0.1',
      userAgent: undefined,
    })
    expect(requester.isAdmin).to.equal(true)
  })

  it('fails for a name that is taken, unless that is no failure', async () => {
    const argv = ['-u', 'bob', '-p', 'pass', '--no-admin', '-c', config()]
    expect((await runCommand(RegisterUser, ...argv)).exitCode).to.equal(0)
    const again = await runCommand(RegisterUser, ...argv)
    expect(again.exitCode).to.equal(1)
    expect(again.stderr).to.contain('There is a user bob already')
    const json = await runCommand(RegisterUser, ...argv, '--exists-ok', '--json')
    expect(expectCommandJson('register-user', json.stdout)).to.include({ exists: true })
    expect(await runCommand(RegisterUser, ...argv, '--exists-ok')).to.include({
      stdout: 'User already exists. Skipping.\n',
      exitCode: 0,
    })
  })

  it('reads the password from a file or from standard input', async () => {
    const file = scratch.write('password', 'from a file\nmore\n')
    const fromFile = await runCommand(RegisterUser, '-u', 'carol', '--password-file', file, '-c', config())
    expect(fromFile.exitCode).to.equal(0)
    expect(await mayLogIn('carol', 'from a file')).to.equal(true)

    const argv = ['register-user', '-u', 'dave', '--password-stdin', '--no-admin', '-c', config()]
    const fromStdin = await runProgram(argv, { input: 'from a pipe\n' })
    expect(fromStdin).to.include({ stdout: '@dave:hs.test\n', exitCode: 0 })
    expect(await mayLogIn('dave', 'from a pipe')).to.equal(true)
  }).timeout(60_000)

  it('says what the server says', async () => {
    const wrong = await runCommand(RegisterUser, '-u', 'eve', '-p', 'pass', '-k', 'wrong', server.url)
    expect(wrong).to.include({ stdout: '', exitCode: 1 })
    expect(wrong.stderr).to.contain('error: The server refused: HMAC incorrect (403)')
    const name = await runCommand(RegisterUser, '-u', 'not a name', '-p', 'pass', '-c', config())
    expect(name.exitCode).to.equal(1)
    expect(name.stderr).to.contain('The server refused:')
  })

  it('says that there is no server', async () => {
    const { stderr, exitCode } = await runCommand(
      RegisterUser,
      ...['-u', 'eve', '-p', 'pass', '-k', SECRET, 'http://127.0.0.1:1'],
    )
    expect(exitCode).to.equal(1)
    expect(stderr).to.contain('error: Cannot reach the server at http://127.0.0.1:1: ')
  })

  it('fails without a secret in the configuration', async () => {
    const path = scratch.write('homeserver.yaml', 'server_name: a.org\n')
    const { stderr, exitCode } = await runCommand(RegisterUser, '-u', 'eve', '-p', 'pass', '-c', path)
    expect(exitCode).to.equal(1)
    expect(stderr).to.contain('There is no registration_shared_secret')
  })

  for (const [title, argv] of [
    ['a password', ['-u', 'eve', '-k', SECRET]],
    ['a name', ['-p', 'pass', '-k', SECRET]],
    ['one way of giving the password', ['-u', 'eve', '-p', 'a', '--password-stdin', '-k', SECRET]],
    ['one way of giving the secret', ['-u', 'eve', '-p', 'a', '-k', SECRET, '-c', 'homeserver.yaml']],
    ['a URL that is one', ['-u', 'eve', '-p', 'a', '-k', SECRET, 'nonsense']],
    ['a password that is not empty', ['-u', 'eve', '-p', '', '-k', SECRET]],
  ] as const) {
    it(`needs ${title}, where nobody can be asked`, async () => {
      expect(await runCommand(RegisterUser, ...argv)).to.include({ stdout: '', exitCode: 2 })
    })
  }

  it('says why there is nothing to do where an authentication service has the accounts', async () => {
    await using service = await FakeAuthenticationService.start()
    await using delegating = await startHomeserver({ config: service.config })
    const file = scratch.write(
      'delegated.yaml',
      `server_name: hs.test
registration_shared_secret: ${SECRET}
matrix_authentication_service: {enabled: true, endpoint: '${service.url}', secret: s}
`,
    )
    const user = ['-u', 'alice', '-p', 'pass', '--no-admin']
    const configured = await runCommand(RegisterUser, ...user, '-c', file)
    expect(configured.exitCode).to.equal(1)
    expect(configured.stderr).to.contain('in the hands of an authentication service').and.contain('mas-cli')
    const asked = await runCommand(RegisterUser, ...user, '-k', SECRET, delegating.url)
    expect(asked.exitCode).to.equal(1)
    expect(asked.stderr).to.contain('makes no accounts by a shared secret')
  })
})

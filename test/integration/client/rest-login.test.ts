import { expect } from 'chai'
import type { RequestListener } from 'node:http'
import type { UserId } from '../../../src/protocol/ids.js'
import { isJsonObject, type JsonObject } from '../../../src/util/json.js'
import { PASSWORD, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { MISBEHAVIOUR, startHttpServer, type HttpServer } from '../../support/http-servers.js'
import type { ClientResponse } from '../../support/matrix-client.js'

const LOGIN = '/_matrix/client/v3/login'

/** A service that knows the password `of <user ID>` of everybody, and tells of them what `profile` is now. */
class FakeService implements AsyncDisposable {
  readonly asked: { readonly url: string; readonly id: string }[] = []
  profile: JsonObject | undefined
  readonly #server: HttpServer

  private constructor(server: HttpServer) {
    this.#server = server
  }

  static async start(): Promise<FakeService> {
    const known: { service?: FakeService } = {}
    const server = await startHttpServer((request, response) => {
      let text = ''
      request.on('data', (part: Buffer) => (text += part.toString()))
      request.on('end', () => response.end(JSON.stringify(known.service?.answer(request.url ?? '', text))))
    })
    known.service = new FakeService(server)
    return known.service
  }

  get port(): number {
    return this.#server.port
  }

  answer(url: string, text: string): JsonObject {
    const body: unknown = JSON.parse(text)
    const user = isJsonObject(body) && isJsonObject(body['user']) ? body['user'] : {}
    const id = user['id'] as string
    this.asked.push({ url, id })
    const success = user['password'] === `of ${id}`
    return { auth: { success, ...(success && this.profile && { profile: this.profile }) } }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]()
  }
}

function rest(port: number, policy: JsonObject = {}): Record<string, unknown> {
  const config = { endpoint: `http://127.0.0.1:${port}/`, policy }
  return { password_providers: [{ module: 'rest_auth_provider.RestAuthProvider', config }] }
}

function logIn(hs: TestHomeserver, user: string, password: string): Promise<ClientResponse> {
  const identifier = { type: 'm.id.user', user }
  return hs.client().request('POST', LOGIN, { body: { type: 'm.login.password', identifier, password } })
}

async function outcome(hs: TestHomeserver, user: string, password: string): Promise<unknown> {
  const { status, body } = await logIn(hs, user, password)
  return status === 200 ? body['user_id'] : body['errcode']
}

async function nameOf(hs: TestHomeserver, userId: string): Promise<unknown> {
  return (await hs.client().must('GET', `/_matrix/client/v3/profile/${userId}`))['displayname']
}

async function addressesOf(hs: TestHomeserver, user: string): Promise<string[]> {
  const { body } = await logIn(hs, user, `of @${user}:hs.test`)
  const session = { userId: `@${user}:hs.test`, deviceId: '', accessToken: body['access_token'] as string }
  const { threepids } = await hs.client().withSession(session).must('GET', '/_matrix/client/v3/account/3pid')
  return (threepids as { medium: string; address: string }[])
    .map(({ medium, address }) => `${medium} ${address}`)
    .sort()
}

const email = (address: string): JsonObject => ({ medium: 'email', address })

describe('passwords that another service knows', () => {
  it('make an account first and open it later', async () => {
    await using service = await FakeService.start()
    await using hs = await startHomeserver({ config: rest(service.port) })
    service.profile = {
      display_name: 'Alice A.',
      three_pids: [email('Alice@Example.org'), email('no address')],
    }
    const userId = '@alice:hs.test'
    expect(await outcome(hs, 'alice', 'wrong')).to.equal('M_FORBIDDEN')
    expect(await outcome(hs, 'alice', `of ${userId}`)).to.equal(userId)
    service.profile = {
      display_name: 'Other',
      three_pids: [email('other@example.org'), { medium: 'MSISDN', address: '447700900000' }],
    }
    // The account is one, however its name is written, and the service is asked about it.
    for (const user of ['ALICE', '@alice:hs.test'])
      expect(await outcome(hs, user, `of ${userId}`)).to.equal(userId)
    expect(await nameOf(hs, userId)).to.equal('Alice A.')
    expect(await addressesOf(hs, 'alice')).to.deep.equal([
      'email alice@example.org',
      'email other@example.org',
      'msisdn 447700900000',
    ])
    expect(new Set(service.asked.map(({ id, url }) => `${id} ${url}`))).to.deep.equal(
      new Set([`${userId} /_matrix-internal/identity/v1/check_credentials`]),
    )
  })

  it('bring profiles as the policy says', async () => {
    await using service = await FakeService.start()
    const policy = {
      registration: { profile: { name: false } },
      login: { profile: { name: true } },
      all: { threepid: { update: true, replace: true } },
    }
    await using hs = await startHomeserver({ config: rest(service.port, policy) })
    service.profile = { display_name: 'First', three_pids: [email('a@example.org'), email('b@example.org')] }
    expect(await outcome(hs, 'alice', 'of @alice:hs.test')).to.equal('@alice:hs.test')
    expect(await nameOf(hs, '@alice:hs.test')).to.equal('alice')
    service.profile = { display_name: 'Second', three_pids: [email('b@example.org'), email('c@example.org')] }
    expect(await addressesOf(hs, 'alice')).to.deep.equal(['email b@example.org', 'email c@example.org'])
    expect(await nameOf(hs, '@alice:hs.test')).to.equal('Second')
    // What is somebody's stays theirs.
    service.profile = { three_pids: [email('c@example.org'), email('d@example.org')] }
    expect(await addressesOf(hs, 'bob')).to.deep.equal(['email d@example.org'])
    service.profile = undefined
    const kept = { all: { threepid: { update: false, replace: true } } }
    await using other = await startHomeserver({ config: rest(service.port, kept) })
    service.profile = { three_pids: [email('a@example.org')] }
    expect(await addressesOf(other, 'alice')).to.deep.equal([])
  })

  it('open nothing else', async () => {
    await using service = await FakeService.start()
    await using hs = await startHomeserver({ config: rest(service.port) })
    await hs.register('bob')
    expect(await outcome(hs, 'bob', PASSWORD)).to.equal('@bob:hs.test')
    expect(service.asked).to.deep.equal([])
    for (const user of ['@bob:other.test', 'bob:evil', '@bob:evil:hs.test', '', '@'])
      for (const userId of ['@bob:hs.test', '@bob:other.test', '@bob:evil:hs.test', '@:hs.test'])
        expect(await outcome(hs, user, `of ${userId}`), user).to.equal('M_FORBIDDEN')
    for (const user of ['ä', '_hidden', '123'])
      expect(await outcome(hs, user, `of @${user}:hs.test`), user).to.equal('M_FORBIDDEN')
    await hs.server.services.accountDeactivation.deactivate('@bob:hs.test' as UserId, { erase: false })
    expect(await outcome(hs, 'bob', 'of @bob:hs.test')).to.equal('M_USER_DEACTIVATED')
  })

  it('let nobody in where the service does not answer as it should', async () => {
    const wrong: Record<string, RequestListener> = {
      'an error': (_request, response) => response.writeHead(500).end('{"auth":{"success":true}}'),
      'a redirect': (_request, response) => response.writeHead(302, { Location: '/' }).end(),
      'no JSON': (_request, response) => response.end('true'),
      'no answer': (_request, response) => response.end('{"auth":{"success":"true"}}'),
      'one, maybe': (_request, response) => response.end('{"auth":{"success":1}}'),
      'something else': (_request, response) => response.end('{"success":true}'),
      abrupt: MISBEHAVIOUR.abrupt,
      huge: MISBEHAVIOUR.huge,
    }
    let handler: RequestListener = MISBEHAVIOUR.silent
    await using service = await startHttpServer((request, response) => handler(request, response))
    await using hs = await startHomeserver({ config: rest(service.port) })
    await hs.register('bob')
    for (const [what, answer] of Object.entries(wrong)) {
      handler = answer
      expect(await outcome(hs, 'alice', 'whatever'), what).to.equal('M_FORBIDDEN')
      expect(await outcome(hs, 'bob', 'whatever'), what).to.equal('M_FORBIDDEN')
      expect(await outcome(hs, 'bob', PASSWORD), what).to.equal('@bob:hs.test')
    }
  })
})

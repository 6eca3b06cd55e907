import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { FakeSmtp } from '../../support/fake-smtp.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { ManualClock } from '../../support/manual-clock.js'
import { dig, type ClientResponse, type MatrixClient } from '../../support/matrix-client.js'

const ACCOUNT = '/_matrix/client/v3/account'
const SECRET = 'a_secret.of=the-client'
const PUBLIC = 'https://hs.test/'

/** The link in the newest mail, and where it leads on this server. */
function linkIn(smtp: FakeSmtp): { path: string; query: Record<string, string> } {
  const [, link = ''] = /(https:\/\/hs\.test\/\S+)/.exec(smtp.mails.at(-1)?.text ?? '') ?? []
  const url = new URL(link)
  return { path: url.pathname, query: Object.fromEntries(url.searchParams) }
}

function failure({ status, body }: ClientResponse): unknown[] {
  return [status, dig(body, 'errcode')]
}

forEachServerDatabase('E-mail addresses', (database) => {
  let smtp: FakeSmtp
  let hs: TestHomeserver
  let clock: ManualClock
  let alice: MatrixClient

  async function start(config: JsonObject = {}): Promise<void> {
    smtp = await FakeSmtp.start()
    clock = new ManualClock(Date.now())
    const email = { ...smtp.config, enable_notifs: true }
    const unlimited = { per_second: 1000, burst_count: 1000 }
    hs = await startHomeserver({
      database,
      clock,
      config: { email, public_baseurl: PUBLIC, rc_3pid_validation: unlimited, ...config },
    })
    alice = await hs.register('alice')
  }

  afterEach(async () => {
    await hs[Symbol.asyncDispose]()
    await smtp[Symbol.asyncDispose]()
  })

  function ask(kind: string, email: string, more: JsonObject = {}): Promise<ClientResponse> {
    const target = kind === 'register' ? '/_matrix/client/v3/register' : `${ACCOUNT}/${kind}`
    return hs.client().request('POST', `${target}/email/requestToken`, {
      body: { email, client_secret: SECRET, send_attempt: 1, ...more },
    })
  }

  /** As a browser does; gives the status. */
  async function follow(method = 'GET', change: Record<string, string> = {}): Promise<Response> {
    const { path, query } = linkIn(smtp)
    const search = new URLSearchParams({ ...query, ...change })
    return fetch(`${hs.url}${path}?${search.toString()}`, { method, redirect: 'manual' })
  }

  async function add(client: MatrixClient, sid: string): Promise<ClientResponse> {
    const body = { sid, client_secret: SECRET }
    const challenge = await client.request('POST', `${ACCOUNT}/3pid/add`, { body })
    const auth = {
      type: 'm.login.password',
      session: dig(challenge.body, 'session') as string,
      identifier: { type: 'm.id.user', user: client.userId },
      password: 'correct horse',
    }
    return client.request('POST', `${ACCOUNT}/3pid/add`, { body: { ...body, auth } })
  }

  it('are added by those who can read what is sent there', async () => {
    await start()
    const capabilities = await alice.must('GET', '/_matrix/client/v3/capabilities')
    expect(dig(capabilities, 'capabilities', 'm.3pid_changes')).to.deep.equal({ enabled: true })
    const asked = await ask('3pid', 'Alice@Mail.test')
    const sid = dig(asked.body, 'sid') as string
    expect(asked.status).to.equal(200)
    expect(smtp.mails.map(({ to }) => to)).to.deep.equal([['alice@mail.test']])
    expect(failure(await add(alice, sid))).to.deep.equal([400, 'M_THREEPID_AUTH_FAILED'])
    expect((await follow('GET', { token: 'wrong' })).status).to.equal(400)
    expect(failure(await add(alice, sid))).to.deep.equal([400, 'M_THREEPID_AUTH_FAILED'])
    const page = await follow()
    expect([page.status, await page.text()].join()).to.match(/^200,.*Your address is confirmed/s)
    expect((await add(alice, sid)).status).to.equal(200)
    const { threepids } = (await alice.must('GET', `${ACCOUNT}/3pid`)) as { threepids: JsonObject[] }
    expect(threepids).to.have.length(1)
    expect(threepids[0]).to.include({ medium: 'email', address: 'alice@mail.test' })
    // The proof is used up.
    const bob = await hs.register('bob')
    expect(failure(await add(bob, sid))).to.deep.equal([400, 'M_THREEPID_AUTH_FAILED'])
    expect(failure(await ask('3pid', 'alice@mail.test'))).to.deep.equal([400, 'M_THREEPID_IN_USE'])
    expect(failure(await ask('register', 'alice@mail.test'))).to.deep.equal([400, 'M_THREEPID_IN_USE'])
  })

  it('get one mail for each attempt, whose link ends with the next one and after a while', async () => {
    await start()
    const first = await ask('3pid', 'a@mail.test')
    const old = linkIn(smtp)
    expect((await ask('3pid', 'a@mail.test')).body).to.deep.equal(first.body)
    expect(smtp.mails).to.have.length(1)
    const again = await ask('3pid', 'a@mail.test', { send_attempt: 2, next_link: 'https://client.test/done' })
    expect(again.body).to.deep.equal(first.body)
    expect(smtp.mails).to.have.length(2)
    expect((await follow('GET', { token: old.query['token'] ?? '' })).status).to.equal(400)
    const moved = await follow()
    expect([moved.status, moved.headers.get('location')]).to.deep.equal([302, 'https://client.test/done'])
    await ask('3pid', 'b@mail.test')
    clock.advance(60 * 60_000)
    expect((await follow()).status).to.equal(400)
    const bad = await ask('3pid', 'c@mail.test', { next_link: 'javascript:alert(1)' })
    expect(failure(bad)).to.deep.equal([400, 'M_INVALID_PARAM'])
  })

  it('let people set another password, once they have said that they want to', async () => {
    await start()
    expect(failure(await ask('password', 'alice@mail.test'))).to.deep.equal([400, 'M_THREEPID_NOT_FOUND'])
    const added = await ask('3pid', 'alice@mail.test')
    await follow()
    await add(alice, dig(added.body, 'sid') as string)
    const asked = await ask('password', 'alice@mail.test')
    const creds = { sid: dig(asked.body, 'sid') as string, client_secret: SECRET }
    const question = await follow()
    expect(await question.text()).to.include('Set another password?')
    const anybody = hs.client()
    const body = { new_password: 'another secret' }
    const challenge = await anybody.request('POST', `${ACCOUNT}/password`, { body })
    expect(dig(challenge.body, 'flows')).to.deep.equal([{ stages: ['m.login.email.identity'] }])
    const session = dig(challenge.body, 'session') as string
    const auth = { type: 'm.login.email.identity', session, threepid_creds: creds }
    const early = await anybody.request('POST', `${ACCOUNT}/password`, { body: { ...body, auth } })
    expect(failure(early)).to.deep.equal([401, 'M_UNAUTHORIZED'])
    expect((await follow('POST')).status).to.equal(200)
    await anybody.must('POST', `${ACCOUNT}/password`, { body: { ...body, auth } })
    expect(failure(await alice.request('GET', `${ACCOUNT}/whoami`))).to.deep.equal([401, 'M_UNKNOWN_TOKEN'])
    const back = await anybody.login('alice', 'another secret')
    expect(back.userId).to.equal(alice.userId)
  })

  it('do not let others set a password who were only given proof for something else', async () => {
    await start()
    const asked = await ask('3pid', 'alice@mail.test')
    await follow()
    const anybody = hs.client()
    const body = { new_password: 'another secret' }
    const challenge = await anybody.request('POST', `${ACCOUNT}/password`, { body })
    const auth = {
      type: 'm.login.email.identity',
      session: dig(challenge.body, 'session') as string,
      threepid_creds: { sid: dig(asked.body, 'sid') as string, client_secret: SECRET },
    }
    const answer = await anybody.request('POST', `${ACCOUNT}/password`, { body: { ...body, auth } })
    expect(failure(answer)).to.deep.equal([401, 'M_UNAUTHORIZED'])
  })

  it('can be asked of those who register, who are then told by mail of what they miss', async () => {
    await start({
      registrations_require_3pid: ['email'],
      allowed_local_3pids: [{ medium: 'email', pattern: '.*@mail\\.test$' }],
    })
    for (const purpose of ['register', '3pid'] as const)
      expect(failure(await ask(purpose, 'carol@other.test'))).to.deep.equal([403, 'M_THREEPID_DENIED'])
    const anybody = hs.client()
    const body = { username: 'carol', password: 'secret' }
    const register = (auth?: JsonObject): Promise<ClientResponse> =>
      anybody.request('POST', '/_matrix/client/v3/register', { body: auth ? { ...body, auth } : body })
    const challenge = await register()
    expect(dig(challenge.body, 'flows')).to.deep.equal([{ stages: ['m.login.email.identity'] }])
    const asked = await ask('register', 'carol@mail.test')
    const auth = {
      type: 'm.login.email.identity',
      session: dig(challenge.body, 'session') as string,
      threepid_creds: { sid: dig(asked.body, 'sid') as string, client_secret: SECRET },
    }
    // As clients do that wait for the link to be followed elsewhere.
    expect(failure(await register(auth))).to.deep.equal([401, 'M_UNAUTHORIZED'])
    await follow()
    expect((await register(auth)).status).to.equal(200)
    const carol = await anybody.login('carol', 'secret')
    const { threepids } = (await carol.must('GET', `${ACCOUNT}/3pid`)) as { threepids: JsonObject[] }
    expect(threepids.map(({ address }) => address)).to.deep.equal(['carol@mail.test'])
    const { pushers } = (await carol.must('GET', '/_matrix/client/v3/pushers')) as { pushers: JsonObject[] }
    expect(pushers.map(({ kind, pushkey }) => [kind, pushkey])).to.deep.equal([['email', 'carol@mail.test']])
  })

  it('are not told apart where that would tell who has an account', async () => {
    await start({ request_token_inhibit_3pid_errors: true })
    const added = await ask('3pid', 'alice@mail.test')
    await follow()
    await add(alice, dig(added.body, 'sid') as string)
    const unknown = await ask('password', 'nobody@mail.test')
    expect([unknown.status, typeof dig(unknown.body, 'sid')]).to.deep.equal([200, 'string'])
    expect(smtp.mails).to.have.length(1)
    expect((await ask('register', 'alice@mail.test')).status).to.equal(200)
    expect(smtp.mails.at(-1)?.text).to.include('has an account there already')
  })

  it('cannot be changed where that is switched off', async () => {
    await start({ enable_3pid_changes: false })
    expect(failure(await ask('3pid', 'alice@mail.test'))).to.deep.equal([403, 'M_FORBIDDEN'])
    const capabilities = await alice.must('GET', '/_matrix/client/v3/capabilities')
    expect(dig(capabilities, 'capabilities', 'm.3pid_changes')).to.deep.equal({ enabled: false })
  })

  it('are limited by how often mail is sent to them', async () => {
    await start({ rc_3pid_validation: { per_second: 0.001, burst_count: 2 } })
    for (const attempt of [1, 2]) {
      expect((await ask('3pid', 'alice@mail.test', { send_attempt: attempt })).status).to.equal(200)
    }
    const third = await ask('3pid', 'alice@mail.test', { send_attempt: 3 })
    expect(failure(third)).to.deep.equal([429, 'M_LIMIT_EXCEEDED'])
  })
})

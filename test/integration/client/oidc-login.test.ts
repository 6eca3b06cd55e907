import { createSecretKey, generateKeyPairSync, randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { decodeJwt, UnsecuredJWT } from 'jose'
import { createLogger } from '../../../src/telemetry/logger.js'
import type { JsonObject } from '../../../src/util/json.js'
import {
  Browser,
  linksOf,
  logInFrom as logIn,
  unescapeHtml,
  type BrowserPage,
} from '../../support/browser.js'
import {
  forEachServerDatabase,
  PASSWORD,
  startHomeserver,
  type TestHomeserver,
} from '../../support/homeserver.js'
import { ManualClock } from '../../support/manual-clock.js'
import type { MatrixClient } from '../../support/matrix-client.js'
import { OidcServer } from '../../support/oidc-server.js'

const V3 = '/_matrix/client/v3'
const HS = 'https://hs.test'
const CLIENT = 'https://app.example.org/'

function browserOf(hs: TestHomeserver): Browser {
  return new Browser(() => ({ [HS]: hs.url }))
}

function loginUrl(idp = ''): string {
  return `${HS}${V3}/login/sso/redirect${idp}?redirectUrl=${encodeURIComponent(CLIENT)}`
}

/** The page at the end. */
function signOn(hs: TestHomeserver, browser = browserOf(hs)): Promise<BrowserPage> {
  return browser.follow(loginUrl())
}

/** Where the provider sends a browser back to that has begun. */
async function answerUrl(browser: Browser): Promise<string> {
  const { location } = await browser.follow(loginUrl(), { until: `${HS}/_synapse/client/oidc/callback` })
  return location ?? ''
}

async function start(
  oidc: OidcServer,
  provider: JsonObject = {},
  options: Parameters<typeof startHomeserver>[0] = {},
): Promise<TestHomeserver> {
  const config = { oidc_providers: [oidc.config(provider)], ...options.config }
  const hs = await startHomeserver({ ...options, config })
  oidc.homeserverUrl = hs.url
  return hs
}

function formOf(page: BrowserPage): { action: string; fields: URLSearchParams } {
  const [, action = ''] = /<form[^>]* action="([^"]*)"/.exec(page.text) ?? []
  const fields = new URLSearchParams()
  for (const [input] of page.text.matchAll(/<input[^>]*type="hidden"[^>]*>/g)) {
    const [, name = ''] = /name="([^"]*)"/.exec(input) ?? []
    const [, value = ''] = /value="([^"]*)"/.exec(input) ?? []
    fields.set(name, unescapeHtml(value))
  }
  return { action: new URL(unescapeHtml(action), page.url).href, fields }
}

async function isLoggedIn(client: MatrixClient): Promise<boolean> {
  return (await client.request('GET', `${V3}/account/whoami`)).status === 200
}

/** The claims of a logout token that is right, of whom the test says. */
function logoutOf({ issuer }: OidcServer, claims: JsonObject): JsonObject {
  const now = Math.floor(Date.now() / 1000)
  const events = { 'http://schemas.openid.net/event/backchannel-logout': {} }
  return { iss: issuer, aud: 'mxhs', iat: now, exp: now + 60, jti: randomUUID(), events, ...claims }
}

async function sendLogout(hs: TestHomeserver, token: string): Promise<number> {
  const response = await fetch(`${hs.url}/_synapse/client/oidc/backchannel_logout`, {
    method: 'POST',
    body: new URLSearchParams({ logout_token: token }),
  })
  return response.status
}

forEachServerDatabase('signing on by OpenID Connect', (database) => {
  it('makes the account first and finds it later', async () => {
    await using oidc = await OidcServer.start()
    const mapping = {
      localpart_template: '{{ user.preferred_username }}',
      display_name_template: '{{ user.name }}',
      email_template: '{{ user.email }}',
      extra_attributes: { club: '{{ user.groups | join("+") }}' },
    }
    await using hs = await start(oidc, { user_mapping_provider: { config: mapping } }, { database })
    const more = { name: 'Alice <b>A.</b>', email: 'alice@club.test', groups: ['chess', 'go'] }
    oidc.person = { ...oidc.person, ...more }
    const first = await signOn(hs)
    expect(first.text).to.contain(CLIENT)
    const alice = await logIn(hs, first)
    expect(alice.userId).to.equal('@alice:hs.test')
    const profile = await alice.must('GET', `${V3}/profile/${alice.userId}`)
    expect(profile['displayname']).to.equal('Alice <b>A.</b>')
    const threepids = await alice.must('GET', `${V3}/account/3pid`)
    expect(JSON.stringify(threepids)).to.contain('alice@club.test')
    oidc.person = { ...oidc.person, preferred_username: 'renamed' }
    const token = new URL(linksOf(await signOn(hs))[0] ?? '').searchParams.get('loginToken')
    const body = { type: 'm.login.token', token }
    expect(await hs.client().must('POST', `${V3}/login`, { body })).to.include({
      user_id: '@alice:hs.test',
      club: 'chess+go',
    })
    oidc.person = { sub: 'other', preferred_username: 'alice' }
    expect((await logIn(hs, await signOn(hs))).userId).to.equal('@alice1:hs.test')
  })

  it('logs devices out when their session is over there', async () => {
    await using oidc = await OidcServer.start()
    await using hs = await start(oidc, { backchannel_logout_enabled: true }, { database })
    const [here, there] = [browserOf(hs), browserOf(hs)]
    const [one, other] = [await logIn(hs, await signOn(hs, here)), await logIn(hs, await signOn(hs, there))]
    const same = await logIn(hs, await signOn(hs, here))
    const { action, fields } = formOf(await here.go(`${oidc.issuer}/session/end`))
    fields.set('logout', 'yes')
    await here.go(action, fields)
    expect([await isLoggedIn(one), await isLoggedIn(same), await isLoggedIn(other)]).to.deep.equal([
      false,
      false,
      true,
    ])
    // Who has been logged out may come again.
    expect(await isLoggedIn(await logIn(hs, await signOn(hs, here)))).to.equal(true)
  })

  it('logs out just the devices that the provider names', async () => {
    await using oidc = await OidcServer.start()
    const settings = { backchannel_logout_enabled: true, allow_existing_users: true }
    await using hs = await start(oidc, settings, { database })
    const enter = async (sub: string) => {
      oidc.person = { sub, preferred_username: sub }
      const client = await logIn(hs, await signOn(hs))
      return { client, sid: decodeJwt(oidc.idTokens.at(-1) ?? '')['sid'] }
    }
    const [one, two, bob] = [await enter('alice'), await enter('alice'), await enter('bob')]
    const byPassword = await hs.register('carol')
    const send = async (claims: JsonObject) => sendLogout(hs, await oidc.sign(logoutOf(oidc, claims)))
    const present = () => Promise.all([one.client, two.client, bob.client, byPassword].map(isLoggedIn))
    expect(await send({ sid: one.sid as string, sub: 'bob' }), 'a session that is not theirs').to.equal(200)
    expect(await present()).to.deep.equal([true, true, true, true])
    expect(await send({ sub: 'nobody' })).to.equal(200)
    expect(await present()).to.deep.equal([true, true, true, true])
    expect(await send({ sub: 'alice' })).to.equal(200)
    expect(await present()).to.deep.equal([false, false, true, true])
    // As where the subject is not `sub`.
    expect(await send({ sid: bob.sid as string, sub: 'unknown' })).to.equal(200)
    expect(await present()).to.deep.equal([false, false, false, true])
    // Who comes back to a device by another way is none of the provider's any more.
    oidc.person = { sub: 'carol', preferred_username: 'carol' }
    const device = { device_id: 'SHARED' }
    expect((await logIn(hs, await signOn(hs), device)).userId).to.equal(byPassword.userId)
    const password = { type: 'm.login.password', user: 'carol', password: PASSWORD }
    const answer = await hs.client().must('POST', `${V3}/login`, { body: { ...password, ...device } })
    const { userId } = byPassword
    const session = { userId, deviceId: 'SHARED', accessToken: answer['access_token'] as string }
    expect(await send({ sid: decodeJwt(oidc.idTokens.at(-1) ?? '')['sid'] as string })).to.equal(200)
    expect(await isLoggedIn(hs.client().withSession(session))).to.equal(true)
    const [link = ''] = linksOf(await signOn(hs))
    expect(await send({ sid: decodeJwt(oidc.idTokens.at(-1) ?? '')['sid'] as string })).to.equal(200)
    const late = { type: 'm.login.token', token: new URL(link).searchParams.get('loginToken') }
    expect((await hs.client().request('POST', `${V3}/login`, { body: late })).status).to.equal(403)
  })
})

describe('signing on by OpenID Connect', () => {
  let oidc: OidcServer
  let hs: TestHomeserver

  before(async () => {
    oidc = await OidcServer.start()
    hs = await start(oidc, { backchannel_logout_enabled: true })
  })
  beforeEach(() => {
    oidc.person = { sub: 'alice-17', preferred_username: 'alice' }
  })
  after(async () => {
    await hs[Symbol.asyncDispose]()
    await oidc[Symbol.asyncDispose]()
  })

  it('is offered, and sends the proof of PKCE along', async () => {
    const { flows } = await hs.client().must('GET', `${V3}/login`)
    const identity_providers = [{ id: 'oidc-club', name: 'The Club' }]
    expect(flows).to.deep.include({ type: 'm.login.sso', identity_providers })
    const { location = '' } = await browserOf(hs).go(loginUrl('/oidc-club'))
    expect(location).to.match(/^http:\/\/127\.0\.0\.1:\d+\/auth\?/)
    expect(new URL(location).searchParams.get('code_challenge_method')).to.equal('S256')
    expect((await browserOf(hs).go(loginUrl('/oidc-other'))).status).to.equal(404)
  })

  it('takes an answer once, and from the browser that has begun', async () => {
    const browser = browserOf(hs)
    const url = await answerUrl(browser)
    const stranger = await browserOf(hs).go(url)
    expect([stranger.status, linksOf(stranger)]).to.deep.equal([400, []])
    const other = browserOf(hs)
    await other.go(loginUrl())
    expect((await other.go(url)).status).to.equal(400)
    const exchanges = () => oidc.requests.filter((request) => request === 'POST /token').length
    const before = exchanges()
    const [first, second] = [await browser.follow(url), await browser.follow(url)]
    expect(exchanges()).to.equal(before + 1)
    expect(second.status).to.equal(400)
    expect(first.text + second.text).to.contain(CLIENT)
  })

  it('takes no code of another, nor a state that it has not given', async () => {
    const [victim, attacker] = [browserOf(hs), browserOf(hs)]
    const theirs = new URL(await answerUrl(victim))
    const code = new URL(await answerUrl(attacker)).searchParams.get('code') ?? ''
    for (const state of ['', 'x', '__proto__']) {
      const url = new URL(theirs)
      url.searchParams.set('state', state)
      expect((await victim.go(url.href)).status).to.equal(400)
    }
    theirs.searchParams.set('code', code)
    const page = await victim.go(theirs.href)
    expect([page.status, linksOf(page)]).to.deep.equal([400, []])
  })

  it('says so where the provider refuses, without a word of HTML', async () => {
    const browser = browserOf(hs)
    const url = new URL(await answerUrl(browser))
    url.searchParams.delete('code')
    url.searchParams.set('error', 'access_denied')
    url.searchParams.set('error_description', '<img src=x>')
    const page = await browser.go(url.href)
    expect(page.status).to.equal(400)
    expect(page.text).to.contain('&lt;img').and.not.to.contain('<img src=x>')
    const unasked = await browserOf(hs).go(
      `${HS}/_synapse/client/oidc/callback?error=oh&error_description=Call%20us&state=x`,
    )
    expect([unasked.status, unasked.text.includes('Call us')]).to.deep.equal([400, false])
  })

  it('takes no answer that another provider has given', async () => {
    const browser = browserOf(hs)
    const url = new URL(await answerUrl(browser))
    url.searchParams.set('iss', 'https://evil.test')
    expect((await browser.go(url.href)).status).to.equal(400)
  })

  it('proves who somebody is to go on with what they are doing', async () => {
    const browser = browserOf(hs)
    const alice = await logIn(hs, await signOn(hs, browser))
    const target = `${V3}/devices/${(await logIn(hs, await signOn(hs, browser))).deviceId}`
    const asked = await alice.request('DELETE', target, { body: {} })
    expect(asked.status).to.equal(401)
    expect(JSON.stringify(asked.body['flows'])).to.contain('m.login.sso')
    const session = asked.body['session'] as string
    const fallback = `${HS}${V3}/auth/m.login.sso/fallback/web?session=${session}`
    const confirm = async (from: Browser) => {
      const link = linksOf(await from.go(fallback)).find((href) => href.startsWith(oidc.issuer))
      return from.follow(link ?? '')
    }
    oidc.person = { sub: 'mallory', preferred_username: 'mallory' }
    await logIn(hs, await signOn(hs))
    await confirm(browserOf(hs))
    const again = { body: { auth: { session } } }
    expect((await alice.request('DELETE', target, again)).status).to.equal(403)
    oidc.person = { sub: 'alice-17', preferred_username: 'alice' }
    await confirm(browser)
    expect((await alice.request('DELETE', target, again)).status).to.equal(200)
  })

  it('logs nobody out on the word of others', async () => {
    const browser = browserOf(hs)
    const alice = await logIn(hs, await signOn(hs, browser))
    const { sid } = decodeJwt(oidc.idTokens.at(-1) ?? '')
    const now = Math.floor(Date.now() / 1000)
    const good = logoutOf(oidc, { sub: 'alice-17', sid: sid as string, jti: 'one' })
    const send = (token: string) => sendLogout(hs, token)
    const wrong: Record<string, unknown>[] = [
      { iss: 'https://evil.test' },
      { aud: 'another' },
      { events: undefined },
      { events: {} },
      { events: 'http://schemas.openid.net/event/backchannel-logout' },
      { nonce: 'of an ID token' },
      { iat: now - 3600, exp: undefined },
      { iat: undefined },
      { iat: now + 3600 },
      { exp: now - 600 },
      { sid: undefined, sub: undefined },
      { sid: 7 },
      { sid: '' },
    ]
    for (const claims of wrong) {
      const json = JSON.parse(JSON.stringify({ ...good, ...claims })) as JsonObject
      expect(await send(await oidc.sign(json)), JSON.stringify(claims)).to.equal(400)
    }
    const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
    const secret = createSecretKey(Buffer.from('a secret of the client'))
    for (const token of [
      '',
      'a.b.c',
      new UnsecuredJWT(good).encode(),
      await oidc.sign(good, {}, stranger),
      await oidc.sign(good, { alg: 'HS256' }, secret),
    ])
      expect(await send(token), token).to.equal(400)
    // Another's session, and a session of another provider's name.
    expect(await send(await oidc.sign({ ...good, sid: 'another', jti: 'two' }))).to.equal(200)
    expect(await isLoggedIn(alice)).to.equal(true)
    const token = await oidc.sign(good)
    expect(await send(token)).to.equal(200)
    expect(await isLoggedIn(alice)).to.equal(false)
    const back = await logIn(hs, await signOn(hs, browser))
    expect(await send(token), 'a token is good once').to.equal(400)
    expect(await isLoggedIn(back)).to.equal(true)
  })
})

describe('a provider of OpenID Connect', () => {
  it('may leave the name to people', async () => {
    await using oidc = await OidcServer.start()
    await using hs = await start(oidc, { user_mapping_provider: { config: {} } })
    const browser = browserOf(hs)
    const page = await signOn(hs, browser)
    expect(page.url).to.equal(`${HS}/_synapse/client/pick_username/account_details`)
    const form = new URLSearchParams({ username: 'chosen' })
    const alice = await logIn(hs, await browser.follow(page.url, { form }))
    expect(alice.userId).to.equal('@chosen:hs.test')
  })

  it('may give people accounts that are there, where the operator wants it', async () => {
    for (const allow_existing_users of [true, false]) {
      await using oidc = await OidcServer.start()
      await using hs = await start(oidc, { allow_existing_users })
      await hs.register('alice')
      const alice = await logIn(hs, await signOn(hs))
      expect(alice.userId).to.equal(allow_existing_users ? '@alice:hs.test' : '@alice1:hs.test')
    }
  })

  it('keeps out who is not one of those that are let in', async () => {
    await using oidc = await OidcServer.start()
    const attribute_requirements = [{ attribute: 'groups', one_of: ['staff', 'guests'] }]
    await using hs = await start(oidc, { attribute_requirements })
    for (const groups of [undefined, 'chess', ['chess', 'go'], { staff: true }, 'staff,guests']) {
      oidc.person = { ...oidc.person, ...(groups !== undefined && { groups }) }
      const page = await signOn(hs)
      expect([page.status, linksOf(page)], JSON.stringify(groups)).to.deep.equal([403, []])
    }
    oidc.person = { ...oidc.person, groups: ['chess', 'staff'] }
    expect((await logIn(hs, await signOn(hs))).userId).to.equal('@alice:hs.test')
  })

  it('makes no accounts where it is not to', async () => {
    await using oidc = await OidcServer.start()
    await using hs = await start(oidc, { enable_registration: false })
    expect((await signOn(hs)).status).to.equal(403)
    const { users } = (await (
      await hs.register('admin', { isAdmin: true })
    ).must('GET', '/_synapse/admin/v2/users')) as { users: unknown[] }
    expect(users).to.have.length(1)
  })

  it('may send its answer as a form', async () => {
    await using oidc = await OidcServer.start()
    const additional_authorization_parameters = { response_mode: 'form_post' }
    await using hs = await start(oidc, { additional_authorization_parameters })
    const browser = browserOf(hs)
    const { action, fields } = formOf(await browser.follow(loginUrl()))
    expect(action).to.equal(`${HS}/_synapse/client/oidc/callback`)
    const kept = [...browser.cookies.values()].find(({ host }) => host === 'hs.test')
    expect(kept?.attributes).to.include.members(['SameSite=None', 'Secure', 'HttpOnly'])
    const alice = await logIn(hs, await browser.follow(action, { form: fields }))
    expect(alice.userId).to.equal('@alice:hs.test')
  })

  it('may be asked who somebody is', async () => {
    await using oidc = await OidcServer.start()
    await using hs = await start(oidc, { user_profile_method: 'userinfo_endpoint' })
    expect((await logIn(hs, await signOn(hs))).userId).to.equal('@alice:hs.test')
    expect(oidc.requests).to.include('GET /me')
    oidc.override = (request, response) => {
      if (request.url !== '/me') return false
      response.setHeader('Content-Type', 'application/json')
      response.end('{"sub":"admin","preferred_username":"admin"}')
      return true
    }
    const page = await signOn(hs)
    expect([page.status, linksOf(page)]).to.deep.equal([400, []])
  })

  it('need not be there when the server starts, nor stay', async () => {
    await using oidc = await OidcServer.start()
    oidc.override = (_request, response) => {
      response.writeHead(503).end()
      return true
    }
    const clock = new ManualClock(Date.now())
    const log = await createLogger({ level: 'fatal', destination: { write: () => undefined } })
    await using hs = await start(oidc, {}, { clock, log })
    const page = await signOn(hs)
    expect([page.status, linksOf(page)]).to.deep.equal([503, []])
    oidc.override = undefined
    clock.advance(6_000)
    expect((await logIn(hs, await signOn(hs))).userId).to.equal('@alice:hs.test')
  })

  it('is nowhere unless the operator has named one', async () => {
    await using hs = await startHomeserver()
    const callback = '/_synapse/client/oidc/callback?state=x&code=y'
    expect((await hs.client().request('GET', callback)).status).to.equal(404)
    const logout = await fetch(`${hs.url}/_synapse/client/oidc/backchannel_logout`, {
      method: 'POST',
      body: new URLSearchParams({ logout_token: 'x' }),
    })
    expect(logout.status).to.equal(404)
  })
})

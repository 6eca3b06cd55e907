import { expect } from 'chai'
import { createClient, SSOAction } from 'matrix-js-sdk'
import type { JsonObject } from '../../../src/util/json.js'
import { Browser, linksOf, logInFrom as logIn, type BrowserPage } from '../../support/browser.js'
import { checkedFetch } from '../../support/checked-fetch.js'
import { FakeAppservice } from '../../support/fake-appservice.js'
import { casAnswer, FakeCasServer } from '../../support/fake-cas-server.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { ManualClock } from '../../support/manual-clock.js'
import { silent } from '../../support/sdk-clients.js'

const V3 = '/_matrix/client/v3'
const CLIENT = 'https://app.example.org/'

const HS = 'https://hs.test'

function browserOf(hs: TestHomeserver, headers?: Record<string, string>): Browser {
  return new Browser(() => ({ [HS]: hs.url }), headers)
}

function loginUrl(redirectUrl = CLIENT): string {
  return `${HS}${V3}/login/sso/redirect?redirectUrl=${encodeURIComponent(redirectUrl)}`
}

/** The page at the end, or the last redirect before what is not of this server. */
function signOn(hs: TestHomeserver, url = loginUrl()): Promise<BrowserPage> {
  return browserOf(hs).follow(url)
}

/** Where a browser is sent back to by the CAS server. */
async function ticketUrl(browser: Browser, url = loginUrl()): Promise<string> {
  const { location } = await browser.go((await browser.go(url)).location ?? '')
  return location ?? ''
}

forEachServerDatabase('signing on at a CAS server', (database) => {
  async function start(options: {
    cas: FakeCasServer
    casConfig?: JsonObject
    config?: JsonObject
    clock?: ManualClock
  }): Promise<TestHomeserver> {
    const { cas, casConfig, config, clock } = options
    return startHomeserver({
      database,
      ...(clock && { clock }),
      config: {
        enable_registration: false,
        cas_config: { server_url: `${cas.url}/`, ...casConfig },
        ...config,
      },
    })
  }

  it('is offered with all that clients need to offer it', async () => {
    await using cas = await FakeCasServer.start()
    const casConfig = { idp_name: 'Campus', idp_icon: 'mxc://hs.test/abc', idp_brand: 'org.example.campus' }
    await using hs = await start({ cas, casConfig })
    const { flows } = await hs.client().must('GET', `${V3}/login`)
    expect(flows).to.deep.equal([
      { type: 'm.login.password' },
      { type: 'm.login.cas' },
      {
        type: 'm.login.sso',
        identity_providers: [
          { id: 'cas', name: 'Campus', icon: 'mxc://hs.test/abc', brand: 'org.example.campus' },
        ],
      },
      { type: 'm.login.token' },
    ])
  })

  for (const version of [1, 2, 3]) {
    it(`makes the account first and finds it later, with version ${version} of the protocol`, async () => {
      await using cas = await FakeCasServer.start()
      const casConfig = { protocol_version: version, displayname_attribute: 'fullName' }
      await using hs = await start({ cas, casConfig })
      cas.person = { name: 'Alice.A', attributes: { fullName: 'Alice <b>A.</b>' } }
      const page = await signOn(hs)
      expect(page.status).to.equal(200)
      expect(page.text)
        .to.include('app.example.org')
        .and.include('Alice &lt;b&gt;A.&lt;/b&gt;')
        .and.not.include('<b>A')
      const alice = await logIn(hs, page)
      expect(alice.userId).to.equal('@alice.a:hs.test')
      const profile = await alice.must('GET', `${V3}/profile/${alice.userId}`)
      expect(profile['displayname']).to.equal('Alice <b>A.</b>')
      const again = await logIn(hs, await signOn(hs))
      expect(again.userId).to.equal(alice.userId)
      const path = version === 3 ? '/cas/p3/proxyValidate' : '/cas/proxyValidate'
      expect(cas.validations).to.deep.equal([path, path])
    })
  }

  it('makes one account of somebody who comes twice at once', async () => {
    await using cas = await FakeCasServer.start()
    await using hs = await start({ cas })
    const pages = await Promise.all([signOn(hs), signOn(hs), signOn(hs)])
    const clients = await Promise.all(pages.map((page) => logIn(hs, page)))
    expect(new Set(clients.map(({ userId }) => userId))).to.deep.equal(new Set(['@alice:hs.test']))
  })

  it('tells nobody of the token but the client', async () => {
    await using cas = await FakeCasServer.start()
    await using hs = await start({ cas })
    const { headers } = await signOn(hs)
    expect(headers['referrer-policy']).to.equal('no-referrer')
    expect(headers['cache-control']).to.include('no-store')
    expect(headers['x-frame-options']).to.equal('DENY')
    expect(headers['content-security-policy']).to.include("frame-ancestors 'none'")
  })

  it('lets programs follow the way that keep no cookies', async () => {
    await using cas = await FakeCasServer.start()
    await using hs = await start({ cas })
    const program = browserOf(hs, {})
    const ticket = await ticketUrl(
      program,
      `${HS}/_matrix/client/r0/login/cas/redirect?redirectUrl=${CLIENT}`,
    )
    const ticketQuery = new URL(ticket).searchParams
    expect([...ticketQuery.keys()]).to.deep.equal(['redirectUrl', 'ticket'])
    program.cookies.clear()
    const page = await program.follow(ticket)
    expect((await logIn(hs, page)).userId).to.equal('@alice:hs.test')
  })

  it('refuses what another browser has begun, and what has been used', async () => {
    await using cas = await FakeCasServer.start()
    await using hs = await start({ cas })
    const attacker = browserOf(hs)
    const stolen = await ticketUrl(attacker)
    const victim = await browserOf(hs).go(stolen)
    expect([victim.status, victim.text.includes('bad_session')]).to.deep.equal([400, true])
    // Somebody who has a sign-on of their own under way is not to be taken into the attacker's account either.
    const busy = browserOf(hs)
    await busy.go(loginUrl('https://other.example.org/'))
    expect((await busy.go(stolen)).status).to.equal(400)
    expect((await attacker.go(stolen)).status).to.equal(200)
    expect((await attacker.go(stolen)).status).to.equal(400)
    const program = browserOf(hs, {})
    expect((await program.go(stolen)).status).to.equal(401)
    expect(cas.validations).to.have.length(2)
  })

  it('forgets what takes too long, and remembers the rest over a restart', async () => {
    await using cas = await FakeCasServer.start()
    const clock = new ManualClock(1_700_000_000_000)
    await using hs = await start({ cas, clock })
    const browser = browserOf(hs)
    const late = await ticketUrl(browser)
    clock.advance(15 * 60_000)
    expect((await browser.go(late)).status).to.equal(400)
    const soon = await ticketUrl(browser)
    await hs.restart()
    const page = await browser.go(soon)
    expect(page.status).to.equal(200)
    const token = new URL(linksOf(page)[0] ?? '').searchParams.get('loginToken')
    clock.advance(2 * 60_000)
    const { status } = await hs
      .client()
      .request('POST', `${V3}/login`, { body: { type: 'm.login.token', token } })
    expect(status).to.equal(403)
  })

  it('sends people nowhere where something would run, or that looks like another place', async () => {
    await using cas = await FakeCasServer.start()
    await using hs = await start({ cas })
    for (const url of [
      'javascript:alert(1)',
      ' javascript:alert(1)',
      'JavaScript:alert(1)//https://app.example.org/',
      'java\nscript:alert(1)',
      'data:text/html,<script>alert(1)</script>',
      'vbscript:x',
      'https://app.example.org@evil.example/',
      'https:\\\\app.example.org',
      '/relative',
      'app.example.org',
      `https://app.example.org/${'a'.repeat(5000)}`,
    ]) {
      const { body, status } = await hs
        .client()
        .request('GET', `${V3}/login/sso/redirect`, { query: { redirectUrl: url } })
      expect([url, status, body['errcode']]).to.deep.equal([url, 400, 'M_INVALID_PARAM'])
      const picked = await browserOf(hs).go(
        `${HS}/_synapse/client/pick_idp?idp=cas&redirectUrl=${encodeURIComponent(url)}`,
      )
      expect([url, picked.status, picked.location]).to.deep.equal([url, 400, undefined])
    }
    const missing = await hs.client().request('GET', `${V3}/login/sso/redirect`)
    expect([missing.status, missing.body['errcode']]).to.deep.equal([400, 'M_MISSING_PARAM'])
    const unknown = await hs
      .client()
      .request('GET', `${V3}/login/sso/redirect/other`, { query: { redirectUrl: CLIENT } })
    expect([unknown.status, unknown.body['errcode']]).to.deep.equal([404, 'M_NOT_FOUND'])
    // The ticket of somebody is not to be sent to where they have not wanted to go.
    const program = browserOf(hs, {})
    const back = await program.go(
      `${cas.url}/login?service=${encodeURIComponent(`${HS}/_matrix/client/r0/login/cas/ticket?redirectUrl=javascript%3Aalert%281%29`)}`,
    )
    const refused = await program.go(back.location ?? '')
    expect([refused.status, refused.text.includes('loginToken')]).to.deep.equal([400, false])
  })

  it('goes straight to clients that are trusted, and to none that are called like them', async () => {
    await using cas = await FakeCasServer.start()
    await using hs = await start({
      cas,
      config: {
        sso: { client_whitelist: ['https://good.example', 'https://other.example/app', 'my.app:/'] },
      },
    })
    for (const url of [
      'https://good.example/?a=b#c',
      'https://other.example/app/',
      'my.app:/here',
      // The page of the server that logs in.
      `${HS}/_matrix/static/client/login/?device_id=X`,
    ]) {
      const browser = browserOf(hs)
      const page = await browser.go(await ticketUrl(browser, loginUrl(url)))
      expect(page.status).to.equal(302)
      expect(page.location).to.match(/loginToken=syl_/)
      expect(page.headers['referrer-policy']).to.equal('no-referrer')
    }
    for (const url of [
      'https://good.example.evil/',
      'https://other.example/apple',
      'https://other.example/app/../x',
    ]) {
      expect((await signOn(hs, loginUrl(url))).status).to.equal(200)
    }
  })

  it('is found by clients of matrix-js-sdk', async () => {
    await using cas = await FakeCasServer.start()
    await using hs = await start({ cas })
    const client = createClient({ baseUrl: hs.url, fetchFn: checkedFetch, logger: silent })
    for (const type of ['sso', 'cas'] as const) {
      const url = client.getSsoLoginUrl(`${CLIENT}#/login`, type, undefined, SSOAction.REGISTER)
      const page = await signOn(hs, url.replace(hs.url, HS))
      const [link = ''] = linksOf(page)
      const { searchParams, hash } = new URL(link)
      expect(hash).to.equal('#/login')
      const token = searchParams.get('loginToken') ?? ''
      const session = await client.loginRequest({ type: 'm.login.token', token })
      expect(session.user_id).to.equal('@alice:hs.test')
    }
  })

  it('counts by address, and apart from logins', async () => {
    await using cas = await FakeCasServer.start()
    const address = { per_second: 0.001, burst_count: 1 }
    await using hs = await start({ cas, config: { rc_login: { address } } })
    const first = await signOn(hs)
    const second = await signOn(hs)
    expect([first.status, second.status]).to.deep.equal([200, 429])
    expect(cas.validations).to.have.length(1)
    expect((await logIn(hs, first)).userId).to.equal('@alice:hs.test')
  })

  it('shows what comes from elsewhere as text', async () => {
    await using cas = await FakeCasServer.start()
    await using hs = await start({ cas, casConfig: { idp_name: '<script>alert(1)</script>' } })
    const url = 'https://app.example.org/?a="><script>alert(2)</script>'
    const refused = await hs
      .client()
      .request('GET', `${V3}/login/sso/redirect`, { query: { redirectUrl: `${url} x` } })
    expect(refused.status).to.equal(400)
    const page = await signOn(hs, loginUrl(url))
    expect(page.text).not.to.match(/<script>alert/)
    const picker = await browserOf(hs).go(
      `${HS}/_synapse/client/pick_idp?redirectUrl=${encodeURIComponent(url)}`,
    )
    expect(picker.text).not.to.match(/<script>alert/)
    const [link = ''] = linksOf(picker)
    expect(new URL(link).searchParams.get('redirectUrl')).to.equal(url)
  })

  it('refuses people who lack what they must have, and those who are new where nobody may register', async () => {
    await using cas = await FakeCasServer.start()
    const casConfig = { required_attributes: { group: 'staff', mail: null }, enable_registration: false }
    await using hs = await start({ cas, casConfig })
    await hs.register('alice')
    for (const attributes of [{}, { group: 'staff' }, { mail: 'a@b' }, { group: 'guests', mail: 'a@b' }]) {
      cas.person = { name: 'alice', attributes: attributes }
      const page = await signOn(hs)
      expect([page.status, page.text.includes('not allowed')]).to.deep.equal([403, true])
    }
    cas.person = { name: 'alice', attributes: { group: 'staff', mail: 'a@b' } }
    expect((await logIn(hs, await signOn(hs))).userId).to.equal('@alice:hs.test')
    cas.person = { ...cas.person, name: 'bob' }
    const bob = await signOn(hs)
    expect([bob.status, bob.text.includes('mapping_error')]).to.deep.equal([403, true])
  })

  it('gives an account of before to the one who has its name, and to nobody else', async () => {
    await using cas = await FakeCasServer.start()
    await using hs = await start({ cas })
    const alice = await hs.register('alice')
    expect((await logIn(hs, await signOn(hs))).userId).to.equal(alice.userId)
    cas.person = { name: 'ALICE' }
    expect((await logIn(hs, await signOn(hs))).userId).to.equal(alice.userId)
    const admin = await hs.register('admin', { isAdmin: true })
    const external_ids = [{ auth_provider: 'cas', external_id: 'carol of before' }]
    await admin.must('PUT', '/_synapse/admin/v2/users/@carol:hs.test', { body: { external_ids } })
    cas.person = { name: 'carol' }
    const carol = await signOn(hs)
    expect([carol.status, carol.text.includes('somebody else')]).to.deep.equal([403, true])
    cas.person = { name: 'carol of before' }
    expect((await logIn(hs, await signOn(hs))).userId).to.equal('@carol:hs.test')
    cas.person = { name: '_bridge' }
    expect((await logIn(hs, await signOn(hs))).userId).to.equal('@=5fbridge:hs.test')
    cas.person = { name: '123' }
    const digits = await signOn(hs)
    expect([digits.status, digits.text.includes('M_INVALID_USERNAME')]).to.deep.equal([400, true])
  })

  it('gives nobody an account or a name of an application service', async () => {
    await using cas = await FakeCasServer.start()
    const users = [{ exclusive: true, regex: '@irc/.*' }]
    await using service = await FakeAppservice.start({ namespaces: { users, aliases: [], rooms: [] } })
    await using hs = await start({ cas, config: { app_service_config_files: [service.file] } })
    for (const [name, status, reason] of [
      ['bridge_bot', 403, 'mapping_error'],
      ['irc/nobody', 400, 'M_EXCLUSIVE'],
    ] as const) {
      cas.person = { name }
      const page = await signOn(hs)
      expect([name, page.status, page.text.includes(reason)]).to.deep.equal([name, status, true])
    }
    await service.client(hs.url).must('POST', `${V3}/register`, {
      body: { type: 'm.login.application_service', username: 'irc/somebody' },
    })
    cas.person = { name: 'irc/somebody' }
    expect((await signOn(hs)).status).to.equal(403)
  })

  it('puts a letter before names of digits alone where they are allowed', async () => {
    await using cas = await FakeCasServer.start()
    await using hs = await start({ cas, casConfig: { allow_numeric_ids: true, numeric_ids_prefix: 's' } })
    cas.person = { name: '123' }
    expect((await logIn(hs, await signOn(hs))).userId).to.equal('@s123:hs.test')
  })

  it('says so where the account has ended or is locked', async () => {
    await using cas = await FakeCasServer.start()
    await using hs = await start({ cas })
    const alice = await logIn(hs, await signOn(hs))
    const admin = await hs.register('admin', { isAdmin: true })
    const path = `/_synapse/admin/v2/users/${alice.userId}`
    await admin.must('PUT', path, { body: { locked: true } })
    const locked = await signOn(hs)
    expect([locked.status, locked.text.includes('locked')]).to.deep.equal([403, true])
    await admin.must('PUT', path, { body: { locked: false } })
    await admin.must('POST', `/_synapse/admin/v1/deactivate/${alice.userId}`, { body: {} })
    const ended = await signOn(hs)
    expect([ended.status, ended.text.includes('deactivated')]).to.deep.equal([403, true])
    expect(linksOf(ended)).to.deep.equal([])
  })

  it('says so where the CAS server gives no good answer', async () => {
    await using cas = await FakeCasServer.start()
    await using hs = await start({ cas })
    const entity = '<!DOCTYPE a [<!ENTITY name "alice">]>'
    const user = '<cas:authenticationSuccess><cas:user>alice</cas:user></cas:authenticationSuccess>'
    for (const [status, body] of [
      [500, ''],
      [302, casAnswer(user)],
      [200, 'yes\nalice\n'],
      [
        200,
        entity +
          casAnswer('<cas:authenticationSuccess><cas:user>&name;</cas:user></cas:authenticationSuccess>'),
      ],
      [200, casAnswer('<cas:a>'.repeat(3))],
      [200, casAnswer(user).padEnd(300 * 1024)],
    ] as const) {
      cas.answer = (response) => response.writeHead(status, { Location: `${cas.url}/x` }).end(body)
      const page = await signOn(hs)
      expect([401, 503]).to.include(page.status)
      expect(linksOf(page)).to.deep.equal([])
    }
  })
})

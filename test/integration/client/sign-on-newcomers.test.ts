import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import type { MatrixError } from '../../../src/protocol/errors.js'
import type { ExternalIdentity } from '../../../src/services/sign-on/identity-provider.js'
import type { JsonObject } from '../../../src/util/json.js'
import { Browser, linksOf, type BrowserPage } from '../../support/browser.js'
import { bringBack, FakeIdentityProvider } from '../../support/fake-identity-provider.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { ManualClock } from '../../support/manual-clock.js'
import { picture } from '../../support/pictures.js'
import { rejection } from '../../support/rejection.js'
import { useScratch } from '../../support/scratch.js'
import { WebServer } from '../../support/web-server.js'

const V3 = '/_matrix/client/v3'
const HS = 'https://hs.test'
const DETAILS = `${HS}/_synapse/client/pick_username/account_details`
const CONSENT = `${HS}/_synapse/client/new_user_consent`
const REGISTER = `${HS}/_synapse/client/sso_register`
const CLIENT = 'https://app.example.org/'

function browserOf(hs: TestHomeserver): Browser {
  return new Browser(() => ({ [HS]: hs.url }))
}

/** Signs on and gives where the browser is sent, or the page. */
async function signOn(
  hs: TestHomeserver,
  browser: Browser,
  { provider, ...identity }: ExternalIdentity & { provider: string },
): Promise<{ location?: string; page?: string; status?: number }> {
  const sent = await browser.go(
    `${HS}${V3}/login/sso/redirect/${provider}?redirectUrl=${encodeURIComponent(CLIENT)}`,
  )
  const state = new URL(sent.location ?? '').searchParams.get('state') ?? ''
  return bringBack(hs.server.services.signOn, { browser, host: 'hs.test', state }, identity)
}

function tokenOf(page: Pick<BrowserPage, 'text' | 'url'>): string | null {
  return new URL(linksOf(page as BrowserPage)[0] ?? '').searchParams.get('loginToken')
}

async function logIn(hs: TestHomeserver, token: string | null): Promise<JsonObject> {
  return hs.client().must('POST', `${V3}/login`, { body: { type: 'm.login.token', token } })
}

function form(fields: readonly (readonly [string, string])[]): URLSearchParams {
  return new URLSearchParams(fields.map(([name, value]): [string, string] => [name, value]))
}

forEachServerDatabase('people who sign on for the first time', (database) => {
  const scratch = useScratch()

  async function start(options: { config?: JsonObject; clock?: ManualClock } = {}): Promise<TestHomeserver> {
    const hs = await startHomeserver({ database, ...options })
    const { signOn: service } = hs.server.services
    new FakeIdentityProvider('oidc-a', { name: 'First <b>service</b>' }).addTo(service)
    new FakeIdentityProvider('oidc-b').addTo(service)
    return hs
  }

  it('find nothing where there is no service', async () => {
    await using hs = await startHomeserver({ database })
    const query = `redirectUrl=${encodeURIComponent(CLIENT)}`
    for (const path of [`/_synapse/client/pick_idp?${query}`, `${V3}/login/sso/redirect?${query}`]) {
      expect((await browserOf(hs).go(`${HS}${path}`)).status).to.equal(404)
    }
    const ticket = await browserOf(hs).go(`${HS}${V3}/login/cas/ticket?${query}&ticket=x`)
    expect(ticket.status).to.equal(404)
  })

  it('choose a service where there are several', async () => {
    await using hs = await start()
    const browser = browserOf(hs)
    const url = `${CLIENT}?a=1&b=2#c`
    const picker = await browser.follow(
      `${HS}${V3}/login/sso/redirect?redirectUrl=${encodeURIComponent(url)}&org.matrix.msc3824.action=register`,
    )
    expect([picker.status, new URL(picker.url).pathname]).to.deep.equal([200, '/_synapse/client/pick_idp'])
    expect(picker.text).to.include('First &lt;b&gt;service&lt;/b&gt;')
    const [, second = ''] = linksOf(picker)
    const sent = await browser.go(second)
    expect(sent.location).to.match(/^https:\/\/idp\.test\/oidc-b\?state=/)
    const provider = hs.server.services.signOn.providers[1] as FakeIdentityProvider
    const [context] = provider.begun.values()
    expect(context?.purpose).to.deep.equal({ kind: 'login', redirectUrl: url })
    expect(context?.action).to.equal('register')
    const unknown = await browser.go(`${HS}/_synapse/client/pick_idp?idp=other&redirectUrl=${CLIENT}`)
    expect([unknown.status, unknown.text.includes('unknown_idp')]).to.deep.equal([400, true])
    const [cookie] = browser.cookies.values()
    expect(cookie?.attributes).to.deep.equal(['Path=/', 'Max-Age=900', 'HttpOnly', 'SameSite=Lax', 'Secure'])
  })

  it('choose a name, and what is taken over of what the service says', async () => {
    await using hs = await start()
    await hs.register('taken')
    const browser = browserOf(hs)
    const answer = await signOn(hs, browser, {
      provider: 'oidc-a',
      externalId: 'a person',
      displayName: '"><script>alert(1)</script>',
      emails: ['A@Example.org', 'b@example.org', 'no address'],
      extraAttributes: { theme: 'dark', user_id: '@evil:hs.test', access_token: 'x', well_known: {} },
    })
    expect(answer).to.include({
      kind: 'redirect',
      location: '/_synapse/client/pick_username/account_details',
    })
    const page = await browser.go(DETAILS)
    expect(page.status).to.equal(200)
    expect(page.text).not.to.include('<script>alert')
    expect(page.text).to.include('a@example.org').and.not.include('no address')
    const check = async (username: string): Promise<unknown> => {
      const { text } = await browser.go(`${HS}/_synapse/client/pick_username/check?username=${username}`)
      return JSON.parse(text)
    }
    expect(await check('free')).to.deep.equal({ available: true })
    expect(await check('TAKEN')).to.deep.equal({ available: false })
    expect(await check('%40x')).to.deep.include({ errcode: 'M_INVALID_USERNAME' })
    for (const username of ['taken', 'with space', '']) {
      const again = await browser.go(DETAILS, form([['username', username]]))
      expect([username, again.status]).to.deep.equal([username, 400])
      expect(again.text).to.include('role="alert"')
    }
    const chosen = await browser.go(
      DETAILS,
      form([
        ['username', 'Chosen'],
        ['use_display_name', 'true'],
        ['use_email', 'b@example.org'],
        ['use_email', 'of@somebody.else'],
      ]),
    )
    expect(chosen.location).to.equal(REGISTER)
    const done = await browser.go(REGISTER)
    expect(done.status).to.equal(200)
    const session = await logIn(hs, tokenOf(done))
    expect(session).to.include({ user_id: '@chosen:hs.test', theme: 'dark' })
    expect(session['access_token']).not.to.equal('x')
    expect(session).not.to.have.property('well_known')
    const client = hs.client().withSession({
      userId: '@chosen:hs.test',
      deviceId: session['device_id'] as string,
      accessToken: session['access_token'] as string,
    })
    const { threepids } = await client.must('GET', `${V3}/account/3pid`)
    expect((threepids as JsonObject[]).map(({ address }) => address)).to.deep.equal(['b@example.org'])
    // Once: neither the page nor the account comes a second time.
    expect((await browser.go(REGISTER)).status).to.equal(400)
    const again = await signOn(hs, browserOf(hs), { provider: 'oidc-a', externalId: 'a person' })
    expect((await logIn(hs, tokenOf({ text: again.page ?? '', url: HS })))['user_id']).to.equal(
      '@chosen:hs.test',
    )
  })

  it('are nobody to those who have not begun, and not for long', async () => {
    const clock = new ManualClock(1_700_000_000_000)
    await using hs = await start({ clock })
    const browser = browserOf(hs)
    for (const url of [DETAILS, CONSENT, REGISTER]) {
      const page = await browser.go(url)
      expect([page.status, page.text.includes('bad_session')]).to.deep.equal([400, true])
    }
    const check = await browser.go(`${HS}/_synapse/client/pick_username/check?username=x`)
    expect(check.status).to.equal(400)
    await signOn(hs, browser, { provider: 'oidc-a', externalId: 'late' })
    clock.advance(15 * 60_000)
    expect((await browser.go(DETAILS)).status).to.equal(400)
    expect((await browser.go(DETAILS, form([['username', 'late']]))).status).to.equal(400)
  })

  it('get a name with a number where theirs is taken, whatever its case', async () => {
    await using hs = await start()
    await hs.register('anna')
    await hs.register('anna1')
    const answer = await signOn(hs, browserOf(hs), { provider: 'oidc-a', externalId: '1', localpart: 'anna' })
    const anna = await logIn(hs, tokenOf({ text: answer.page ?? '', url: HS }))
    expect(anna['user_id']).to.equal('@anna2:hs.test')
    // The same ID at another service is somebody else.
    const other = await signOn(hs, browserOf(hs), { provider: 'oidc-b', externalId: '1', localpart: 'anna' })
    expect((await logIn(hs, tokenOf({ text: other.page ?? '', url: HS })))['user_id']).to.equal(
      '@anna3:hs.test',
    )
    const browser = browserOf(hs)
    await signOn(hs, browser, {
      provider: 'oidc-a',
      externalId: '2',
      localpart: 'anna',
      confirmsLocalpart: true,
    })
    expect((await browser.go(DETAILS)).text).to.include('value="anna4"')
  })

  it('get two names where two of the same name come at once', async () => {
    await using hs = await start()
    const answers = await Promise.all(
      ['1', '2', '3'].map((externalId) =>
        signOn(hs, browserOf(hs), { provider: 'oidc-a', externalId, localpart: 'anna' }),
      ),
    )
    const sessions = await Promise.all(
      answers.map(({ page = '' }) => logIn(hs, tokenOf({ text: page, url: HS }))),
    )
    const userIds = sessions.map((session) => session['user_id'] as string).sort()
    expect(userIds).to.deep.equal(['@anna1:hs.test', '@anna2:hs.test', '@anna:hs.test'])
  })

  it('agree to the policy where they have to', async () => {
    const directory = scratch.directory
    await mkdir(join(directory, 'en'))
    await writeFile(join(directory, 'en', '1.0.html'), 'Be kind.')
    const user_consent = { version: '1.0', template_dir: directory, require_at_registration: true }
    await using hs = await start({ config: { user_consent } })
    const browser = browserOf(hs)
    const answer = await signOn(hs, browser, { provider: 'oidc-a', externalId: 'x', localpart: 'anna' })
    expect(answer.location).to.equal('/_synapse/client/new_user_consent')
    const page = await browser.go(CONSENT)
    expect(page.text).to.include('/_matrix/consent?v=1.0').and.include('@anna:hs.test')
    // Nobody gets past it.
    expect((await browser.go(REGISTER)).location).to.equal(CONSENT)
    expect((await browser.go(CONSENT, form([['accepted_version', '0.9']]))).location).to.equal(CONSENT)
    expect((await browser.go(CONSENT, form([]))).status).to.equal(400)
    const agreed = await browser.follow(CONSENT, { form: form([['accepted_version', '1.0']]) })
    expect((await logIn(hs, tokenOf(agreed)))['user_id']).to.equal('@anna:hs.test')
  })

  it('get no account where there is no place', async () => {
    await using hs = await start({ config: { hs_disabled: true, hs_disabled_message: 'Closed today' } })
    const identity = { provider: 'oidc-a', externalId: 'x', localpart: 'anna' }
    expect(await rejection(signOn(hs, browserOf(hs), identity))).to.include({
      errcode: 'M_RESOURCE_LIMIT_EXCEEDED',
    })
  })

  it('get no account of a name that nobody can have, or of no ID', async () => {
    await using hs = await start()
    for (const localpart of ['123', 'with space', '_reserved', 'ü']) {
      const identity = { provider: 'oidc-a', externalId: 'x', localpart }
      const error = await rejection(signOn(hs, browserOf(hs), identity))
      expect([localpart, (error as MatrixError).errcode]).to.deep.equal([localpart, 'M_INVALID_USERNAME'])
    }
    for (const externalId of ['', '\0', '\ud800', 'x'.repeat(1001)]) {
      const identity = { provider: 'oidc-a', externalId, localpart: 'anna' }
      expect(await rejection(signOn(hs, browserOf(hs), identity))).to.include({ code: 'mapping_error' })
    }
  })

  it('keep the profile that the service says, where that is wanted', async () => {
    await using web = await WebServer.start()
    const pictureUrl = web.show('/me.png', { type: 'image/png', body: await picture('png', 8, 8) })
    const svgUrl = web.show('/me.svg', { type: 'image/svg+xml', body: '<svg/>' })
    await using hs = await start({
      config: {
        sso: { update_profile_information: true },
        ip_range_whitelist: ['127.0.0.1'],
        // Nobody else has a say in it.
        enable_set_displayname: false,
        enable_set_avatar_url: false,
      },
    })
    const identity = { provider: 'oidc-a', externalId: 'x', localpart: 'anna' }
    const profile = (): Promise<JsonObject> => hs.client().must('GET', `${V3}/profile/@anna:hs.test`)
    await signOn(hs, browserOf(hs), { ...identity, displayName: 'Anna', pictureUrl })
    const first = await profile()
    expect(first['displayname']).to.equal('Anna')
    expect(first['avatar_url']).to.match(/^mxc:\/\/hs\.test\//)
    await signOn(hs, browserOf(hs), { ...identity, displayName: 'Anna B.', pictureUrl })
    expect(await profile()).to.deep.equal({ ...first, displayname: 'Anna B.' })
    await signOn(hs, browserOf(hs), { ...identity, pictureUrl: svgUrl })
    await signOn(hs, browserOf(hs), { ...identity, pictureUrl: 'file:///etc/passwd' })
    expect(await profile()).to.deep.equal({ ...first, displayname: 'Anna B.' })
  })

  it('are not fetched a picture from where strangers must not lead the server', async () => {
    await using web = await WebServer.start()
    const pictureUrl = web.show('/me.png', { type: 'image/png', body: 'x' })
    await using hs = await start()
    const answer = await signOn(hs, browserOf(hs), {
      provider: 'oidc-a',
      externalId: 'x',
      localpart: 'anna',
      pictureUrl,
    })
    expect(tokenOf({ text: answer.page ?? '', url: HS })).to.be.a('string')
    expect(web.requests).to.deep.equal([])
  })
})

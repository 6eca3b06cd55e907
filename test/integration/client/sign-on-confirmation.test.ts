import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { Browser, linksOf, logInFrom, type BrowserPage } from '../../support/browser.js'
import { FakeCasServer } from '../../support/fake-cas-server.js'
import {
  forEachServerDatabase,
  PASSWORD,
  startHomeserver,
  type TestHomeserver,
} from '../../support/homeserver.js'
import type { ClientResponse, MatrixClient } from '../../support/matrix-client.js'

const V3 = '/_matrix/client/v3'
const HS = 'https://hs.test'
const SIGN_ON = `${HS}${V3}/login/sso/redirect?redirectUrl=https%3A%2F%2Fapp.example.org%2F`

function browserOf(hs: TestHomeserver, headers?: Record<string, string>): Browser {
  return new Browser(() => ({ [HS]: hs.url }), headers)
}

async function logIn(hs: TestHomeserver): Promise<MatrixClient> {
  return logInFrom(hs, await browserOf(hs).follow(SIGN_ON))
}

/** Asks to remove a device. */
function remove(client: MatrixClient, auth?: JsonObject): Promise<ClientResponse> {
  const body = { devices: ['OTHER'], ...(auth && { auth }) }
  return client.request('POST', `${V3}/delete_devices`, { body })
}

function fallback(session: unknown, more = ''): string {
  return `${HS}${V3}/auth/m.login.sso/fallback/web?session=${String(session)}${more}`
}

/** As people do it: from the page of the client to the CAS server and back. */
async function confirm(hs: TestHomeserver, session: unknown): Promise<BrowserPage> {
  const browser = browserOf(hs)
  const [link = ''] = linksOf(await browser.go(fallback(session)))
  return browser.follow(link)
}

forEachServerDatabase('proving at a CAS server who one is', (database) => {
  async function start(cas: FakeCasServer): Promise<TestHomeserver> {
    return startHomeserver({ database, config: { cas_config: { server_url: cas.url } } })
  }

  it('is asked of those who are known there, and lets them go on once', async () => {
    await using cas = await FakeCasServer.start()
    await using hs = await start(cas)
    const alice = await logIn(hs)
    const { status, body } = await remove(alice)
    expect([status, body['flows']]).to.deep.equal([401, [{ stages: ['m.login.sso'] }]])
    const { session } = body
    const early = await remove(alice, { session: session as string, type: 'm.login.sso' })
    expect([early.status, early.body['completed']]).to.deep.equal([401, []])
    const page = await browserOf(hs).go(fallback(session, '&io.element.idp_id=cas'))
    expect((await browserOf(hs).go(fallback(session, '&io.element.idp_id=other'))).status).to.equal(404)
    expect(page.text).to.include('remove devices from your account')
    expect(page.headers['referrer-policy']).to.equal('no-referrer')
    const done = await confirm(hs, session)
    expect([done.status, done.text.includes('onAuthDone')]).to.deep.equal([200, true])
    expect((await browserOf(hs).go(fallback(session))).text).to.include('onAuthDone')
    expect((await remove(alice, { session: session as string })).status).to.equal(200)
    expect((await remove(alice, { session: session as string })).status).to.equal(401)
    expect((await browserOf(hs).go(fallback(session))).status).to.equal(404)
  })

  it('is offered beside the password to those who have one, and to nobody who is not known there', async () => {
    await using cas = await FakeCasServer.start()
    await using hs = await start(cas)
    const bob = await hs.register('bob')
    expect((await remove(bob)).body['flows']).to.deep.equal([{ stages: ['m.login.password'] }])
    const { session } = (await remove(bob)).body
    expect((await browserOf(hs).go(fallback(session))).status).to.equal(404)
    cas.person = { name: 'bob' }
    const known = await logIn(hs)
    const { body } = await remove(known)
    expect(body['flows']).to.deep.equal([{ stages: ['m.login.password'] }, { stages: ['m.login.sso'] }])
    const auth = { session: body['session'] as string, type: 'm.login.password', password: PASSWORD }
    const answer = await remove(known, { ...auth, identifier: { type: 'm.id.user', user: 'bob' } })
    expect(answer.status).to.equal(200)
  })

  it('counts for nobody else', async () => {
    await using cas = await FakeCasServer.start()
    await using hs = await start(cas)
    const alice = await logIn(hs)
    cas.person = { name: 'mallory' }
    await logIn(hs)
    const { session } = (await remove(alice)).body
    const page = await confirm(hs, session)
    expect([page.status, page.text.includes('another account')]).to.deep.equal([200, true])
    cas.person = { name: 'nobody' }
    expect((await confirm(hs, session)).text).to.include('another account')
    const refused = await remove(alice, { session: session as string })
    expect([refused.status, refused.body['errcode']]).to.deep.equal([403, 'M_FORBIDDEN'])
    // The page lets them try again.
    cas.person = { name: 'alice' }
    expect((await confirm(hs, session)).status).to.equal(200)
    expect((await remove(alice, { session: session as string })).status).to.equal(200)
  })

  it('is not done by a link that somebody else has sent', async () => {
    await using cas = await FakeCasServer.start()
    await using hs = await start(cas)
    const alice = await logIn(hs)
    // With a stolen access token, somebody begins; the owner follows their link, being signed on at the CAS server.
    const { session } = (await remove(alice)).body
    const [link = ''] = linksOf(await browserOf(hs).go(fallback(session)))
    const owner = browserOf(hs)
    await owner.go(SIGN_ON)
    const page = await owner.follow(link)
    expect([page.status, page.text.includes('bad_session')]).to.deep.equal([400, true])
    // Nor by one who has opened the page of the session before, whose link only the owner sees.
    await owner.go(fallback(session))
    const guessed = new URL(link)
    const service = new URL(guessed.searchParams.get('service') ?? '')
    service.searchParams.delete('state')
    guessed.searchParams.set('service', service.href)
    expect((await owner.follow(guessed.href)).status).to.equal(400)
    // Neither is it by a page that has the owner's browser fetch it: cookies do not come along then.
    for (const headers of [
      { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'no-cors' },
      { 'User-Agent': 'Mozilla/5.0 (of old)' },
    ]) {
      expect((await browserOf(hs, headers).follow(link)).status).to.equal(400)
    }
    expect((await remove(alice, { session: session as string })).status).to.equal(401)
    // A ticket that was made for logging in is none for this.
    const program = browserOf(hs, {})
    const sent = await program.go(SIGN_ON)
    const back = new URL((await program.go(sent.location ?? '')).location ?? '')
    back.searchParams.delete('redirectUrl')
    back.searchParams.set('session', session as string)
    program.cookies.clear()
    expect((await program.go(back.href)).status).to.equal(401)
    expect((await remove(alice, { session: session as string })).status).to.equal(401)
  })
})

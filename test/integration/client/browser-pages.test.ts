import { expect } from 'chai'
import { startHomeserver } from '../../support/homeserver.js'
import type { JsonObject } from '../../../src/util/json.js'

const V3 = '/_matrix/client/v3'

interface Page {
  readonly status: number
  readonly location: string | null
  readonly text: string
}

async function open(url: string, form?: Record<string, string>): Promise<Page> {
  const body = form && { method: 'POST', body: new URLSearchParams(form) }
  const response = await fetch(url, { redirect: 'manual', ...body })
  if (response.status === 200) {
    expect(response.headers.get('content-type')).to.equal('text/html; charset=utf-8')
    expect(response.headers.get('x-frame-options')).to.equal('DENY')
  }
  return { status: response.status, location: response.headers.get('location'), text: await response.text() }
}

describe('pages for people with a browser', () => {
  it('say what the server is', async () => {
    await using hs = await startHomeserver({ config: { public_baseurl: 'https://matrix.hs.test' } })
    expect(await open(`${hs.url}/`)).to.include({ status: 302, location: '/_matrix/static/' })
    const { status, text } = await open(`${hs.url}/_matrix/static/`)
    expect(status).to.equal(200)
    expect(text).to.include('@name:hs.test').and.include('<code>https://matrix.hs.test/</code>')
  })

  it('lead to the web client of the configuration', async () => {
    await using hs = await startHomeserver({ config: { web_client_location: 'https://app.hs.test/' } })
    expect(await open(`${hs.url}/`)).to.include({ status: 302, location: 'https://app.hs.test/' })
    expect((await open(`${hs.url}/_matrix/static/client/login/?device_id=X`)).text).to.include(
      'window.matrixLogin.onLogin(response)',
    )
  })

  it('let people register whose client knows no registration tokens', async () => {
    await using hs = await startHomeserver({ config: { registration_requires_token: true } })
    const admin = await hs.register('admin', { isAdmin: true })
    const made = { body: { token: 'a-token', uses_allowed: 1 } }
    expect((await admin.request('POST', '/_synapse/admin/v1/registration_tokens/new', made)).status).to.equal(
      200,
    )
    const client = hs.client()
    const register = (body: JsonObject) => client.request('POST', `${V3}/register`, { body })
    const account = { username: 'alice', password: 'a good password' }
    const { session } = (await register(account)).body as { session: string }
    for (const version of ['v3', 'r0']) {
      const page = `${hs.url}/_matrix/client/${version}/auth/m.login.registration_token/fallback/web`
      expect((await open(`${page}?session=${session}`)).text).to.include(`value="${session}"`)
      expect((await open(page)).status).to.equal(400)
    }
    const page = `${hs.url}${V3}/auth/m.login.registration_token/fallback/web`
    expect(await open(page, { session, token: '<b>' })).to.include({ status: 400 })
    expect((await open(page, { session, token: 'a-token' })).text).to.include('window.onAuthDone()')
    const { status, body } = await register({ ...account, auth: { session } })
    expect([status, body['user_id']]).to.deep.equal([200, '@alice:hs.test'])
    expect((await open(`${page}?session=${session}`)).status).to.equal(404)
  })

  it('let people prove by their password what their client cannot ask them for', async () => {
    await using hs = await startHomeserver()
    const alice = await hs.register('alice')
    const { deviceId } = await hs.login(alice.userId)
    const remove = (auth?: JsonObject) =>
      alice.request('POST', `${V3}/delete_devices`, { body: { devices: [deviceId], ...(auth && { auth }) } })
    const { session } = (await remove()).body as { session: string }
    const page = `${hs.url}${V3}/auth/m.login.password/fallback/web`
    expect(await open(page, { session, user: 'alice', password: 'wrong' }))
      .to.include({ status: 400 })
      .and.property('text')
      .that.includes('Invalid password')
    expect((await remove({ session })).status).to.equal(401)
    expect((await open(page, { session, user: 'alice', password: 'correct horse' })).status).to.equal(200)
    expect((await remove({ session })).status).to.equal(200)
  })

  it('answer forms that are too large', async () => {
    await using hs = await startHomeserver()
    const page = `${hs.url}${V3}/auth/m.login.password/fallback/web`
    const password = 'x'.repeat(100_000)
    // Once with its length and once without.
    expect((await open(page, { session: 'any', password })).status).to.equal(413)
    const body = new Blob([new URLSearchParams({ session: 'any', password }).toString()]).stream()
    const headers = { 'Content-Type': 'application/x-www-form-urlencoded' }
    const sent = await fetch(page, { method: 'POST', headers, body, duplex: 'half' })
    expect([sent.status, await sent.json()]).to.have.nested.property('[1].errcode', 'M_TOO_LARGE')
  })
})

import { expect } from 'chai'
import { UiAuthPages, type StageAddress } from '../../../../src/services/accounts/ui-auth-pages.js'
import type { UiAuthOperation } from '../../../../src/services/accounts/ui-auth.js'
import type { JsonObject } from '../../../../src/util/json.js'
import { createAccountServices, type AccountFixture } from '../../../support/account-services.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'

const DAY_MS = 24 * 60 * 60_000

/** What a template was given, in place of a page. */
function render(name: string, variables: Readonly<Record<string, unknown>>): Promise<string> {
  return Promise.resolve(JSON.stringify({ name, ...variables }))
}

forEachDatabase('pages of user-interactive authentication', (open) => {
  let fixture: AccountFixture
  let pages: UiAuthPages

  beforeEach(async () => {
    fixture = await createAccountServices(await open())
    pages = new UiAuthPages({ uiAuth: fixture.services.uiAuth, templates: { render } })
  })

  const REGISTRATION = {
    requester: undefined,
    method: 'POST',
    path: '/_matrix/client/v3/register',
    flows: [['m.login.registration_token']],
    mutableBody: true,
  }
  const authenticate = (operation: Omit<UiAuthOperation, 'body'>, session?: string) =>
    fixture.services.uiAuth.authenticate({
      ...operation,
      body: session === undefined ? {} : { auth: { session } },
    })
  const begin = async (operation: Omit<UiAuthOperation, 'body'>): Promise<string> => {
    const outcome = await authenticate(operation)
    if (outcome.complete) throw new Error('The operation was allowed')
    return outcome.response['session'] as string
  }
  const at = (session: string, type: string): StageAddress => ({ session, type, path: '/here' })
  const show = async (address: StageAddress): Promise<JsonObject> =>
    JSON.parse((await pages.render(address)).page) as JsonObject
  const submit = async (address: StageAddress, fields: Record<string, string>) => {
    const { status, page } = await pages.submit(address, new Map(Object.entries(fields)))
    return { status, ...(JSON.parse(page) as JsonObject) }
  }

  it('take a registration token, after one that is wrong', async () => {
    await fixture.db.write('test', (tx) =>
      fixture.stores.registrationTokens.insert(tx, { token: 'abcd', usesAllowed: 1, expiryTs: undefined }),
    )
    const session = await begin(REGISTRATION)
    const address = at(session, 'm.login.registration_token')
    expect(await show(address)).to.deep.equal({ name: 'registration_token.html', session, myurl: '/here' })
    expect(await submit(address, { token: 'nope' })).to.include({
      status: 400,
      name: 'registration_token.html',
      error: 'Invalid registration token',
    })
    expect((await authenticate(REGISTRATION, session)).complete).to.equal(false)
    expect(await submit(address, { token: 'abcd' })).to.deep.equal({ status: 200, name: 'auth_success.html' })
    expect(await show(address)).to.deep.equal({ name: 'auth_success.html' })
    // Asked again, the token is not used a second time.
    expect(await submit(address, { token: 'abcd' })).to.include({ name: 'auth_success.html' })
    expect((await authenticate(REGISTRATION, session)).complete).to.equal(true)
  })

  it('take the password of whoever performs the operation, and of nobody else', async () => {
    const { requester } = await fixture.createUser('alice')
    await fixture.createUser('bob')
    const operation = {
      requester,
      method: 'POST',
      path: '/_matrix/client/v3/delete_devices',
      flows: [['m.login.password']],
    }
    const session = await begin(operation)
    const address = at(session, 'm.login.password')
    for (const [user, password] of [
      ['alice', 'wrong'],
      ['bob', 'secret'],
      ['nobody', 'secret'],
    ] as const) {
      expect(await submit(address, { user, password })).to.include({
        status: 400,
        name: 'password_auth.html',
      })
    }
    expect((await authenticate(operation, session)).complete).to.equal(false)
    expect(await submit(address, { user: 'alice', password: 'secret' })).to.include({ status: 200 })
    expect((await authenticate(operation, session)).complete).to.equal(true)
  })

  it('take no password where nobody is logged in', async () => {
    await fixture.createUser('alice')
    const address = at(await begin(REGISTRATION), 'm.login.password')
    expect(await submit(address, { user: 'alice', password: 'secret' })).to.include({ status: 400 })
  })

  it('do not exist for other stages, nor for sessions that have ended', async () => {
    const session = await begin(REGISTRATION)
    for (const type of ['m.login.email.identity', 'm.login.terms', 'org.example', 'constructor']) {
      expect(await rejection(pages.render(at(session, type))), type).to.include({ errcode: 'M_NOT_FOUND' })
    }
    const dummy = at(session, 'm.login.dummy')
    expect(await show(dummy)).to.include({ name: 'dummy_auth.html' })
    fixture.clock.advance(DAY_MS)
    for (const address of [dummy, at('unknown', 'm.login.dummy')]) {
      expect(await rejection(pages.submit(address, new Map()))).to.include({ errcode: 'M_NOT_FOUND' })
    }
  })

  it('do nothing in the session of an account that has been made', async () => {
    const { userId } = await fixture.createUser('alice')
    const session = await begin(REGISTRATION)
    await fixture.db.write('test', (tx) =>
      fixture.stores.sessions.endRegistration(tx, session, { userId, request: {}, ts: fixture.clock.now() }),
    )
    const address = at(session, 'm.login.password')
    const fields = new Map([
      ['user', 'alice'],
      ['password', 'secret'],
    ])
    expect(await rejection(pages.submit(address, fields))).to.include({ errcode: 'M_NOT_FOUND' })
  })

  it('say where the terms are', async () => {
    const params = { policies: { privacy_policy: { version: '1', en: { name: 'Terms', url: 'https://t' } } } }
    const uiAuth = { completeApart: () => Promise.resolve({ isDone: false, params }) }
    pages = new UiAuthPages({ uiAuth, templates: { render } })
    const shown = await show(at('session', 'm.login.terms'))
    expect(shown).to.include({ name: 'terms.html', terms_url: 'https://t' })
  })
})

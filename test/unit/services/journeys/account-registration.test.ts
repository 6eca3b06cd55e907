import { expect } from 'chai'
import type { RegistrationOutcome } from '../../../../src/services/journeys/account-registration.js'
import type { JsonObject } from '../../../../src/util/json.js'
import {
  CLIENT,
  createAccountServices,
  type AccountFixture,
  type AccountOptions,
} from '../../../support/account-services.js'
import { forEachDatabase, type OpenTestDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'

interface Wish {
  readonly username?: string
  readonly password?: string
  readonly inhibitLogin?: boolean
  readonly guestAccessToken?: string
  readonly device?: { readonly deviceId?: string; readonly displayName?: string }
  readonly auth?: JsonObject
}

forEachDatabase('registration', (open) => {
  let fixture: AccountFixture

  beforeEach(async () => {
    fixture = await createAccountServices(await open())
  })

  const register = (wish: Wish): Promise<RegistrationOutcome> => submit(fixture, wish)
  const registered = (wish: Wish) => complete(fixture, wish)

  it('asks for a stage first, then makes the account and begins a session', async () => {
    const { userId, session } = await registered({ username: 'Alice', password: 'secret' })
    expect(userId).to.equal('@alice:hs.test')
    const requester = await fixture.services.accessTokens.authenticate(session?.accessToken ?? '', CLIENT)
    expect(requester).to.include({ userId, deviceId: session?.deviceId, isGuest: false, isAdmin: false })
    expect(fixture.joined).to.deep.equal([userId])
    expect(await fixture.services.profiles.get(undefined, userId)).to.deep.equal({ displayname: 'alice' })
  })

  it('begins no session with inhibit_login', async () => {
    const { session } = await registered({ username: 'alice', password: 'secret', inhibitLogin: true })
    expect(session).to.equal(undefined)
  })

  it('lets a client ask for the flows before it knows a name, and keeps the session for the rest', async () => {
    const challenge = challengeOf(await register({}))
    expect(challenge['flows']).to.deep.equal([{ stages: ['m.login.dummy'] }])
    const auth = { type: 'm.login.dummy', session: challenge['session'] as string }
    const missing = await rejection(register({ username: 'alice', auth }))
    expect(missing).to.have.property('errcode', 'M_MISSING_PARAM')
    expect(await register({ username: 'alice', password: 'secret', auth })).to.have.property('registered')
  })

  const begin = async (wish: Wish): Promise<JsonObject> => ({
    type: 'm.login.dummy',
    session: challengeOf(await register(wish))['session'] as string,
  })
  const done = async (wish: Wish) => {
    const outcome = await register(wish)
    if (!('registered' in outcome)) throw new Error('No account was made')
    return outcome.registered
  }

  it('remembers what was said, for a request that says nothing but that it is complete', async () => {
    const device = { deviceId: 'PHONE', displayName: 'A phone' }
    const auth = await begin({ username: 'alice', password: 'secret', device })
    const kept = await fixture.db.reader.all<{ request: string }>('SELECT request FROM ui_auth_sessions')
    expect(kept[0]?.request).to.include('alice').and.not.include('"secret"')
    const { userId, session } = await done({ auth })
    expect([userId, session?.deviceId]).to.deep.equal(['@alice:hs.test', 'PHONE'])
    const made = await fixture.services.devices.require(userId, session!.deviceId)
    expect(made.displayName).to.equal('A phone')
    const silent = await done({
      auth: await begin({ username: 'bob', password: 'secret', inhibitLogin: true }),
    })
    expect(silent).to.deep.equal({ userId: '@bob:hs.test', session: undefined })
  })

  it('takes what the last request says before what it remembers', async () => {
    const auth = await begin({ username: 'bob', password: 'first' })
    const { userId } = await done({ username: 'alice', password: 'second', auth })
    expect(userId).to.equal('@alice:hs.test')
    const { passwordHash } = (await fixture.stores.users.get(fixture.db.reader, userId))!
    expect(await fixture.services.passwords.verify('second', passwordHash)).to.equal(true)
    expect(await fixture.services.passwords.verify('first', passwordHash)).to.equal(false)
  })

  it('answers who asks again with the same account, for a while and with this password', async () => {
    const auth = await begin({ password: 'secret' })
    const { userId, session } = await done({ auth })
    const again = await done({ password: 'secret', auth })
    expect(again.userId).to.equal(userId)
    expect(again.session?.accessToken).to.not.equal(session?.accessToken)
    expect(fixture.joined).to.deep.equal([userId])
    fixture.clock.advance(11 * 60 * 1000)
    expect(await rejection(register({ auth }))).to.have.property('errcode', 'M_FORBIDDEN')

    const second = await begin({ password: 'secret' })
    const other = await done({ auth: second })
    await fixture.services.passwordChanges.change(other.userId, 'another', { logoutDevices: true })
    expect(challengeOf(await register({ auth: second }))).to.include({ error: 'Unknown session' })
  })

  it('makes one account in a session', async () => {
    const challenge = challengeOf(await register({}))
    const auth = { type: 'm.login.dummy', session: challenge['session'] as string }
    const outcomes = await Promise.allSettled(
      ['alice', 'bob', 'carol'].map((username) => register({ username, password: 'secret', auth })),
    )
    const made = outcomes.filter((outcome) => outcome.status === 'fulfilled' && 'registered' in outcome.value)
    expect(made).to.have.length(1)
  })

  it('says what is wrong with a name before any authentication', async () => {
    await registered({ username: 'taken', password: 'secret' })
    const cases: [string, string][] = [
      ['taken', 'M_USER_IN_USE'],
      ['TAKEN', 'M_USER_IN_USE'],
      ['', 'M_INVALID_USERNAME'],
      ['with space', 'M_INVALID_USERNAME'],
      ['ünïcode', 'M_INVALID_USERNAME'],
      ['a:b', 'M_INVALID_USERNAME'],
      ['12345', 'M_INVALID_USERNAME'],
      ['_bridged', 'M_INVALID_USERNAME'],
      ['a'.repeat(247), 'M_INVALID_USERNAME'],
    ]
    for (const [username, errcode] of cases) {
      const error = await rejection(register({ username, password: 'secret' }))
      expect(error, username).to.have.property('errcode', errcode)
      const available = await rejection(fixture.services.accountRegistration.checkAvailable(username))
      expect(available, username).to.have.property('errcode', errcode)
    }
    await fixture.services.accountRegistration.checkAvailable('a'.repeat(246))
    await fixture.services.accountRegistration.checkAvailable('a.b_c=d-e/f+9')
  })

  it('does not give away a name twice, whoever asks at once', async () => {
    const outcomes = await Promise.allSettled(
      [1, 2, 3].map(() => registered({ username: 'alice', password: 'secret' })),
    )
    expect(outcomes.filter((outcome) => outcome.status === 'fulfilled')).to.have.length(1)
  })

  it('does not say before the end that a name is taken, where that is hidden', async () => {
    fixture = await createAccountServices(await open(), { registration: { hideTakenNames: true } })
    await registered({ username: 'alice', password: 'secret' })
    await fixture.services.accountRegistration.checkAvailable('alice')
    const challenge = challengeOf(await register({ username: 'alice', password: 'secret' }))
    const auth = { type: 'm.login.dummy', session: challenge['session'] as string }
    const error = await rejection(register({ username: 'alice', password: 'secret', auth }))
    expect(error).to.have.property('errcode', 'M_USER_IN_USE')
  })

  it('chooses a name of digits for who wants none', async () => {
    const { userId } = await registered({ password: 'secret' })
    expect(userId).to.match(/^@[0-9]+:hs\.test$/)
    expect((await registered({ password: 'secret' })).userId).not.to.equal(userId)
  })

  it('refuses weak passwords before any authentication', async () => {
    fixture = await createAccountServices(await open(), {
      policy: { enabled: true, minimumLength: 8, requireDigit: true },
    })
    for (const password of ['short1', 'no digits here']) {
      const error = await rejection(register({ username: 'alice', password }))
      expect(error).to.have.property('errcode', 'M_WEAK_PASSWORD')
    }
    await registered({ username: 'alice', password: 'long enough 1' })
  })

  it('refuses everybody where registration is off or needs what is not offered', async () => {
    for (const registration of [{ enabled: false }, { unavailableStage: 'an e-mail address' }]) {
      fixture = await createAccountServices(await open(), { registration })
      const error = await rejection(register({}))
      expect(error).to.include({ errcode: 'M_FORBIDDEN', status: 403 })
      const available = await rejection(fixture.services.accountRegistration.checkAvailable('alice'))
      expect(available).to.have.property('errcode', 'M_FORBIDDEN')
      expect(fixture.services.accountRegistration.isOpen).to.equal(false)
    }
  })

  it('asks those who have proven all else to agree to the terms, and notes to which they have agreed', async () => {
    const terms = { version: '1.0', name: 'Rules', url: 'https://hs.test/_matrix/consent?v=1.0' }
    fixture = await createAccountServices(await open(), { registration: { terms } })
    const wish = { username: 'alice', password: 'secret' }
    const challenge = challengeOf(await register(wish))
    expect(challenge['flows']).to.deep.equal([{ stages: ['m.login.dummy', 'm.login.terms'] }])
    expect(challenge['params']).to.deep.equal({
      'm.login.terms': {
        policies: { privacy_policy: { version: '1.0', en: { name: 'Rules', url: terms.url } } },
      },
    })
    const session = challenge['session'] as string
    const early = challengeOf(await register({ ...wish, auth: { type: 'm.login.terms', session } }))
    expect(early).to.include({ errcode: 'M_FORBIDDEN' })
    const half = challengeOf(await register({ ...wish, auth: { type: 'm.login.dummy', session } }))
    expect(half['completed']).to.deep.equal(['m.login.dummy'])
    fixture.clock.advance(1_000)
    const agreed = await register({ ...wish, auth: { type: 'm.login.terms', session } })
    if (!('registered' in agreed)) throw new Error('No account was made')
    const { userId } = agreed.registered
    expect(await fixture.stores.userConsents.get(fixture.db.reader, userId)).to.deep.equal({
      version: '1.0',
      ts: fixture.clock.now(),
    })
  })

  it('makes guests, who may become users', async () => {
    const guest = await fixture.services.accountRegistration.registerGuest('A browser')
    const token = guest.session?.accessToken ?? ''
    expect(await fixture.services.accessTokens.authenticate(token, CLIENT)).to.include({ isGuest: true })
    const localpart = guest.userId.slice(1, guest.userId.indexOf(':'))
    const wrong = await rejection(
      register({ username: 'alice', password: 'secret', guestAccessToken: token }),
    )
    expect(wrong).to.have.property('errcode', 'M_FORBIDDEN')
    const upgraded = await registered({ username: localpart, password: 'secret', guestAccessToken: token })
    expect(upgraded.userId).to.equal(guest.userId)
    const old = await rejection(fixture.services.accessTokens.authenticate(token, CLIENT))
    expect(old).to.have.property('errcode', 'M_UNKNOWN_TOKEN')
    const now = await fixture.services.accessTokens.authenticate(upgraded.session?.accessToken ?? '', CLIENT)
    expect(now).to.include({ userId: guest.userId, isGuest: false })
  })

  it('lets nobody take over an account who is not its guest', async () => {
    const { token } = await fixture.createUser('alice')
    const error = await rejection(
      register({ username: 'alice', password: 'mine now', guestAccessToken: token }),
    )
    expect(error).to.have.property('errcode', 'M_FORBIDDEN')
  })

  it('makes no guests where there are none', async () => {
    fixture = await createAccountServices(await open(), { registration: { guests: false } })
    const error = await rejection(fixture.services.accountRegistration.registerGuest(undefined))
    expect(error).to.have.property('errcode', 'M_FORBIDDEN')
  })
})

forEachDatabase('registration tokens', (open) => {
  let fixture: AccountFixture

  beforeEach(async () => {
    fixture = await openWithToken(open, { token: 'let-me-in', usesAllowed: 2 })
  })

  const record = () => fixture.stores.registrationTokens.get(fixture.db.reader, 'let-me-in')
  const begin = async (): Promise<string> => challengeOf(await submit(fixture, {}))['session'] as string
  const stage = (session: string, token = 'let-me-in') => ({
    type: 'm.login.registration_token',
    token,
    session,
  })

  it('lets in who has one, and counts', async () => {
    const session = await begin()
    const outcome = await submit(fixture, { username: 'alice', password: 'secret', auth: stage(session) })
    expect(outcome).to.have.property('registered')
    expect(await record()).to.include({ pending: 0, completed: 1 })
    expect(await fixture.services.registrationTokens.isValid('let-me-in')).to.equal(true)
  })

  it('refuses unknown ones with 401', async () => {
    const session = await begin()
    for (const token of ['wrong', '', 'LET-ME-IN']) {
      const outcome = await submit(fixture, { password: 'secret', auth: stage(session, token) })
      expect(challengeOf(outcome)).to.include({ errcode: 'M_UNAUTHORIZED' })
      expect(await fixture.services.registrationTokens.isValid(token)).to.equal(false)
    }
  })

  it('holds a use for each session, and frees it when nobody registers', async () => {
    const [first, second, third] = [await begin(), await begin(), await begin()]
    for (const session of [first, second]) {
      await rejection(submit(fixture, { username: 'alice', auth: stage(session) }))
      await rejection(submit(fixture, { username: 'alice', auth: stage(session) }))
    }
    expect(await record()).to.include({ pending: 2, completed: 0 })
    const refused = await submit(fixture, { password: 'secret', auth: stage(third) })
    expect(challengeOf(refused)).to.include({ errcode: 'M_UNAUTHORIZED' })
    expect(await fixture.services.registrationTokens.isValid('let-me-in')).to.equal(false)
    fixture.clock.advance(25 * 60 * 60 * 1000)
    await fixture.services.uiAuth.deleteExpired()
    expect(await record()).to.include({ pending: 0, completed: 0 })
  })

  it('never lets in more than it may, whoever comes at once', async () => {
    const sessions = await Promise.all([1, 2, 3, 4, 5].map(() => begin()))
    const outcomes = await Promise.all(
      sessions.map((session, index) =>
        submit(fixture, { username: `user-${index}`, password: 'secret', auth: stage(session) }),
      ),
    )
    expect(outcomes.filter((outcome) => 'registered' in outcome)).to.have.length(2)
    expect(await record()).to.include({ pending: 0, completed: 2 })
  })

  it('refuses expired ones', async () => {
    fixture = await openWithToken(open, { token: 'let-me-in', lifetimeMs: 1000 })
    const session = await begin()
    fixture.clock.advance(1000)
    const outcome = await submit(fixture, { password: 'secret', auth: stage(session) })
    expect(challengeOf(outcome)).to.include({ errcode: 'M_UNAUTHORIZED' })
    expect(await fixture.services.registrationTokens.isValid('let-me-in')).to.equal(false)
  })
})

function submit(fixture: AccountFixture, wish: Wish): Promise<RegistrationOutcome> {
  return fixture.services.accountRegistration.register({
    username: wish.username,
    password: wish.password,
    guestAccessToken: wish.guestAccessToken,
    inhibitLogin: wish.inhibitLogin ?? false,
    device: { deviceId: wish.device?.deviceId, displayName: wish.device?.displayName, refreshable: false },
    method: 'POST',
    path: '/_matrix/client/v3/register',
    body: wish.auth === undefined ? {} : { auth: wish.auth },
    client: CLIENT,
  })
}

async function complete(fixture: AccountFixture, wish: Wish) {
  const challenge = challengeOf(await submit(fixture, wish))
  const auth = { type: 'm.login.dummy', session: challenge['session'] as string }
  const outcome = await submit(fixture, { ...wish, auth })
  if (!('registered' in outcome)) throw new Error('No account was made')
  return outcome.registered
}

function challengeOf(outcome: RegistrationOutcome): JsonObject {
  if (!('challenge' in outcome)) throw new Error('An account was made')
  return outcome.challenge
}

async function openWithToken(
  open: OpenTestDatabase,
  token: { token: string; usesAllowed?: number; lifetimeMs?: number },
): Promise<AccountFixture> {
  const options: AccountOptions = { registration: { requiresToken: true } }
  const fixture = await createAccountServices(await open(), options)
  const expiryTs = token.lifetimeMs === undefined ? undefined : fixture.clock.now() + token.lifetimeMs
  await fixture.db.write('insert_token', (tx) =>
    fixture.stores.registrationTokens.insert(tx, {
      token: token.token,
      usesAllowed: token.usesAllowed,
      expiryTs,
    }),
  )
  return fixture
}

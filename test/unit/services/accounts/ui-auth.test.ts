import { expect } from 'chai'
import type { Requester } from '../../../../src/services/accounts/requester.js'
import type { UiAuthOperation, UiAuthOutcome } from '../../../../src/services/accounts/ui-auth.js'
import type { JsonObject } from '../../../../src/util/json.js'
import { createAccountServices, type AccountFixture } from '../../../support/account-services.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'

const PASSWORD_FLOW = [['m.login.password']]

forEachDatabase('user-interactive authentication', (open) => {
  let fixture: AccountFixture
  let alice: Requester

  beforeEach(async () => {
    fixture = await createAccountServices(await open())
    alice = (await fixture.createUser('alice')).requester
  })

  const operation = (requester: Requester | undefined, body: JsonObject): UiAuthOperation => ({
    requester,
    method: 'POST',
    path: '/_matrix/client/v3/delete_devices',
    body,
    flows: PASSWORD_FLOW,
  })
  const authenticate = (it: UiAuthOperation): Promise<UiAuthOutcome> =>
    fixture.services.uiAuth.authenticate(it)
  const challengeOf = (outcome: UiAuthOutcome): JsonObject => {
    if (outcome.complete) throw new Error('The operation was allowed')
    return outcome.response
  }
  const begin = async (it: UiAuthOperation): Promise<string> =>
    challengeOf(await authenticate(it))['session'] as string
  const proof = (session: string, user = 'alice', password = 'secret'): JsonObject => ({
    type: 'm.login.password',
    identifier: { type: 'm.id.user', user },
    password,
    session,
  })

  it('asks for authentication first, with the flows and a session', async () => {
    const challenge = challengeOf(await authenticate(operation(alice, { devices: ['A'] })))
    expect(challenge).to.have.all.keys('session', 'flows', 'params', 'completed')
    expect(challenge['flows']).to.deep.equal([{ stages: ['m.login.password'] }])
  })

  it('lets the operation go on when the stage is done, whatever the order of the keys', async () => {
    const session = await begin(operation(alice, { devices: ['A'], other: { x: 1, y: 2 } }))
    const outcome = await authenticate(
      operation(alice, { auth: proof(session), other: { y: 2, x: 1 }, devices: ['A'] }),
    )
    expect(outcome.complete).to.equal(true)
  })

  it('takes a password without a session in the first request', async () => {
    const auth = { type: 'm.login.password', user: '@alice:hs.test', password: 'secret' }
    expect((await authenticate(operation(alice, { auth }))).complete).to.equal(true)
  })

  it('says when the password is wrong, and lets the client try again', async () => {
    const session = await begin(operation(alice, {}))
    const wrong = challengeOf(
      await authenticate(operation(alice, { auth: proof(session, 'alice', 'wrong') })),
    )
    expect(wrong).to.include({ session, errcode: 'M_FORBIDDEN' })
    expect(wrong['completed']).to.deep.equal([])
    expect((await authenticate(operation(alice, { auth: proof(session) }))).complete).to.equal(true)
  })

  it('takes the password of nobody else', async () => {
    await fixture.createUser('bob')
    const session = await begin(operation(alice, {}))
    const refused = await rejection(authenticate(operation(alice, { auth: proof(session, 'bob') })))
    expect(refused).to.include({ errcode: 'M_FORBIDDEN', status: 403 })
    const wrong = await authenticate(operation(alice, { auth: proof(session, 'bob', 'wrong') }))
    expect(challengeOf(wrong)).to.include({ errcode: 'M_FORBIDDEN' })
  })

  it('does not take a session begun by another user', async () => {
    const { requester: bob } = await fixture.createUser('bob')
    const session = await begin(operation(bob, {}))
    const error = await rejection(authenticate(operation(alice, { auth: proof(session) })))
    expect(error).to.have.property('errcode', 'M_FORBIDDEN')
  })

  it('does not take a session begun for another operation', async () => {
    const session = await begin(operation(alice, { devices: ['A'] }))
    const others = [
      operation(alice, { devices: ['B'], auth: proof(session) }),
      operation(alice, { devices: ['A'], extra: 1, auth: proof(session) }),
      { ...operation(alice, { devices: ['A'], auth: proof(session) }), path: '/_matrix/client/v3/other' },
      { ...operation(alice, { devices: ['A'], auth: proof(session) }), method: 'DELETE' },
      operation(undefined, { devices: ['A'], auth: proof(session) }),
    ]
    for (const other of others) {
      expect(await rejection(authenticate(other))).to.have.property('errcode', 'M_FORBIDDEN')
    }
  })

  it('lets a session be used once', async () => {
    const session = await begin(operation(alice, {}))
    const attempts = await Promise.allSettled(
      [1, 2, 3].map(() => authenticate(operation(alice, { auth: proof(session) }))),
    )
    const passed = attempts.filter((attempt) => attempt.status === 'fulfilled' && attempt.value.complete)
    expect(passed).to.have.length(1)
    const later = challengeOf(await authenticate(operation(alice, { auth: proof(session) })))
    expect(later['session']).not.to.equal(session)
  })

  it('begins anew when a session is unknown or too old', async () => {
    const unknown = challengeOf(await authenticate(operation(alice, { auth: proof('made up') })))
    expect(unknown).to.include({ errcode: 'M_UNKNOWN' })
    const session = await begin(operation(alice, {}))
    fixture.clock.advance(24 * 60 * 60 * 1000)
    const outcome = challengeOf(await authenticate(operation(alice, { auth: proof(session) })))
    expect(outcome['session']).not.to.equal(session)
  })

  it('wants the stages of a flow in their order', async () => {
    const flows = [['m.login.password', 'm.login.dummy']]
    const session = await begin({ ...operation(alice, {}), flows })
    const dummy = { type: 'm.login.dummy', session }
    const early = challengeOf(await authenticate({ ...operation(alice, { auth: dummy }), flows }))
    expect(early['completed']).to.deep.equal([])
    const half = challengeOf(await authenticate({ ...operation(alice, { auth: proof(session) }), flows }))
    expect(half['completed']).to.deep.equal(['m.login.password'])
    const asked = challengeOf(await authenticate({ ...operation(alice, { auth: { session } }), flows }))
    expect(asked['completed']).to.deep.equal(['m.login.password'])
    const done = await authenticate({ ...operation(alice, { auth: dummy }), flows })
    expect(done.complete).to.equal(true)
  })

  it('refuses stages that no flow has', async () => {
    const session = await begin(operation(alice, {}))
    for (const type of ['m.login.dummy', 'm.login.unknown', '__proto__', 'constructor']) {
      const outcome = await authenticate(operation(alice, { auth: { type, session } }))
      expect(challengeOf(outcome)).to.include({ errcode: 'M_FORBIDDEN' })
    }
  })

  it('refuses what is not an object, and objects too deep to compare', async () => {
    expect(await rejection(authenticate(operation(alice, { auth: 'x' })))).to.have.property(
      'errcode',
      'M_BAD_JSON',
    )
    const deep = JSON.parse(`${'['.repeat(50_000)}${']'.repeat(50_000)}`) as JsonObject[string]
    expect(await rejection(authenticate(operation(alice, { deep })))).to.have.property(
      'errcode',
      'M_BAD_JSON',
    )
  })

  it('stops counting passwords when there were too many wrong ones', async () => {
    const failedAttempts = { perSecond: 0.1, burstCount: 2 }
    fixture = await createAccountServices(await open(), { failedAttempts })
    alice = (await fixture.createUser('alice')).requester
    const session = await begin(operation(alice, {}))
    await authenticate(operation(alice, { auth: proof(session, 'alice', 'wrong') }))
    await authenticate(operation(alice, { auth: proof(session, 'alice', 'wrong') }))
    const error = await rejection(authenticate(operation(alice, { auth: proof(session) })))
    expect(error).to.have.property('errcode', 'M_LIMIT_EXCEEDED')
  })

  it('asks again for every operation, unless the configuration lets a proof last', async () => {
    const reusable = (it: UiAuthOperation): UiAuthOperation => ({ ...it, mayReuse: true })
    const prove = async (): Promise<void> => {
      const session = await begin(operation(alice, {}))
      await authenticate(operation(alice, { auth: proof(session) }))
    }
    await prove()
    expect((await authenticate(reusable(operation(alice, {})))).complete).to.equal(false)

    fixture = await createAccountServices(await open(), { uiAuthReuseMs: 15_000 })
    const session = await fixture.createUser('alice')
    alice = session.requester
    await prove()
    expect((await authenticate(reusable(operation(alice, { x: 1 })))).complete).to.equal(true)
    expect((await authenticate(operation(alice, { x: 1 }))).complete).to.equal(false)
    const other = await fixture.services.login.beginSession(alice.userId, {
      deviceId: undefined,
      displayName: undefined,
      refreshable: false,
    })
    const elsewhere = await fixture.services.accessTokens.authenticate(other.accessToken, {
      ip: '',
      userAgent: '',
    })
    expect((await authenticate(reusable(operation(elsewhere, {})))).complete).to.equal(false)
    fixture.clock.advance(15_000)
    expect((await authenticate(reusable(operation(alice, {})))).complete).to.equal(false)
  })

  it('forgets the oldest of too many sessions of a user', async () => {
    const first = await begin(operation(alice, {}))
    for (let i = 0; i < 49; i++) {
      fixture.clock.advance(1)
      await begin(operation(alice, {}))
    }
    expect(await fixture.stores.sessions.get(fixture.db.reader, first)).not.to.equal(undefined)
    fixture.clock.advance(1)
    await begin(operation(alice, {}))
    expect(await fixture.stores.sessions.get(fixture.db.reader, first)).to.equal(undefined)
  })

  it('survives a restart of the server', async () => {
    const db = await open()
    fixture = await createAccountServices(db)
    alice = (await fixture.createUser('alice')).requester
    const session = await begin(operation(alice, {}))
    fixture = await createAccountServices(db)
    expect((await authenticate(operation(alice, { auth: proof(session) }))).complete).to.equal(true)
  })
})

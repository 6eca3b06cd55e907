import { expect } from 'chai'
import type { IntrospectedToken } from '../../../../src/net/clients/authentication-service-client.js'
import { HttpFailure } from '../../../../src/net/http-failure.js'
import { MatrixError } from '../../../../src/protocol/errors.js'
import type { DeviceId, UserId } from '../../../../src/protocol/ids.js'
import { DelegatedTokens } from '../../../../src/services/accounts/delegated-tokens.js'
import {
  CLIENT,
  createAccountServices,
  SERVER_NAME,
  type AccountFixture,
} from '../../../support/account-services.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'

const API = 'urn:matrix:client:api:*'
const UNSTABLE_API = 'urn:matrix:org.matrix.msc2967.client:api:*'
const DEVICE = 'urn:matrix:client:device:'
const UNSTABLE_DEVICE = 'urn:matrix:org.matrix.msc2967.client:device:'
const ALICE = '@alice:hs.test' as UserId
const NONE: IntrospectedToken = {
  isActive: false,
  scope: new Set(),
  username: undefined,
  deviceId: undefined,
  expiresInMs: undefined,
}

/** What is said of a token of Alice's with this scope. */
function ofAlice(scope: readonly string[], more: Partial<IntrospectedToken> = {}): IntrospectedToken {
  return { ...NONE, isActive: true, username: 'alice', scope: new Set(scope), ...more }
}

forEachDatabase('access tokens of an authentication service', (open) => {
  let fixture: AccountFixture
  let tokens: DelegatedTokens
  /** What the service says; a token that is not here is none. */
  let known: Map<string, IntrospectedToken>
  let asked: string[]
  let seen: string[]
  let logged: string[]
  /** What the service fails with. */
  let failure: Error | undefined
  let beforeAnswer: () => Promise<void>

  beforeEach(async () => {
    fixture = await createAccountServices(await open())
    await fixture.createUser('alice', { isAdmin: true })
    await fixture.services.devices.create(ALICE, 'PHONE' as DeviceId, undefined)
    known = new Map()
    asked = []
    seen = []
    logged = []
    failure = undefined
    beforeAnswer = () => Promise.resolve()
    tokens = new DelegatedTokens({
      db: fixture.db,
      clock: fixture.clock,
      ...fixture.stores,
      client: {
        async introspect(token) {
          asked.push(token)
          await beforeAnswer()
          if (failure !== undefined) throw failure
          return known.get(token) ?? NONE
        },
      },
      sightings: { record: ({ userId, deviceId }) => void seen.push(`${userId} ${String(deviceId)}`) },
      logger: {
        info: (message: unknown) => void logged.push(`info ${String(message)}`),
        warn: (fields: unknown, message?: string) =>
          void logged.push(`warn ${JSON.stringify(fields)} ${message}`),
      },
      serverName: SERVER_NAME,
      cacheSize: 100,
    })
  })

  const authenticate = (token: string) => tokens.authenticate(token, CLIENT)
  const refusal = async (token: string): Promise<MatrixError> => {
    const error = await rejection(authenticate(token))
    expect(error).to.be.instanceOf(MatrixError)
    return error as MatrixError
  }

  it('are for the user and the device that the service names', async () => {
    known.set('t', ofAlice([API, `${DEVICE}PHONE`]))
    expect(await authenticate('t')).to.deep.equal({
      userId: ALICE,
      deviceId: 'PHONE',
      isGuest: false,
      isAdmin: false,
      isShadowBanned: false,
      isSuspended: false,
      isLocked: false,
      tokenId: undefined,
      appserviceId: undefined,
    })
    expect(seen).to.deep.equal([`${ALICE} PHONE`])
  })

  for (const [title, token, deviceId] of [
    ['in a stable scope', ofAlice([API, `${DEVICE}PHONE`]), 'PHONE'],
    ['in an unstable scope', ofAlice([UNSTABLE_API, `${UNSTABLE_DEVICE}PHONE`]), 'PHONE'],
    ['in both', ofAlice([API, UNSTABLE_API, `${DEVICE}PHONE`, `${UNSTABLE_DEVICE}PHONE`]), 'PHONE'],
    ['by itself', ofAlice([API], { deviceId: 'PHONE' }), 'PHONE'],
    ['by itself, whatever the scope says', ofAlice([API, `${DEVICE}X`], { deviceId: 'PHONE' }), 'PHONE'],
    ['nowhere', ofAlice([API]), undefined],
  ] as const) {
    it(`find their device ${title}`, async () => {
      known.set('t', token)
      expect(await authenticate('t')).to.include({ userId: ALICE, deviceId })
    })
  }

  it('give the rights of an administrator by their scope alone', async () => {
    known.set('more', ofAlice([API, 'urn:synapse:admin:*']))
    known.set('less', ofAlice([API, 'urn:synapse:admin', 'urn:mas:admin']))
    expect((await authenticate('more')).isAdmin).to.equal(true)
    // Although the account has them.
    expect((await authenticate('less')).isAdmin).to.equal(false)
  })

  for (const [title, token] of [
    ['are not known to the service', NONE],
    ['are not active, whatever else is said', { ...ofAlice([API]), isActive: false }],
    ['are not for this API', ofAlice(['openid', 'urn:synapse:admin:*', `${DEVICE}PHONE`])],
    ['are for another API whose name begins alike', ofAlice([`${API}x`, 'urn:matrix:client:api'])],
    ['are for a device that is gone', ofAlice([API, `${DEVICE}GONE`])],
    ['have expired', ofAlice([API], { expiresInMs: 0 })],
    ['have expired before', ofAlice([API], { expiresInMs: -5000 })],
  ] as const) {
    it(`are refused where they ${title}`, async () => {
      known.set('t', token)
      expect((await refusal('t')).errcode).to.equal('M_UNKNOWN_TOKEN')
      expect(seen).to.deep.equal([])
    })
  }

  for (const [title, token] of [
    ['no user', ofAlice([API], { username: undefined })],
    ['an empty name', ofAlice([API], { username: '' })],
    ['somebody who is not there', ofAlice([API], { username: 'bob' })],
    ['a whole user ID', ofAlice([API], { username: 'alice:hs.test' })],
    ['a name that no database takes', ofAlice([API], { username: 'a\0b' })],
    ['a name in other letters', ofAlice([API], { username: 'ALICE' })],
    ['several devices', ofAlice([API, `${DEVICE}PHONE`, `${DEVICE}TABLET`])],
    ['several devices in two ways', ofAlice([API, `${DEVICE}PHONE`, `${UNSTABLE_DEVICE}TABLET`])],
    ['a device without a name', ofAlice([API, DEVICE])],
    ['a device with an empty name', ofAlice([API, `${DEVICE}PHONE`], { deviceId: '' })],
    ['a device with a long name', ofAlice([API, `${DEVICE}${'X'.repeat(256)}`])],
    ['a device that no database takes', ofAlice([API], { deviceId: 'A\0' })],
  ] as const) {
    it(`make no sense where they are for ${title}, which ends no session`, async () => {
      known.set('t', token)
      const { errcode, status } = await refusal('t')
      expect({ errcode, status }).to.deep.equal({ errcode: 'M_UNKNOWN', status: 500 })
      expect(seen).to.deep.equal([])
    })
  }

  it('are asked about again after two minutes, and read nothing until then', async () => {
    known.set('t', ofAlice([API, `${DEVICE}PHONE`]))
    await authenticate('t')
    fixture.clock.advance(119_999)
    const { db } = fixture
    const reads = { read: db.read.bind(db), count: 0 }
    db.read = (name, fn) => {
      reads.count += 1
      return reads.read(name, fn)
    }
    await authenticate('t')
    expect({ asked: asked.length, reads: reads.count, seen: seen.length }).to.deep.equal({
      asked: 1,
      reads: 0,
      seen: 2,
    })
    fixture.clock.advance(1)
    known.clear()
    expect((await refusal('t')).errcode).to.equal('M_UNKNOWN_TOKEN')
    expect(asked).to.have.length(2)
  })

  it('end with their lifetime, before that, with a soft logout', async () => {
    known.set('t', ofAlice([API], { expiresInMs: 30_000 }))
    await authenticate('t')
    fixture.clock.advance(29_999)
    await authenticate('t')
    fixture.clock.advance(1)
    const { errcode, fields } = await refusal('t')
    expect({ errcode, fields }).to.deep.equal({ errcode: 'M_UNKNOWN_TOKEN', fields: { soft_logout: true } })
  })

  it('end with their device at once', async () => {
    known.set('t', ofAlice([API, `${DEVICE}PHONE`]))
    await authenticate('t')
    await fixture.services.devices.delete(ALICE, ['PHONE'])
    tokens.forgetUser(ALICE)
    expect((await refusal('t')).errcode).to.equal('M_UNKNOWN_TOKEN')
    // A new session with the same device is let in at once.
    await fixture.services.devices.create(ALICE, 'PHONE' as DeviceId, undefined)
    await authenticate('t')
  })

  it('are not remembered where their user was forgotten while the service was asked', async () => {
    known.set('t', ofAlice([API, `${DEVICE}PHONE`]))
    beforeAnswer = () => {
      tokens.forgetUser('@other:hs.test' as UserId)
      return Promise.resolve()
    }
    await authenticate('t')
    await authenticate('t')
    expect(asked).to.have.length(2)
  })

  it('are for what the account is: locked, suspended, deactivated, a guest', async () => {
    known.set('t', ofAlice([API]))
    const { db, stores } = fixture
    await db.write('restrict', async (tx) => {
      await stores.users.setFlag(tx, ALICE, 'isLocked', true)
      await stores.users.setFlag(tx, ALICE, 'isSuspended', true)
      await stores.users.setFlag(tx, ALICE, 'isShadowBanned', true)
    })
    expect(await authenticate('t')).to.include({ isLocked: true, isSuspended: true, isShadowBanned: true })
    tokens.forgetUser(ALICE)
    await db.write('end', (tx) => stores.users.deactivate(tx, ALICE))
    expect((await refusal('t')).errcode).to.equal('M_UNKNOWN_TOKEN')
    const guest = '@guest:hs.test' as UserId
    const record = { userId: guest, passwordHash: undefined, createdTs: 0, isGuest: true }
    await db.write('guest', (tx) => stores.users.insert(tx, record))
    known.set('g', ofAlice([API], { username: 'guest' }))
    expect((await refusal('g')).errcode).to.equal('M_UNKNOWN_TOKEN')
  })

  it('are each asked about once at a time, and never taken for each other', async () => {
    await fixture.createUser('bob')
    known.set('a', ofAlice([API]))
    known.set('b', ofAlice([API], { username: 'bob' }))
    let open: () => void = () => undefined
    const gate = new Promise<void>((resolve) => {
      open = resolve
    })
    beforeAnswer = () => gate
    const all = ['a', 'b', 'a', 'b', 'a'].map(authenticate)
    open()
    const users = (await Promise.all(all)).map(({ userId }) => userId)
    expect(users).to.deep.equal([ALICE, '@bob:hs.test', ALICE, '@bob:hs.test', ALICE])
    expect(asked.toSorted()).to.deep.equal(['a', 'b'])
  })

  it('that are none are not asked about for a while, unless an account has changed', async () => {
    await refusal('t')
    await refusal('t')
    expect(asked).to.have.length(1)
    known.set('t', ofAlice([API]))
    tokens.forgetUser(ALICE)
    await authenticate('t')
    await refusal('u')
    known.set('u', ofAlice([API]))
    fixture.clock.advance(10_000)
    await authenticate('u')
    expect(asked).to.deep.equal(['t', 't', 'u', 'u'])
  })

  it('cannot be known while the service cannot be asked, which is said once and ends no session', async () => {
    known.set('t', ofAlice([API]))
    failure = new HttpFailure('unreachable', 'nobody listens')
    for (let i = 0; i < 3; i++) {
      const { errcode, status } = await refusal('t')
      expect({ errcode, status }).to.deep.equal({ errcode: 'M_UNKNOWN', status: 503 })
    }
    failure = undefined
    await authenticate('t')
    expect(logged).to.have.length(2)
    expect(logged[0]).to.match(/^warn .*cannot be asked/)
    expect(logged[1]).to.match(/^info .*answers again/)
    // Those that are known are good for as long as before.
    failure = new HttpFailure('unreachable', 'nobody listens')
    await authenticate('t')
    fixture.clock.advance(120_000)
    expect((await refusal('t')).status).to.equal(503)
  })

  it('of strangers cannot begin any number of questions', async () => {
    let open: () => void = () => undefined
    const gate = new Promise<void>((resolve) => {
      open = resolve
    })
    beforeAnswer = () => gate
    const invented = Array.from({ length: 501 }, (_, index) => rejection(authenticate(`invented ${index}`)))
    const last = (await invented[500]) as MatrixError
    expect(last.status).to.equal(503)
    expect(asked).to.have.length(500)
    open()
    const others = (await Promise.all(invented.slice(0, 500))) as MatrixError[]
    expect(others.every(({ errcode }) => errcode === 'M_UNKNOWN_TOKEN')).to.equal(true)
  })
})

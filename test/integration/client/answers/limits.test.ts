import { expect } from 'chai'
import type { JsonValue } from '../../../../src/util/json.js'
import { PASSWORD, startHomeserver, type TestHomeserver } from '../../../support/homeserver.js'
import { path, type MatrixClient } from '../../../support/matrix-client.js'

const V3 = '/_matrix/client/v3'
const V1 = '/_matrix/client/v1'
/** One request, and the next in a quarter of an hour. */
const ONE = { per_second: 0.001, burst_count: 1 }
const MOST = 3

/** Every limit that the configuration knows, at endpoints of which the specification says that they have one. */
describe('answers to those who ask too often', () => {
  let hs: TestHomeserver

  before(async () => {
    hs = await startHomeserver({
      config: {
        login_via_existing_session: { enabled: true, require_ui_auth: false },
        max_pending_media_uploads: 1,
        rc_message: { ...ONE, burst_count: 2 },
        rc_registration: ONE,
        rc_registration_token_validity: ONE,
        rc_login: { address: ONE, account: ONE, failed_attempts: ONE },
        rc_joins: { local: ONE, remote: ONE },
        rc_invites: { per_room: ONE, per_user: ONE, per_issuer: ONE },
        rc_presence: { per_user: ONE },
        rc_reports: ONE,
        rc_user_directory: ONE,
        rc_media_create: ONE,
      },
    })
  })
  after(() => hs[Symbol.asyncDispose]())

  /** Asks until it is too often, which is soon; gives what was answered before that. */
  async function exhaust(client: MatrixClient, request: string, body?: JsonValue): Promise<number[]> {
    const [method = '', target = ''] = request.split(' ')
    const statuses: number[] = []
    for (let index = 0; index < MOST; index++) {
      const answer = await client.request(method, target, body === undefined ? {} : { body })
      if (answer.status !== 429) {
        statuses.push(answer.status)
        continue
      }
      expect(answer.body['errcode'], request).to.equal('M_LIMIT_EXCEEDED')
      expect(answer.body['retry_after_ms'], request).to.be.greaterThan(0)
      expect(Number(answer.headers.get('retry-after')), request).to.be.greaterThan(0)
      return statuses
    }
    throw new Error(`${request} is answered with ${statuses.join(', ')} and no end`)
  }

  it('hold for those who are not known', async () => {
    const alice = await hs.register('alice')
    const anybody = hs.client()
    const login = {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: alice.userId },
      password: PASSWORD,
    }
    expect(await exhaust(anybody, `POST ${V3}/login`, login)).to.deep.equal([200])
    const token = `GET ${V1}/register/m.login.registration_token/validity?token=a`
    expect(await exhaust(anybody, token)).to.deep.equal([200])
    const register = (username: string) => ({ username, password: PASSWORD, auth: { type: 'm.login.dummy' } })
    await anybody.must('POST', `${V3}/register`, { body: register('one') })
    expect(await exhaust(anybody, `POST ${V3}/register`, register('two'))).to.deep.equal([])
  })

  it('hold for each user', async () => {
    const bob = await hs.register('bob')
    const carol = await hs.register('carol')
    const presence = path`/_matrix/client/v3/presence/${bob.userId}/status`
    expect(await exhaust(bob, `PUT ${presence}`, { presence: 'online' })).to.deep.equal([200])
    expect(await exhaust(bob, `POST ${V3}/user_directory/search`, { search_term: 'a' })).to.deep.equal([200])
    expect(await exhaust(carol, `POST ${V3}/user_directory/search`, { search_term: 'a' })).to.deep.equal([
      200,
    ])
    const report = path`/_matrix/client/v3/users/${carol.userId}/report`
    expect(await exhaust(bob, `POST ${report}`, { reason: 'rude' })).to.deep.equal([200])
    const roomId = await carol.createRoom({ preset: 'public_chat' })
    expect(
      await exhaust(carol, `POST ${path`/_matrix/client/v3/rooms/${roomId}/report`}`, { reason: 'a' }),
    ).to.deep.equal([200])
    expect(await exhaust(bob, 'POST /_matrix/media/v1/create')).to.deep.equal([200])
    expect((await exhaust(carol, `POST ${V1}/login/get_token`, {})).length).to.be.lessThan(2)
  })

  it('hold for ways into rooms, and out of them', async () => {
    const [dora, erik] = [await hs.register('dora'), await hs.register('erik')]
    const rooms: string[] = []
    for (let index = 0; index < 4; index++) rooms.push(await dora.createRoom({ preset: 'public_chat' }))
    const [a = '', b = '', c = '', d = ''] = rooms
    await erik.join(a)
    expect(await exhaust(erik, `POST ${path`/_matrix/client/v3/join/${b}`}`, {})).to.deep.equal([])
    expect(await exhaust(erik, `POST ${path`/_matrix/client/v3/rooms/${c}/join`}`, {})).to.deep.equal([])
    await dora.invite(d, erik.userId)
    const invite = `POST ${path`/_matrix/client/v3/rooms/${d}/invite`}`
    expect(await exhaust(dora, invite, { user_id: '@frida:hs.test' })).to.deep.equal([])
    expect(await exhaust(erik, `POST ${path`/_matrix/client/v3/knock/${b}`}`, {})).to.deep.equal([403, 403])
    expect(await exhaust(erik, `POST ${path`/_matrix/client/v3/rooms/${a}/leave`}`, {})).to.deep.equal([])
  })

  it('hold for those who guess passwords', async () => {
    const frida = await hs.register('frida')
    const proof = (password: string) => ({
      auth: { type: 'm.login.password', identifier: { type: 'm.id.user', user: frida.userId }, password },
    })
    expect(await exhaust(frida, `POST ${V3}/account/deactivate`, proof('wrong'))).to.deep.equal([401])
    expect(
      await exhaust(frida, `POST ${V3}/account/password`, { new_password: 'new', ...proof('wrong') }),
    ).to.deep.equal([])
    expect(
      await exhaust(frida, `POST ${V3}/account/3pid/add`, {
        sid: 'a',
        client_secret: 'b',
        ...proof('wrong'),
      }),
    ).to.deep.equal([])
  })
})

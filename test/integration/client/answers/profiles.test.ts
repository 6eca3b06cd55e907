import { startHomeserver, type TestHomeserver } from '../../../support/homeserver.js'
import { expectAnswers } from '../../../support/expected-answers.js'
import { path, type MatrixClient } from '../../../support/matrix-client.js'

describe('answers about profiles', () => {
  let hs: TestHomeserver
  let alice: MatrixClient
  let bob: MatrixClient
  let root: MatrixClient

  before(async () => {
    hs = await startHomeserver()
    alice = await hs.register('alice')
    bob = await hs.register('bob')
    root = await hs.register('root', { isAdmin: true })
  })
  after(() => hs[Symbol.asyncDispose]())

  const field = (name: string, userId = alice.userId): string =>
    path`/_matrix/client/v3/profile/${userId}/${name}`

  it('let people set their own fields, and administrators those of others', async () => {
    const tz = field('m.tz')
    await expectAnswers([
      [alice, `GET ${tz}`, [404, 'M_NOT_FOUND']],
      [alice, `PUT ${tz}`, 200, { 'm.tz': 'Europe/Zurich' }],
      [bob, `GET ${tz}`, 200],
      [hs.client(), `GET ${tz}`, 200],
      [bob, `PUT ${tz}`, [403, 'M_FORBIDDEN'], { 'm.tz': 'Europe/Rome' }],
      [bob, `DELETE ${tz}`, [403, 'M_FORBIDDEN']],
      [hs.client(), `PUT ${tz}`, [401, 'M_MISSING_TOKEN'], { 'm.tz': 'Europe/Rome' }],
      [root, `PUT ${tz}`, 200, { 'm.tz': 'Europe/Rome' }],
      [alice, `DELETE ${tz}`, 200],
      [alice, `DELETE ${tz}`, 200],
      [alice, `GET ${tz}`, [404, 'M_NOT_FOUND']],
    ])
  })

  it('are also where they were before other fields were specified', async () => {
    const early = path`/_matrix/client/unstable/uk.tcpip.msc4133/profile/${alice.userId}`
    await expectAnswers([
      [alice, `PUT ${early}/org.example.early`, 200, { 'org.example.early': 1 }],
      [bob, `GET ${early}/org.example.early`, 200],
      [bob, `GET ${early}`, 200],
      [alice, `GET ${field('org.example.early')}`, 200],
      [alice, `DELETE ${early}/org.example.early`, 200],
      [alice, `GET ${early}/org.example.early`, [404, 'M_NOT_FOUND']],
    ])
  })

  it('say what is wrong with a field', async () => {
    const long = 'x'.repeat(256)
    await expectAnswers([
      [alice, `PUT ${field('m.tz')}`, [400, 'M_BAD_JSON'], ['no object']],
      [alice, `PUT ${field('m.tz')}`, [400, 'M_MISSING_PARAM'], { other: 1 }],
      [alice, `PUT ${field('displayname')}`, [400, 'M_BAD_JSON'], { displayname: 5 }],
      [alice, `PUT ${field(long)}`, [400, 'M_KEY_TOO_LARGE'], { [long]: 1 }],
      [
        alice,
        `PUT ${field('org.example.big')}`,
        [400, 'M_PROFILE_TOO_LARGE'],
        { 'org.example.big': 'x'.repeat(65_536) },
      ],
      [alice, `PUT ${field('Not a name')}`, [400, 'M_INVALID_PARAM'], { 'Not a name': 1 }],
      [alice, `DELETE ${field('Not a name')}`, [400, 'M_INVALID_PARAM']],
    ])
  })

  it('know only users who are there', async () => {
    await expectAnswers([
      [alice, `GET ${field('displayname', '@nobody:hs.test')}`, [404, 'M_NOT_FOUND']],
      [alice, `GET ${path`/_matrix/client/v3/profile/${'@nobody:hs.test'}`}`, [404, 'M_NOT_FOUND']],
      [alice, `GET ${path`/_matrix/client/v3/profile/${bob.userId}`}`, 200],
    ])
  })

  it('keep profiles from strangers where the configuration says so', async () => {
    await using shy = await startHomeserver({
      config: {
        require_auth_for_profile_requests: true,
        limit_profile_requests_to_users_who_share_rooms: true,
      },
    })
    const [carol, dora] = [await shy.register('carol'), await shy.register('dora')]
    const profile = path`/_matrix/client/v3/profile/${carol.userId}`
    await expectAnswers([
      [carol, `GET ${profile}`, 200],
      [dora, `GET ${profile}`, [403, 'M_FORBIDDEN']],
      [dora, `GET ${profile}/displayname`, [403, 'M_FORBIDDEN']],
      [shy.client(), `GET ${profile}`, [401, 'M_MISSING_TOKEN']],
    ])
    const roomId = await carol.createRoom({ preset: 'public_chat' })
    await dora.join(roomId)
    await expectAnswers([[dora, `GET ${profile}`, 200]])
  })
})

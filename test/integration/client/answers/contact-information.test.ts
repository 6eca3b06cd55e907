import { FakeSmtp } from '../../../support/fake-smtp.js'
import { expectAnswer, expectAnswers, textIn } from '../../../support/expected-answers.js'
import { startFederation } from '../../../support/federation.js'
import { startHomeserver } from '../../../support/homeserver.js'

const ACCOUNT = '/_matrix/client/v3/account'
const CREDENTIALS = { client_secret: 'a_secret', send_attempt: 1 }

describe('answers about contact information', () => {
  it('add what has been proven, by the old endpoint too', async () => {
    await using smtp = await FakeSmtp.start()
    await using hs = await startHomeserver({
      config: {
        email: smtp.config,
        public_baseurl: 'https://hs.test/',
        rc_3pid_validation: { per_second: 1000, burst_count: 1000 },
        allowed_local_3pids: [{ medium: 'email', pattern: '.*@mail\\.test$' }],
      },
    })
    const [alice, bob] = [await hs.register('alice'), await hs.register('bob')]
    const ask = `POST ${ACCOUNT}/3pid/email/requestToken`
    await expectAnswer(alice, ask, [403, 'M_THREEPID_DENIED'], {
      body: { ...CREDENTIALS, email: 'alice@other.test' },
    })
    const answer = await expectAnswer(alice, ask, 200, {
      body: { ...CREDENTIALS, email: 'alice@mail.test' },
    })
    const proof = {
      three_pid_creds: { sid: textIn(answer, 'sid'), client_secret: CREDENTIALS.client_secret },
    }
    await expectAnswer(alice, `POST ${ACCOUNT}/3pid`, [403, 'M_THREEPID_AUTH_FAILED'], { body: proof })
    const [, link = ''] = /https:\/\/hs\.test(\/\S+)/.exec(smtp.mails.at(-1)?.text ?? '') ?? []
    await hs.client().request('GET', link)
    await expectAnswers([
      [alice, `POST ${ACCOUNT}/3pid`, 200, proof],
      [bob, ask, [400, 'M_THREEPID_IN_USE'], { ...CREDENTIALS, email: 'alice@mail.test' }],
      [bob, `POST ${ACCOUNT}/3pid/delete`, 200, { medium: 'email', address: 'alice@mail.test' }],
      [bob, ask, [400, 'M_THREEPID_IN_USE'], { ...CREDENTIALS, email: 'alice@mail.test' }],
      [alice, `POST ${ACCOUNT}/3pid/delete`, 200, { medium: 'email', address: 'alice@mail.test' }],
      [bob, ask, 200, { ...CREDENTIALS, email: 'alice@mail.test' }],
    ])
  })
})

describe('answers about invitations to other servers', () => {
  it('say that the other server does not know the version of the room', async () => {
    await using servers = await startFederation(['a.test'])
    const fake = await servers.fake('old.test')
    fake.on('PUT', '/_matrix/federation/v2/invite/:roomId/:eventId', () => ({
      status: 400,
      json: { errcode: 'M_INCOMPATIBLE_ROOM_VERSION', error: 'Too new', room_version: '12' },
    }))
    const alice = await servers.get('a.test').register('alice')
    const roomId = await alice.createRoom()
    const target = `POST /_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/invite`
    await expectAnswers([
      [alice, target, [400, 'M_UNSUPPORTED_ROOM_VERSION'], { user_id: '@bob:old.test' }],
      [
        alice,
        'POST /_matrix/client/v3/createRoom',
        [400, 'M_UNSUPPORTED_ROOM_VERSION'],
        { invite: ['@bob:old.test'] },
      ],
    ])
  })
})

import { expect } from 'chai'
import { startHomeserver, type TestHomeserver } from '../../../support/homeserver.js'
import { expectAnswer, expectAnswers, textIn, type Line } from '../../../support/expected-answers.js'
import type { MatrixClient } from '../../../support/matrix-client.js'

const KEYS = '/_matrix/client/v3/room_keys'
const ROOM = encodeURIComponent('!room:hs.test')
const BACKUP = {
  algorithm: 'm.megolm_backup.v1.curve25519-aes-sha2',
  auth_data: { public_key: 'abc', signatures: {} },
}
const SESSION = {
  first_message_index: 1,
  forwarded_count: 0,
  is_verified: true,
  session_data: { ephemeral: 'a', ciphertext: 'b', mac: 'c' },
}
const ONE = { sessions: { s: SESSION } }
const ALL = { rooms: { '!room:hs.test': ONE } }

describe('answers about key backups', () => {
  let hs: TestHomeserver
  let alice: MatrixClient
  let bob: MatrixClient

  before(async () => {
    hs = await startHomeserver()
    alice = await hs.register('alice')
    bob = await hs.register('bob')
  })
  after(() => hs[Symbol.asyncDispose]())

  const everything = (version: string, expected: Line[2], client: MatrixClient): Line[] => [
    [client, `PUT ${KEYS}/keys/${ROOM}/s?version=${version}`, expected, SESSION],
    [client, `PUT ${KEYS}/keys/${ROOM}?version=${version}`, expected, ONE],
    [client, `PUT ${KEYS}/keys?version=${version}`, expected, ALL],
    [client, `GET ${KEYS}/keys/${ROOM}/s?version=${version}`, expected],
    [client, `GET ${KEYS}/keys/${ROOM}?version=${version}`, expected],
    [client, `GET ${KEYS}/keys?version=${version}`, expected],
    [client, `DELETE ${KEYS}/keys/${ROOM}/s?version=${version}`, expected],
    [client, `DELETE ${KEYS}/keys/${ROOM}?version=${version}`, expected],
    [client, `DELETE ${KEYS}/keys?version=${version}`, expected],
    [client, `GET ${KEYS}/version/${version}`, expected],
    [client, `PUT ${KEYS}/version/${version}`, expected, BACKUP],
  ]

  it('know no backup of somebody else, and none that is not there', async () => {
    const answer = await expectAnswer(alice, `POST ${KEYS}/version`, 200, { body: BACKUP })
    const version = textIn(answer, 'version')
    await expectAnswers([
      ...everything(version, 200, alice),
      [alice, `GET ${KEYS}/version`, 200],
      [bob, `GET ${KEYS}/version`, [404, 'M_NOT_FOUND']],
      ...everything(version, [404, 'M_NOT_FOUND'], bob),
      [bob, `DELETE ${KEYS}/version/${version}`, [404, 'M_NOT_FOUND']],
      ...everything('999', [404, 'M_NOT_FOUND'], bob),
      [alice, `GET ${KEYS}/keys/${ROOM}/s?version=${version}`, [404, 'M_NOT_FOUND']],
      [alice, `PUT ${KEYS}/version/${version}`, [400, 'M_INVALID_PARAM'], { ...BACKUP, version: '999' }],
      [alice, `DELETE ${KEYS}/version/${version}`, 200],
      [alice, `GET ${KEYS}/version`, [404, 'M_NOT_FOUND']],
    ])
  })

  it('take keys for the newest version alone', async () => {
    const make = async (): Promise<string> =>
      textIn(await expectAnswer(alice, `POST ${KEYS}/version`, 200, { body: BACKUP }), 'version')
    const [old, current] = [await make(), await make()]
    const [one, room, all] = everything(old, [403, 'M_WRONG_ROOM_KEYS_VERSION'], alice)
    await expectAnswers([one!, room!, all!])
    const answer = await alice.request('PUT', `${KEYS}/keys?version=${old}`, { body: ALL })
    expect(answer.body['current_version']).to.equal(current)
  })
})

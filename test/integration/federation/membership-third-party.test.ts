import { expect } from 'chai'
import type { ServerName } from '../../../src/protocol/ids.js'
import { signJson } from '../../../src/protocol/signed-json.js'
import { createSigner, makeSigningKey, type SigningKey } from '../../../src/protocol/signing-keys.js'
import type { JsonObject, JsonValue } from '../../../src/util/json.js'
import type { FakeReply } from '../../support/fake-homeserver.js'
import { startFederation, type TestFederation } from '../../support/federation.js'
import { dig, path, syncInvitedTo, syncJoinedTo, type MatrixClient } from '../../support/matrix-client.js'

describe('invitations by third-party ID between servers', function () {
  this.timeout(30_000)
  let servers: TestFederation
  let alice: MatrixClient
  let bob: MatrixClient
  let key: SigningKey

  before(async () => {
    servers = await startFederation(['a.test', 'b.test'])
    alice = await servers.get('a.test').register('alice')
    bob = await servers.get('b.test').register('bob')
    key = makeSigningKey('0', Buffer.alloc(32, 9))
  })
  after(async () => {
    await servers[Symbol.asyncDispose]()
  })

  /** A room in which somebody without a user ID yet is invited. */
  async function invite(token: string): Promise<string> {
    const roomId = await alice.createRoom({ preset: 'private_chat' })
    const content = { display_name: 'b...', public_key: key.key.verifyKey.base64 }
    await alice.sendState(roomId, 'm.room.third_party_invite', token, content)
    return roomId
  }

  /** What an identity server signs for the user to whom the third-party ID belongs. */
  function proof(token: string, mxid = bob.userId): JsonObject {
    const signed = { mxid, sender: alice.userId, token }
    return signJson(signed, createSigner('id.test' as ServerName, key))
  }

  it('are taken by who brings the proof', async () => {
    const roomId = await invite('one')
    await bob.must('POST', path`/_matrix/client/v3/join/${roomId}`, {
      query: { via: 'a.test' },
      body: { third_party_signed: proof('one') },
    })
    await alice.mustSyncUntil(syncJoinedTo(roomId, bob.userId))
  })

  for (const [method, token] of [
    ['PUT', 'two'],
    ['POST', 'five'],
  ] as const) {
    it(`reach those to whom the ID is bound, by ${method}`, async () => {
      const roomId = await invite(token)
      const { mxid: _mxid, ...rest } = proof(token)
      const good = { mxid: bob.userId, room_id: roomId, sender: alice.userId, signed: proof(token) }
      const fake = await servers.fake('id.test')
      const bind = (...invites: JsonValue[]): Promise<FakeReply> =>
        fake.send('b.test', {
          method,
          path: '/_matrix/federation/v1/3pid/onbind',
          body: { medium: 'email', address: 'bob@b.test', mxid: bob.userId, invites },
          authorization: null,
        })
      // The identity server learns what is none, which does the others no harm.
      expect((await bind('nonsense')).status).to.equal(400)
      expect((await bind('nonsense', good, { ...good, signed: rest })).status).to.equal(403)
      await bob.mustSyncUntil(syncInvitedTo(roomId))
      const member = await alice.state(roomId, 'm.room.member', bob.userId)
      expect(dig(member, 'third_party_invite', 'signed', 'token')).to.equal(token)
      expect((await bind(good)).status).to.equal(200)
    })
  }

  it('are not made of proofs that are none', async () => {
    const roomId = await invite('three')
    const fake = await servers.fake('evil.test')
    const send = (signed: JsonObject, userId = '@eve:evil.test'): Promise<number> =>
      fake
        .send('a.test', {
          method: 'PUT',
          path: `/_matrix/federation/v1/exchange_third_party_invite/${encodeURIComponent(roomId)}`,
          body: {
            type: 'm.room.member',
            room_id: roomId,
            sender: alice.userId,
            state_key: userId,
            content: { membership: 'invite', third_party_invite: { display_name: 'x', signed } },
          },
        })
        .then(({ status }) => status)
    expect(await send(proof('three'))).to.equal(403)
    expect(await send({ ...proof('three'), mxid: '@eve:evil.test' })).to.equal(403)
    expect(await send(proof('four', '@eve:evil.test'))).to.equal(403)
    expect(await send({ token: 7 })).to.equal(400)
  })
})

import { expect } from 'chai'
import type { RoomId, ServerName } from '../../../../src/protocol/ids.js'
import { signJson } from '../../../../src/protocol/signed-json.js'
import { createSigner, makeSigningKey } from '../../../../src/protocol/signing-keys.js'
import type { Requester } from '../../../../src/services/accounts/requester.js'
import type { JsonObject } from '../../../../src/util/json.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'
import { createRoomFixture, type RoomFixture } from '../../../support/room-services.js'

forEachDatabase('third-party invites', (open) => {
  let fixture: RoomFixture
  let alice: Requester
  let bob: Requester
  let roomId: RoomId

  beforeEach(async () => {
    fixture = await createRoomFixture(await open())
    alice = await fixture.user('alice')
    bob = await fixture.user('bob')
    roomId = await fixture.createRoom(alice)
  })

  /** Invites a third-party ID as an identity server would have it done; gives the proof for Bob. */
  const inviteThirdParty = async (extra: JsonObject = {}): Promise<JsonObject> => {
    const key = makeSigningKey('0', Buffer.alloc(32, 9))
    const content = { display_name: 'b...', public_key: key.key.verifyKey.base64, ...extra }
    await fixture.sender.send(alice, {
      roomId,
      type: 'm.room.third_party_invite',
      stateKey: 'token',
      content,
    })
    const proof = { mxid: bob.userId, sender: alice.userId, token: 'token' }
    return signJson(proof, createSigner('id.test' as ServerName, key))
  }
  const join = (signed: JsonObject): Promise<unknown> =>
    fixture.services.roomMembership.join(bob, roomId, { thirdPartySigned: signed })

  it('let in who proves that they are meant', async () => {
    await join(await inviteThirdParty())
    expect(await fixture.membership(roomId, bob.userId)).to.equal('join')
  })

  it('let in nobody else', async () => {
    const signed = await inviteThirdParty()
    for (const forged of [
      { ...signed, token: 'other' },
      { ...signed, mxid: alice.userId },
      { ...signed, signatures: {} },
    ]) {
      expect(await rejection(join(forged))).to.have.property('errcode', 'M_FORBIDDEN')
    }
    expect(await rejection(join({ ...signed, token: '\u0000' }))).to.have.property('errcode', 'M_BAD_JSON')
    expect(await rejection(join({ ...signed, token: 7 }))).to.have.property('errcode', 'M_BAD_JSON')
    expect(await fixture.membership(roomId, bob.userId)).to.equal(undefined)
  })

  it('do not count where the identity server cannot be asked about the key that has signed', async () => {
    const url = 'https://id.test/isvalid'
    const signed = await inviteThirdParty({ key_validity_url: url })
    expect(await rejection(join(signed))).to.have.property('errcode', 'M_FORBIDDEN')
    const listed = await inviteThirdParty({ public_keys: [{ public_key: 'x', key_validity_url: url }] })
    await join(listed)
    expect(await fixture.membership(roomId, bob.userId)).to.equal('join')
  })
})

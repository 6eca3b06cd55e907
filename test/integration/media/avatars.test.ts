import { expect } from 'chai'
import { startHomeserver } from '../../support/homeserver.js'
import { uploadFile } from '../../support/media-client.js'

describe('avatars', () => {
  it('are as large and of such types as the configuration lets them', async () => {
    await using server = await startHomeserver({
      config: { max_avatar_size: 100, allowed_avatar_mimetypes: ['image/png'] },
    })
    const alice = await server.register('alice')
    const set = async (avatarUrl: string) => {
      const path = `/_matrix/client/v3/profile/${alice.userId}/avatar_url`
      const { status, body } = await alice.request('PUT', path, { body: { avatar_url: avatarUrl } })
      return status === 200 ? status : [status, body['errcode']]
    }
    const forbidden = [403, 'M_FORBIDDEN']
    expect(await set(await uploadFile(alice, 'small', { type: 'image/png; x=y' }))).to.equal(200)
    expect(await set(await uploadFile(alice, 'x'.repeat(101), { type: 'image/png' }))).to.deep.equal(
      forbidden,
    )
    expect(await set(await uploadFile(alice, 'small', { type: 'image/svg+xml' }))).to.deep.equal(forbidden)
    expect(await set('mxc://elsewhere.test/unknown')).to.deep.equal(forbidden)
    expect(await set('')).to.equal(200)
  })
})

import { expect } from 'chai'
import { startHomeserver } from '../../support/homeserver.js'
import { dig, path, type MatrixClient } from '../../support/matrix-client.js'

const TYPE = 'com.example.test'
const SUFFIX = '_state_key_suffix:!@#$123'

describe('State keys that begin with a user ID', () => {
  for (const [version, isOwned] of [
    ['10', false],
    ['org.matrix.msc3757.10', true],
    ['org.matrix.msc3757.11', true],
  ] as const) {
    it(`belong to that user${isOwned ? ', and to those above them' : ' alone'} (${version})`, async () => {
      await using hs = await startHomeserver()
      const [creator, one, two] = [
        await hs.register('creator'),
        await hs.register('one'),
        await hs.register('two'),
      ]
      const roomId = await creator.createRoom({
        room_version: version,
        preset: 'public_chat',
        power_level_content_override: { events: { [TYPE]: 0 } },
      })
      await one.join(roomId)
      await two.join(roomId)
      const put = async (client: MatrixClient, key: string): Promise<unknown> => {
        const target = path`/_matrix/client/v3/rooms/${roomId}/state/${TYPE}/${key}`
        const { status, body } = await client.request('PUT', target, { body: {} })
        return status === 200 ? 'sent' : body['errcode']
      }
      const owned = isOwned ? 'sent' : 'M_FORBIDDEN'
      const malformed = isOwned ? 'M_BAD_JSON' : 'M_FORBIDDEN'
      expect(await put(one, one.userId)).to.equal('sent')
      expect(await put(one, one.userId + SUFFIX)).to.equal(owned)
      for (const key of [one.userId, one.userId + SUFFIX, '@notinroom:other.test'])
        expect(await put(creator, key), key).to.equal(owned)
      for (const key of [
        two.userId,
        two.userId + SUFFIX,
        one.userId + SUFFIX.slice(1),
        `@prefix_${one.userId}${SUFFIX}`,
      ])
        expect(await put(one, key), key).to.equal('M_FORBIDDEN')
      for (const key of ['@oops', `${creator.userId}@${SUFFIX.slice(1)}`])
        expect(await put(creator, key), key).to.equal(malformed)
      const capabilities = await one.must('GET', '/_matrix/client/v3/capabilities')
      const stability = dig(capabilities, 'capabilities', 'm.room_versions', 'available', version)
      expect(stability).to.equal(isOwned ? 'unstable' : 'stable')
    })
  }
})

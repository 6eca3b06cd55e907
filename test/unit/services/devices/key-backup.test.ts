import { expect } from 'chai'
import type { UserId } from '../../../../src/protocol/ids.js'
import type { SessionUpload } from '../../../../src/services/devices/key-backup.js'
import type { JsonObject } from '../../../../src/util/json.js'
import { forEachDatabase } from '../../../support/databases.js'
import { createKeyServices, type KeyFixture } from '../../../support/key-services.js'
import { rejection } from '../../../support/rejection.js'

const ROOM = '!room:hs.test'

function session(id: string, more: JsonObject = {}): SessionUpload {
  const json = {
    first_message_index: 10,
    forwarded_count: 5,
    is_verified: false,
    session_data: { ciphertext: 'text' },
    ...more,
  }
  return { roomId: ROOM, sessionId: id, json }
}

forEachDatabase('key backups', (open) => {
  let fixture: KeyFixture
  let userId: UserId

  beforeEach(async () => {
    fixture = await createKeyServices(await open())
    userId = (await fixture.accounts.createUser('alice')).userId
  })

  const create = (algorithm = 'm.megolm_backup.v1.curve25519-aes-sha2') =>
    fixture.keyBackup.createVersion(userId, { algorithm, authData: { public_key: 'key' } })

  it('have versions, of which the newest is the current one', async () => {
    expect(await rejection(fixture.keyBackup.getVersion(userId))).to.have.property('errcode', 'M_NOT_FOUND')
    expect([await create(), await create()]).to.deep.equal(['1', '2'])
    expect(await fixture.keyBackup.getVersion(userId)).to.include({ version: 2, count: 0 })
    await fixture.keyBackup.deleteVersion(userId, '2')
    await fixture.keyBackup.deleteVersion(userId, '2')
    expect(await fixture.keyBackup.getVersion(userId)).to.deep.include({
      version: 1,
      authData: { public_key: 'key' },
    })
    expect(await create()).to.equal('3')
    for (const version of ['2', '9', '0', '01', 'x', '99999999999999999']) {
      expect(await rejection(fixture.keyBackup.getVersion(userId, version)), version).to.have.property(
        'errcode',
        'M_NOT_FOUND',
      )
    }
    const never = await rejection(fixture.keyBackup.deleteVersion(userId, '9'))
    expect(never).to.have.property('errcode', 'M_NOT_FOUND')
  })

  it('are begun and written to by many at once', async () => {
    const versions = await Promise.all(Array.from({ length: 12 }, () => create()))
    expect(new Set(versions).size).to.equal(12)
    const states = await Promise.all(
      Array.from({ length: 30 }, (_, index) =>
        fixture.keyBackup.putSessions(userId, '12', [session(`s${index}`)]),
      ),
    )
    expect(states.map(({ count }) => count).sort((a, b) => a - b)).to.deep.equal(
      Array.from({ length: 30 }, (_, index) => index + 1),
    )
    expect(await fixture.keyBackup.getVersion(userId)).to.include({ count: 30, etag: 30 })
  })

  it('take new data for the same algorithm only', async () => {
    const version = await create('one')
    await fixture.keyBackup.setAuthData(userId, version, { algorithm: 'one', authData: { a: 1 } })
    expect((await fixture.keyBackup.getVersion(userId)).authData).to.deep.equal({ a: 1 })
    const other = { algorithm: 'two', authData: {} }
    expect(await rejection(fixture.keyBackup.setAuthData(userId, version, other))).to.have.property(
      'errcode',
      'M_INVALID_PARAM',
    )
  })

  it('keep the better of two keys, and change their ETag with what they hold', async () => {
    const version = await create()
    const put = async (more: JsonObject) => {
      const state = await fixture.keyBackup.putSessions(userId, version, [session('s', more)])
      const [stored] = await fixture.keyBackup.listSessions(userId, version)
      const { isVerified, firstMessageIndex, forwardedCount } = stored!
      return [state.etag, isVerified, firstMessageIndex, forwardedCount]
    }
    expect(await put({})).to.deep.equal(['1', false, 10, 5])
    expect(await put({}), 'the same').to.deep.equal(['1', false, 10, 5])
    expect(await put({ forwarded_count: 6 })).to.deep.equal(['1', false, 10, 5])
    expect(await put({ first_message_index: 11, forwarded_count: 0 })).to.deep.equal(['1', false, 10, 5])
    expect(await put({ forwarded_count: 4 })).to.deep.equal(['2', false, 10, 4])
    expect(await put({ first_message_index: 9, forwarded_count: 9 })).to.deep.equal(['3', false, 9, 9])
    expect(await put({ is_verified: true, first_message_index: 99, forwarded_count: 99 })).to.deep.equal([
      '4',
      true,
      99,
      99,
    ])
    expect(await put({ first_message_index: 0, forwarded_count: 0 })).to.deep.equal(['4', true, 99, 99])
  })

  it('count what they hold', async () => {
    const version = await create()
    const put = (...uploads: SessionUpload[]) => fixture.keyBackup.putSessions(userId, version, uploads)
    expect(await put(session('a'), session('b'))).to.deep.equal({ etag: '1', count: 2 })
    expect(await put(session('b'), session('c'))).to.deep.equal({ etag: '2', count: 3 })
    expect(await put({ ...session('a'), roomId: '!other:hs.test' })).to.deep.equal({ etag: '3', count: 4 })
    const { keyBackup } = fixture
    const room = { roomId: ROOM as never }
    expect(await keyBackup.deleteSessions(userId, version, { ...room, sessionId: 'a' })).to.deep.equal({
      etag: '4',
      count: 3,
    })
    expect(await keyBackup.deleteSessions(userId, version, { ...room, sessionId: 'a' })).to.deep.equal({
      etag: '4',
      count: 3,
    })
    expect(await keyBackup.deleteSessions(userId, version, room)).to.deep.equal({ etag: '5', count: 1 })
    expect(await keyBackup.deleteSessions(userId, version)).to.deep.equal({ etag: '6', count: 0 })
    expect(await keyBackup.listSessions(userId, version)).to.deep.equal([])
  })

  it('are written to as long as they are current', async () => {
    const old = await create()
    await fixture.keyBackup.putSessions(userId, old, [session('a')])
    const current = await create()
    const wrong = await rejection(fixture.keyBackup.putSessions(userId, old, [session('b')]))
    expect(wrong).to.include({ errcode: 'M_WRONG_ROOM_KEYS_VERSION', status: 403 })
    expect(wrong).to.deep.include({ fields: { current_version: current } })
    expect(await fixture.keyBackup.listSessions(userId, old)).to.have.length(1)
    const unknown = await rejection(fixture.keyBackup.putSessions(userId, '9', [session('b')]))
    expect(unknown).to.have.property('errcode', 'M_NOT_FOUND')
  })

  it('take ten thousand sessions at once', async function () {
    this.timeout(30_000)
    const version = await create()
    const many = Array.from({ length: 10_000 }, (_, index) =>
      session(`s${index}`, { session_data: { ciphertext: 'x'.repeat(600) } }),
    )
    expect(await fixture.keyBackup.putSessions(userId, version, many)).to.deep.equal({
      etag: '1',
      count: 10_000,
    })
    expect(await fixture.keyBackup.putSessions(userId, version, many)).to.deep.equal({
      etag: '1',
      count: 10_000,
    })
    const listed = await fixture.keyBackup.listSessions(userId, version)
    expect(listed).to.have.length(10_000)
    expect(listed[0]?.sessionData).to.deep.equal({ ciphertext: 'x'.repeat(600) })
  })

  it('refuse what is no session', async () => {
    const version = await create()
    const cases: [SessionUpload, string][] = [
      [{ ...session('a'), roomId: 'room' }, 'M_INVALID_PARAM'],
      [session(''), 'M_INVALID_PARAM'],
      [session('x'.repeat(256)), 'M_INVALID_PARAM'],
      [session('a', { first_message_index: -1 }), 'M_INVALID_PARAM'],
      [session('a', { forwarded_count: 0.5 }), 'M_INVALID_PARAM'],
      [session('a', { forwarded_count: '1' }), 'M_BAD_JSON'],
      [session('a', { is_verified: 1 }), 'M_BAD_JSON'],
      [session('a', { session_data: 'text' }), 'M_BAD_JSON'],
      [{ ...session('a'), json: 'text' }, 'M_BAD_JSON'],
      [{ ...session('a'), json: {} }, 'M_MISSING_PARAM'],
    ]
    for (const [upload, errcode] of cases) {
      const error = await rejection(fixture.keyBackup.putSessions(userId, version, [session('z'), upload]))
      expect(error, JSON.stringify(upload)).to.have.property('errcode', errcode)
    }
    expect(await fixture.keyBackup.listSessions(userId, version)).to.deep.equal([])
  })

  it('are their user’s alone, and go with the account', async () => {
    const version = await create()
    await fixture.keyBackup.putSessions(userId, version, [session('a')])
    const { userId: bob } = await fixture.accounts.createUser('bob')
    expect(await rejection(fixture.keyBackup.listSessions(bob, version))).to.have.property(
      'errcode',
      'M_NOT_FOUND',
    )
    await fixture.accounts.services.accountDeactivation.deactivate(userId, { erase: false })
    expect(await fixture.db.reader.all('SELECT * FROM key_backup_sessions')).to.deep.equal([])
  })
})

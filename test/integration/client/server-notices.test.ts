import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { dig, path, type MatrixClient } from '../../support/matrix-client.js'

const NOTICES = {
  system_mxid_localpart: 'notices',
  system_mxid_display_name: 'Server Alert',
  system_mxid_avatar_url: '',
  room_name: 'Alerts',
}
const ENDPOINT = '/_synapse/admin/v1/send_server_notice'

function noticeTo(userId: string, body = 'Hello'): { body: JsonObject } {
  return { body: { user_id: userId, content: { msgtype: 'm.text', body } } }
}

async function notify(admin: MatrixClient, userId: string): Promise<string> {
  const answer = await admin.request('POST', ENDPOINT, noticeTo(userId))
  expect(answer.status, JSON.stringify(answer.body)).to.equal(200)
  return answer.body['event_id'] as string
}

async function invitation(client: MatrixClient): Promise<string> {
  const answer = await client.sync({})
  const [roomId] = Object.keys((dig(answer, 'rooms', 'invite') ?? {}) as object)
  if (roomId === undefined) throw new Error('There is no invitation')
  return roomId
}

describe('server notices', () => {
  const start = (config: Record<string, unknown> = {}): Promise<TestHomeserver> =>
    startHomeserver({ config: { server_notices: { ...NOTICES, ...config } } })

  it('reach a user in a room of their own, which they may leave but not decline', async () => {
    await using hs = await start()
    const admin = await hs.register('admin', { isAdmin: true })
    const alice = await hs.register('alice')
    const eventId = await notify(admin, alice.userId)
    const roomId = await invitation(alice)
    const stripped = dig(await alice.sync({}), 'rooms', 'invite', roomId, 'invite_state', 'events')
    expect(stripped).to.deep.include.members([
      { type: 'm.room.name', state_key: '', sender: '@notices:hs.test', content: { name: 'Alerts' } },
    ])
    const declined = await alice.request('POST', path`/_matrix/client/v3/rooms/${roomId}/leave`, { body: {} })
    expect([declined.status, declined.body['errcode']]).to.deep.equal([
      403,
      'M_CANNOT_LEAVE_SERVER_NOTICE_ROOM',
    ])
    const asMember = await alice.request(
      'PUT',
      path`/_matrix/client/v3/rooms/${roomId}/state/m.room.member/${alice.userId}`,
      { body: { membership: 'leave' } },
    )
    expect(asMember.body['errcode']).to.equal('M_CANNOT_LEAVE_SERVER_NOTICE_ROOM')

    await alice.join(roomId)
    const notice = await alice.request('GET', path`/_matrix/client/v3/rooms/${roomId}/event/${eventId}`)
    expect(notice.body).to.deep.include({
      sender: '@notices:hs.test',
      type: 'm.room.message',
      content: { msgtype: 'm.text', body: 'Hello' },
    })
    const tags = await alice.request(
      'GET',
      path`/_matrix/client/v3/user/${alice.userId}/rooms/${roomId}/tags`,
    )
    expect(tags.body).to.deep.equal({ tags: { 'm.server_notice': {} } })
    const reply = await alice.request('PUT', path`/_matrix/client/v3/rooms/${roomId}/send/m.room.message/1`, {
      body: { msgtype: 'm.text', body: 'Who is there?' },
    })
    expect(reply.body['errcode']).to.equal('M_FORBIDDEN')

    await alice.leave(roomId)
    await notify(admin, alice.userId)
    expect(await invitation(alice)).to.equal(roomId)
  })

  it('reach those who take no invitations, also where only administrators may invite', async () => {
    await using hs = await startHomeserver({
      config: { server_notices: NOTICES, block_non_admin_invites: true },
    })
    const admin = await hs.register('admin', { isAdmin: true })
    const alice = await hs.register('alice')
    const target = path`/_matrix/client/v3/user/${alice.userId}/account_data/m.invite_permission_config`
    await alice.must('PUT', target, { body: { default_action: 'block' } })
    await notify(admin, alice.userId)
    const roomId = await invitation(alice)
    await alice.join(roomId)
  })

  it('are sent once for each transaction', async () => {
    await using hs = await start({ auto_join: true })
    const admin = await hs.register('admin', { isAdmin: true })
    const alice = await hs.register('alice')
    const send = async (): Promise<unknown> => {
      const answer = await admin.request('PUT', `${ENDPOINT}/1`, noticeTo(alice.userId))
      return answer.body['event_id']
    }
    const first = await send()
    expect(first).to.be.a('string')
    expect(await send()).to.equal(first)
    const rooms = await alice.request('GET', '/_matrix/client/v3/joined_rooms')
    expect(rooms.body['joined_rooms']).to.have.length(1)
  })

  it('share one room when many are sent at once', async () => {
    await using hs = await start({ auto_join: true })
    const admin = await hs.register('admin', { isAdmin: true })
    const alice = await hs.register('alice')
    await Promise.all(Array.from({ length: 5 }, () => notify(admin, alice.userId)))
    const rooms = await alice.request('GET', '/_matrix/client/v3/joined_rooms')
    expect(rooms.body['joined_rooms']).to.have.length(1)
  })

  it('are for administrators to send, to users of this server, where they are configured', async () => {
    await using hs = await start()
    await using plain = await startHomeserver()
    const admin = await hs.register('admin', { isAdmin: true })
    const alice = await hs.register('alice')
    const elsewhere = await plain.register('admin', { isAdmin: true })
    const refusals: [MatrixClient, object, number, string][] = [
      [alice, noticeTo(alice.userId), 403, 'M_FORBIDDEN'],
      [admin, noticeTo('@alice:other.test'), 400, 'M_INVALID_PARAM'],
      [admin, noticeTo('alice'), 400, 'M_INVALID_PARAM'],
      [admin, noticeTo('@nobody:hs.test'), 404, 'M_NOT_FOUND'],
      [admin, { body: { user_id: alice.userId } }, 400, 'M_MISSING_PARAM'],
      [elsewhere, noticeTo(elsewhere.userId), 400, 'M_UNKNOWN'],
    ]
    for (const [client, options, status, errcode] of refusals) {
      const answer = await client.request('POST', ENDPOINT, options)
      expect([answer.status, answer.body['errcode']], JSON.stringify(options)).to.deep.equal([
        status,
        errcode,
      ])
    }
  })
})

import { expect } from 'chai'
import { startHomeserver } from '../../support/homeserver.js'
import { path, type MatrixClient } from '../../support/matrix-client.js'

/** The addresses that a user was seen at. */
async function addressesOf(admin: MatrixClient, userId: string): Promise<unknown[]> {
  const { devices } = await admin.must('GET', path`/_synapse/admin/v1/whois/${userId}`)
  return Object.values(devices as Record<string, { sessions: { connections: { ip: string }[] }[] }>).flatMap(
    ({ sessions }) => sessions.flatMap(({ connections }) => connections.map(({ ip }) => ip)),
  )
}

describe('the addresses of administrators who act as a user', () => {
  const seen = async (config: object): Promise<{ users: unknown[]; admins: unknown[] }> => {
    await using hs = await startHomeserver({ config: { ...config } })
    const admin = await hs.register('admin', { isAdmin: true })
    const alice = await hs.register('alice')
    const target = path`/_synapse/admin/v1/users/${alice.userId}/login`
    const { access_token: accessToken } = await admin.must('POST', target, { body: {} })
    const puppet = hs
      .client()
      .withSession({ userId: alice.userId, deviceId: '', accessToken: accessToken as string })
    await puppet.must('GET', '/_matrix/client/v3/account/whoami', {
      headers: { 'X-Forwarded-For': '203.0.113.5' },
    })
    return {
      users: await addressesOf(admin, alice.userId),
      admins: await addressesOf(admin, admin.userId),
    }
  }

  it('are kept as their own', async () => {
    const { users, admins } = await seen({})
    expect(users).to.deep.equal([])
    expect(admins).to.include('203.0.113.5')
  })

  it("are kept as the user's, too, where the operator wants it", async () => {
    const { users, admins } = await seen({ track_puppeted_user_ips: true })
    expect(users).to.deep.equal(['203.0.113.5'])
    expect(admins).to.include('203.0.113.5')
  })
})

describe('administrators who act as a user', () => {
  it('get the same event for the same transaction, of their token', async () => {
    await using hs = await startHomeserver()
    const admin = await hs.register('admin', { isAdmin: true })
    const alice = await hs.register('alice')
    const roomId = await alice.createRoom()
    const act = async (): Promise<MatrixClient> => {
      const target = path`/_synapse/admin/v1/users/${alice.userId}/login`
      const { access_token: accessToken } = await admin.must('POST', target, { body: {} })
      return hs
        .client()
        .withSession({ userId: alice.userId, deviceId: '', accessToken: accessToken as string })
    }
    const send = (client: MatrixClient): Promise<string> =>
      client.sendEvent(roomId, 'm.room.message', { msgtype: 'm.text', body: 'x' }, 'txn')
    const [first, other] = [await act(), await act()]
    const eventId = await send(first)
    expect(await send(first)).to.equal(eventId)
    expect(await send(other)).not.to.equal(eventId)
    expect(await send(alice)).not.to.equal(eventId)
  })
})

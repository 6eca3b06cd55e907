import { expect } from 'chai'
import { startHomeserver } from '../../support/homeserver.js'
import { ManualClock } from '../../support/manual-clock.js'
import { dig, eventsAt, type MatrixClient } from '../../support/matrix-client.js'

const V3 = '/_matrix/client/v3'
const MONTH_MS = 30 * 24 * 60 * 60_000

async function refusal(client: MatrixClient, method = 'GET', target = `${V3}/sync`): Promise<unknown[]> {
  const { status, body } = await client.request(method, target, method === 'POST' ? { body: {} } : {})
  return status < 300 ? [status] : [status, body['errcode'], body['limit_type'], body['admin_contact']]
}

describe('limits of use', () => {
  it('let so many people a month in, and take the others when there is room', async () => {
    const clock = new ManualClock()
    const config = { limit_usage_by_mau: true, max_mau_value: 1, admin_contact: 'mailto:admin@hs.test' }
    await using hs = await startHomeserver({ clock, config })
    const [alice, bob] = [await hs.register('alice'), await hs.register('bob')]
    const admin = await hs.register('admin', { isAdmin: true })
    const full = [403, 'M_RESOURCE_LIMIT_EXCEEDED', 'monthly_active_user', 'mailto:admin@hs.test']
    expect(await refusal(alice)).to.deep.equal([200])
    expect(await refusal(bob)).to.deep.equal(full)
    expect(await refusal(bob, 'POST', `${V3}/createRoom`)).to.deep.equal(full)
    expect(await refusal(alice, 'POST', `${V3}/createRoom`)).to.deep.equal([200])
    expect(await refusal(admin)).to.deep.equal([200])
    expect(await refusal(hs.client(), 'POST', `${V3}/register`)).to.deep.equal(full)
    expect(await refusal(bob, 'GET', `${V3}/account/whoami`)).to.deep.equal([200])
    clock.advance(MONTH_MS / 2)
    expect(await refusal(alice)).to.deep.equal([200])
    clock.advance(MONTH_MS / 2 + 1000)
    expect(await refusal(bob)).to.deep.equal(full)
    clock.advance(MONTH_MS)
    expect(await refusal(bob)).to.deep.equal([200])
    expect(await refusal(alice)).to.deep.equal(full)
  })

  it('do not count who is new', async () => {
    const clock = new ManualClock()
    const config = { limit_usage_by_mau: true, max_mau_value: 0, mau_trial_days: 2 }
    await using hs = await startHomeserver({ clock, config })
    const alice = await hs.register('alice')
    expect(await refusal(alice)).to.deep.equal([200])
    clock.advance(3 * 24 * 60 * 60_000)
    expect((await refusal(alice))[0]).to.equal(403)
  })

  it('count who is active where nobody is turned away', async () => {
    const clock = new ManualClock()
    const config = { mau_stats_only: true, allow_guest_access: true }
    await using hs = await startHomeserver({ clock, config })
    const guest = await hs.client().must('POST', `${V3}/register`, { query: { kind: 'guest' }, body: {} })
    const clients = [
      await hs.register('alice'),
      await hs.register('admin', { isAdmin: true }),
      hs.client().withSession({
        userId: guest['user_id'] as string,
        deviceId: guest['device_id'] as string,
        accessToken: guest['access_token'] as string,
      }),
    ]
    const measured = async (): Promise<string[]> => {
      await hs.server.services.usageLimits?.measure()
      const { text } = await hs.client().request('GET', '/_synapse/metrics')
      return text.split('\n').filter((line) => line.startsWith('synapse_admin_mau_current'))
    }
    for (const client of clients) expect(await refusal(client)).to.deep.equal([200])
    expect(await measured()).to.deep.equal([
      'synapse_admin_mau_current 2',
      'synapse_admin_mau_current_mau_by_service{app_service="native"} 2',
    ])
    clock.advance(MONTH_MS + 1)
    expect(await measured()).to.deep.equal([
      'synapse_admin_mau_current 0',
      'synapse_admin_mau_current_mau_by_service{app_service="native"} 0',
    ])
  })

  it('tell those who are in that they are reached, where there are server notices', async () => {
    const server_notices = { system_mxid_localpart: 'notices', auto_join: true }
    const config = { limit_usage_by_mau: true, max_mau_value: 2, server_notices }
    await using hs = await startHomeserver({ config })
    const [alice, bob] = [await hs.register('alice'), await hs.register('bob')]
    const since = await alice.syncToken()
    expect((await alice.sync({ since }))['rooms']).to.equal(undefined)
    await bob.mustSyncUntil((answer) =>
      Object.keys((dig(answer, 'rooms', 'join') ?? {}) as object).some((roomId) =>
        eventsAt(answer, 'rooms', 'join', roomId, 'timeline', 'events').some(
          (event) =>
            event['type'] === 'm.room.pinned_events' && dig(event, 'content', 'pinned', 0) !== undefined,
        ),
      ),
    )
  })

  it('turn away all but administrators where the server is disabled', async () => {
    await using hs = await startHomeserver({
      config: { hs_disabled: true, hs_disabled_message: 'Closed for the winter' },
    })
    const alice = await hs.register('alice')
    const admin = await hs.register('admin', { isAdmin: true })
    expect(await refusal(alice)).to.deep.equal([403, 'M_RESOURCE_LIMIT_EXCEEDED', 'hs_disabled', undefined])
    expect((await alice.request('GET', `${V3}/sync`)).body['error']).to.equal('Closed for the winter')
    expect(await refusal(admin)).to.deep.equal([200])
    expect((await alice.request('POST', `${V3}/logout`)).status).to.equal(200)
  })
})

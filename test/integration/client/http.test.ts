import { expect } from 'chai'
import { SERVER_NAME, startHomeserver, testConfig } from '../../support/homeserver.js'
import { createLogger } from '../../../src/telemetry/logger.js'

const PUBLIC_PATHS = [
  '/_matrix/client/versions',
  '/_matrix/client/v3/login',
  '/_matrix/client/r0/login',
  '/health',
]

describe('a server over HTTP', () => {
  it('answers those who only look', async () => {
    await using hs = await startHomeserver()
    for (const path of PUBLIC_PATHS)
      expect((await hs.client().request('GET', path)).status, path).to.equal(200)
    const health = await hs.client().request('GET', '/health')
    expect(health.text).to.equal('OK')
    const versions = await hs.client().must('GET', '/_matrix/client/versions')
    expect(versions['versions']).to.include('v1.11')
  })

  it('serves on each listener what the configuration says, and health on all', async () => {
    const listeners = [
      { port: 0, bind_addresses: ['127.0.0.1'], resources: [{ names: ['client'] }] },
      { port: 0, bind_addresses: ['127.0.0.1'], resources: [{ names: ['federation', 'keys'] }] },
      { port: 0, bind_addresses: ['127.0.0.1'], type: 'metrics' },
    ]
    await using hs = await startHomeserver({ config: { listeners, enable_metrics: true } })
    const urls = hs.server.addresses.map((address) => ('url' in address ? address.url : ''))
    const statuses = async (path: string): Promise<number[]> =>
      Promise.all(urls.map(async (url) => (await fetch(url + path)).status))
    expect(await statuses('/_matrix/client/versions')).to.deep.equal([200, 404, 404])
    expect(await statuses('/_synapse/metrics')).to.deep.equal([404, 404, 200])
    expect(await statuses('/metrics')).to.deep.equal([404, 404, 200])
    expect(await statuses('/health')).to.deep.equal([200, 200, 200])
  })

  it('does not open metrics listeners unless metrics are enabled', async () => {
    const listeners = [
      { port: 0, bind_addresses: ['127.0.0.1'], resources: [{ names: ['client'] }] },
      { port: 0, bind_addresses: ['127.0.0.1'], type: 'metrics' },
    ]
    await using hs = await startHomeserver({ config: { listeners } })
    expect(hs.server.addresses).to.have.length(1)
  })

  it('counts what it does', async () => {
    await using hs = await startHomeserver()
    await hs.client().request('GET', '/_matrix/client/versions')
    const { text } = await hs.client().request('GET', '/_synapse/metrics')
    expect(text).to.contain(
      'synapse_http_server_response_count{method="GET",servlet="getVersions",code="200"} 1',
    )
    expect(text).to.match(/synapse_http_server_in_flight_requests_count 1/)
  })

  it('keeps logins and registrations of one address within their limits', async () => {
    const config = {
      rc_login: { address: { per_second: 0.1, burst_count: 2 } },
      rc_registration: { per_second: 0.1, burst_count: 1 },
    }
    await using hs = await startHomeserver({ config })
    const client = hs.client()
    await client.register('alice', 'a password')
    const second = await client.request('POST', '/_matrix/client/v3/register', {
      body: { username: 'bob', password: 'a password', auth: { type: 'm.login.dummy' } },
    })
    expect([second.status, second.body['errcode']]).to.deep.equal([429, 'M_LIMIT_EXCEEDED'])
    await client.login('alice', 'a password')
    const wrong = {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: 'alice' },
      password: 'no',
    }
    expect((await client.request('POST', '/_matrix/client/v3/login', { body: wrong })).status).to.equal(403)
    const limited = await client.request('POST', '/_matrix/client/v3/login', { body: wrong })
    expect(limited.status).to.equal(429)
    expect(Number(limited.headers.get('retry-after'))).to.be.within(1, 10)
    const elsewhere = { body: wrong, headers: { 'X-Forwarded-For': '10.0.0.1' } }
    expect((await client.request('POST', '/_matrix/client/v3/login', elsewhere)).status).to.equal(403)
  })

  it('takes on other limits while it runs', async () => {
    const limit = (burst: number) => ({ rc_login: { address: { per_second: 0.001, burst_count: burst } } })
    await using hs = await startHomeserver({ config: limit(1) })
    const user = await hs.register('alice')
    await hs.login(user.userId)
    const body = {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: 'alice' },
      password: 'no',
    }
    expect((await hs.client().request('POST', '/_matrix/client/v3/login', { body })).status).to.equal(429)
    await hs.server.reload(testConfig(limit(10)))
    await hs.login(user.userId)
  })

  it('ends in order: whoever has been answered has been served', async () => {
    const lines: string[] = []
    const log = await createLogger({ level: 'info', destination: { write: (line) => lines.push(line) } })
    await using hs = await startHomeserver({ log })
    const alice = await hs.register('alice')
    const room = await alice.createRoom()
    const sends = Array.from({ length: 20 }, (_, n) => alice.request('PUT', path(room, n), { body: TEXT }))
    await Promise.race(sends)
    await hs.server.stop()
    await hs.server.stop()
    const answers = await Promise.allSettled(sends)
    // Whoever has been answered has been served.
    for (const answer of answers) if (answer.status === 'fulfilled') expect(answer.value.status).to.equal(200)
    expect(lines.join('')).to.contain('The server has stopped').and.not.to.contain('"level":"error"')
    expect((await alice.request('GET', '/health').catch(() => undefined))?.status).to.equal(undefined)
  })

  it('answers those who wait for news when it stops', async () => {
    await using hs = await startHomeserver()
    const alice = await hs.register('alice')
    const since = await alice.syncToken()
    const waiting = alice.request('GET', '/_matrix/client/v3/sync', { query: { since, timeout: 60_000 } })
    // The request for metrics is one of the two.
    while (
      !(await hs.client().request('GET', '/_synapse/metrics')).text.includes('in_flight_requests_count 2')
    )
      continue
    await hs.server.stop()
    const answer = await waiting
    expect(answer.status).to.equal(200)
    expect(answer.body['next_batch']).to.be.a('string')
  })

  it('has its name and version for administrators', async () => {
    await using hs = await startHomeserver()
    const { server_version: version } = await hs.client().must('GET', '/_synapse/admin/v1/server_version')
    expect(version).to.match(/^1\.\d+\.\d+ \(mxhs \d+\.\d+\.\d+\)$/)
    expect(hs.server.serverName).to.equal(SERVER_NAME)
  })
})

const TEXT = { msgtype: 'm.text', body: 'hello' }

function path(roomId: string, n: number): string {
  return `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/send/m.room.message/txn${n}`
}

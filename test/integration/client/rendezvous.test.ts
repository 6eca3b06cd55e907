import { get } from 'node:http'
import { expect } from 'chai'
import { startHomeserver, type TestHomeserver } from '../../support/homeserver.js'

const BY_ID = '/_matrix/client/unstable/io.element.msc4388/rendezvous'
const BY_URL = '/_matrix/client/unstable/org.matrix.msc4108/rendezvous'
const CONFIG = { experimental_features: { msc4108_enabled: true, msc4388_mode: 'authenticated' } }

describe('rendezvous sessions', () => {
  let server: TestHomeserver

  before(async () => {
    server = await startHomeserver({ config: CONFIG })
  })
  after(() => server[Symbol.asyncDispose]())

  it('are begun by users and then open to whoever knows their names', async () => {
    const alice = await server.register('alice')
    const stranger = server.client()
    expect(await stranger.must('GET', BY_ID)).to.deep.equal({ create_available: false })
    expect(await alice.must('GET', BY_ID)).to.deep.equal({ create_available: true })
    const refused = await stranger.request('POST', BY_ID, { body: { data: 'x' } })
    expect(refused.status).to.equal(403)

    const session = await alice.must('POST', BY_ID, { body: { data: 'hello' } })
    const target = `${BY_ID}/${session['id'] as string}`
    const read = await stranger.must('GET', target)
    expect(read).to.include({ data: 'hello', sequence_token: session['sequence_token'] })
    expect(read['expires_in_ms']).to.be.within(1, 300_000)

    const body = { sequence_token: session['sequence_token']!, data: 'hello yourself' }
    const written = await stranger.must('PUT', `${target}/a-transaction`, { body })
    const again = await stranger.must('PUT', `${target}/a-transaction`, { body })
    expect(again).to.deep.equal(written)
    const late = await alice.request('PUT', `${target}/another`, { body })
    expect([late.status, late.body['errcode']]).to.deep.equal([409, 'IO_ELEMENT_MSC4388_CONCURRENT_WRITE'])
    expect((await alice.must('GET', target))['data']).to.equal('hello yourself')

    await stranger.must('DELETE', target)
    expect((await alice.request('GET', target)).body['errcode']).to.equal('M_NOT_FOUND')
  })

  it('are not shown to browsers as pages, and hold little', async () => {
    const alice = await server.register('bob')
    const large = await alice.request('POST', BY_ID, { body: { data: 'x'.repeat(4097) } })
    expect(large.body['errcode']).to.equal('M_TOO_LARGE')
    const session = await alice.must('POST', BY_ID, { body: { data: '<b>' } })
    // fetch() lets nobody set this header.
    const status = await new Promise((resolve, reject) => {
      const headers = { 'Sec-Fetch-Mode': 'navigate' }
      get(`${server.url}${BY_ID}/${session['id'] as string}`, { headers }, (response) => {
        response.resume()
        resolve(response.statusCode)
      }).on('error', reject)
    })
    expect(status).to.equal(403)
  })

  it('are at a URL with ETags by the first version', async () => {
    const client = server.client()
    const headers = { 'Content-Type': 'text/plain' }
    const created = await client.request('POST', BY_URL, { rawBody: 'one', headers })
    expect(created.status).to.equal(201)
    const url = new URL(created.body['url'] as string)
    const etag = created.headers.get('etag')!
    expect(url.pathname).to.match(/^\/_matrix\/client\/unstable\/org\.matrix\.msc4108\/rendezvous\/\w+$/)

    const unchanged = await client.request('GET', url.pathname, { headers: { 'If-None-Match': etag } })
    expect(unchanged.status).to.equal(304)
    const put = (rawBody: string) =>
      client.request('PUT', url.pathname, { rawBody, headers: { ...headers, 'If-Match': etag } })
    expect((await put('two')).status).to.equal(202)
    const conflict = await put('three')
    expect(conflict.status).to.equal(412)
    expect(conflict.body).to.include({
      errcode: 'M_UNKNOWN',
      'org.matrix.msc4108.errcode': 'M_CONCURRENT_WRITE',
    })
    const read = await client.request('GET', url.pathname)
    expect(read.text).to.equal('two')
    expect(read.headers.get('etag')).to.equal(conflict.headers.get('etag'))
    expect((await client.request('DELETE', url.pathname)).status).to.equal(204)
    expect((await client.request('GET', url.pathname)).status).to.equal(404)
  })

  it('cannot be begun without end, which would end those of others', async () => {
    await using strict = await startHomeserver({
      config: { ...CONFIG, rc_media_create: { per_second: 0.001, burst_count: 1 } },
    })
    const begin = async (): Promise<number> =>
      (await strict.client().request('POST', BY_URL, { rawBody: 'x' })).status
    expect([await begin(), await begin()]).to.deep.equal([201, 429])
  })

  it('are unknown where they are not switched on', async () => {
    await using plain = await startHomeserver()
    expect((await plain.client().request('GET', BY_ID)).body['errcode']).to.equal('M_UNRECOGNIZED')
    const created = await plain.client().request('POST', BY_URL, { rawBody: 'x' })
    expect(created.body['errcode']).to.equal('M_UNRECOGNIZED')
  })
})

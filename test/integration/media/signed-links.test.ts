import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import type { UserId } from '../../../src/protocol/ids.js'
import { parseMxcUri } from '../../../src/protocol/mxc-uri.js'
import { silentLogger } from '../../../src/telemetry/logger.js'
import { FakeS3 } from '../../support/fake-s3.js'
import { startFederation } from '../../support/federation.js'
import { startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import type { MatrixClient } from '../../support/matrix-client.js'
import {
  downloadFile,
  fetchBytes,
  fetchThumbnail,
  mediaPath,
  uploadFile,
} from '../../support/media-client.js'
import { measure, picture } from '../../support/pictures.js'
import { startRealS3 } from '../../support/real-s3.js'

function fakeSettings(s3: FakeS3) {
  return { bucket: 'media', endpoint_url: s3.url, access_key_id: 'an-id', secret_access_key: 'a-secret' }
}

function configWith(settings: object, options: object = {}) {
  const bucket = { module: 's3', store_local: true, store_remote: true, store_synchronous: true, ...options }
  return { media_storage_providers: [{ ...bucket, config: { signed_links: true, ...settings } }] }
}

const THUMBNAIL = 'width=32&height=32&method=crop'

async function follow(response: { status: number; headers: Headers }) {
  expect(response.status).to.equal(307)
  const answer = await fetch(response.headers.get('location')!)
  return { status: answer.status, headers: answer.headers, bytes: Buffer.from(await answer.arrayBuffer()) }
}

/** What holds of every bucket. */
async function checkLinks(server: TestHomeserver): Promise<void> {
  const alice = await server.register('alice')
  const png = await picture('png', 300, 200)
  const uri = await uploadFile(alice, png, { type: 'image/png', name: "a cat's (2).png" })

  const file = await follow(await downloadFile(alice, uri))
  expect([file.status, file.bytes.equals(png)]).to.deep.equal([200, true])
  expect(file.headers.get('content-type')).to.equal('image/png')
  expect(file.headers.get('content-disposition')).to.equal(`inline; filename="a cat's (2).png"`)

  const thumbnail = await follow(await fetchThumbnail(alice, uri, THUMBNAIL))
  expect(await measure(thumbnail.bytes)).to.include({ width: 32, height: 32 })

  const page = await uploadFile(alice, '<script>', { type: 'text/html; charset=utf-8', name: 'x.html' })
  const named = await follow(await downloadFile(alice, page, { name: '☕.html' }))
  expect(named.headers.get('content-type')).to.equal('text/html; charset=utf-8')
  expect(named.headers.get('content-disposition')).to.equal(
    `attachment; filename="?.html"; filename*=UTF-8''%E2%98%95.html`,
  )
}

describe('links to files in buckets', function () {
  this.timeout(120_000)

  it('are where clients are sent', async () => {
    await using s3 = await FakeS3.start()
    await using server = await startHomeserver({ config: configWith(fakeSettings(s3)) })
    await checkLinks(server)
  })

  it('are taken by a server of S3', async () => {
    await using s3 = await startRealS3()
    await using server = await startHomeserver({ config: configWith(s3.settings) })
    await checkLinks(server)
    const bob = await server.register('bob')
    const uri = await uploadFile(bob, '0123456789')
    const link = (await downloadFile(bob, uri)).headers.get('location')!
    const part = await fetch(link, { headers: { Range: 'bytes=2-4' } })
    expect([part.status, await part.text()]).to.deep.equal([206, '234'])
    await rm(join(server.config.media.storePath, 'content'), { recursive: true })
    const here = await downloadFile(bob, uri, { query: '?allow_redirect=false' })
    expect(here.bytes.toString()).to.equal('0123456789')
    await server.server.services.mediaDeletion.deleteOfUser(bob.userId as UserId)
    expect((await fetch(link)).status).to.equal(404)
  })

  it('are only for those who may have the file, and can follow', async () => {
    await using s3 = await FakeS3.start()
    await using server = await startHomeserver({ config: configWith(fakeSettings(s3)) })
    const admin = await server.register('admin', { isAdmin: true })
    const alice = await server.register('alice')
    const uri = await uploadFile(alice, 'a file', { type: 'text/plain' })
    const status = async (client: MatrixClient, path: string, options: { method?: string } = {}) =>
      (await fetchBytes(`${server.url}${path}`, { token: client.accessToken, ...options })).status
    const authed = mediaPath('/_matrix/client/v1/media/download', uri)
    expect(await status(alice, authed)).to.equal(307)
    expect(await status(alice, `${authed}?allow_redirect=true`)).to.equal(307)
    expect(await status(alice, `${authed}?allow_redirect=false`)).to.equal(200)
    expect(await status(alice, authed, { method: 'HEAD' })).to.equal(200)
    const old = mediaPath('/_matrix/media/v3/download', uri)
    expect(await status(alice, old)).to.equal(200)
    expect(await status(alice, `${old}?allow_redirect=true`)).to.equal(307)
    const anonymous = await fetchBytes(`${server.url}${old}?allow_redirect=true`)
    expect(anonymous.status).to.equal(404)

    const { mediaQuarantine } = server.server.services
    await mediaQuarantine.quarantine([parseMxcUri(uri)!], admin.userId)
    expect(await status(alice, authed)).to.equal(404)
    const seen = `${authed}?admin_unsafely_bypass_quarantine=true`
    expect(await status(admin, seen)).to.equal(200)
  })

  it('are not given where the bucket has no such file, or cannot be reached', async () => {
    await using s3 = await FakeS3.start()
    await using server = await startHomeserver({
      config: configWith(fakeSettings(s3)),
      log: { logger: silentLogger(), flush: () => undefined, reopen: () => Promise.resolve() },
    })
    const alice = await server.register('alice')
    const uri = await uploadFile(alice, 'a file')
    expect((await downloadFile(alice, uri)).status).to.equal(307)
    s3.isDown = true
    const here = await downloadFile(alice, uri)
    expect([here.status, here.bytes.toString()]).to.deep.equal([200, 'a file'])
    s3.isDown = false
    s3.objects.clear()
    expect((await downloadFile(alice, uri)).status).to.equal(200)
  })

  it('lead where clients reach the bucket, for as long as the configuration says', async () => {
    await using s3 = await FakeS3.start()
    const links = { signed_links_url: 'https://files.example.com/', signed_links_lifetime: '90s' }
    await using server = await startHomeserver({ config: configWith({ ...fakeSettings(s3), ...links }) })
    const alice = await server.register('alice')
    const uri = await uploadFile(alice, 'a file')
    const location = new URL((await downloadFile(alice, uri)).headers.get('location')!)
    expect(location.origin).to.equal('https://files.example.com')
    expect(location.pathname).to.match(/^\/media\/content\/[0-9a-f]{2}\/[0-9a-f]{2}\/[0-9a-f]{64}$/)
    expect(location.searchParams.get('X-Amz-Expires')).to.equal('90')
  })

  it('are what other servers are told, and they follow', async () => {
    await using s3 = await FakeS3.start()
    await using federation = await startFederation(['a.test', 'b.test'], {
      configOf: { 'a.test': configWith(fakeSettings(s3)) },
    })
    const fake = await federation.fake('fake.test')
    const alice = await federation.get('a.test').register('alice')
    const bob = await federation.get('b.test').register('bob')
    const uri = await uploadFile(alice, 'far away', { type: 'text/plain', name: 'far.txt' })
    const id = uri.split('/').at(-1)!
    const answer = await fake.send('a.test', { path: `/_matrix/federation/v1/media/download/${id}` })
    expect(answer.text).to.match(
      /\r\nLocation: http:\/\/127\.0\.0\.1:\d+\/media\/content\/[^\r]+\r\n\r\n\r\n--/,
    )
    expect(answer.text).not.to.contain('far away')
    const file = await downloadFile(bob, uri)
    expect([file.status, file.bytes.toString()]).to.deep.equal([200, 'far away'])
    expect(file.headers.get('content-type')).to.equal('text/plain')
    expect(file.headers.get('content-disposition')).to.equal('inline; filename=far.txt')
  })
})

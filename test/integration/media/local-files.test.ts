import { readdir } from 'node:fs/promises'
import { expect } from 'chai'
import type { MatrixClient } from '../../support/matrix-client.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { downloadFile, fetchBytes, mediaPath, uploadFile, uriIn } from '../../support/media-client.js'

forEachServerDatabase('files of this server', (database) => {
  let server: TestHomeserver
  let alice: MatrixClient
  let bob: MatrixClient

  before(async () => {
    server = await startHomeserver({
      database,
      config: { max_upload_size: 100_000, max_pending_media_uploads: 2, allow_guest_access: true },
    })
    alice = await server.register('alice')
    bob = await server.register('bob')
  })
  after(() => server[Symbol.asyncDispose]())

  it('are given out as they were uploaded', async () => {
    const uri = await uploadFile(alice, 'hello', { type: 'text/plain', name: 'greeting.txt' })
    expect(uri).to.match(/^mxc:\/\/hs\.test\/[A-Za-z]{24}$/)
    const response = await downloadFile(bob, uri)
    expect(response.status).to.equal(200)
    expect(response.bytes.toString()).to.equal('hello')
    expect(response.headers.get('content-type')).to.equal('text/plain')
    expect(response.headers.get('content-length')).to.equal('5')
    expect(response.headers.get('content-disposition')).to.equal('inline; filename=greeting.txt')
    expect(response.headers.get('content-security-policy')).to.match(/^sandbox; default-src 'none';/)
    expect(response.headers.get('cross-origin-resource-policy')).to.equal('cross-origin')
    expect(response.headers.get('cache-control')).to.match(/^private, /)
    expect(response.headers.get('access-control-allow-origin')).to.equal('*')
  })

  it('are shown where that is safe, and saved otherwise', async () => {
    const dispositions = new Map<string, string | null>()
    for (const type of ['image/png', 'Text/Plain; charset=utf-8', 'image/svg+xml', 'text/html', 'nonsense']) {
      const uri = await uploadFile(alice, type, { type })
      dispositions.set(type, (await downloadFile(alice, uri)).headers.get('content-disposition'))
    }
    expect([...dispositions]).to.deep.equal([
      ['image/png', 'inline'],
      ['Text/Plain; charset=utf-8', 'inline'],
      ['image/svg+xml', 'attachment'],
      ['text/html', 'attachment'],
      ['nonsense', 'attachment'],
    ])
  })

  it('keep their names, whatever letters they have', async () => {
    for (const [name, expected] of [
      ['name with spaces', 'inline; filename="name with spaces"'],
      ['name;with;semicolons', 'inline; filename="name;with;semicolons"'],
      ['🐔', `inline; filename="??"; filename*=UTF-8''%F0%9F%90%94`],
    ] as const) {
      const uri = await uploadFile(alice, 'x', { type: 'image/png', name })
      const { headers } = await downloadFile(alice, uri)
      expect(headers.get('content-disposition')).to.equal(expected)
    }
    const uri = await uploadFile(alice, 'x', { type: 'image/png', name: 'ascii' })
    const { headers } = await downloadFile(alice, uri, { name: '☕' })
    expect(headers.get('content-disposition')).to.equal(`inline; filename="?"; filename*=UTF-8''%E2%98%95`)
    const unnamed = await downloadFile(alice, uri, { name: '' })
    expect(unnamed.headers.get('content-disposition')).to.equal('inline; filename=ascii')
  })

  it('have names that cannot become anything else', async () => {
    const evil = 'a"b\\c\r\nX-Evil: 1\r\n\r\n<script>\u202e.png'
    const uri = await uploadFile(alice, 'x', { type: 'image/png', name: evil })
    for (const name of [undefined, evil, '%', '../../etc/passwd', '\ufffe', 'x'.repeat(5000)]) {
      const response = await downloadFile(alice, uri, name === undefined ? {} : { name })
      expect([response.status, response.bytes.toString()]).to.deep.equal([200, 'x'])
      expect(response.headers.get('x-evil')).to.equal(null)
      const disposition = response.headers.get('content-disposition') ?? ''
      expect(disposition).to.match(/^inline; filename(?:=|\*=)[\x20-\x7e\xa0-\xff]*$/)
      if (name?.startsWith('..') === true) expect(disposition).to.equal('inline; filename=.._.._etc_passwd')
    }
    const typed = await alice.request('POST', '/_matrix/media/v3/upload', {
      rawBody: 'x',
      headers: { 'Content-Type': `${'a'.repeat(300)}/b` },
    })
    expect(typed.status).to.equal(200)
    expect((await downloadFile(alice, uriIn(typed.body))).headers.get('content-type')).to.equal(
      'application/octet-stream',
    )
  })

  it('may be empty', async () => {
    const uri = await uploadFile(alice, '')
    const response = await downloadFile(alice, uri)
    expect([response.status, response.bytes.length]).to.deep.equal([200, 0])
  })

  it('come in parts', async () => {
    const uri = await uploadFile(alice, '0123456789', { type: 'video/mp4' })
    const part = async (range: string): Promise<[number, string, string | null]> => {
      const response = await downloadFile(alice, uri, { headers: { Range: range } })
      return [response.status, response.bytes.toString(), response.headers.get('content-range')]
    }
    expect(await part('bytes=2-4')).to.deep.equal([206, '234', 'bytes 2-4/10'])
    expect(await part('bytes=7-')).to.deep.equal([206, '789', 'bytes 7-9/10'])
    expect(await part('bytes=-2')).to.deep.equal([206, '89', 'bytes 8-9/10'])
    expect(await part('bytes=5-100')).to.deep.equal([206, '56789', 'bytes 5-9/10'])
    expect(await part('bytes=10-')).to.deep.equal([416, '', 'bytes */10'])
    expect(await part('bytes=4-2')).to.deep.equal([200, '0123456789', null])
    expect(await part('bytes=-20')).to.deep.equal([206, '0123456789', 'bytes 0-9/10'])
    expect(await part('bytes=-0')).to.deep.equal([416, '', 'bytes */10'])
    expect(await part(`bytes=0-${'9'.repeat(400)}`)).to.deep.equal([206, '0123456789', 'bytes 0-9/10'])
    expect(await part(`bytes=${'9'.repeat(400)}-`)).to.deep.equal([416, '', 'bytes */10'])
    for (const odd of ['bytes=--1', 'bytes=1-x', 'bytes=', 'bytes=-', 'lines=0-1', 'bytes=1e1-2']) {
      expect(await part(odd)).to.deep.equal([200, '0123456789', null])
    }
    expect(await part('bytes=0-1,4-5')).to.deep.equal([200, '0123456789', null])
  })

  it('are not sent to those who have them', async () => {
    const uri = await uploadFile(alice, 'cached')
    const tag = (await downloadFile(alice, uri)).headers.get('etag') ?? ''
    const again = await downloadFile(alice, uri, { headers: { 'If-None-Match': `"other", W/${tag}` } })
    expect([again.status, again.bytes.length]).to.deep.equal([304, 0])
    const other = await downloadFile(alice, uri, { headers: { 'If-None-Match': '"other"' } })
    expect(other.status).to.equal(200)
    const stale = await downloadFile(alice, uri, { headers: { Range: 'bytes=0-1', 'If-Range': '"other"' } })
    expect(stale.status).to.equal(200)
  })

  it('answer HEAD with their head', async () => {
    const uri = await uploadFile(alice, 'headed')
    const url = `${alice.url}${mediaPath('/_matrix/client/v1/media/download', uri)}`
    const response = await fetchBytes(url, { token: alice.accessToken, method: 'HEAD' })
    expect([response.status, response.headers.get('content-length')]).to.deep.equal([200, '6'])
  })

  it('are one on the disk where they are equal', async () => {
    const before = await countFiles(server.config.media.storePath)
    const uris = await Promise.all([1, 2, 3].map(() => uploadFile(alice, 'the same to the last byte')))
    expect(new Set(uris).size).to.equal(3)
    expect(await countFiles(server.config.media.storePath)).to.equal(before + 1)
    for (const uri of uris) expect((await downloadFile(bob, uri)).bytes.toString()).to.contain('same')
  })

  it('are refused where they are too large, and leave nothing behind', async () => {
    const before = await countFiles(server.config.media.storePath)
    const announced = await alice.request('POST', '/_matrix/media/v3/upload', {
      rawBody: Buffer.alloc(100_001),
    })
    expect([announced.status, announced.body['errcode']]).to.deep.equal([413, 'M_TOO_LARGE'])
    const { status, body } = await uploadInPieces(alice, 100_001)
    expect([status, body['errcode']]).to.deep.equal([413, 'M_TOO_LARGE'])
    expect((await uploadInPieces(alice, 100_000)).status).to.equal(200)
    expect(await countFiles(server.config.media.storePath)).to.equal(before + 1)
  })

  it('need a token at the new endpoints, and at the old ones since the freeze', async () => {
    const uri = await uploadFile(alice, 'secret')
    const authed = await fetchBytes(`${server.url}${mediaPath('/_matrix/client/v1/media/download', uri)}`)
    expect([authed.status, authed.json['errcode']]).to.deep.equal([401, 'M_MISSING_TOKEN'])
    const old = `${server.url}${mediaPath('/_matrix/media/v3/download', uri)}`
    const anonymous = await fetchBytes(old)
    expect([anonymous.status, anonymous.json['errcode']]).to.deep.equal([404, 'M_NOT_FOUND'])
    const known = await fetchBytes(old, { token: alice.accessToken })
    expect([known.status, known.bytes.toString()]).to.deep.equal([200, 'secret'])
    const legacy = await fetchBytes(old.replace('/v3/', '/r0/'), { token: alice.accessToken })
    expect(legacy.status).to.equal(200)
  })

  it('are shown to guests, who upload none', async () => {
    const uri = await uploadFile(alice, 'for all')
    const body = await server.client().must('POST', '/_matrix/client/v3/register', {
      query: { kind: 'guest' },
      body: {},
    })
    const token = body['access_token'] as string
    const shown = await fetchBytes(`${server.url}${mediaPath('/_matrix/client/v1/media/download', uri)}`, {
      token,
    })
    expect([shown.status, shown.bytes.toString()]).to.deep.equal([200, 'for all'])
    const target = `${server.url}/_matrix/media/v3/upload`
    const refused = await fetch(target, {
      method: 'POST',
      body: 'x',
      headers: { Authorization: `Bearer ${token}` },
    })
    expect(refused.status).to.equal(403)
  })

  it('are not found by IDs that are none', async () => {
    for (const id of ['..%2F..%2Fhomeserver.yaml', '..', 'a.b', 'nosuchmedia', '%F0%9F%90%94']) {
      const response = await fetchBytes(`${server.url}/_matrix/client/v1/media/download/hs.test/${id}`, {
        token: alice.accessToken,
      })
      expect([id, response.status, response.json['errcode']]).to.deep.equal([
        id,
        404,
        id === '..' ? 'M_UNRECOGNIZED' : 'M_NOT_FOUND',
      ])
    }
    const path = '/_matrix/client/v1/media/download/not%20a%20server/abc'
    expect((await fetchBytes(`${server.url}${path}`, { token: alice.accessToken })).status).to.equal(400)
  })

  it('have their limits told', async () => {
    for (const path of ['/_matrix/client/v1/media/config', '/_matrix/media/v3/config']) {
      expect(await alice.must('GET', path)).to.deep.equal({ 'm.upload.size': 100_000 })
    }
  })

  describe('that are announced first', () => {
    it('come later, once, from who announced them', async () => {
      const created = await alice.must('POST', '/_matrix/media/v1/create')
      const uri = uriIn(created)
      expect(created['unused_expires_at']).to.be.greaterThan(Date.now())
      const path = mediaPath('/_matrix/media/v3/upload', uri)

      const early = await downloadFile(bob, uri, { query: '?timeout_ms=0' })
      expect([early.status, early.json['errcode']]).to.deep.equal([504, 'M_NOT_YET_UPLOADED'])

      const stranger = await bob.request('PUT', path, { rawBody: 'not mine' })
      expect([stranger.status, stranger.body['errcode']]).to.deep.equal([403, 'M_FORBIDDEN'])

      const waiting = downloadFile(bob, uri)
      const headers = { 'Content-Type': 'image/png' }
      await alice.must('PUT', path, { rawBody: 'at last', query: { filename: 'late.png' }, headers })
      const response = await waiting
      expect([response.status, response.bytes.toString()]).to.deep.equal([200, 'at last'])
      expect(response.headers.get('content-disposition')).to.equal('inline; filename=late.png')

      const again = await alice.request('PUT', path, { rawBody: 'changed' })
      expect([again.status, again.body['errcode']]).to.deep.equal([409, 'M_CANNOT_OVERWRITE_MEDIA'])
    })

    it('are few at a time', async () => {
      await bob.must('POST', '/_matrix/media/v1/create')
      await bob.must('POST', '/_matrix/media/v1/create')
      const third = await bob.request('POST', '/_matrix/media/v1/create')
      expect([third.status, third.body['errcode']]).to.deep.equal([429, 'M_LIMIT_EXCEEDED'])
      expect(third.body['retry_after_ms']).to.be.greaterThan(0)
    })

    it('must have been announced', async () => {
      for (const id of ['hs.test/neverannounced', 'elsewhere.test/abc']) {
        const response = await alice.request('PUT', `/_matrix/media/v3/upload/${id}`, { rawBody: 'x' })
        expect([response.status, response.body['errcode']]).to.deep.equal([404, 'M_NOT_FOUND'])
      }
    })
  })
})

describe('files, as the configuration has them', () => {
  it('are for everybody where nobody need say who they are', async () => {
    await using server = await startHomeserver({ config: { enable_authenticated_media: false } })
    const alice = await server.register('alice')
    const uri = await uploadFile(alice, 'for everybody', { type: 'text/plain' })
    for (const version of ['v3', 'v1', 'r0']) {
      const path = mediaPath(`/_matrix/media/${version}/download`, uri)
      const response = await fetchBytes(`${server.url}${path}`)
      expect([response.status, response.bytes.toString()]).to.deep.equal([200, 'for everybody'])
      expect(response.headers.get('cache-control')).to.match(/^public, /)
    }
    const named = await fetchBytes(`${server.url}${mediaPath('/_matrix/media/v3/download', uri, 'x.txt')}`)
    expect(named.headers.get('content-disposition')).to.equal('inline; filename=x.txt')
  })

  it('are not kept where another process keeps them', async () => {
    await using server = await startHomeserver({ config: { enable_media_repo: false } })
    const alice = await server.register('alice')
    for (const [method, path] of [
      ['POST', '/_matrix/media/v3/upload'],
      ['GET', '/_matrix/media/v3/config'],
      ['GET', '/_matrix/client/v1/media/config'],
      ['GET', '/_matrix/client/v1/media/download/hs.test/abc'],
    ] as const) {
      const { status, body } = await alice.request(method, path)
      expect([path, status, body['errcode']]).to.deep.equal([path, 404, 'M_UNRECOGNIZED'])
    }
  })
})

/** Of all kinds but those on their way. */
async function countFiles(directory: string): Promise<number> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).length
}

/** Without saying before how many bytes there will be. */
async function uploadInPieces(client: MatrixClient, length: number) {
  const pieces = new ReadableStream({
    start(controller) {
      for (let sent = 0; sent < length; sent += 10_000) {
        controller.enqueue(new Uint8Array(Math.min(10_000, length - sent)))
      }
      controller.close()
    },
  })
  const response = await fetch(`${client.url}/_matrix/media/v3/upload`, {
    method: 'POST',
    body: pieces,
    headers: { Authorization: `Bearer ${client.accessToken}` },
    duplex: 'half',
  })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

import type { ServerResponse } from 'node:http'
import { expect } from 'chai'
import { startFederation, type TestFederation } from '../../support/federation.js'
import type { FakeHomeserver } from '../../support/fake-homeserver.js'
import type { MatrixClient } from '../../support/matrix-client.js'
import {
  downloadFile,
  fetchBytes,
  fetchThumbnail,
  mediaPath,
  uploadFile,
} from '../../support/media-client.js'
import { measure, picture } from '../../support/pictures.js'
import { WebServer } from '../../support/web-server.js'

const DOWNLOAD = '/_matrix/federation/v1/media/download/:mediaId'
const LEGACY = '/_matrix/media/v3/download/:serverName/:mediaId'

describe('files of other servers', function () {
  this.timeout(60_000)
  let federation: TestFederation
  let fake: FakeHomeserver
  let alice: MatrixClient
  let bob: MatrixClient

  before(async () => {
    federation = await startFederation(['a.test', 'b.test'], {
      config: { max_upload_size: 100_000, prevent_media_downloads_from: ['denied.test'] },
    })
    fake = await federation.fake('fake.test')
    alice = await federation.get('a.test').register('alice')
    bob = await federation.get('b.test').register('bob')
  })
  after(() => federation[Symbol.asyncDispose]())

  it('are fetched with their types and names', async () => {
    const uri = await uploadFile(alice, 'over the wire\r\n--', { type: 'img/png', name: '🐔' })
    const response = await downloadFile(bob, uri)
    expect([response.status, response.bytes.toString()]).to.deep.equal([200, 'over the wire\r\n--'])
    expect(response.headers.get('content-type')).to.equal('img/png')
    expect(response.headers.get('content-disposition')).to.contain(`filename*=UTF-8''%F0%9F%90%94`)
    const plain = await downloadFile(bob, await uploadFile(alice, 'x', { type: 'text/plain' }))
    expect(plain.headers.get('content-disposition')).to.equal('inline')
  })

  it('have thumbnails', async () => {
    const uri = await uploadFile(alice, await picture('png', 900, 450), { type: 'image/png' })
    const response = await fetchThumbnail(bob, uri, 'width=32&height=32&method=crop')
    expect(await measure(response.bytes)).to.include({ format: 'png', width: 32, height: 32 })
  })

  it('are given to servers that sign, and to no others', async () => {
    const bytes = await picture('png', 900, 450)
    const uri = await uploadFile(alice, bytes, { type: 'image/png', name: 'a b.png' })
    const id = uri.split('/').at(-1)!
    const path = `/_matrix/federation/v1/media/download/${id}`
    const unsigned = await fake.send('a.test', { path, authorization: null })
    expect([unsigned.status, unsigned.json['errcode']]).to.deep.equal([401, 'M_UNAUTHORIZED'])

    const whole = await fake.send('a.test', { path })
    expect(whole.status).to.equal(200)
    const boundary = /^multipart\/mixed; boundary=(\w+)$/.exec(whole.headers['content-type'] ?? '')?.[1] ?? ''
    const [before, first, second, after] = whole.text.split(`--${boundary}`)
    expect([before, first, after]).to.deep.equal([
      '',
      '\r\nContent-Type: application/json\r\n\r\n{}\r\n',
      '--\r\n',
    ])
    expect(second).to.match(
      /^\r\nContent-Type: image\/png\r\nContent-Disposition: inline; filename="a b.png"\r\n\r\n/,
    )
    expect(Number(whole.headers['content-length'])).to.be.greaterThan(bytes.length)

    const thumbnail = await fake.send('a.test', {
      path: `/_matrix/federation/v1/media/thumbnail/${id}?width=32&height=32&method=scale`,
    })
    expect(thumbnail.status).to.equal(200)
    const local = await fetchThumbnail(alice, uri, 'width=32&height=32&method=scale')
    expect(thumbnail.text).to.contain(local.bytes.toString('utf8'))
  })

  it('are not passed on to other servers', async () => {
    const uri = await uploadFile(alice, 'mine')
    await downloadFile(bob, uri)
    const id = uri.split('/').at(-1)!
    const response = await fake.send('b.test', { path: `/_matrix/federation/v1/media/download/${id}` })
    expect([response.status, response.json['errcode']]).to.deep.equal([404, 'M_NOT_FOUND'])
  })

  it('are fetched once for all who wait, and kept', async () => {
    serve(fake, 'popular', parts('text/plain', 'for everybody'))
    const uri = 'mxc://fake.test/popular'
    const answers = await Promise.all([1, 2, 3, 4].map(() => downloadFile(alice, uri)))
    expect(answers.map(({ bytes }) => bytes.toString())).to.deep.equal(Array(4).fill('for everybody'))
    expect((await downloadFile(alice, uri)).status).to.equal(200)
    expect(
      fake.received('GET', DOWNLOAD).filter(({ params }) => params['mediaId'] === 'popular'),
    ).to.have.length(1)
  })

  it('are fetched by the old endpoint where the other server does not know the new one', async () => {
    fake.on('GET', LEGACY, ({ params }) => ({
      raw: (response) => {
        response.writeHead(200, {
          'Content-Type': 'text/plain',
          'Content-Disposition': 'inline; filename="old.txt"',
        })
        response.end(`old ${params['mediaId'] ?? ''}`)
      },
    }))
    const unknown: Record<string, (response: ServerResponse) => void> = {
      unrecognized: (response) => {
        response.writeHead(404, { 'Content-Type': 'application/json' })
        response.end('{"errcode": "M_UNRECOGNIZED", "error": ""}')
      },
      plain400: (response) => {
        response.writeHead(400)
        response.end('what?')
      },
      plainfile: (response) => {
        response.writeHead(200, { 'Content-Type': 'text/plain' })
        response.end('no parts')
      },
    }
    for (const [id, answer] of Object.entries(unknown)) {
      serve(fake, id, answer)
      const response = await downloadFile(alice, `mxc://fake.test/${id}`)
      expect([response.status, response.bytes.toString()]).to.deep.equal([200, `old ${id}`])
      expect(response.headers.get('content-disposition')).to.equal('inline; filename=old.txt')
    }
    const [asked] = fake.received('GET', LEGACY)
    expect(asked?.query.get('allow_remote')).to.equal('false')
  })

  it('may lie elsewhere', async () => {
    await using web = await WebServer.start()
    const target = web.show('/file', { type: 'image/gif', body: 'from a shop of files' })
    const redirecting = web.show('/redirect', { status: 302, headers: { Location: target } })
    serve(fake, 'elsewhere', (response) => {
      response.writeHead(200, { 'Content-Type': 'multipart/mixed; boundary=b' })
      response.end(
        `--b\r\nContent-Type: application/json\r\n\r\n{}\r\n--b\r\nLocation: ${redirecting}\r\n\r\n\r\n--b--`,
      )
    })
    const response = await downloadFile(alice, 'mxc://fake.test/elsewhere')
    expect([response.status, response.bytes.toString()]).to.deep.equal([200, 'from a shop of files'])
    expect(response.headers.get('content-type')).to.equal('image/gif')
    // Who asks is nobody's business there.
    expect(web.requests.every(({ headers }) => headers.authorization === undefined)).to.equal(true)
  })

  it('are errors where they are too large, broken, or not there', async () => {
    serve(fake, 'large', parts('text/plain', 'x'.repeat(200_000)))
    serve(fake, 'endless', (response) => {
      response.writeHead(200, { 'Content-Type': 'multipart/mixed; boundary=b' })
      response.write('--b\r\n\r\n{}\r\n--b\r\n\r\n')
      const more = (error?: Error | null): void => {
        // Newer lines of Node.js say so of a connection that is gone before it is seen to be.
        if (!error && !response.destroyed) response.write(Buffer.alloc(50_000), more)
      }
      more()
    })
    serve(fake, 'short', (response) => {
      response.writeHead(200, { 'Content-Type': 'multipart/mixed; boundary=b' })
      response.end('--b\r\n\r\n{}\r\n--b\r\n\r\nnot the e')
    })
    serve(fake, 'reset', (response) => {
      response.writeHead(200, { 'Content-Type': 'multipart/mixed; boundary=b', 'Content-Length': '1000' })
      response.write('--b\r\n\r\n{}\r\n--b\r\n\r\nnot the e', () => response.destroy())
    })
    serve(fake, 'onepart', (response) => {
      response.writeHead(200, { 'Content-Type': 'multipart/mixed; boundary=b' })
      response.end('--b\r\n\r\n{}\r\n--b--')
    })
    serve(fake, 'missing', json(404, 'M_NOT_FOUND'))
    serve(fake, 'late', json(504, 'M_NOT_YET_UPLOADED'))
    serve(fake, 'huge', json(502, 'M_TOO_LARGE'))
    const expected: [string, number, string][] = [
      ['large', 502, 'M_TOO_LARGE'],
      ['endless', 502, 'M_TOO_LARGE'],
      ['short', 502, 'M_UNKNOWN'],
      ['reset', 502, 'M_UNKNOWN'],
      ['onepart', 502, 'M_UNKNOWN'],
      ['missing', 404, 'M_NOT_FOUND'],
      ['late', 504, 'M_NOT_YET_UPLOADED'],
      ['huge', 502, 'M_TOO_LARGE'],
    ]
    for (const [id, status, errcode] of expected) {
      const response = await downloadFile(alice, `mxc://fake.test/${id}`)
      expect([id, response.status, response.json['errcode']]).to.deep.equal([id, status, errcode])
    }
  })

  it('are not fetched from servers that the configuration forbids, from ourselves, or without a token', async () => {
    const denied = await federation.fake('denied.test')
    serve(denied, 'file', parts('text/plain', 'x'))
    expect((await downloadFile(alice, 'mxc://denied.test/file')).status).to.equal(404)
    serve(fake, 'anonymous', parts('text/plain', 'x'))
    const old = `${alice.url}${mediaPath('/_matrix/media/v3/download', 'mxc://fake.test/anonymous')}`
    expect((await fetchBytes(old)).status).to.equal(404)
    const local = await fetchBytes(`${old}?allow_remote=false`, { token: alice.accessToken })
    expect(local.status).to.equal(404)
    expect((await fetchBytes(old, { token: alice.accessToken })).status).to.equal(200)
    expect(denied.received('GET', DOWNLOAD)).to.have.length(0)
    expect((await downloadFile(alice, 'mxc://nowhere.test/file')).status).to.equal(502)
  })

  it('are looked at before they are fetched in full', async () => {
    serve(fake, 'bomb', parts('image/png', 'not a picture at all'))
    const response = await fetchThumbnail(alice, 'mxc://fake.test/bomb', 'width=32&height=32')
    expect([response.status, response.json['errcode']]).to.deep.equal([400, 'M_UNKNOWN'])
  })
})

describe('files of other servers, too many', () => {
  it('are limited by address', async () => {
    await using federation = await startFederation(['a.test'], {
      config: { remote_media_download_per_second: 1, remote_media_download_burst_count: 1000 },
    })
    const fake = await federation.fake('fake.test')
    for (const id of ['one', 'two', 'three']) serve(fake, id, parts('text/plain', 'x'.repeat(600)))
    const alice = await federation.get('a.test').register('alice')
    expect((await downloadFile(alice, 'mxc://fake.test/one')).status).to.equal(200)
    const second = await downloadFile(alice, 'mxc://fake.test/two')
    expect([second.status, second.json['errcode']]).to.deep.equal([429, 'M_LIMIT_EXCEEDED'])
    // It has come all the same.
    expect((await downloadFile(alice, 'mxc://fake.test/two')).status).to.equal(200)
  })
})

const answers = new WeakMap<FakeHomeserver, Map<string, (response: ServerResponse) => void>>()

/** Says how a server answers for one file. */
function serve(server: FakeHomeserver, mediaId: string, answer: (response: ServerResponse) => void): void {
  const known = answers.get(server) ?? new Map<string, (response: ServerResponse) => void>()
  if (!answers.has(server)) {
    answers.set(server, known)
    server.on('GET', DOWNLOAD, ({ params }) => ({
      raw: known.get(params['mediaId'] ?? '') ?? json(404, 'M_NOT_FOUND'),
    }))
  }
  known.set(mediaId, answer)
}

function parts(type: string, content: string): (response: ServerResponse) => void {
  return (response) => {
    response.writeHead(200, { 'Content-Type': 'multipart/mixed; boundary=b' })
    response.end(
      `--b\r\nContent-Type: application/json\r\n\r\n{}\r\n--b\r\nContent-Type: ${type}\r\n\r\n${content}\r\n--b--`,
    )
  }
}

function json(status: number, errcode: string): (response: ServerResponse) => void {
  return (response) => {
    response.writeHead(status, { 'Content-Type': 'application/json' })
    response.end(JSON.stringify({ errcode, error: 'no' }))
  }
}

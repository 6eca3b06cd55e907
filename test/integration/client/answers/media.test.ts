import type { ServerResponse } from 'node:http'
import { expect } from 'chai'
import { FakeS3 } from '../../../support/fake-s3.js'
import { startHomeserver } from '../../../support/homeserver.js'
import { startFederation, type TestFederation } from '../../../support/federation.js'
import { expectAnswer, expectAnswers, type Expected } from '../../../support/expected-answers.js'
import type { MatrixClient } from '../../../support/matrix-client.js'
import { fetchBytes, mediaPath, uploadFile, uriIn } from '../../../support/media-client.js'
import { picture, pngBomb } from '../../../support/pictures.js'

const OLD = '/_matrix/media/v3'
const NEW = '/_matrix/client/v1/media'
const SIZE = 'width=96&height=96'

describe('answers about files', function () {
  this.timeout(60_000)
  let servers: TestFederation
  let alice: MatrixClient
  let bob: MatrixClient

  before(async () => {
    const limits = [{ time_period: '1h', max_size: 90_000 }]
    servers = await startFederation(['a.test', 'full.test'], {
      config: { max_upload_size: 100_000 },
      configOf: { 'full.test': { media_upload_limits: limits } },
    })
    alice = await servers.get('a.test').register('alice')
    bob = await servers.get('a.test').register('bob')
  })
  after(() => servers[Symbol.asyncDispose]())

  /** By every endpoint that gives a file. */
  async function expectFile(uri: string, expected: Expected, query = ''): Promise<void> {
    for (const prefix of [`${OLD}/download`, `${NEW}/download`])
      for (const rest of [[], ['a.txt']]) await expectBytes(mediaPath(prefix, uri, ...rest) + query, expected)
  }

  async function expectThumbnail(uri: string, expected: Expected, query = SIZE): Promise<void> {
    for (const prefix of [`${OLD}/thumbnail`, `${NEW}/thumbnail`])
      await expectBytes(`${mediaPath(prefix, uri)}?${query}`, expected)
  }

  async function expectBytes(target: string, expected: Expected): Promise<void> {
    const { status, json } = await fetchBytes(bob.url + target, { token: bob.accessToken })
    const actual = typeof expected === 'number' ? status : [status, json['errcode']]
    expect(actual, target).to.deep.equal(expected)
  }

  it('give everybody who is logged in what anybody has sent', async () => {
    await expectFile(await uploadFile(alice, 'Hello', { type: 'text/plain' }), 200)
    await expectThumbnail(await uploadFile(alice, await picture('png', 200, 100)), 200)
    await expectFile('mxc://a.test/nothing', [404, 'M_NOT_FOUND'])
  })

  it('lead those who can follow to where a file is', async () => {
    await using s3 = await FakeS3.start()
    const bucket = {
      bucket: 'media',
      endpoint_url: s3.url,
      access_key_id: 'an-id',
      secret_access_key: 'a-secret',
    }
    const provider = { module: 's3', store_local: true, store_synchronous: true }
    const config = { media_storage_providers: [{ ...provider, config: { ...bucket, signed_links: true } }] }
    await using hs = await startHomeserver({ config })
    const carol = await hs.register('carol')
    const uri = await uploadFile(carol, await picture('png', 200, 100))
    const lead = '?allow_redirect=true'
    const targets = [OLD, NEW].flatMap((prefix) => [
      mediaPath(`${prefix}/download`, uri) + lead,
      mediaPath(`${prefix}/download`, uri, 'a.png') + lead,
      `${mediaPath(`${prefix}/thumbnail`, uri)}${lead}&${SIZE}`,
    ])
    for (const target of targets) {
      const { status } = await fetchBytes(hs.url + target, { token: carol.accessToken })
      expect(status, target).to.equal(307)
    }
  })

  it('say what has not come yet, and what is too large elsewhere', async () => {
    const created = await alice.must('POST', '/_matrix/media/v1/create')
    await expectFile(uriIn(created), [504, 'M_NOT_YET_UPLOADED'], '?timeout_ms=0')
    await expectThumbnail(uriIn(created), [504, 'M_NOT_YET_UPLOADED'], `${SIZE}&timeout_ms=0`)
    const fake = await servers.fake('large.test')
    const raw = (response: ServerResponse): void => {
      response.writeHead(200, { 'Content-Type': 'multipart/mixed; boundary=b', 'Content-Length': '10000000' })
      response.write('--b\r\n\r\n{}\r\n--b\r\n\r\n')
    }
    fake.on('GET', '/_matrix/federation/v1/media/download/:mediaId', () => ({ raw }))
    await expectFile('mxc://large.test/file', [502, 'M_TOO_LARGE'])
    await expectThumbnail('mxc://large.test/file', [502, 'M_TOO_LARGE'])
  })

  it('make no thumbnails of what is none, or too large', async () => {
    await expectThumbnail(await uploadFile(alice, 'no picture'), [400, 'M_UNKNOWN'])
    await expectThumbnail(await uploadFile(alice, pngBomb(60_000, 60_000)), [413, 'M_TOO_LARGE'])
  })

  it('take files to what has been announced, from who has announced it', async () => {
    const uri = uriIn(await alice.must('POST', '/_matrix/media/v1/create'))
    const target = `PUT ${mediaPath(`${OLD}/upload`, uri)}`
    const large = { rawBody: Buffer.alloc(100_001) }
    await expectAnswer(bob, target, [403, 'M_FORBIDDEN'], { rawBody: 'mine' })
    await expectAnswer(alice, target, [413, 'M_TOO_LARGE'], large)
    await expectAnswer(alice, target, 200, { rawBody: 'hers' })
    await expectAnswer(alice, target, [409, 'M_CANNOT_OVERWRITE_MEDIA'], { rawBody: 'again' })
    await expectAnswer(alice, `PUT ${OLD}/upload/a.test/nothing`, [404, 'M_NOT_FOUND'], { rawBody: 'a' })
    await expectAnswer(alice, `POST ${OLD}/upload`, [413, 'M_TOO_LARGE'], large)
    await expectAnswer(servers.get('a.test').client(), `POST ${OLD}/upload`, [401, 'M_MISSING_TOKEN'], {
      rawBody: 'a',
    })
  })

  it('end where somebody has sent enough', async () => {
    const carol = await servers.get('full.test').register('carol')
    await expectAnswer(carol, `POST ${OLD}/upload`, 200, { rawBody: Buffer.alloc(90_000) })
    await expectAnswer(carol, `POST ${OLD}/upload`, [403, 'M_FORBIDDEN'], { rawBody: 'one more' })
    await expectAnswers([[carol, 'POST /_matrix/media/v1/create', [403, 'M_FORBIDDEN']]])
  })
})

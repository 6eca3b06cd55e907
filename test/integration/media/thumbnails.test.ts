import { expect } from 'chai'
import { startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import type { MatrixClient } from '../../support/matrix-client.js'
import {
  downloadFile,
  fetchBytes,
  fetchThumbnail,
  mediaPath,
  uploadFile,
} from '../../support/media-client.js'
import { animation, gifBomb, measure, picture, pngBomb } from '../../support/pictures.js'

describe('thumbnails', function () {
  this.timeout(60_000)
  let server: TestHomeserver
  let alice: MatrixClient

  before(async () => {
    server = await startHomeserver({ config: { max_image_pixels: '1M' } })
    alice = await server.register('alice')
  })
  after(() => server[Symbol.asyncDispose]())

  async function thumbnailOf(bytes: Buffer, query: string) {
    const response = await fetchThumbnail(alice, await uploadFile(alice, bytes), query)
    expect(response.status, JSON.stringify(response.json)).to.equal(200)
    const type = response.headers.get('content-type')
    return {
      type,
      disposition: response.headers.get('content-disposition'),
      ...(await measure(response.bytes)),
    }
  }

  it('stay within the size, or fill it, in the next of the settled sizes', async () => {
    const png = await picture('png', 900, 450)
    expect(await thumbnailOf(png, 'width=32&height=32&method=scale')).to.deep.equal({
      type: 'image/png',
      disposition: 'inline; filename=thumbnail.png',
      format: 'png',
      width: 320,
      height: 160,
      frames: 1,
    })
    expect(await thumbnailOf(png, 'width=32&height=32&method=crop')).to.include({ width: 32, height: 32 })
    expect(await thumbnailOf(png, 'width=40&height=40&method=crop')).to.include({ width: 96, height: 96 })
    expect(await thumbnailOf(png, 'width=400&height=400')).to.include({ width: 640, height: 320 })
    expect(await thumbnailOf(png, 'width=5000&height=5000')).to.include({ width: 800, height: 400 })
  })

  it('are what browsers show', async () => {
    const jpeg = await picture('jpeg', 900, 450)
    expect(await thumbnailOf(jpeg, 'width=96&height=96&method=crop')).to.include({
      type: 'image/jpeg',
      width: 96,
      height: 96,
    })
    for (const format of ['webp', 'avif'] as const) {
      const response = await thumbnailOf(await picture(format, 900, 450), 'width=320&height=240')
      expect(response).to.include({ type: 'image/jpeg', width: 320, height: 160 })
    }
  })

  it('are the picture itself where it is small', async () => {
    const png = await picture('png', 30, 20)
    const response = await fetchThumbnail(alice, await uploadFile(alice, png), 'width=320&height=240')
    expect(response.bytes.equals(png)).to.equal(true)
    // Typed by what it is, whatever its uploader says.
    expect(response.headers.get('content-type')).to.equal('image/png')
  })

  it('are turned as the camera was held', async () => {
    const { default: sharp } = await import('sharp')
    const turned = await sharp(await picture('jpeg', 900, 450))
      .withMetadata({ orientation: 6 })
      .toBuffer()
    expect(await thumbnailOf(turned, 'width=320&height=240')).to.include({ width: 120, height: 240 })
  })

  it('move only where that is asked for', async () => {
    for (const format of ['gif', 'webp'] as const) {
      const moving = await animation(format, { width: 400, height: 300, frames: 3 })
      const still = await thumbnailOf(moving, 'width=96&height=96&method=crop')
      expect(still.frames).to.equal(1)
      const animated = await thumbnailOf(moving, 'width=96&height=96&method=crop&animated=true')
      expect(animated).to.include({ type: 'image/webp', width: 96, height: 96, frames: 3 })
      // The small original would move.
      expect((await thumbnailOf(moving, 'width=640&height=480&animated=false')).frames).to.equal(1)
      expect((await thumbnailOf(moving, 'width=640&height=480&animated=true')).frames).to.equal(3)
    }
    const jpeg = await thumbnailOf(await picture('jpeg', 900, 450), 'width=96&height=96&animated=true')
    expect(jpeg).to.include({ type: 'image/jpeg', frames: 1 })
  })

  it('are made once, for all who ask at the same time', async () => {
    const uri = await uploadFile(alice, await picture('png', 901, 450))
    const query = 'width=640&height=480'
    const [first, second] = await Promise.all([
      fetchThumbnail(alice, uri, query),
      fetchThumbnail(alice, uri, query),
    ])
    const third = await fetchThumbnail(alice, uri, query)
    expect(first.bytes.equals(second.bytes)).to.equal(true)
    expect(first.bytes.equals(third.bytes)).to.equal(true)
    expect(first.headers.get('etag')).to.equal(third.headers.get('etag'))
  })

  it('need a token as the pictures do', async () => {
    const uri = await uploadFile(alice, await picture('png', 900, 450))
    const query = '?width=32&height=32'
    const authed = await fetchBytes(
      `${server.url}${mediaPath('/_matrix/client/v1/media/thumbnail', uri)}${query}`,
    )
    expect([authed.status, authed.json['errcode']]).to.deep.equal([401, 'M_MISSING_TOKEN'])
    const old = `${server.url}${mediaPath('/_matrix/media/v3/thumbnail', uri)}${query}`
    expect((await fetchBytes(old)).status).to.equal(404)
    expect((await fetchBytes(old, { token: alice.accessToken })).status).to.equal(200)
  })

  it('have a size', async () => {
    const uri = await uploadFile(alice, await picture('png', 900, 450))
    for (const query of ['', 'width=32', 'width=-1&height=32', 'width=0&height=0', 'width=x&height=32']) {
      expect((await fetchThumbnail(alice, uri, query)).status, query).to.equal(400)
    }
    const odd = await fetchThumbnail(alice, uri, 'width=32&height=32&method=stretch')
    expect([odd.status, odd.json['errcode']]).to.deep.equal([400, 'M_INVALID_PARAM'])
  })

  describe('of what nobody should look at', () => {
    const svg =
      '<svg xmlns="http://www.w3.org/2000/svg" width="900" height="900"><rect width="9" height="9"/></svg>'

    async function answerFor(bytes: Buffer | string): Promise<[number, unknown]> {
      const response = await fetchThumbnail(alice, await uploadFile(alice, bytes), 'width=96&height=96')
      return [response.status, response.json['errcode']]
    }

    it('are refused: pictures with very many pixels', async () => {
      expect(await answerFor(pngBomb(60_000, 60_000))).to.deep.equal([413, 'M_TOO_LARGE'])
      expect(await answerFor(gifBomb(60_000, 60_000, 1))).to.deep.equal([413, 'M_TOO_LARGE'])
    })

    it('are refused: broken pictures', async () => {
      const jpeg = await picture('jpeg', 900, 450)
      expect(await answerFor(jpeg.subarray(0, jpeg.length / 2))).to.deep.equal([400, 'M_UNKNOWN'])
      expect(await answerFor(pngBomb(800, 800).subarray(0, 60))).to.deep.equal([400, 'M_UNKNOWN'])
    })

    it('are refused: drawings, documents, and whatever pretends to be a picture', async () => {
      expect(await answerFor(svg)).to.deep.equal([400, 'M_UNKNOWN'])
      expect(await answerFor(`GIF89a${svg}`)).to.deep.equal([400, 'M_UNKNOWN'])
      expect(await answerFor('%PDF-1.7 nothing')).to.deep.equal([400, 'M_UNKNOWN'])
      expect(await answerFor('')).to.deep.equal([400, 'M_UNKNOWN'])
    })

    it('are pictures alone, where something else is in the same file', async () => {
      const script = '<script>alert(document.domain)</script>'
      for (const format of ['jpeg', 'gif', 'png'] as const) {
        const polyglot = Buffer.concat([await picture(format, 900, 450), Buffer.from(script)])
        const uri = await uploadFile(alice, polyglot, { type: 'text/html', name: `x.${format}.html` })
        const thumbnail = await fetchThumbnail(alice, uri, 'width=96&height=96')
        expect(thumbnail.headers.get('content-type')).to.match(/^image\//)
        expect(thumbnail.bytes.includes('script')).to.equal(false)
        const { headers } = await downloadFile(alice, uri)
        expect(headers.get('content-disposition')).to.match(/^attachment; /)
        expect(headers.get('x-content-type-options')).to.equal('nosniff')
        expect(headers.get('content-security-policy')).to.match(
          /^sandbox; default-src 'none'; script-src 'none'/,
        )
      }
    })

    it('are still: animations of very many frames', async () => {
      const uri = await uploadFile(alice, gifBomb(900, 900, 20_000))
      const started = performance.now()
      const response = await fetchThumbnail(alice, uri, 'width=96&height=96&animated=true')
      expect(performance.now() - started).to.be.lessThan(50_000)
      if (response.status === 200) expect((await measure(response.bytes)).frames).to.equal(1)
      else expect(response.status).to.equal(400)
    })
  })
})

describe('thumbnails in any size', function () {
  this.timeout(60_000)

  it('are made as asked for', async () => {
    await using server = await startHomeserver({ config: { dynamic_thumbnails: true } })
    const alice = await server.register('alice')
    const uri = await uploadFile(alice, await picture('png', 900, 450))
    const response = await fetchThumbnail(alice, uri, 'width=123&height=77&method=crop')
    expect(await measure(response.bytes)).to.include({ width: 123, height: 77 })
    // Nothing is made larger than it is.
    const huge = await fetchThumbnail(alice, uri, 'width=100000&height=200&method=crop')
    expect(await measure(huge.bytes)).to.include({ width: 900, height: 200 })
  })
})

import { expect } from 'chai'
import { startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import type { ClientResponse, MatrixClient } from '../../support/matrix-client.js'
import { downloadFile, uriIn } from '../../support/media-client.js'
import { picture } from '../../support/pictures.js'
import { WebServer } from '../../support/web-server.js'

const NEW = '/_matrix/client/v1/media/preview_url'
const OLD = '/_matrix/media/v3/preview_url'

function ask(client: MatrixClient, url: string, path = NEW): Promise<ClientResponse> {
  return client.request('GET', path, { query: { url } })
}

describe('previews of pages', function () {
  this.timeout(60_000)
  let server: TestHomeserver
  let web: WebServer
  let alice: MatrixClient

  before(async () => {
    web = await WebServer.start()
    server = await startHomeserver({
      config: {
        url_preview_enabled: true,
        url_preview_ip_range_blacklist: ['10.0.0.0/8'],
        url_preview_url_blacklist: [{ path: '/private*' }, { netloc: '^blocked\\.' }, { username: '*' }],
        url_preview_accept_language: ['fr', 'en;q=0.5'],
        max_spider_size: '200K',
      },
    })
    alice = await server.register('alice')
  })
  after(async () => {
    await server[Symbol.asyncDispose]()
    await web[Symbol.asyncDispose]()
  })

  async function previewOf(html: string | Buffer, type = 'text/html', path = `/${Math.random()}`) {
    const response = await ask(alice, web.show(path, { type, body: html }))
    expect(response.status, response.text).to.equal(200)
    return response.body
  }

  it('say what pages say of themselves, with their picture', async () => {
    const png = await picture('png', 279, 129)
    web.show('/rock.png', { type: 'image/png', body: png })
    const url = web.show('/rock.html', {
      type: 'text/html',
      body: `<html prefix="og: http://ogp.me/ns#"><head><title>The Rock (1996)</title>
        <meta property="og:title" content="The Rock" /><meta property="og:type" content="video.movie" />
        <meta property="og:url" content="http://www.imdb.com/title/tt0117500/" />
        <meta property="og:image" content="rock.png" /></head><body></body></html>`,
    })
    for (const path of [NEW, OLD]) {
      const { status, body } = await ask(alice, url, path)
      expect(status).to.equal(200)
      const image = uriIn(body, 'og:image')
      const { 'og:image': _, ...rest } = body
      expect(rest).to.deep.equal({
        'og:title': 'The Rock',
        'og:type': 'video.movie',
        'og:url': 'http://www.imdb.com/title/tt0117500/',
        'og:image:type': 'image/png',
        'og:image:width': 279,
        'og:image:height': 129,
        'matrix:image:size': png.length,
      })
      expect((await downloadFile(alice, image)).bytes.equals(png)).to.equal(true)
    }
    // Remembered.
    expect(web.visits('/rock.html')).to.equal(1)
    const [request] = web.requests.filter(({ path }) => path === '/rock.html')
    expect(request?.headers['accept-language']).to.equal('fr, en;q=0.5')
    expect(request?.headers['user-agent']).to.match(/^mxhs.*\(bot\)$/)
  })

  it('come of cards, of linked data, and of what pages look like', async () => {
    const card =
      '<meta name="twitter:title" content="A card"><meta name="twitter:description" content="of birds">'
    expect(await previewOf(card)).to.deep.equal({ 'og:title': 'A card', 'og:description': 'of birds' })
    const linked =
      '{"@context": "https://schema.org", "@graph": [{"headline": "Linked", "description": "data"}]}'
    expect(await previewOf(`<script type="application/ld+json">${linked}</script>`)).to.deep.equal({
      'og:title': 'Linked',
      'og:description': 'data',
    })
    const plain = `<title> Plain </title><body><nav>Menu</nav><script>run()</script><p>First   lines.</p><p>And more.</p>`
    expect(await previewOf(plain)).to.deep.equal({
      'og:title': 'Plain',
      'og:description': 'First lines.\n\nAnd more.',
    })
    const described = '<title>T</title><meta name="Description" content="D"><body>Text'
    expect(await previewOf(described)).to.deep.equal({ 'og:title': 'T', 'og:description': 'D' })
    expect(await previewOf('')).to.deep.equal({})
  })

  it('read pages in any charset, whatever is wrongly said of it', async () => {
    const cyrillic = Buffer.concat([
      Buffer.from('<title>'),
      Buffer.from('cff0e8e2e5f2', 'hex'),
      Buffer.from('</title>'),
    ])
    expect((await previewOf(cyrillic, 'text/html; charset=windows-1251'))['og:title']).to.equal('Привет')
    const latin = Buffer.from('<meta charset="iso-8859-1"><title>Käse</title>', 'latin1')
    expect((await previewOf(latin))['og:title']).to.equal('Käse')
    expect((await previewOf('<title>Käse</title>'))['og:title']).to.equal('Käse')
    expect((await previewOf('<title>Käse</title>', 'text/html; charset=nonsense'))['og:title']).to.equal(
      'Käse',
    )
    const wrong = await previewOf(Buffer.from('<title>K\xe4se</title>', 'latin1'), 'text/html; charset=utf-8')
    expect(wrong['og:title']).to.equal('K\ufffdse')
    const utf16 = Buffer.concat([Buffer.from('fffe', 'hex'), Buffer.from('<title>Käse</title>', 'utf16le')])
    expect((await previewOf(utf16))['og:title']).to.equal('Käse')
  })

  it('are of pictures too', async () => {
    const jpeg = await picture('jpeg', 300, 200)
    const preview = await previewOf(jpeg, 'image/jpeg', '/holiday%20photo.jpg')
    expect(preview).to.include({
      'og:title': 'holiday photo.jpg',
      'og:image:type': 'image/jpeg',
      'og:image:width': 300,
      'matrix:image:size': jpeg.length,
    })
    expect(
      await previewOf('<svg xmlns="http://www.w3.org/2000/svg"/>', 'image/svg+xml', '/drawing'),
    ).to.deep.equal({
      'og:title': 'drawing',
    })
    expect(await previewOf('%PDF', 'application/pdf')).to.deep.equal({})
  })

  it('do without pictures that are none', async () => {
    web.show('/fake.png', { type: 'image/png', body: '<html>not a picture</html>' })
    for (const image of [
      'fake.png',
      '/missing.png',
      'javascript:alert(1)',
      'file:///etc/passwd',
      'data:image/png;base64,AAAA',
    ]) {
      const preview = await previewOf(
        `<meta property="og:title" content="T"><meta property="og:image" content="${image}">`,
      )
      expect(preview).to.deep.equal({ 'og:title': 'T' })
    }
  })

  it('ask for an oEmbed description where a page has one and says nothing else', async () => {
    const description = {
      version: '1.0',
      type: 'rich',
      title: 'Embedded',
      html: '<p>Some &amp; <b>text</b></p>',
    }
    const target = web.show('/oembed', { type: 'application/json', body: JSON.stringify(description) })
    const url = `<link rel="alternate" type="application/json+oembed" href="${target}">`
    expect(await previewOf(url)).to.include({ 'og:title': 'Embedded', 'og:description': 'Some & text' })
  })

  it('follow redirects, a few', async () => {
    web.show('/to/target', { type: 'text/html', body: '<title>Target</title><img src="b.png">' })
    web.show('/hop', { status: 302, headers: { Location: '/to/target' } })
    expect((await ask(alice, `${web.url}/hop`)).body['og:title']).to.equal('Target')
    // Relative to where the page was found.
    expect(web.visits('/to/b.png')).to.equal(1)
    web.show('/loop', { status: 301, headers: { Location: '/loop' } })
    const loop = await ask(alice, `${web.url}/loop`)
    expect([loop.status, loop.body['errcode']]).to.deep.equal([502, 'M_UNKNOWN'])
    expect(web.visits('/loop')).to.be.lessThan(12)
    // It failed a moment ago: nobody tries again so soon.
    const visits = web.visits('/loop')
    expect((await ask(alice, `${web.url}/loop`)).status).to.equal(502)
    expect(web.visits('/loop')).to.equal(visits)
  })

  it('end where the configuration says', async () => {
    web.show('/private/page', { type: 'text/html', body: '<title>Secret</title>' })
    web.show('/way-in', { status: 302, headers: { Location: '/private/page' } })
    const withUser = web.url.replace('http://', 'http://user:secret@')
    for (const url of [
      `${web.url}/private/page`,
      `${web.url}/way-in`,
      'http://blocked.example/',
      `${withUser}/x`,
    ]) {
      const { status, body } = await ask(alice, url)
      expect([url, status, body['errcode']]).to.deep.equal([url, 403, 'M_FORBIDDEN'])
    }
    expect(web.visits('/private/page')).to.equal(0)
  })

  it('give up pages that are too large or broken', async () => {
    const huge = web.show('/huge', { type: 'text/html', body: `<title>Huge</title>${'x'.repeat(300_000)}` })
    expect((await ask(alice, huge)).status).to.equal(502)
    const broken = web.show('/broken', {
      raw: (response) => {
        response.writeHead(200, { 'Content-Type': 'text/html', 'Content-Length': '1000' })
        response.write('<title>Bro', () => response.destroy())
      },
    })
    expect((await ask(alice, broken)).status).to.equal(502)
    expect((await ask(alice, `${web.url}/nothing`)).status).to.equal(502)
    const deep = await previewOf('<div>'.repeat(20_000) + '<title>Deep</title>')
    expect(deep).to.be.an('object')
  })

  it('are of URLs of pages, for those who are logged in', async () => {
    for (const url of [
      'nonsense',
      'ftp://example.org/',
      'file:///etc/passwd',
      '',
      `${web.url}/${'x'.repeat(5000)}`,
    ]) {
      const { status, body } = await ask(alice, url)
      expect([url, status, body['errcode']]).to.deep.equal([url, 400, 'M_INVALID_PARAM'])
    }
    expect((await alice.request('GET', NEW)).body['errcode']).to.equal('M_MISSING_PARAM')
    expect((await ask(server.client(), web.url)).status).to.equal(401)
    expect((await ask(server.client(), web.url, OLD)).status).to.equal(401)
  })
})

describe('previews of what is nobody’s business', function () {
  this.timeout(60_000)

  it('are refused, in whatever way the address is written', async () => {
    await using web = await WebServer.start()
    web.show('/', { type: 'text/html', body: '<title>Inside</title>' })
    await using server = await startHomeserver({ config: { url_preview_enabled: true } })
    const alice = await server.register('alice')
    const { port } = web
    for (const host of [
      '127.0.0.1',
      'localhost',
      '127.1',
      '2130706433',
      '0x7f000001',
      '0177.0.0.1',
      '127.0.0.1.',
      '0.0.0.0',
      '0',
      '[::1]',
      '[::]',
      '[::ffff:127.0.0.1]',
      '[::ffff:7f00:1]',
      '[64:ff9b::7f00:1]',
      '[2002:7f00:1::]',
      '[fe80::1]',
      '169.254.169.254',
      '10.1.2.3',
      '１２７.0.0.1',
    ]) {
      const { status, body } = await ask(alice, `http://${host}:${port}/`)
      expect([host, status, body['errcode']]).to.deep.equal([host, 403, 'M_FORBIDDEN'])
    }
    expect(web.requests).to.have.length(0)
  })

  it('do not exist where they are not wanted', async () => {
    await using server = await startHomeserver()
    const alice = await server.register('alice')
    const { status, body } = await ask(alice, 'https://example.org/')
    expect([status, body['errcode']]).to.deep.equal([404, 'M_UNRECOGNIZED'])
  })
})

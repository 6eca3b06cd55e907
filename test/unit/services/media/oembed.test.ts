import { expect } from 'chai'
import {
  DEFAULT_OEMBED_PROVIDERS,
  OembedProviders,
  parseOembedProviders,
  readOembed,
} from '../../../../src/services/media/oembed.js'

describe('oEmbed', () => {
  it('is asked at the site that describes a page', () => {
    const providers = new OembedProviders(DEFAULT_OEMBED_PROVIDERS)
    const video = 'https://www.youtube.com/watch?v=abc'
    expect(providers.urlFor(new URL(video))?.href).to.equal(
      `https://www.youtube.com/oembed?url=${encodeURIComponent(video)}&format=json`,
    )
    expect(providers.urlFor(new URL('https://vimeo.com/123'))?.pathname).to.equal('/api/oembed.json')
    expect(providers.urlFor(new URL('https://example.org/watch?v=abc'))).to.equal(undefined)
    expect(providers.urlFor(new URL('https://evil.org/?https://www.youtube.com/watch?v=abc'))).to.equal(
      undefined,
    )
  })

  it('has its sites in lists as oembed.com publishes them', () => {
    const list = [
      {
        provider_name: 'Site',
        endpoints: [
          { schemes: ['https://site.org/*'], url: 'https://site.org/o.{format}' },
          { url: 'https://x.org/' },
        ],
      },
    ]
    const providers = new OembedProviders(parseOembedProviders(list))
    expect(providers.urlFor(new URL('http://site.org/1'))?.href).to.match(
      /^https:\/\/site\.org\/o\.json\?url=/,
    )
    for (const wrong of [{}, [{}], [{ endpoints: [{}] }]]) {
      expect(() => parseOembedProviders(wrong)).to.throw()
    }
  })

  it('says what a page is about, as text', () => {
    const page = 'https://site.org/1'
    const rich = {
      version: '1.0',
      type: 'rich',
      author_name: 'Ann',
      html: '<script>x()</script><p>a &lt; <b>b</b></p>',
    }
    expect(readOembed(rich, page)).to.deep.equal({
      'og:url': page,
      'og:title': 'Ann',
      'og:description': 'a < b',
    })
    const photo = {
      version: '1.0',
      type: 'photo',
      title: 'P',
      url: 'https://site.org/p.jpg',
      provider_name: 'Site',
    }
    expect(readOembed(photo, page)).to.deep.equal({
      'og:url': page,
      'og:title': 'P',
      'og:site_name': 'Site',
      'og:image': 'https://site.org/p.jpg',
    })
    expect(readOembed({ version: '2.0', type: 'rich' }, page)).to.equal(undefined)
    expect(readOembed('text', page)).to.equal(undefined)
  })
})

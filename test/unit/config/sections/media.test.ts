import { expect } from 'chai'
import { testConfig } from '../../../support/homeserver.js'

describe('media', () => {
  it('has the defaults of Synapse', () => {
    const { media } = testConfig()
    expect(media).to.deep.include({
      enabled: true,
      requiresAuthentication: true,
      keepsLocal: true,
      storePath: 'media_store',
      providers: [],
      maxUploadSize: 52_428_800,
      maxPendingUploads: 5,
      unusedExpirationMs: 86_400_000,
      maxImagePixels: 33_554_432,
      dynamicThumbnails: false,
      localLifetimeMs: undefined,
    })
    expect(media.thumbnailSizes).to.have.length(5)
    expect(media.urlPreviews).to.deep.include({
      enabled: false,
      acceptLanguage: ['en'],
      deniedRanges: undefined,
    })
  })

  it('knows providers by the names of their modules', () => {
    const { media } = testConfig({
      backup_media_store_path: '/backup',
      media_storage_providers: [
        { module: 'file_system', store_local: true, config: { directory: '/other' } },
        {
          module: 's3_storage_provider.S3StorageProviderBackend',
          store_remote: true,
          config: { bucket: 'b' },
        },
      ],
    })
    expect(
      media.providers.map(({ kind, storesLocal, storesRemote, isSynchronous }) => [
        kind,
        storesLocal,
        storesRemote,
        isSynchronous,
      ]),
    ).to.deep.equal([
      ['directory', true, false, false],
      ['s3', false, true, false],
      ['directory', true, true, true],
    ])
  })

  it('refuses providers that nobody knows or that lack what they need', () => {
    const provider = (keys: object) => () => testConfig({ media_storage_providers: [keys] })
    expect(provider({ module: 'my.Provider' })).to.throw(
      'media_storage_providers.0.module: expected file_system or s3',
    )
    expect(provider({ module: 's3' })).to.throw('media_storage_providers.0.config.bucket: expected a text')
  })

  it('gives links to buckets where it is told to', () => {
    const linksWith = (keys: object) =>
      testConfig({ media_storage_providers: [{ module: 's3', config: { bucket: 'b', ...keys } }] }).media
        .providers[0]!.links
    expect(linksWith({})).to.equal(undefined)
    expect(linksWith({ signed_links: true })).to.deep.equal({ endpoint: undefined, lifetimeMs: 600_000 })
    const all = {
      signed_links: true,
      signed_links_url: 'https://files.example.com',
      signed_links_lifetime: '1h',
    }
    expect(linksWith(all)).to.deep.equal({ endpoint: 'https://files.example.com', lifetimeMs: 3_600_000 })
    const path = 'media_storage_providers.0.config'
    expect(() => linksWith({ signed_links: 'yes' })).to.throw(`${path}.signed_links: expected true or false`)
    expect(() => linksWith({ signed_links_url: 'files' })).to.throw(
      `${path}.signed_links_url: expected a URL`,
    )
    expect(() => linksWith({ signed_links_lifetime: '8d' })).to.throw(`${path}.signed_links_lifetime`)
  })

  it('refuses lists of URLs that cannot be read', () => {
    const blocklist = (entry: object) => () => testConfig({ url_preview_url_blacklist: [entry] })
    expect(blocklist({ domain: 'a' })).to.throw('url_preview_url_blacklist.0.domain')
    expect(blocklist({ path: '^(' })).to.throw('url_preview_url_blacklist.0.path')
    expect(() => testConfig({ url_preview_ip_range_blacklist: ['nonsense'] })).to.throw()
  })

  it('never sends previews to no address at all', () => {
    const { urlPreviews } = testConfig({ url_preview_ip_range_blacklist: ['10.0.0.0/8'] }).media
    expect(urlPreviews.deniedRanges).to.deep.equal(['10.0.0.0/8', '0.0.0.0/32', '::/128'])
  })
})

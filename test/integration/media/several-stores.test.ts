import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { createMediaTools } from '../../../src/server/media-shelf.js'
import { openDatabase } from '../../../src/storage/open-database.js'
import { silentLogger } from '../../../src/telemetry/logger.js'
import { systemClock } from '../../../src/util/clock.js'
import { parseMxcUri } from '../../../src/protocol/mxc-uri.js'
import { quietContext } from '../../support/databases.js'
import { FakeS3 } from '../../support/fake-s3.js'
import { startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { downloadFile, fetchThumbnail, uploadFile } from '../../support/media-client.js'
import { measure, picture } from '../../support/pictures.js'

function bucketOf(s3: FakeS3, options: Record<string, unknown>) {
  return {
    module: 's3_storage_provider.S3StorageProviderBackend',
    store_local: true,
    ...options,
    config: { bucket: 'media', endpoint_url: s3.url, access_key_id: 'an-id', secret_access_key: 'a-secret' },
  }
}

describe('several stores of files', function () {
  this.timeout(60_000)

  it('have every file, and give it when the disk has lost it', async () => {
    await using s3 = await FakeS3.start()
    await using server = await startHomeserver({
      config: { media_storage_providers: [bucketOf(s3, { store_synchronous: true })] },
    })
    const alice = await server.register('alice')
    const png = await picture('png', 900, 450)
    const uri = await uploadFile(alice, png, { type: 'image/png' })
    expect([...s3.objects.keys()]).to.have.length(1)
    await rm(join(server.config.media.storePath, 'content'), { recursive: true })
    const thumbnail = await fetchThumbnail(alice, uri, 'width=32&height=32&method=crop')
    expect(await measure(thumbnail.bytes)).to.include({ width: 32 })
    await rm(join(server.config.media.storePath, 'content'), { recursive: true })
    const response = await downloadFile(alice, uri, { headers: { Range: 'bytes=1-3' } })
    expect([response.status, response.bytes.toString()]).to.deep.equal([206, 'PNG'])
    await server.server.services.mediaDeletion.delete([parseMxcUri(uri)!])
    expect(s3.objects.size).to.equal(0)
  })

  it('may be all there is', async () => {
    await using s3 = await FakeS3.start()
    await using server = await startHomeserver({
      config: {
        enable_local_media_storage: false,
        media_storage_providers: [bucketOf(s3, { store_remote: true, store_synchronous: true })],
      },
    })
    const alice = await server.register('alice')
    const uri = await uploadFile(alice, 'somewhere else')
    await server.server.services.mediaDownloads.settle()
    expect(await checkOf(server)).to.deep.include({ files: 1, lost: [], orphans: [], uncopied: [] })
    expect((await downloadFile(alice, uri)).bytes.toString()).to.equal('somewhere else')
    const part = await downloadFile(alice, uri, { headers: { Range: 'bytes=0-3' } })
    expect([part.status, part.bytes.toString()]).to.deep.equal([206, 'some'])
    const image = await uploadFile(alice, await picture('png', 900, 450))
    await server.server.services.mediaDownloads.settle()
    const sizes = ['width=32&height=32&method=crop', 'width=96&height=96&method=crop', 'width=640&height=480']
    const thumbnails = await Promise.all(sizes.map((size) => fetchThumbnail(alice, image, size)))
    expect(thumbnails.map(({ status }) => status)).to.deep.equal([200, 200, 200])
    await server.server.services.mediaDownloads.settle()
    expect(await checkOf(server)).to.deep.include({ files: 2, lost: [], orphans: [] })
  })

  it('refuse an upload that one of them does not take, where it is told to', async () => {
    await using s3 = await FakeS3.start()
    s3.isDown = true
    await using server = await startHomeserver({
      config: { media_storage_providers: [bucketOf(s3, { store_synchronous: true })] },
      log: { logger: silentLogger(), flush: () => undefined, reopen: () => Promise.resolve() },
    })
    const alice = await server.register('alice')
    const refused = await alice.request('POST', '/_matrix/media/v3/upload', { rawBody: 'x' })
    expect(refused.status).to.equal(500)
    s3.isDown = false
    expect(await checkOf(server)).to.deep.include({ files: 0, orphans: [], unfinished: 0 })
  })

  it('get later what they have not taken at once', async () => {
    await using s3 = await FakeS3.start()
    s3.isDown = true
    await using server = await startHomeserver({
      config: { media_storage_providers: [bucketOf(s3, { store_synchronous: false })] },
      log: { logger: silentLogger(), flush: () => undefined, reopen: () => Promise.resolve() },
    })
    const alice = await server.register('alice')
    const uri = await uploadFile(alice, 'kept here at first')
    await server.server.services.mediaDownloads.settle()
    s3.isDown = false
    const before = await checkOf(server)
    expect(before.uncopied).to.have.length(1)
    await checkOf(server, true)
    expect((await checkOf(server)).uncopied).to.deep.equal([])
    expect(s3.objects.size).to.equal(1)
    expect((await downloadFile(alice, uri)).status).to.equal(200)
  })
})

async function checkOf(server: TestHomeserver, fix = false) {
  const db = await openDatabase(server.config.database, quietContext())
  try {
    const parts = { config: server.config, db, clock: systemClock, logger: silentLogger() }
    return await createMediaTools(parts).check.run({ fix, graceMs: 0 })
  } finally {
    await db.close()
  }
}

import { existsSync, readdirSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { expect } from 'chai'
import { DirectoryStore, type FileStore } from '../../../../src/services/media/file-store.js'
import { S3Store } from '../../../../src/services/media/s3-store.js'
import { ManualClock } from '../../../support/manual-clock.js'
import { FakeS3 } from '../../../support/fake-s3.js'
import { rejection } from '../../../support/rejection.js'
import { useScratch } from '../../../support/scratch.js'

async function read(stream: Readable | undefined): Promise<string | undefined> {
  if (stream === undefined) return undefined
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

describe('stores of files', () => {
  const scratch = useScratch()
  let s3: FakeS3

  before(async () => {
    s3 = await FakeS3.start()
  })
  after(() => s3[Symbol.asyncDispose]())
  beforeEach(() => {
    s3.objects.clear()
    s3.isDown = false
  })

  const stores: Record<string, () => FileStore> = {
    'a directory': () => new DirectoryStore(scratch.path('store')),
    'a bucket': () =>
      new S3Store(
        {
          bucket: 'media',
          prefix: 'mx/',
          region: undefined,
          endpoint: s3.url,
          credentials: { accessKeyId: 'an-id', secretAccessKey: 'a-secret', sessionToken: undefined },
          storageClass: undefined,
          links: undefined,
        },
        new ManualClock(),
      ),
  }

  for (const [title, create] of Object.entries(stores)) {
    describe(title, function () {
      this.timeout(30_000)

      it('keeps files and gives them back, whole or in part', async () => {
        const store = create()
        await store.put('content/aa/one', scratch.write('one', '0123456789'))
        expect(await read(await store.open('content/aa/one'))).to.equal('0123456789')
        expect(await read(await store.open('content/aa/one', { start: 2, end: 4 }))).to.equal('234')
        expect(await store.stat('content/aa/one')).to.include({ key: 'content/aa/one', length: 10 })
        await store.put('content/aa/one', scratch.write('two', 'replaced'))
        expect(await read(await store.open('content/aa/one'))).to.equal('replaced')
      })

      it('knows what it has not', async () => {
        const store = create()
        expect(await store.open('content/none')).to.equal(undefined)
        expect(await store.stat('content/none')).to.equal(undefined)
        await store.delete(['content/none'])
      })

      it('lists what it has, and deletes it', async () => {
        const store = create()
        const path = scratch.write('one', 'x')
        const keys = Array.from({ length: 5 }, (_, index) => `content/aa/${index}`)
        for (const key of [...keys, 'thumbnails/bb/1']) await store.put(key, path)
        const listed = async (): Promise<string[]> => {
          const found: string[] = []
          for await (const file of store.list('content')) found.push(file.key)
          return found.sort()
        }
        expect(await listed()).to.deep.equal(keys)
        await store.delete(keys.slice(1))
        expect(await listed()).to.deep.equal(['content/aa/0'])
      })
    })
  }

  it('never leave a directory, and leave no directories behind', async () => {
    const store = new DirectoryStore(scratch.path('store'))
    for (const key of ['../outside', 'a/../../outside', '/etc/passwd', '']) {
      expect(await rejection(store.stat(key))).to.be.instanceOf(Error)
    }
    await store.put('content/aa/bb/file', scratch.write('one', 'x'))
    await store.delete(['content/aa/bb/file'])
    expect(existsSync(scratch.path('store')) ? readdirSync(scratch.path('store')) : []).to.deep.equal([])
  })

  it('say so when they cannot be reached', async function () {
    this.timeout(30_000)
    s3.isDown = true
    const store = stores['a bucket']!()
    expect(await rejection(store.open('content/aa/one'))).to.be.instanceOf(Error)
  })
})

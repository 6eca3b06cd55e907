import { randomBytes } from 'node:crypto'
import { PassThrough, Readable, Writable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { gunzipSync, gzipSync } from 'node:zlib'
import { expect } from 'chai'
import type { ArchiveHeader, ManifestEntry } from '../../../../src/services/backup/archive-format.js'
import { ArchiveReader, readAll } from '../../../../src/services/backup/archive-reader.js'
import { ArchiveWriter } from '../../../../src/services/backup/archive-writer.js'
import { rejection } from '../../../support/rejection.js'

const HEADER: ArchiveHeader = {
  format: 1,
  id: 'this one',
  createdTs: 1_700_000_000_000,
  serverName: 'a.org',
  program: 'mxhs 1.2.3',
  engine: 'sqlite',
  migrations: ['0000-streams'],
  tables: [],
  config: [],
  media: 'all',
}
const COUNTS = { tables: 0, rows: 0, configFiles: 0, mediaFiles: 0, mediaBytes: 0, mediaElsewhere: 0 }

type Members = readonly (readonly [string, Buffer])[]

async function write(members: Members, options: { level?: number; header?: object } = {}): Promise<Buffer> {
  const target = new PassThrough()
  const written = buffer(target)
  const archive = await ArchiveWriter.create(target, { level: options.level ?? 6, modifiedTs: 0 })
  await archive.begin({ ...HEADER, ...options.header })
  for (const [path, bytes] of members) await archive.add(path, bytes)
  await archive.finish(COUNTS, {})
  return written
}

interface Read {
  readonly members: Record<string, Buffer>
  readonly reader: ArchiveReader
}

async function read(bytes: Buffer, { wants = true, chunk = 1000 } = {}): Promise<Read> {
  const chunks = Array.from({ length: Math.ceil(bytes.length / chunk) }, (_, index) =>
    bytes.subarray(index * chunk, (index + 1) * chunk),
  )
  const reader = await ArchiveReader.open(Readable.from(chunks), { secretKeys: [] })
  const members: Record<string, Buffer> = {}
  for await (const { path, size, content } of reader.members()) {
    members[path] = wants ? await readAll(content, size) : Buffer.alloc(0)
  }
  return { members, reader }
}

async function refusal(bytes: Buffer): Promise<string> {
  for (const wants of [true, false]) {
    const error = (await rejection(read(bytes, { wants }))) as Error
    expect(error.name, error.stack).to.equal('ArchiveError')
    if (!wants) return error.message
  }
  return ''
}

/** What somebody does to an archive who takes the trouble to make the gzip right again. */
function tamper(archive: Buffer, change: (tar: Buffer) => Buffer): Buffer {
  return gzipSync(change(gunzipSync(archive)))
}

describe('archives', () => {
  const members: Members = [
    ['database/a/000000.jsonl', Buffer.from('[1]\n[2]\n')],
    ['media/empty', Buffer.alloc(0)],
    [`media/${'deep/'.repeat(40)}file`, randomBytes(70_000)],
  ]

  it('give back what was written, in its order', async () => {
    for (const level of [0, 6]) {
      const { members: found, reader } = await read(await write(members, { level }))
      expect(Object.entries(found)).to.deep.equal(members)
      expect(reader.header).to.deep.equal(HEADER)
      expect(reader.summary).to.include({ id: 'this one', members: members.length + 1 })
    }
  })

  it('may come in any pieces, and be passed over', async () => {
    const archive = await write(members.slice(0, 2))
    for (const chunk of [1, 7, 100_000]) {
      expect(Object.keys((await read(archive, { chunk, wants: false })).members)).to.have.length(2)
    }
  })

  it('hold more members than one list has', async () => {
    const many: Members = Array.from({ length: 1_100 }, (_, index) => [
      `media/${index}`,
      Buffer.from([index % 256]),
    ])
    const entries: ManifestEntry[] = []
    const archive = await write(many)
    const reader = await ArchiveReader.open(Readable.from([archive]), {
      secretKeys: [],
      onEntry: (entry) => entries.push(entry),
    })
    for await (const { content, size } of reader.members()) await readAll(content, size)
    expect(entries.map(({ path }) => path)).to.deep.equal(['backup.json', ...many.map(([path]) => path)])
    expect(reader.summary.members).to.equal(1_101)
  })

  it('name what earlier archives have', async () => {
    const target = new PassThrough()
    const written = buffer(target)
    const archive = await ArchiveWriter.create(target, { level: 0, modifiedTs: 0 })
    await archive.begin(HEADER)
    const entry = { path: 'media/old', size: 5, sha256: 'a'.repeat(64), in: 'another' }
    await archive.addElsewhere(entry)
    await archive.finish(COUNTS, {})
    const { reader, members: found } = await read(await written)
    expect(found).to.deep.equal({})
    expect(reader.elsewhere).to.deep.equal([entry])
  })

  it('stop being compressed when what comes is none the smaller', async () => {
    const target = new PassThrough()
    const written = buffer(target)
    const archive = await ArchiveWriter.create(target, { level: 9, modifiedTs: 0 })
    await archive.begin(HEADER)
    await archive.add('database/a/0.jsonl', Buffer.alloc(100_000, '0'))
    archive.stopCompressing()
    await archive.add('media/a', Buffer.alloc(100_000, '1'))
    await archive.finish(COUNTS, {})
    const bytes = await written
    expect(bytes.length).to.be.within(100_000, 110_000)
    expect((await read(bytes)).members['media/a']).to.deep.equal(Buffer.alloc(100_000, '1'))
  })

  it('are refused when they are cut, wherever', async () => {
    const archive = await write(members)
    for (const part of [0.0001, 0.01, 0.3, 0.9, 0.999]) {
      const message = await refusal(archive.subarray(0, Math.ceil(archive.length * part)))
      expect(message).to.be.oneOf(['The archive ends too early', 'This is no backup of mxhs'])
    }
    // The whole tar, but for its last members.
    const short = tamper(archive, (tar) => tar.subarray(0, tar.indexOf('summary.json')))
    expect(await refusal(short)).to.equal('The archive ends too early')
  })

  it('are refused when a byte of them is another', async () => {
    const archive = await write(members)
    for (const part of [0.1, 0.5, 0.9]) {
      const changed = Buffer.from(archive)
      const at = Math.floor(changed.length * part)
      changed[at] = changed[at]! ^ 0x40
      await refusal(changed)
    }
  })

  it('are refused when a member is another, and say which', async () => {
    const archive = await write(members)
    const change = (from: string, to: string): Buffer =>
      tamper(archive, (tar) => {
        const changed = Buffer.from(tar)
        changed.write(to, changed.indexOf(from))
        return changed
      })
    expect(await refusal(change('[1]\n[2]', '[1]\n[3]'))).to.equal(
      'database/a/000000.jsonl is not what was written: its SHA-256 differs',
    )
    expect(await refusal(change('"serverName": "a.org"', '"serverName": "b.org"'))).to.equal(
      'backup.json is not what was written: its SHA-256 differs',
    )
    expect(await refusal(change('"path":"media/empty"', '"path":"media/emptx"'))).to.equal(
      'media/emptx is missing',
    )
    expect(await refusal(change('"members": 4', '"members": 3'))).to.equal(
      'The lists of the archive are not those that were written',
    )
  })

  it('are refused when they are something else', async () => {
    for (const bytes of [
      Buffer.from('hello'),
      Buffer.alloc(0),
      gzipSync('hello'),
      gzipSync(Buffer.alloc(10_240)),
    ]) {
      expect(await refusal(bytes)).to.be.oneOf(['This is no backup of mxhs', 'The archive ends too early'])
    }
    expect(await refusal(await write([], { header: { format: 2 } }))).to.equal(
      'The archive has the format 2: a newer version of mxhs can read it',
    )
    expect(await refusal(await write([], { header: { createdTs: 'now' } }))).to.equal(
      'backup.json is damaged',
    )
  })

  it('tell whoever writes that nobody takes any more', async () => {
    const target = new Writable({
      write: (_chunk, _encoding, done) => done(Object.assign(new Error('gone'), { code: 'EPIPE' })),
    })
    const archive = await ArchiveWriter.create(target, { level: 0, modifiedTs: 0 })
    await archive.begin(HEADER)
    const work = async (): Promise<void> => {
      for (;;) await archive.add('media/a', randomBytes(100_000))
    }
    expect(await rejection(work())).to.include({ code: 'EPIPE' })
  })

  it('take only members that are as long as they are said to be', async () => {
    for (const size of [4, 6]) {
      const archive = await ArchiveWriter.create(new PassThrough().resume(), { level: 0, modifiedTs: 0 })
      await archive.begin(HEADER)
      const content = { size, stream: Readable.from([Buffer.from('12345')]) }
      expect(((await rejection(archive.add('media/a', content))) as Error).message).to.equal(
        'A file is not as long as it was a moment ago',
      )
      await archive.abort(new Error('over'))
    }
  })
})

import { createHash } from 'node:crypto'
import { existsSync, type Dirent } from 'node:fs'
import { readdir, rm, utimes, writeFile, mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect } from 'chai'
import type { ServerName, UserId } from '../../../src/protocol/ids.js'
import { parseMxcUri, type MxcUri } from '../../../src/protocol/mxc-uri.js'
import { createMediaTools, type MediaUsage } from '../../../src/server/media-shelf.js'
import { openDatabase } from '../../../src/storage/open-database.js'
import { silentLogger } from '../../../src/telemetry/logger.js'
import { systemClock } from '../../../src/util/clock.js'
import type { JsonObject } from '../../../src/util/json.js'
import { quietContext } from '../../support/databases.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { ManualClock } from '../../support/manual-clock.js'
import type { MatrixClient } from '../../support/matrix-client.js'
import { downloadFile, fetchThumbnail, uploadFile, uriIn } from '../../support/media-client.js'
import { picture } from '../../support/pictures.js'
import { rejection } from '../../support/rejection.js'

const HOUR_MS = 60 * 60_000

function idOf(uri: string): MxcUri {
  return parseMxcUri(uri)!
}

forEachServerDatabase('upkeep of files', (database) => {
  let server: TestHomeserver
  let alice: MatrixClient
  let admin: MatrixClient

  beforeEach(async () => {
    server = await startHomeserver({ database })
    alice = await server.register('alice')
    admin = await server.register('admin', { isAdmin: true })
  })
  afterEach(() => server[Symbol.asyncDispose]())

  function statusOf(uri: string, query = ''): Promise<number> {
    return downloadFile(alice, uri, { query }).then(({ status }) => status)
  }

  it('puts files into quarantine by their content, and takes them out', async () => {
    const { mediaQuarantine } = server.server.services
    const [first, second, other] = [
      await uploadFile(alice, 'bad'),
      await uploadFile(admin, 'bad'),
      await uploadFile(alice, 'good'),
    ]
    expect(await mediaQuarantine.quarantine([idOf(first)], admin.userId)).to.equal(2)
    expect([await statusOf(first), await statusOf(second), await statusOf(other)]).to.deep.equal([
      404, 404, 200,
    ])
    // What comes later and is equal is in it too.
    expect(await statusOf(await uploadFile(alice, 'bad'))).to.equal(404)
    const created = await alice.must('POST', '/_matrix/media/v1/create')
    const announced = uriIn(created)
    await alice.must('PUT', announced.replace('mxc:/', '/_matrix/media/v3/upload'), { rawBody: 'bad' })
    expect(await statusOf(announced)).to.equal(404)

    const bypass = '?admin_unsafely_bypass_quarantine=true'
    expect(await statusOf(first, bypass)).to.equal(404)
    expect((await downloadFile(admin, first, { query: bypass })).status).to.equal(200)
    expect(await mediaQuarantine.release([idOf(second)])).to.equal(4)
    expect([await statusOf(first), await statusOf(announced)]).to.deep.equal([200, 200])
  })

  it('spares what is protected', async () => {
    const { mediaQuarantine } = server.server.services
    const uri = await uploadFile(alice, 'an emblem')
    const bad = await uploadFile(alice, 'bad')
    await mediaQuarantine.setProtected(idOf(uri), true)
    expect(await mediaQuarantine.quarantineUser(alice.userId as UserId, admin.userId as UserId)).to.equal(1)
    expect([await statusOf(uri), await statusOf(bad)]).to.deep.equal([200, 404])
    // Protection takes it out.
    await mediaQuarantine.setProtected(idOf(bad), true)
    expect(await statusOf(bad)).to.equal(200)
    const unknown = { serverName: 'hs.test' as ServerName, mediaId: 'unknown' }
    expect(await rejection(mediaQuarantine.setProtected(unknown, true))).to.have.property(
      'errcode',
      'M_NOT_FOUND',
    )
  })

  it('finds the files of a room', async () => {
    const { mediaQuarantine } = server.server.services
    const roomId = await alice.createRoom()
    const [image, thumbnail, elsewhere] = [
      await uploadFile(alice, '1'),
      await uploadFile(alice, '2'),
      await uploadFile(alice, '3'),
    ]
    const content = { msgtype: 'm.image', body: 'i', url: image, info: { thumbnail_url: thumbnail } }
    await alice.sendEvent(roomId, 'm.room.message', content)
    await alice.sendEvent(roomId, 'm.room.message', {
      msgtype: 'm.file',
      body: 'f',
      url: 'https://example.org/',
    })
    expect(await mediaQuarantine.quarantineRoom(roomId as never, admin.userId as UserId)).to.equal(2)
    expect([await statusOf(image), await statusOf(thumbnail), await statusOf(elsewhere)]).to.deep.equal([
      404, 404, 200,
    ])
  })

  it('deletes files, and their content with the last of them', async () => {
    const { mediaDeletion } = server.server.services
    const png = await picture('png', 900, 450)
    const [first, second] = [await uploadFile(alice, png), await uploadFile(admin, png)]
    await fetchThumbnail(alice, first, 'width=32&height=32&method=crop')
    expect(await filesOf(server)).to.have.length(2)
    await mediaDeletion.delete([idOf(first)])
    expect([await statusOf(first), await statusOf(second)]).to.deep.equal([404, 200])
    await mediaDeletion.delete([idOf(second), idOf(first)])
    expect(await filesOf(server)).to.deep.equal([])
    expect((await fetchThumbnail(alice, second, 'width=32&height=32&method=crop')).status).to.equal(404)
  })

  it('deletes what a user has uploaded, and what is old and large, but for profiles', async () => {
    const { mediaDeletion } = server.server.services
    const mine = [await uploadFile(alice, 'a'), await uploadFile(alice, 'b')]
    const avatar = await uploadFile(admin, 'avatar'.repeat(100))
    const large = await uploadFile(admin, 'large'.repeat(100))
    const small = await uploadFile(admin, 'small')
    await admin.must('PUT', `/_matrix/client/v3/profile/${admin.userId}/avatar_url`, {
      body: { avatar_url: avatar },
    })
    expect(await mediaDeletion.deleteOfUser(alice.userId as UserId)).to.have.members(mine)
    const accessedBefore = Date.now() + 1000
    expect(await mediaDeletion.deleteLocal({ accessedBefore: 0, sparesLasting: false })).to.deep.equal([])
    const options = { accessedBefore, largerThan: 100, sparesLasting: true }
    expect(await mediaDeletion.deleteLocal(options)).to.deep.equal([large])
    expect([await statusOf(avatar), await statusOf(small)]).to.deep.equal([200, 200])
  })

  it('spares pictures of people and rooms, and what else stays in sight', async () => {
    const names = ['profile', 'member', 'room', 'sticker', 'noted', 'banner', 'message'] as const
    const uris = {} as Record<(typeof names)[number], string>
    for (const name of names) uris[name] = await uploadFile(alice, name)
    const user = `/_matrix/client/v3/user/${alice.userId}`
    const roomId = await alice.createRoom()
    const state = (type: string, key: string, body: JsonObject) =>
      alice.must('PUT', `/_matrix/client/v3/rooms/${roomId}/state/${type}/${key}`, { body })
    await state('m.room.avatar', '', { url: uris.room })
    await state('im.ponies.room_emotes', 'pack', { images: { cat: { url: uris.sticker } } })
    await alice.must('PUT', `${user}/account_data/im.ponies.user_emotes`, {
      body: { images: { dog: { url: uris.noted } } },
    })
    await state('m.room.member', alice.userId, { membership: 'join', avatar_url: uris.member })
    const profile = `/_matrix/client/v3/profile/${admin.userId}`
    await admin.must('PUT', `${profile}/avatar_url`, { body: { avatar_url: uris.profile } })
    await admin.must('PUT', `${profile}/org.example.banner`, { body: { 'org.example.banner': uris.banner } })
    await alice.sendEvent(roomId, 'm.room.message', { msgtype: 'm.file', body: 'f', url: uris.message })
    const { mediaDeletion } = server.server.services
    const accessedBefore = Date.now() + 1000
    expect(await mediaDeletion.deleteLocal({ accessedBefore, sparesLasting: true })).to.deep.equal([
      uris.message,
    ])
    const rest = await mediaDeletion.deleteLocal({ accessedBefore, sparesLasting: false })
    expect(rest).to.have.length(names.length - 1)
  })

  it('checks files against rows', async () => {
    const { storePath } = server.config.media
    const [kept, lost] = [await uploadFile(alice, 'kept'), await uploadFile(alice, 'lost')]
    const image = await uploadFile(alice, await picture('png', 900, 450))
    await fetchThumbnail(alice, image, 'width=32&height=32&method=crop')
    const [orphan, unfinished] = [join(storePath, 'content/00/11/0011'), join(storePath, 'incoming/abc')]
    await mkdir(dirname(orphan), { recursive: true })
    await writeFile(orphan, 'left behind')
    await writeFile(unfinished, 'half')
    for (const path of [orphan, unfinished]) await utimes(path, 1, 1)
    for (const path of await filesOf(server)) {
      if (path.includes(sha256Of('lost'))) await rm(join(storePath, path))
    }
    await withTools(server, async ({ check, usage }) => {
      const report = await check.run({ fix: false })
      expect(report).to.deep.include({
        files: 2,
        lost: [`content/${pathOf(sha256Of('lost'))}`],
        unfinished: 1,
        uncopied: [],
      })
      expect(report.orphans.map(({ key }) => key)).to.deep.equal(['content/00/11/0011'])
      await check.run({ fix: true })
      expect(await check.run({ fix: true, graceMs: 0 })).to.deep.include({
        files: 2,
        lost: [],
        orphans: [],
        unfinished: 0,
      })
      const use: MediaUsage = await usage(10)
      expect(use.stored.files).to.equal(2)
      expect(use.byUser.map(({ name, files }) => [name, files])).to.deep.equal([[alice.userId, 2]])
    })
    expect([await statusOf(kept), await statusOf(lost)]).to.deep.equal([200, 404])
    expect((await fetchThumbnail(alice, image, 'width=32&height=32&method=crop')).status).to.equal(200)
  })
})

describe('files that nobody asks for', () => {
  it('go after the time that the configuration gives them', async () => {
    const clock = new ManualClock()
    await using server = await startHomeserver({
      clock,
      config: { media_retention: { local_media_lifetime: '100h' }, unused_expiration_time: '1h' },
    })
    const alice = await server.register('alice')
    const [idle, asked] = [await uploadFile(alice, 'idle'), await uploadFile(alice, 'asked for')]
    const created = await alice.must('POST', '/_matrix/media/v1/create')
    await clock.advanceAsync(60 * HOUR_MS)
    expect((await downloadFile(alice, asked)).status).to.equal(200)
    await clock.advanceAsync(41 * HOUR_MS)
    // The chore comes round every hour, and takes some turns at the database. A write of our own with every step keeps the
    // clock from running ahead of it, however slow the machine is: past the time of the other file, that would go too.
    const note = `/_matrix/client/v3/user/${alice.userId}/account_data/org.example.step`
    for (let step = 0; step < 300 && (await filesOf(server)).length > 1; step++) {
      await alice.must('PUT', note, { body: { step } })
      await clock.advanceAsync(10 * 60_000)
    }
    expect(await filesOf(server)).to.have.length(1)
    expect((await downloadFile(alice, asked)).status).to.equal(200)
    expect((await downloadFile(alice, idle)).status).to.equal(404)
    const path = uriIn(created).replace('mxc:/', '/_matrix/media/v3/upload')
    const late = await alice.request('PUT', path, { rawBody: 'too late' })
    expect([late.status, late.body['errcode']]).to.deep.equal([404, 'M_NOT_FOUND'])
  })
})

describe('what users may upload', () => {
  it('is so much within some time', async () => {
    const clock = new ManualClock()
    await using server = await startHomeserver({
      clock,
      config: {
        media_upload_limits: [
          { time_period: '1h', max_size: 10 },
          { time_period: '1d', max_size: 15 },
        ],
      },
    })
    const alice = await server.register('alice')
    const bob = await server.register('bob')
    const upload = async (client: MatrixClient, size: number) => {
      const { status, body } = await client.request('POST', '/_matrix/media/v3/upload', {
        rawBody: Buffer.alloc(size),
      })
      return status === 200 ? status : [status, body['errcode']]
    }
    expect(await upload(alice, 8)).to.equal(200)
    expect(await upload(alice, 3)).to.deep.equal([403, 'M_FORBIDDEN'])
    expect(await upload(bob, 3)).to.equal(200)
    clock.advance(61 * 60_000)
    expect(await upload(alice, 7)).to.equal(200)
    expect(await upload(alice, 1)).to.deep.equal([403, 'M_FORBIDDEN'])
  })
})

describe('what users may upload and can read about', () => {
  it('says where, and whether that helps', async () => {
    const limit = { time_period: '1h', max_size: 5, info_uri: 'https://hs.test/storage', can_upgrade: true }
    await using server = await startHomeserver({ config: { media_upload_limits: [limit] } })
    const alice = await server.register('alice')
    const { status, body } = await alice.request('POST', '/_matrix/media/v3/upload', { rawBody: 'too much' })
    expect(status).to.equal(403)
    expect(body).to.include({
      errcode: 'M_USER_LIMIT_EXCEEDED',
      info_uri: 'https://hs.test/storage',
      can_upgrade: true,
    })
  })
})

describe('what users may do at the same time', () => {
  it('is no more than one after the other', async () => {
    await using server = await startHomeserver({
      config: { media_upload_limits: [{ time_period: '1h', max_size: 100 }], max_pending_media_uploads: 3 },
    })
    const alice = await server.register('alice')
    const uploads = await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        alice.request('POST', '/_matrix/media/v3/upload', { rawBody: Buffer.alloc(30, index) }),
      ),
    )
    expect(uploads.filter(({ status }) => status === 200)).to.have.length(3)
    expect(await filesOf(server)).to.have.length(3)
    const created = await Promise.all(
      Array.from({ length: 8 }, () => alice.request('POST', '/_matrix/media/v1/create')),
    )
    expect(created.filter(({ status }) => status === 200)).to.have.length(3)
  })

  it('gives an announced file its content once', async () => {
    await using server = await startHomeserver()
    const alice = await server.register('alice')
    const uri = uriIn(await alice.must('POST', '/_matrix/media/v1/create'))
    const path = uri.replace('mxc:/', '/_matrix/media/v3/upload')
    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, index) => alice.request('PUT', path, { rawBody: `content ${index}` })),
    )
    expect(answers.map(({ status }) => status).sort()).to.deep.equal([200, 409, 409, 409, 409, 409])
    const winner = answers.findIndex(({ status }) => status === 200)
    expect((await downloadFile(alice, uri)).bytes.toString()).to.equal(`content ${winner}`)
    expect(await filesOf(server)).to.have.length(1)
  })
})

/** Paths below the store, without those on their way. */
async function filesOf(server: TestHomeserver): Promise<string[]> {
  const { storePath } = server.config.media
  const entries = await entriesOf(storePath)
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(storePath.length + 1))
}

/** All that is below a directory; nothing where there is none. */
async function entriesOf(path: string): Promise<Dirent[]> {
  for (;;) {
    try {
      return await readdir(path, { recursive: true, withFileTypes: true })
    } catch (error) {
      // A directory below may vanish while it is looked through: once more then.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      if (!existsSync(path)) return []
    }
  }
}

async function withTools(
  server: TestHomeserver,
  work: (tools: ReturnType<typeof createMediaTools>) => Promise<void>,
): Promise<void> {
  const db = await openDatabase(server.config.database, quietContext())
  try {
    await work(createMediaTools({ config: server.config, db, clock: systemClock, logger: silentLogger() }))
  } finally {
    await db.close()
  }
}

function pathOf(sha256: string): string {
  return `${sha256.slice(0, 2)}/${sha256.slice(2, 4)}/${sha256}`
}

function sha256Of(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { captureOutput } from '@oclif/test'
import { expect } from 'chai'
import BackupCommand from '../../../commands/backup/index.js'
import BackupKeygen from '../../../commands/backup/keygen.js'
import BackupVerify from '../../../commands/backup/verify.js'
import RestoreCommand from '../../../commands/restore.js'
import { writeBackup } from '../../../src/cli/backup.js'
import { createDeferred } from '../../../src/util/deferred.js'
import { builtProgram } from '../../support/built-program.js'
import { runCommand } from '../../support/commands.js'
import { expectCommandJson } from '../../support/command-schemas.js'
import type { DatabaseKind } from '../../support/databases.js'
import { EncryptingDevice } from '../../support/encryption.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { MatrixClient, dig, eventsAt } from '../../support/matrix-client.js'
import { mediaPath, uploadFile } from '../../support/media-client.js'
import {
  createEmptyPostgres,
  hasTable,
  startConfigured,
  urlOf,
  writeServerConfig,
} from '../../support/restored-server.js'
import { useScratch } from '../../support/scratch.js'
import { rejection } from '../../support/rejection.js'
import { untilAsync } from '../../support/sdk-clients.js'

const KEYS = '/_matrix/client/v3/keys'

interface Household {
  readonly alice: MatrixClient
  readonly bob: MatrixClient
  readonly roomId: string
  readonly mxc: string
  /** Of bob, before anything that was sent to him. */
  readonly since: string
}

/** People with a room, a file, keys for encryption, and a message that waits for a device. */
async function furnish(server: TestHomeserver, alice: MatrixClient): Promise<Household> {
  const bob = await server.register('bob')
  const roomId = await alice.createRoom({ preset: 'public_chat', name: 'Backed up — sauvegardé 🗄' })
  await bob.join(roomId)
  const since = await bob.syncToken()
  const mxc = await uploadFile(alice, 'the content of a file', { type: 'text/plain' })
  const device = new EncryptingDevice({ userId: bob.userId, deviceId: bob.deviceId })
  await bob.must('POST', `${KEYS}/upload`, {
    body: {
      device_keys: device.deviceKeys,
      one_time_keys: device.oneTimeKeys(['a', 'b', 'c']),
      fallback_keys: device.oneTimeKeys(['f'], { fallback: true }),
    },
  })
  await alice.must('PUT', '/_matrix/client/v3/sendToDevice/m.test/1', {
    body: { messages: { [bob.userId]: { [bob.deviceId]: { secret: 'for one device' } } } },
  })
  return { alice, bob, roomId, mxc, since }
}

/** What somebody who has logged in before the backup finds on the server that was put back. */
async function expectRestored(
  url: string,
  { alice, bob, roomId, mxc, since }: Household,
  sent: readonly string[],
) {
  const [aliceThere, bobThere] = [alice, bob].map(
    ({ userId, deviceId, accessToken }) => new MatrixClient(url, { userId, deviceId, accessToken }),
  )
  const messages = await aliceThere!.messages(roomId, { dir: 'b', limit: 1000 })
  const ids = new Set(eventsAt(messages, 'chunk').map((event) => event['event_id']))
  expect(sent.filter((id) => !ids.has(id))).to.deep.equal([])
  expect(await aliceThere!.state(roomId, 'm.room.name')).to.deep.equal({ name: 'Backed up — sauvegardé 🗄' })

  const synced = await bobThere!.sync({ since })
  expect(eventsAt(synced, 'to_device', 'events').map(({ content }) => content)).to.deep.equal([
    { secret: 'for one device' },
  ])
  expect(dig(synced, 'device_one_time_keys_count', 'signed_curve25519') ?? 0).to.equal(0)
  expect(synced['device_unused_fallback_key_types']).to.deep.equal([])
  const claim = { one_time_keys: { [bob.userId]: { [bob.deviceId]: 'signed_curve25519' } } }
  const claimed = await aliceThere!.must('POST', `${KEYS}/claim`, { body: claim })
  const keys = dig(claimed, 'one_time_keys', bob.userId, bob.deviceId) as Record<string, unknown>
  expect(Object.keys(keys)).to.deep.equal(['signed_curve25519:f'])

  const path = mediaPath('/_matrix/client/v1/media/download', mxc)
  expect((await bobThere!.request('GET', path)).text).to.equal('the content of a file')

  const eventId = await aliceThere!.sendText(roomId, 'after')
  const next = await bobThere!.sync({ since: synced['next_batch'] as string })
  expect(
    eventsAt(next, 'rooms', 'join', roomId, 'timeline', 'events').map((event) => event['event_id']),
  ).to.deep.equal([eventId])
}

/** Sends for as long as something else lasts; gives the IDs of what was acknowledged before that began. */
async function whileSending<T>(
  household: Household,
  work: () => Promise<T>,
): Promise<{ result: T; sent: string[] }> {
  const { alice, bob, roomId } = household
  const acknowledged: string[] = []
  const enough = createDeferred()
  let isOver = false
  const senders = [alice, bob].map(async (client) => {
    while (!isOver) {
      acknowledged.push(await client.sendText(roomId, `${acknowledged.length}`))
      if (acknowledged.length === 20) enough.resolve()
    }
  })
  await Promise.race([enough.promise, Promise.all(senders)])
  const sent = [...acknowledged]
  try {
    return { result: await work(), sent }
  } finally {
    isOver = true
    await Promise.all(senders)
  }
}

forEachServerDatabase('mxhs backup', (database) => {
  const scratch = useScratch()
  let server: TestHomeserver
  beforeEach(async () => {
    server = await startHomeserver({ database })
  })
  afterEach(() => server[Symbol.asyncDispose]())

  it('carries a server that is in use to a new place, on either database', async function () {
    this.timeout(120_000)
    const household = await furnish(server, await server.register('alice'))
    const config = writeServerConfig(scratch, server)
    const path = scratch.path('a.tar.gz')
    const { result, sent } = await whileSending(household, () =>
      runCommand(BackupCommand, '-c', config, '-o', path, '--json'),
    )
    expect(result.exitCode, result.stderr).to.equal(0)
    expect(expectCommandJson('backup', result.stdout)).to.deep.include({
      path,
      engine: database,
      sealedTo: [],
    })
    expectCommandJson('backup-verify', (await runCommand(BackupVerify, path, '--json')).stdout)
    for (const kind of ['sqlite', 'postgres'] as const) await restoreTo(kind, path, { household, sent })
  })

  async function restoreTo(
    kind: DatabaseKind,
    path: string,
    { household, sent }: { household: Household; sent: readonly string[] },
  ): Promise<void> {
    const directory = scratch.path(kind)
    const postgres = kind === 'postgres' ? await createEmptyPostgres() : undefined
    const target = postgres === undefined ? join(directory, 'new.db') : postgres.url
    const { stdout, stderr, exitCode } = await runCommand(
      RestoreCommand,
      ...['-d', directory, '--database', target, path, '--json'],
    )
    expect(exitCode, stderr + stdout).to.equal(0)
    expect(expectCommandJson('restore', stdout)).to.deep.include({
      start: [join(directory, 'homeserver.yaml')],
      media: { files: 1, lost: [], refetched: 0 },
      removed: { oneTimeKeys: 3, fallbackKeys: 1, tokens: 0, connections: 0 },
    })
    const restored = await startConfigured(join(directory, 'homeserver.yaml'))
    try {
      await expectRestored(urlOf(restored), household, sent)
    } finally {
      await restored.stop()
      await postgres?.remove()
    }
  }
})

describe('mxhs restore', () => {
  const scratch = useScratch()
  let server: TestHomeserver
  let archive: string
  beforeEach(async () => {
    server = await startHomeserver()
    await uploadFile(await server.register('alice'), 'first')
    archive = scratch.path('a.tar.gz')
    await backup('-o', archive, '--manifest', scratch.path('a.manifest'))
  })
  afterEach(() => server[Symbol.asyncDispose]())

  async function backup(...argv: string[]): Promise<void> {
    const { exitCode, stderr } = await runCommand(
      BackupCommand,
      '-c',
      writeServerConfig(scratch, server),
      ...argv,
    )
    expect(exitCode, stderr).to.equal(0)
  }

  async function refused(...argv: string[]): Promise<string> {
    const { exitCode, stderr } = await runCommand(RestoreCommand, ...argv)
    expect(exitCode).to.equal(1)
    expect(stderr).to.match(/^(?:.*rows.*\n|.*files.*\n)*error: /)
    return stderr.slice(stderr.indexOf('error: '))
  }

  it('overwrites nothing', async () => {
    const directory = scratch.path('there')
    expect((await runCommand(RestoreCommand, '-d', directory, archive)).exitCode).to.equal(0)
    const before = readdirSync(directory).sort()
    expect(await refused('-d', directory, archive)).to.equal(
      `error: There is something in ${directory} already\n`,
    )
    const database = join(directory, 'homeserver.db')
    expect(await refused('-d', scratch.path('new'), '--database', database, archive)).to.contain(
      `${database} exists already`,
    )
    expect(await refused('-c', join(directory, 'homeserver.yaml'), archive)).to.contain(
      `${database} exists already`,
    )
    expect(readdirSync(directory).sort()).to.deep.equal(before)
    expect(readdirSync(scratch.directory)).not.to.include('new')
    const again = await runCommand(BackupCommand, '-c', writeServerConfig(scratch, server), '-o', archive)
    expect(again).to.include({
      exitCode: 1,
      stderr: `error: ${archive} exists already and has been left as it is\n`,
    })
  })

  it('leaves nothing of an archive that is not whole', async () => {
    const bytes = readFileSync(archive)
    for (const part of [0.2, 0.7, 0.99]) {
      const cut = scratch.path('cut.tar.gz')
      writeFileSync(cut, bytes.subarray(0, Math.floor(bytes.length * part)))
      expect(await refused('-d', scratch.path('new'), cut)).to.equal('error: The archive ends too early\n')
      expect((await runCommand(BackupVerify, cut)).exitCode).to.equal(1)
    }
    expect(readdirSync(scratch.directory)).not.to.include('new')
  })

  it('says when a file of an earlier archive is needed, and takes it from there', async () => {
    await uploadFile(await server.login('alice'), 'second')
    for (const earlier of ['a.tar.gz', 'a.manifest']) {
      const next = scratch.path(`${earlier}.next`)
      const { stdout } = await runCommand(
        BackupCommand,
        ...[
          '-c',
          writeServerConfig(scratch, server),
          '-o',
          next,
          '--media-since',
          scratch.path(earlier),
          '--json',
        ],
      )
      expect(expectCommandJson('backup', stdout)).to.have.deep.property('media', {
        files: 1,
        bytes: 6,
        elsewhere: 1,
        lost: [],
        damaged: [],
      })
      expect(await refused('-d', scratch.path('new'), next)).to.match(
        /^error: 1 files are in earlier archives/,
      )
      const directory = scratch.path(`from ${earlier}`)
      const restored = await runCommand(RestoreCommand, '-d', directory, '--earlier', archive, next, '--json')
      expect(JSON.parse(restored.stdout)).to.have.deep.property('media', { files: 2, lost: [], refetched: 0 })
    }
  })

  it('puts data alone to where a configuration says', async () => {
    const household = await furnish(server, await server.login('alice'))
    const path = scratch.path('alone.tar.gz')
    await backup('-o', path)
    const config = writeServerConfig(scratch, server, {
      database: { name: 'sqlite3', args: { database: scratch.path('new.db') } },
      media_store_path: scratch.path('media'),
    })
    const { stdout, exitCode } = await runCommand(RestoreCommand, '-c', config, path)
    expect(exitCode).to.equal(0)
    expect(stdout).to.contain(`Start it with: mxhs start -c ${config}\n`)
    const restored = await startConfigured(config)
    try {
      await expectRestored(urlOf(restored), household, [])
    } finally {
      await restored.stop()
    }
  })

  it('finds no half archive of a backup that was interrupted', async () => {
    const interrupted = new AbortController()
    const request = {
      paths: [writeServerConfig(scratch, server)],
      output: scratch.path('b.tar.gz'),
      manifest: scratch.path('b.manifest'),
      publicKeys: [],
      media: 'all' as const,
      mediaSince: undefined,
      keyFiles: [],
      level: 0,
      signal: interrupted.signal,
    }
    const { error } = await captureOutput(() => {
      const work = writeBackup(request)
      interrupted.abort(new Error('Enough'))
      return work
    })
    expect(error).to.have.property('message', 'Enough')
    expect(readdirSync(scratch.directory).filter((name) => name.startsWith('b'))).to.deep.equal([])
  })

  it('begins anew where it was killed, and no server starts before that', async function () {
    this.timeout(120_000)
    const postgres = await createEmptyPostgres()
    const directory = scratch.path('new')
    const argv = ['-d', directory, '--database', postgres.url]
    const child = spawn(process.execPath, [builtProgram(), 'restore', ...argv, '--input', '-'], {
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    const bytes = readFileSync(archive)
    child.stdin.on('error', () => undefined).write(bytes.subarray(0, Math.floor(bytes.length * 0.7)))
    await untilAsync(async () => hasTable(postgres.url, 'restore_unfinished'))
    child.kill('SIGKILL')
    await once(child, 'close')
    expect(readdirSync(directory)).to.include('.mxhs-restoring')
    const refusal = await rejection(startConfigured(join(directory, 'homeserver.yaml')))
    expect(refusal).to.have.property('name', 'UnfinishedRestoreError')
    const { exitCode, stderr } = await runCommand(RestoreCommand, ...argv, archive)
    expect(exitCode, stderr).to.equal(0)
    expect(readdirSync(directory)).not.to.include('.mxhs-restoring')
    await (await startConfigured(join(directory, 'homeserver.yaml'))).stop()
    await postgres.remove()
  })

  it('begins anew where it was killed before it had made anything', async () => {
    const directory = scratch.path('new')
    mkdirSync(directory)
    writeFileSync(join(directory, '.mxhs-restoring'), '["')
    const { exitCode, stderr } = await runCommand(RestoreCommand, '-d', directory, archive)
    expect(exitCode, stderr).to.equal(0)
    expect(readdirSync(directory)).not.to.include('.mxhs-restoring')
  })

  it('is called in one way alone', async () => {
    for (const argv of [
      [],
      [archive],
      ['-d', scratch.path('new')],
      ['-d', scratch.path('new'), '-i', archive, archive],
      ['-d', scratch.path('new'), '-c', 'a.yaml', archive],
    ]) {
      expect((await runCommand(RestoreCommand, ...argv)).exitCode, argv.join(' ')).to.equal(2)
    }
    expect(await refused('-d', scratch.path('new'), scratch.path('none'))).to.contain('there is no such file')
  })
})

describe('mxhs backup in a pipeline', function () {
  this.timeout(120_000)
  const scratch = useScratch()
  let server: TestHomeserver
  beforeEach(async () => {
    server = await startHomeserver()
  })
  afterEach(() => server[Symbol.asyncDispose]())

  it('goes sealed from a running server to where it is put back', async () => {
    const household = await furnish(server, await server.register('alice'))
    const config = writeServerConfig(scratch, server)
    const key = scratch.path('backup.key')
    const made = expectCommandJson(
      'backup-keygen',
      (await runCommand(BackupKeygen, '-o', key, '--json')).stdout,
    )
    const { publicKey } = made as { publicKey: string }
    const directory = scratch.path('new')
    const { stdout, exitCode, stderr } = await runShell(
      `mxhs backup -c ${config} --encrypt-to ${publicKey} -o - | mxhs restore -d ${directory} --key ${key} --input - --json`,
    )
    expect(exitCode, stderr).to.equal(0)
    expect(expectCommandJson('restore', stdout)).to.have.property('serverName', 'hs.test')
    const restored = await startConfigured(join(directory, 'homeserver.yaml'))
    try {
      await expectRestored(urlOf(restored), household, [])
    } finally {
      await restored.stop()
    }
  })

  it('is read with the key that it was sealed to, and no other', async () => {
    await server.register('alice')
    const [key, other] = [scratch.path('a.key'), scratch.path('b.key')]
    const publicKey = (await runCommand(BackupKeygen, '-o', key)).stdout.trim()
    await runCommand(BackupKeygen, '-o', other)
    const archive = scratch.path('a.sealed')
    const config = writeServerConfig(scratch, server)
    await runCommand(BackupCommand, '-c', config, '-o', archive, '--encrypt-to', publicKey)
    expect((await runCommand(BackupVerify, '--key', key, archive)).exitCode).to.equal(0)
    for (const [argv, reason] of [
      [['--key', other], `The key does not fit: the archive is sealed to ${publicKey}`],
      [[], `The archive is sealed: give the secret key of ${publicKey}`],
    ] as const) {
      const { exitCode, stderr } = await runCommand(BackupVerify, ...argv, archive)
      expect(exitCode).to.equal(1)
      expect(stderr).to.contain(`error: ${reason}\n`)
    }
    const wrong = await runCommand(BackupCommand, '-c', config, '-o', scratch.path('b'), '--encrypt-to', 'x')
    expect(wrong.stderr).to.contain('This is no public key of backups')
    expect(readdirSync(scratch.directory).filter((name) => name.startsWith('b.'))).to.deep.equal(['b.key'])
  })

  it('says so when nobody takes the archive', async () => {
    await server.register('alice')
    await uploadFile(await server.login('alice'), randomBytes(2_000_000))
    const config = writeServerConfig(scratch, server)
    const { stderr } = await runShell(
      `(mxhs backup -c ${config} -o -; echo "code $?" >&2) | head -c 100 > /dev/null`,
    )
    expect(stderr).to.contain('error: Whoever was to take the archive has gone\ncode 1\n')
  })
})

/** A line of the shell, in which `mxhs` is the program. */
async function runShell(line: string): Promise<{ stdout: string; stderr: string; exitCode: number }> {
  const script = `mxhs() { "${process.execPath}" "${builtProgram()}" "$@"; }\n${line}`
  const child = spawn('sh', ['-c', script], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] },
  })
  const [stdout, stderr, [exitCode]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number]>,
  ])
  return { stdout, stderr, exitCode }
}

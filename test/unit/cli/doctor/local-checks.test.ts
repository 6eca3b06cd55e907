import { chmodSync, existsSync, mkdirSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { expect } from 'chai'
import { checkConfiguration } from '../../../../src/cli/doctor/check-configuration.js'
import { assessFileSystem, assessRoom, checkDisk } from '../../../../src/cli/doctor/check-disk.js'
import { checkFiles } from '../../../../src/cli/doctor/check-files.js'
import { checkKeys } from '../../../../src/cli/doctor/check-keys.js'
import { doctorContext, findings } from '../../../support/doctor-context.js'
import { useScratch } from '../../../support/scratch.js'

const CLIENTS = [{ names: ['client'] }]
const KEY = `ed25519 a_test ${'A'.repeat(43)}`

describe('checks of what is on this machine', () => {
  const scratch = useScratch()

  describe('configuration', () => {
    const look = async (keys: object): Promise<string[]> =>
      findings(checkConfiguration, await doctorContext(keys))
    const fine = { listeners: [{ port: 8008, bind_addresses: ['127.0.0.1'], resources: CLIENTS }] }

    it('has nothing to say of a good one', async () => {
      expect(await look(fine)).to.deep.equal(['ok: the configuration of example.org can be used'])
      const [first, second] = await look({ ...fine, daemonize: true })
      expect(first).to.match(/^ok/)
      expect(second).to.match(/^info: .*daemonize: has no effect/)
    })

    it('warns of what is not served, of URLs without TLS, and of listeners for nobody or for everybody', async () => {
      const replicating = [{ ...fine.listeners[0], resources: [{ names: ['client', 'replication'] }] }]
      expect((await look({ listeners: replicating }))[0]).to.match(/^warning: .*replication is not served/)
      expect(await look({ ...fine, public_baseurl: 'http://a.org' })).to.deep.equal([
        'warning: public_baseurl is http://a.org/, without TLS',
      ])
      expect(
        (await look({ listeners: [{ port: 1, resources: [{ names: ['federation'] }] }] })).at(-1),
      ).to.equal('error: no listener serves clients')
      const open = { port: 8008, resources: CLIENTS }
      expect((await look({ listeners: [open] })).at(-1)).to.equal(
        'info: listener 8008 takes requests without TLS from other machines',
      )
      expect((await look({ listeners: [{ ...open, x_forwarded: true }] })).at(-1)).to.contain(
        'believes X-Forwarded-For',
      )
    })
  })

  describe('files', () => {
    it('finds what others can read, and closes it', async () => {
      const file = scratch.write('homeserver.yaml', 'server_name: a.org\nform_secret: x\n')
      const plain = scratch.write('plain.yaml', 'pid_file: x\nform_secret_path: /x\n')
      const key = scratch.write('key', KEY)
      const database = scratch.write('a.db', '')
      for (const path of [file, plain, key, database]) chmodSync(path, 0o644)
      const keys = {
        signing_key_path: key,
        database: { name: 'sqlite3', args: { database } },
        media_store_path: scratch.path('media'),
      }
      const context = await doctorContext(keys, { files: [file, plain] })
      const found = await checkFiles.run(context)
      expect(found.map(({ level, cure }) => [level, cure])).to.deep.equal(
        [file, key, database].map((path) => ['error', `chmod 640 ${path}`]),
      )
      expect(await found[1]?.mend?.()).to.equal(`${key} has mode 640 now`)
      await found[0]?.mend?.()
      await found[2]?.mend?.()
      expect(statSync(key).mode & 0o777).to.equal(0o640)
      expect(await findings(checkFiles, context)).to.deep.equal([
        'ok: files can be read and written by whom they should',
      ])
    })

    it('finds what processes have left behind, and removes it', async () => {
      const pidFile = scratch.write('pid', '999999999\n')
      const socket = scratch.path('mxhs.sock')
      const upload = scratch.path('media/incoming/x')
      mkdirSync(dirname(upload), { recursive: true })
      writeFileSync(upload, '')
      utimesSync(upload, 1, 1)
      writeFileSync(scratch.path('media/incoming/new'), '')
      const server = createServer().listen(socket)
      await once(server, 'listening')
      // The socket of a process that was killed stays.
      const left = scratch.path('left.sock')
      const context = await doctorContext({
        pid_file: pidFile,
        control_socket: left,
        signing_key: KEY,
        media_store_path: scratch.path('media'),
      })
      const { linkSync } = await import('node:fs')
      linkSync(socket, left)
      await new Promise((resolve) => server.close(resolve))
      const found = await checkFiles.run(context)
      expect(found.map(({ level, summary }) => `${level}: ${summary}`)).to.deep.equal([
        `info: there is no process 999999999, which ${pidFile} names`,
        `info: no server listens at ${left}`,
        'warning: 1 uploads have been unfinished for more than a day',
      ])
      for (const { mend } of found) await mend?.()
      expect([pidFile, left, upload].filter((path) => existsSync(path))).to.deep.equal([])
      expect(existsSync(scratch.path('media/incoming/new'))).to.equal(true)
    })

    it('leaves alone what belongs to a process that runs', async () => {
      const pidFile = scratch.write('pid', `${process.pid}\n`)
      const keys = { pid_file: pidFile, signing_key: KEY, media_store_path: scratch.path('media') }
      expect(await findings(checkFiles, await doctorContext(keys)))
        .to.have.length(1)
        .and.to.match(/^ok/)
    })

    it('says where files cannot be kept', async () => {
      const keys = { signing_key: KEY, media_store_path: scratch.path('none/media') }
      expect((await findings(checkFiles, await doctorContext(keys)))[0]).to.match(
        /^error: .*cannot be written to/,
      )
    })
  })

  describe('keys', () => {
    const look = async (keys: object): Promise<string[]> =>
      findings(checkKeys, await doctorContext({ signing_key: KEY, ...keys }))

    it('names the key, and doubts old ones that still count', async () => {
      const key = 'O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik'
      expect(await look({ old_signing_keys: { 'ed25519:old': { key, expired_ts: 1 } } })).to.deep.equal([
        'ok: signs with ed25519:a_test',
      ])
      const doubtful = await look({
        old_signing_keys: {
          'ed25519:a_test': { key, expired_ts: 1 },
          'ed25519:old': { key, expired_ts: 9_999_999_999_999 },
        },
        key_refresh_interval: '1s',
      })
      expect(doubtful.slice(1)).to.deep.equal([
        'warning: ed25519:a_test is in old_signing_keys, and the server still signs with a key of that ID',
        'warning: ed25519:old is in old_signing_keys and has not expired: 2286-11-20T17:46:39.999Z',
        'warning: key_refresh_interval is 1 seconds',
      ])
    })
  })

  it('disk: tells how much room there is, of what is there and of what is not yet', async () => {
    const keys = {
      database: { name: 'sqlite3', args: { database: scratch.path('a.db') } },
      media_store_path: scratch.path('not/yet/media'),
    }
    const found = await checkDisk.run(await doctorContext(keys))
    expect(found[0]?.summary).to.match(/^database: \d.* free \(\d+ %\) at \/.*/)
    expect(found[0]?.details).to.have.property('free').above(0)
  })

  it('disk: says when one is full, or has no inodes left, or is elsewhere', () => {
    const gib = (free: number, total: number) => ({ bsize: 1024 ** 3, bavail: free, blocks: total })
    const inodes = { files: 1_000, ffree: 500 }
    for (const [room, expected] of [
      [{ ...gib(500, 1_000), ...inodes }, 'ok: files: 500 GiB free (50 %) at /d'],
      // A share of a large disk is much room.
      [{ ...gib(20, 1_000), ...inodes }, 'ok: files: 20.0 GiB free (2 %) at /d'],
      [{ ...gib(9, 100), ...inodes }, 'warning: files: 9.0 GiB free (9 %) at /d'],
      [{ ...gib(2, 100), ...inodes }, 'error: files: 2.0 GiB free (2 %) at /d'],
      [{ ...gib(0, 2), ...inodes }, 'error: files: 0 B free (0 %) at /d'],
      [{ ...gib(500, 1_000), files: 1_000, ffree: 20 }, 'error: files: 20 inodes free at /d'],
      // Some file systems do not count them.
      [{ ...gib(500, 1_000), files: 0, ffree: 0 }, 'ok: files: 500 GiB free (50 %) at /d'],
    ] as const) {
      const { level, summary, consequence, cure } = assessRoom('files', '/d', room)
      expect(`${level}: ${summary}`).to.equal(expected)
      if (level !== 'ok') expect([consequence, cure]).to.not.include(undefined)
    }
    expect(assessFileSystem(0x6969).map(({ summary }) => summary)).to.deep.equal([
      'the SQLite database is on NFS',
    ])
    expect(assessFileSystem(0xef53)).to.deep.equal([])
  })
})

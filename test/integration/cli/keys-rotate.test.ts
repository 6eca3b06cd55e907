import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { expect } from 'chai'
import { stringify } from 'yaml'
import KeysRotate from '../../../commands/keys/rotate.js'
import KeysShow from '../../../commands/keys/show.js'
import KeysVerify from '../../../commands/keys/verify.js'
import Reload from '../../../commands/reload.js'
import { loadConfig } from '../../../src/config/load.js'
import type { Homeserver } from '../../../src/server/homeserver.js'
import type { JsonObject } from '../../../src/util/json.js'
import { openDatabase } from '../../../src/storage/open-database.js'
import { expectCommandJson } from '../../support/command-schemas.js'
import { runCommand } from '../../support/commands.js'
import { quietContext } from '../../support/databases.js'
import { PASSWORD } from '../../support/homeserver.js'
import { startHttpServer } from '../../support/http-servers.js'
import { dig, MatrixClient } from '../../support/matrix-client.js'
import { startConfigured, urlOf } from '../../support/restored-server.js'
import { useScratch } from '../../support/scratch.js'
import { TestAuthority } from '../../support/test-authority.js'

const SEED = createHash('sha256').update('rotate').digest('base64').replace('=', '')
const KEY = `ed25519 a_first ${SEED}\n`

interface Rotated {
  readonly keyId: string
  readonly publicKey: string
  readonly old: { readonly keyId: string; readonly publicKey: string; readonly expiredTs: number }
  readonly reloaded: boolean
}

describe('mxhs keys rotate', function () {
  this.timeout(60_000)
  const scratch = useScratch()
  let server: Homeserver | undefined
  afterEach(async () => {
    await server?.stop()
    server = undefined
  })

  /** With a comment, which is to stay. */
  function write(keys: object, more = ''): string {
    const values = {
      server_name: 'rotate.test',
      database: { name: 'sqlite3', args: { database: scratch.path('a.db') } },
      media_store_path: scratch.path('media'),
      listeners: [{ port: 0, bind_addresses: ['127.0.0.1'], resources: [{ names: ['client', 'keys'] }] }],
      registration_shared_secret: 'x',
      macaroon_secret_key: 'y',
      trusted_key_servers: [],
      bcrypt_rounds: 4,
      ...keys,
    }
    return scratch.write('homeserver.yaml', `# Kept.\n${stringify(values)}${more}`)
  }

  async function rotate(...argv: string[]): Promise<Rotated> {
    const { stdout, stderr, exitCode } = await runCommand(KeysRotate, ...argv, '--json')
    expect(exitCode, stdout + stderr).to.equal(0)
    return expectCommandJson('keys-rotate', stdout) as Rotated
  }

  it('lets a running server sign with the new key, and publish both', async () => {
    const keyFile = scratch.write('signing.key', KEY)
    const config = write({ signing_key_path: keyFile })
    server = await startConfigured(config)
    const url = urlOf(server)
    const { keyId, publicKey, old, reloaded } = await rotate('-c', config)
    expect(reloaded).to.equal(true)

    const published = (await (await fetch(`${url}/_matrix/key/v2/server`)).json()) as Record<string, never>
    expect(published['verify_keys']).to.deep.equal({ [keyId]: { key: publicKey } })
    expect(published['old_verify_keys']).to.deep.equal({
      'ed25519:a_first': { key: old.publicKey, expired_ts: old.expiredTs },
    })
    expect(Object.keys(dig(published, 'signatures', 'rotate.test') as object)).to.deep.equal([keyId])
    expect(await signerOfNextEvent(server, config)).to.deep.equal([keyId])
    expect(readFileSync(config, 'utf8')).to.match(/^# Kept\.\nserver_name: rotate\.test\n/)
    expect((await runCommand(KeysShow, '-c', config)).stdout).to.equal(`${keyId} ${publicKey}\n`)
  })

  async function signerOfNextEvent({ services }: Homeserver, config: string): Promise<string[]> {
    const { userId, session } = await services.accountRegistration.registerDirectly({
      username: 'alice',
      password: PASSWORD,
      isAdmin: false,
    })
    const client = new MatrixClient(urlOf(server!), {
      userId,
      deviceId: session!.deviceId,
      accessToken: session!.accessToken,
    })
    const eventId = await client.sendText(await client.createRoom(), 'x')
    const db = await openDatabase((await loadConfig([config])).config.database, quietContext())
    try {
      const row = await db.reader.first<{ json: string }>('SELECT json FROM events WHERE event_id = ?', [
        eventId,
      ])
      return Object.keys(
        dig(JSON.parse(row?.json ?? '{}') as JsonObject, 'signatures', 'rotate.test') as object,
      )
    } finally {
      await db.close()
    }
  }

  it('changes the file of the key, and keeps its further keys and its permissions', async () => {
    const keyFile = scratch.write('signing.key', `${KEY}ed25519 a_second ${SEED}\n`)
    const mode = statSync(keyFile).mode
    const config = write({ signing_key_path: keyFile })
    const { keyId, reloaded } = await rotate('-c', config, '--expiry-ts', '1700000000000')
    expect(reloaded).to.equal(false)
    expect(readFileSync(keyFile, 'utf8')).to.match(
      new RegExp(
        `^ed25519 ${keyId.slice('ed25519:'.length)} \\S{43}\ned25519 a_second ${SEED.replaceAll('+', '\\+')}\n$`,
      ),
    )
    expect(statSync(keyFile).mode).to.equal(mode)
    const { config: loaded } = await loadConfig([config])
    expect(loaded.signingKeys.old).to.have.length(1)
    expect(loaded.signingKeys.old[0]).to.include({ keyId: 'ed25519:a_first', expiredTs: 1_700_000_000_000 })
    const again = await rotate('-c', config)
    expect(again.old.keyId).to.equal(keyId)
    expect((await loadConfig([config])).config.signingKeys.old).to.have.length(2)
  })

  it('changes a key that stands in the configuration, and nothing at all when it is only to show', async () => {
    const config = write({ signing_key: KEY.trim() })
    const before = readFileSync(config, 'utf8')
    const { stdout } = await runCommand(KeysRotate, '-c', config, '--dry-run')
    expect(stdout).to.equal(`would change  ${config}\n`)
    expect(readFileSync(config, 'utf8')).to.equal(before)
    const { keyId } = await rotate('-c', config)
    expect((await runCommand(KeysShow, '-c', config)).stdout).to.contain(keyId)
  })

  it('leaves alone a key that comes from elsewhere', async () => {
    const config = write({}, 'signing_key: ${MXHS_TEST_KEY}\n')
    process.env['MXHS_TEST_KEY'] = KEY.trim()
    try {
      const { stderr, exitCode } = await runCommand(KeysRotate, '-c', config)
      expect(exitCode).to.equal(1)
      expect(stderr).to.contain('the key comes from the environment or a credential')
    } finally {
      delete process.env['MXHS_TEST_KEY']
    }
  })

  it('is seen by others, who are asked with mxhs keys verify', async () => {
    const authority = new TestAuthority()
    const { certificate, privateKey } = authority.issue(['localhost'])
    const port = await freePort()
    const name = `localhost:${port}`
    const listener = {
      port,
      tls: true,
      bind_addresses: ['127.0.0.1'],
      resources: [{ names: ['federation', 'client'] }],
    }
    const config = write({
      server_name: name,
      signing_key_path: scratch.write('signing.key', KEY),
      federation_custom_ca_list: [scratch.write('ca.pem', authority.certificate)],
      tls_certificate_path: scratch.write('cert.pem', certificate),
      tls_private_key_path: scratch.write('key.pem', privateKey),
      ip_range_blacklist: [],
      listeners: [listener],
    })
    server = await startConfigured(config)
    await rotate('-c', config)
    // It is its own notary.
    const seen = await runCommand(KeysVerify, '-c', config, '--notary', name, '--json')
    expect(expectCommandJson('keys-verify', seen.stdout)).to.include({ server: name, ok: true })
    // The server has not been told.
    scratch.write('signing.key', `ed25519 a_third ${SEED}\n`)
    const after = await runCommand(KeysVerify, '-c', config, '--no-notaries')
    expect(after.stdout).to.contain(
      `wrong  ${name}  ed25519:a_third, which the server signs with, is not seen\n`,
    )
  })

  async function freePort(): Promise<number> {
    await using probe = await startHttpServer(() => undefined)
    return probe.port
  }

  it('is taken on by mxhs reload, which says when that is not possible', async () => {
    const config = write({ signing_key_path: scratch.write('signing.key', KEY) })
    expect((await runCommand(Reload, '-c', config)).stderr).to.equal(
      'error: No server runs with this configuration\n',
    )
    server = await startConfigured(config)
    const { stdout } = await runCommand(Reload, '-c', config, '--json')
    expect(expectCommandJson('reload', stdout)).to.deep.equal({ warnings: [] })
    scratch.write('signing.key', 'nonsense')
    const { stderr, exitCode } = await runCommand(Reload, '-c', config)
    expect(exitCode).to.equal(1)
    expect(stderr).to.contain('signing_key_path')
  })
})

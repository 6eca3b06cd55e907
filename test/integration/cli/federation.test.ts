import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { stringify } from 'yaml'
import FederationCheck from '../../../commands/federation/check.js'
import FederationKeys from '../../../commands/federation/keys.js'
import FederationRequest from '../../../commands/federation/request.js'
import FederationResolve from '../../../commands/federation/resolve.js'
import FederationRetry from '../../../commands/federation/retry.js'
import FederationStatus from '../../../commands/federation/status.js'
import type { ServerName } from '../../../src/protocol/ids.js'
import { openDatabase } from '../../../src/storage/open-database.js'
import { migrate } from '../../../src/storage/migrator.js'
import { DestinationsStore } from '../../../src/storage/stores/destinations.js'
import { silentLogger } from '../../../src/telemetry/logger.js'
import { createMetrics } from '../../../src/telemetry/metrics.js'
import { systemClock } from '../../../src/util/clock.js'
import { expectCommandJson } from '../../support/command-schemas.js'
import { runCommand } from '../../support/commands.js'
import { startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { startHttpServer } from '../../support/http-servers.js'
import { TestAuthority } from '../../support/test-authority.js'

const SIGNING_KEY = `ed25519 a_cli ${seed('cli')}`
const PUBLIC_KEY = /^ed25519:a_cli {2}[A-Za-z0-9+/]{43} {2}valid until 20\S+Z$/m

function seed(text: string): string {
  return createHash('sha256').update(text).digest('base64').replace('=', '')
}

describe('mxhs federation', function () {
  this.timeout(30_000)
  const directory = mkdtempSync(join(tmpdir(), 'mxhs-cli-federation-'))
  const authority = new TestAuthority()
  let config: string
  let server: TestHomeserver
  /** `localhost` with the port at which the server is. */
  let name: string

  function write(file: string, content: string): string {
    const path = join(directory, file)
    writeFileSync(path, content)
    return path
  }

  function writeConfig(keys: Readonly<Record<string, unknown>> = {}): string {
    return write(
      'homeserver.yaml',
      stringify({
        server_name: name,
        signing_key: SIGNING_KEY,
        macaroon_secret_key: 'x',
        federation_custom_ca_list: [join(directory, 'ca.pem')],
        ip_range_blacklist: [],
        listeners: [{ port: 8448, resources: [{ names: ['federation'] }] }],
        database: { name: 'sqlite3', args: { database: join(directory, 'db') } },
        ...keys,
      }),
    )
  }

  /** A port that is free, so that the server can bear it in its name. */
  async function freePort(): Promise<number> {
    await using probe = await startHttpServer(() => undefined)
    return probe.port
  }

  before(async () => {
    const port = await freePort()
    name = `localhost:${port}`
    const { certificate, privateKey } = authority.issue(['localhost'])
    write('ca.pem', authority.certificate)
    server = await startHomeserver({
      config: {
        server_name: name,
        signing_key: SIGNING_KEY,
        tls_certificate_path: write('cert.pem', certificate),
        tls_private_key_path: write('key.pem', privateKey),
        listeners: [
          {
            port,
            type: 'http',
            tls: true,
            bind_addresses: ['127.0.0.1'],
            resources: [{ names: ['federation'] }],
          },
        ],
      },
    })
  })
  beforeEach(() => {
    config = writeConfig()
  })
  after(async () => {
    await server[Symbol.asyncDispose]()
    rmSync(directory, { recursive: true, force: true })
  })

  it('checks a server step by step', async () => {
    const { stdout, exitCode } = await runCommand(FederationCheck, name, '-c', config)
    expect(stdout).to.match(/^- +well-known/m)
    expect(stdout).to.match(/^ok +certificate +127\.0\.0\.1:\d+: TLSv1\.3, by Test authority, until 2049-/m)
    expect(stdout).to.match(/^ok +version +mxhs \d/m)
    expect(stdout).to.match(/^ok +keys +ed25519:a_cli, valid until 20/m)
    expect(stdout).to.contain(`${name} can be reached.`)
    expect(exitCode).to.equal(0)
  })

  it('checks the own server against its configuration', async () => {
    const { stdout } = await runCommand(FederationCheck, '-c', config)
    expect(stdout).to.match(/^ok +configuration +served by the listeners 8448/m)
    expect(stdout).to.match(/^ok +configuration +others see the keys of this configuration/m)
    const other = SIGNING_KEY.replace('a_cli', 'a_new')
    const changed = writeConfig({ signing_key: other, listeners: [{ port: 1, resources: [] }] })
    const { stdout: text } = await runCommand(FederationCheck, '-c', changed, '--json')
    const report = expectCommandJson('federation-check', text) as {
      ok: boolean
      steps: { outcome: string; summary: string }[]
    }
    expect(report.ok).to.be.false
    expect(
      report.steps.filter(({ outcome }) => outcome === 'failed').map(({ summary }) => summary),
    ).to.deep.equal(['no listener serves federation', 'others do not see ed25519:a_new'])
  })

  it('says why a server cannot be reached, and what helps', async () => {
    const distrusting = writeConfig({ federation_custom_ca_list: undefined })
    const untrusted = await runCommand(FederationCheck, name, '-c', distrusting)
    expect(untrusted.stdout).to.match(/FAILED +certificate/)
    expect(untrusted.stdout)
      .to.match(/why: .*authority/)
      .and.match(/cure: /)
    expect(untrusted.stdout).to.contain(`${name} cannot be reached.`)
    const closed = await runCommand(FederationCheck, 'localhost:1', '-c', writeConfig())
    expect(closed.stdout).to.contain('connection refused').and.contain('cure: start the server')
    const denied = await runCommand(
      FederationCheck,
      name,
      '-c',
      writeConfig({ ip_range_blacklist: undefined }),
    )
    expect(denied.stdout)
      .to.match(/FAILED +addresses/)
      .and.contain('ip_range_whitelist')
    const unknown = await runCommand(FederationCheck, 'there-is-none.invalid:1', '-c', writeConfig())
    expect(unknown.stdout).to.match(/FAILED +addresses +there-is-none\.invalid: no address/)
    const list = writeConfig({ federation_domain_whitelist: ['other.test'] })
    const refused = await runCommand(FederationCheck, name, '-c', list)
    expect(refused.stdout).to.contain('federation_domain_whitelist')
  })

  it('says that a certificate is of another name, or out of date', async () => {
    const answers = async (names: readonly string[], notAfterTs?: number): Promise<string> => {
      const { certificate, privateKey } = authority.issue(
        names,
        notAfterTs === undefined ? {} : { notAfterTs },
      )
      const tls = { cert: certificate, key: privateKey }
      await using other = await startHttpServer((_request, response) => response.end('{}'), { tls })
      return (await runCommand(FederationCheck, `localhost:${other.port}`, '-c', config)).stdout
    }
    expect(await answers(['a.test', 'b.test'])).to.contain('it is for a.test, b.test, not for localhost')
    expect(await answers(['localhost'], Date.UTC(2021, 0, 1)))
      .to.contain('it has expired')
      .and.contain('renew it')
    const soon = await answers(['localhost'], Date.now() + 24 * 60 * 60_000)
    expect(soon)
      .to.match(/warning +certificate/)
      .and.contain('less than two weeks')
    expect(soon).to.match(/FAILED +keys/)
  })

  it('shows where a name leads', async () => {
    const { stdout, exitCode } = await runCommand(FederationResolve, name, '--json', '-c', config)
    expect(exitCode).to.equal(0)
    const found = expectCommandJson('federation-resolve', stdout) as {
      rule: string
      places: { host: string; certificateName: string }[]
    }
    expect(found).to.include({ server: name, rule: 'explicit port', wellKnown: null })
    expect(found.places[0]).to.include({ host: 'localhost', certificateName: 'localhost' })
    const text = await runCommand(FederationResolve, '[::1]:99', '-c', config)
    expect(text.stdout).to.contain('ip literal').and.contain('::1:99')
  })

  it('sends signed requests', async () => {
    const path = '/_matrix/federation/v1/query/profile?user_id=%40nobody%3A' + encodeURIComponent(name)
    const { stdout } = await runCommand(FederationRequest, name, path, '-c', config)
    expect(JSON.parse(stdout)).to.have.property('errcode', 'M_NOT_FOUND')
    const forged = writeConfig({ signing_key: `ed25519 a_cli ${seed('other')}` })
    const refused = await runCommand(FederationRequest, name, path, '-c', forged)
    expect(JSON.parse(refused.stdout)).to.have.property('errcode', 'M_UNAUTHORIZED')
    expect(refused.stderr).to.contain('401')
    writeConfig()
    const transaction = ['/_matrix/federation/v1/send/1', '-X', 'PUT', '-d', '{"pdus":[]}'] as const
    const sent = await runCommand(FederationRequest, name, ...transaction, '-c', config, '--json')
    expect(expectCommandJson('federation-request', sent.stdout)).to.deep.equal({
      status: 200,
      body: { pdus: {} },
    })
  })

  it('does not take requests that are none', async () => {
    expect((await runCommand(FederationRequest, name, '/x', '-c', config)).exitCode).to.equal(2)
    expect(
      (await runCommand(FederationRequest, name, '/_matrix/x', '-d', '[]', '-c', config)).exitCode,
    ).to.equal(2)
    expect((await runCommand(FederationRequest, 'not a name', '/_matrix/x', '-c', config)).exitCode).to.equal(
      2,
    )
    const nowhere = await runCommand(FederationRequest, 'localhost:1', '/_matrix/x', '-c', config)
    expect(nowhere.exitCode).to.equal(1)
    expect(nowhere.stderr).to.contain('connection refused')
  })

  it('shows keys, from a server and from a notary', async () => {
    expect((await runCommand(FederationKeys, name, '-c', config)).stdout).to.match(PUBLIC_KEY)
    const { stdout } = await runCommand(FederationKeys, name, '-c', config, '--json')
    expect(expectCommandJson('federation-keys', stdout)).to.include({ server: name })
    const notary = await runCommand(FederationKeys, name, '--notary', name, '-c', config)
    expect(notary.stdout).to.match(PUBLIC_KEY)
    const none = await runCommand(FederationKeys, 'localhost:1', '--notary', name, '-c', config)
    expect(none.exitCode).to.equal(1)
    expect(none.stderr).to.contain('does not know the keys')
  })

  it('makes the tables of a database that has none yet', async () => {
    const args = { database: join(directory, 'fresh-db') }
    const fresh = writeConfig({ database: { name: 'sqlite3', args } })
    const status = await runCommand(FederationStatus, '-c', fresh)
    expect(status.stdout).to.equal('All servers answer, and nothing waits.\n')
    args.database = join(directory, 'another-fresh-db')
    const other = writeConfig({ database: { name: 'sqlite3', args } })
    const retry = await runCommand(FederationRetry, 'up.test', '-c', other)
    expect([retry.exitCode, retry.stdout]).to.deep.equal([0, 'up.test is not known to fail.\n'])
  })

  it('shows who does not answer, and tries again on demand', async () => {
    const db = await openDatabase(
      { name: 'sqlite', path: join(directory, 'db') },
      { logger: silentLogger(), metrics: createMetrics(), clock: systemClock },
    )
    const store = new DestinationsStore()
    try {
      await migrate(db)
      const times = { failingSinceTs: 1_700_000_000_000, lastFailedTs: 0, retryAtTs: 1_800_000_000_000 }
      const failing = { failures: 3, ...times }
      const serverName = 'down.test' as ServerName
      await db.write('fail', (tx) => store.put(tx, [{ serverName, ...failing, lastError: 'it is down' }]))
      const { stdout } = await runCommand(FederationStatus, '-c', config)
      expect(stdout).to.match(/down\.test +3 +2027-01-15T08:00:00\.000Z +0\/0\/0 +it is down/)
      const json = await runCommand(FederationStatus, '-c', config, '--json')
      expect(expectCommandJson('federation-status', json.stdout)).to.have.length(1)
      expect((await runCommand(FederationStatus, 'up.test', '-c', config)).stdout).to.contain('Nothing waits')
      expect((await runCommand(FederationRetry, 'up.test', '-c', config)).stdout).to.contain(
        'not known to fail',
      )
      const retried = await runCommand(FederationRetry, 'down.test', '-c', config, '--json')
      expect(expectCommandJson('federation-retry', retried.stdout)).to.deep.equal({
        server: 'down.test',
        wasFailing: true,
      })
      expect(await store.listRequested(db.reader, 10)).to.deep.equal(['down.test'])
    } finally {
      await db.close()
    }
  })
})

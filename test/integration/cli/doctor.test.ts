import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request, type IncomingMessage, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { stringify } from 'yaml'
import Doctor from '../../../commands/doctor.js'
import { DOCTOR_CHECKS } from '../../../src/cli/doctor/checks.js'
import type { DoctorReport } from '../../../src/cli/doctor/examine.js'
import { expectCommandJson } from '../../support/command-schemas.js'
import { runCommand, runProgram } from '../../support/commands.js'
import { shown } from '../../support/doctor-context.js'
import { startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { startHttpServer, type HttpServer } from '../../support/http-servers.js'
import { TestAuthority } from '../../support/test-authority.js'

const SIGNING_KEY = `ed25519 a_test ${'A'.repeat(43)}`
const MAX_UPLOAD = 1024 * 1024

/** What a reverse proxy may do that it should not. */
interface ProxyFaults {
  readonly decodes?: boolean
  readonly limit?: number
  /** What becomes of `X-Forwarded-For`: set by the proxy, added to what is there, or dropped. */
  readonly forwarded?: 'set' | 'added' | 'dropped'
  readonly corsOrigin?: string
}

describe('mxhs doctor', function () {
  this.timeout(30_000)
  const directory = mkdtempSync(join(tmpdir(), 'mxhs-doctor-'))
  const authority = new TestAuthority()
  let server: TestHomeserver
  /** The server's port for other servers, with TLS, and the one for clients. */
  let federationPort: number
  let clientPort: number
  const socket = join(directory, 's.sock')

  function write(name: string, content: string): string {
    const path = join(directory, name)
    writeFileSync(path, content, { mode: 0o600 })
    return path
  }

  async function freePort(): Promise<number> {
    await using probe = await startHttpServer(() => undefined)
    return probe.port
  }

  before(async () => {
    federationPort = await freePort()
    clientPort = await freePort()
    write('ca.pem', authority.certificate)
    const { certificate, privateKey } = authority.issue(['localhost'])
    write('cert.pem', certificate)
    write('key.pem', privateKey)
    server = await startHomeserver({ config: serverKeys() })
  })
  after(async () => {
    await server[Symbol.asyncDispose]()
    rmSync(directory, { recursive: true, force: true })
  })

  function serverKeys(): Record<string, unknown> {
    return {
      server_name: `localhost:${federationPort}`,
      signing_key: SIGNING_KEY,
      control_socket: socket,
      max_upload_size: MAX_UPLOAD,
      ip_range_blacklist: [],
      tls_certificate_path: join(directory, 'cert.pem'),
      tls_private_key_path: join(directory, 'key.pem'),
      listeners: [
        listener(federationPort, { tls: true, resources: [{ names: ['client', 'federation'] }] }),
        listener(clientPort, { x_forwarded: true, resources: [{ names: ['client'] }] }),
      ],
    }
  }

  function listener(port: number, more: object): object {
    return { port, type: 'http', bind_addresses: ['127.0.0.1'], ...more }
  }

  function config(keys: Record<string, unknown> = {}): string {
    const { database } = server.config
    const content = {
      ...serverKeys(),
      macaroon_secret_key: 'x',
      public_baseurl: `https://localhost:${federationPort}/`,
      federation_custom_ca_list: [join(directory, 'ca.pem')],
      media_store_path: server.config.media.storePath,
      database: { name: 'sqlite3', args: { database: database.name === 'sqlite' ? database.path : '' } },
      ...keys,
    }
    return write('homeserver.yaml', stringify(content))
  }

  async function doctor(path: string, ...argv: string[]): Promise<(check: string) => string[]> {
    const { stdout } = await runCommand(Doctor, '-c', path, '--json', ...argv)
    const { results } = expectCommandJson('doctor', stdout) as DoctorReport
    const byCheck = new Map(results.map(({ check, findings }) => [check, shown(findings)]))
    return (check) => byCheck.get(check) ?? []
  }

  it('finds nothing wrong with a server that is well', async () => {
    // Nobody answers for localhost at port 443, where clients would look.
    const found = await doctor(config(), '--skip', 'well-known', '--skip', 'files')
    const all = DOCTOR_CHECKS.flatMap(({ name }) => found(name))
    const bad = all.filter((finding) => /^(?:error|warning)/.test(finding))
    expect(bad).to.deep.equal([])
    expect(found('server')[0]).to.match(/^ok: mxhs .* runs as process \d+/)
    expect(found('server')).to.include(`ok: listener ${clientPort} answers`)
    expect(found('tls')[0]).to.match(/^ok: 127\.0\.0\.1:\d+: TLSv1\.3/)
    expect(found('proxy'))
      .to.include('ok: bodies of 1.0 MiB pass')
      .and.include('ok: encoded slashes in paths are kept')
    expect(found('federation')).to.include('ok: configuration: others see the keys of this configuration')
    expect(found('database').join()).to.contain('schema is up to date')
  })

  it('prints for people, and ends by what is worst', async () => {
    const { stdout } = await runCommand(Doctor, '-c', config(), '--only', 'keys', '--only', 'tls')
    expect(stdout).to.match(
      /^ok {6}keys {10}signs with ed25519:a_test\nok {6}tls .*\n\nNothing is wrong\.\n$/,
    )
    const worse = await runProgram(['doctor', '-c', config({ key_refresh_interval: '1s' }), '--only', 'keys'])
    expect([worse.exitCode, worse.stderr]).to.deep.equal([3, ''])
    expect(worse.stdout).to.match(
      /WARNING.*key_refresh_interval is 1 seconds\n +so: .*\n +to do: .*\n\n1 warning\.\n$/,
    )
  })

  it('tries another server, and whether it accepts what is signed', async () => {
    const name = `localhost:${federationPort}`
    const found = await doctor(config(), '--only', 'federation', '--server', name)
    expect(found('federation').at(-1)).to.match(/^ok: localhost:\d+ has fetched the keys of this server/)
    const forged = config({ signing_key: SIGNING_KEY.replace('a_test AA', 'a_test AB') })
    const refused = await doctor(forged, '--only', 'federation', '--server', name)
    expect(refused('federation')).to.include(
      'error: configuration: others do not see ed25519:a_test: what answers under this name has other keys: another server, or one that was started with another key',
    )
    expect(refused('federation').at(-1)).to.equal(
      `error: ${name} does not accept the signature of this server`,
    )
    const away = await doctor(config(), '--only', 'federation', '--server', 'localhost:1')
    expect(away('federation').join()).to.match(/error: localhost:1: certificate: .*connection refused/)
  })

  it('says that the server does not run', async () => {
    const port = await freePort()
    const path = config({
      control_socket: join(directory, 'none.sock'),
      public_baseurl: `http://localhost:${port}/`,
      listeners: [listener(port, { resources: [{ names: ['client'] }] })],
    })
    const found = await doctor(path, '--only', 'server', '--only', 'proxy')
    expect(found('server')[0]).to.match(/^error: listener \d+: connection refused/)
    expect(found('proxy')[0]).to.match(/^error: http:\/\/localhost:\d+\/: connection refused/)
  })

  describe('behind a proxy', () => {
    async function throughProxy(faults: ProxyFaults, keys: Record<string, unknown> = {}): Promise<string[]> {
      await using proxy = await startProxy(clientPort, faults)
      const found = await doctor(
        config({ public_baseurl: `http://localhost:${proxy.port}/`, ...keys }),
        '--only',
        'proxy',
      )
      return found('proxy')
    }

    it('has nothing against one that passes on what it should', async () => {
      const [leads, ...rest] = await throughProxy({ forwarded: 'set' })
      expect(leads).to.match(/^ok: .* leads to a homeserver/)
      expect(rest.slice(0, 2)).to.deep.equal([
        'ok: encoded slashes in paths are kept',
        'ok: bodies of 1.0 MiB pass',
      ])
      // The proxy of the test is called from the address that it has itself.
      expect(rest[2]).to.match(/^info: the server sees this request as coming from 127\.0\.0\.1/)
    })

    it('finds what it does to paths, bodies, headers and addresses', async () => {
      const found = await throughProxy({
        decodes: true,
        limit: 1000,
        forwarded: 'added',
        corsOrigin: 'https://x',
      })
      expect(found.slice(1)).to.deep.equal([
        'error: answers come with Access-Control-Allow-Origin: https://x',
        'error: a path with %2F in it arrives as another one (status 404, M_UNRECOGNIZED)',
        'error: a body of 1.0 MiB is answered with status 413',
        'warning: clients can choose the address that the server sees',
      ])
    })

    it('finds that the address is not looked at', async () => {
      const listeners = [listener(clientPort, { resources: [{ names: ['client'] }] })]
      const found = await throughProxy({ forwarded: 'dropped' }, { listeners })
      expect(found.at(-1)).to.equal('warning: the server sees this request as coming from 127.0.0.1')
    })

    it('finds that another server answers', async () => {
      await using other = await startHttpServer((_request, response) => {
        response.setHeader('Access-Control-Allow-Origin', '*').end('{"versions":[],"errcode":"M_NOT_FOUND"}')
      })
      const found = await doctor(
        config({ public_baseurl: `http://localhost:${other.port}/` }),
        '--only',
        'proxy',
      )
      expect(found('proxy').at(-1)).to.match(/^warning: .* does not lead to the server that runs here/)
      await using page = await startHttpServer((_request, response) => response.end('<html>'))
      const wrong = await doctor(
        config({ public_baseurl: `http://localhost:${page.port}/` }),
        '--only',
        'proxy',
      )
      expect(wrong('proxy')).to.have.length(1)
      expect(wrong('proxy')[0]).to.match(/^error: .*no homeserver answers \(status 200\)/)
    })
  })

  it('says what is wrong with a configuration that cannot be used, and nothing more', async () => {
    const path = write('bad.yaml', 'server_name: a.org\nlistners: []\n')
    const { stdout } = await runCommand(Doctor, '-c', path)
    expect(stdout).to.contain(`ERROR   configuration ${path}:2:1: listners: unknown key`)
    expect(stdout).to.contain(`to do: edit line 2 of ${path}`)
    const json = expectCommandJson('doctor', (await runCommand(Doctor, '-c', path, '--json')).stdout)
    expect(json).to.include({ serverName: null, level: 'error' })
  })

  it('knows its checks, and stays at home when it is told to', async () => {
    expect((await runCommand(Doctor, '-c', config(), '--only', 'x')).exitCode).to.equal(2)
    expect((await runCommand(Doctor, '-c', config(), '--only', 'tls', '--skip', 'dns')).exitCode).to.equal(2)
    const found = await doctor(config(), '--offline')
    const ran = DOCTOR_CHECKS.filter(({ name }) => found(name).length > 0).map(({ name }) => name)
    expect(ran).to.deep.equal(['configuration', 'files', 'keys', 'disk', 'database', 'rooms', 'queues'])
  })

  it('does not make a database only to look at it', async () => {
    const database = join(directory, 'none.db')
    const path = config({ database: { name: 'sqlite3', args: { database } } })
    const found = await doctor(path, '--only', 'database', '--only', 'rooms', '--only', 'queues')
    expect(found('database')).to.deep.equal([`info: SQLite, ${database} is empty`])
    expect(found('rooms')).to.deep.equal(['info: there are no rooms yet'])
  })
})

/** A reverse proxy before a port of this machine. */
function startProxy(port: number, faults: ProxyFaults): Promise<HttpServer> {
  return startHttpServer((incoming: IncomingMessage, response: ServerResponse) => {
    const { limit, decodes = false, forwarded = 'set', corsOrigin } = faults
    if (limit !== undefined && Number(incoming.headers['content-length'] ?? 0) > limit) {
      response.writeHead(413).end()
      return
    }
    const headers = { ...incoming.headers }
    if (forwarded === 'set') headers['x-forwarded-for'] = '127.0.0.1'
    else if (forwarded === 'added')
      headers['x-forwarded-for'] = `${String(headers['x-forwarded-for'])}, 127.0.0.1`
    else delete headers['x-forwarded-for']
    const path = decodes ? (incoming.url ?? '').replaceAll(/%2F/gi, '/') : incoming.url
    const outgoing = request(
      { port, host: '127.0.0.1', method: incoming.method, path, headers },
      (answer) => {
        const cors = corsOrigin === undefined ? {} : { 'access-control-allow-origin': corsOrigin }
        response.writeHead(answer.statusCode ?? 500, { ...answer.headers, ...cors })
        answer.pipe(response)
      },
    )
    // The server may hang up when it has answered and does not want the rest.
    outgoing.on('error', () => response.headersSent || response.destroy())
    outgoing.flushHeaders()
    incoming.pipe(outgoing)
  })
}

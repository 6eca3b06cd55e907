import { spawn, type ChildProcess } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readFileSync, renameSync } from 'node:fs'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { connect } from 'node:tls'
import { expect } from 'chai'
import { builtProgram } from '../../support/built-program.js'
import { useScratch } from '../../support/scratch.js'
import { TestAuthority } from '../../support/test-authority.js'

const START_MS = 60_000

/** `mxhs start` as a process of its own. */
class Daemon {
  readonly process: ChildProcess
  stderr = ''
  stdout = ''

  constructor(config: string) {
    this.process = spawn(process.execPath, [builtProgram(), 'start', '-c', config], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env['PATH'] },
    })
    this.process.stdout?.on('data', (chunk: Buffer) => (this.stdout += chunk.toString()))
    this.process.stderr?.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()))
  }

  /** Resolves when the process has said this; rejects when it ends before. */
  async says(text: string): Promise<void> {
    while (!this.stderr.includes(text)) {
      if (this.process.exitCode !== null) throw new Error(`It ended: ${this.stderr}`)
      await Promise.race([once(this.process.stderr!, 'data'), once(this.process, 'exit')])
    }
  }

  async ends(signal?: NodeJS.Signals): Promise<number | null> {
    const exited = once(this.process, 'close')
    if (signal !== undefined) this.process.kill(signal)
    const [code] = (await exited) as [number | null]
    return code
  }
}

describe('mxhs start', function () {
  this.timeout(START_MS)
  const scratch = useScratch()
  let daemon: Daemon | undefined
  afterEach(() => daemon?.process.kill('SIGKILL'))

  function config(port: number, more = ''): string {
    scratch.write('log.yaml', `level: info\nfile: ${scratch.path('mxhs.log')}\n`)
    return scratch.write(
      'homeserver.yaml',
      `server_name: start.test
listeners: [{port: ${port}, bind_addresses: ['127.0.0.1'], resources: [{names: [client, metrics]}]}]
enable_metrics: true
database: {name: sqlite3, args: {database: ${scratch.path('a.db')}}}
signing_key: "ed25519 a_test ${'A'.repeat(43)}"
log_config: ${scratch.path('log.yaml')}
pid_file: ${scratch.path('mxhs.pid')}
${more}`,
    )
  }

  it('says where it listens and how to make the first user, and ends in order', async () => {
    daemon = new Daemon(config(0, 'registration_shared_secret: x\n'))
    await daemon.says('Ctrl-C stops')
    const url = /listens at {2}(http:\/\/127\.0\.0\.1:\d+)/.exec(daemon.stderr)?.[1]
    expect(daemon.stderr).to.contain(`mxhs register-user --admin -c ${scratch.path('homeserver.yaml')}`)
    expect(daemon.stderr.split('\n').length).to.be.at.most(24)
    expect((await fetch(`${url}/_matrix/client/versions`)).status).to.equal(200)
    // Of Node itself, too.
    expect(await (await fetch(`${url}/_synapse/metrics`)).text()).to.contain('nodejs_eventloop_lag_seconds')
    expect(readFileSync(scratch.path('mxhs.pid'), 'utf8')).to.equal(`${daemon.process.pid}\n`)

    expect(await daemon.ends('SIGTERM')).to.equal(0)
    expect(daemon.stdout).to.equal('')
    expect(existsSync(scratch.path('mxhs.pid'))).to.equal(false)
    expect(readFileSync(scratch.path('mxhs.log'), 'utf8')).to.contain('The server has stopped')
  })

  it('opens its log anew at SIGHUP', async () => {
    daemon = new Daemon(config(0))
    await daemon.says('Ctrl-C stops')
    renameSync(scratch.path('mxhs.log'), scratch.path('old.log'))
    daemon.process.kill('SIGHUP')
    while (!existsSync(scratch.path('mxhs.log'))) await new Promise((resolve) => setTimeout(resolve, 20))
    expect(await daemon.ends('SIGINT')).to.equal(0)
    expect(readFileSync(scratch.path('mxhs.log'), 'utf8')).to.contain('Read the configuration again')
  })

  it('shows a new certificate from SIGHUP on, and keeps what connections there are', async () => {
    const authority = new TestAuthority()
    const issue = (): string => {
      const { certificate, privateKey } = authority.issue(['start.test'])
      scratch.write('tls.crt', certificate)
      scratch.write('tls.key', privateKey)
      return new X509Certificate(certificate).fingerprint256
    }
    const first = issue()
    const file = config(
      0,
      `tls_certificate_path: ${scratch.path('tls.crt')}\ntls_private_key_path: ${scratch.path('tls.key')}\n`,
    )
    const plain = readFileSync(file, 'utf8')
    scratch.write('homeserver.yaml', plain.replace('[{port: 0,', '[{port: 0, tls: true,'))
    daemon = new Daemon(file)
    await daemon.says('Ctrl-C stops')
    const port = Number(/https:\/\/127\.0\.0\.1:(\d+)/.exec(daemon.stderr)?.[1])
    const options = { host: '127.0.0.1', port, servername: 'start.test', ca: authority.certificate }
    const shown = async (): Promise<string> => {
      const socket = connect(options)
      await once(socket, 'secureConnect')
      const { fingerprint256 } = socket.getPeerCertificate()
      socket.destroy()
      return fingerprint256
    }
    const kept = connect(options)
    await once(kept, 'secureConnect')

    const second = issue()
    expect(await shown()).to.equal(first)
    daemon.process.kill('SIGHUP')
    while ((await shown()) === first) await new Promise((resolve) => setTimeout(resolve, 20))
    expect(await shown()).to.equal(second)
    kept.write('GET /_matrix/client/versions HTTP/1.1\r\nHost: start.test\r\nConnection: close\r\n\r\n')
    const [answer] = (await once(kept, 'data')) as [Buffer]
    expect(answer.toString()).to.match(/^HTTP\/1\.1 200 /)

    // One that is of no use changes nothing, and is complained of.
    scratch.write('tls.crt', 'no certificate')
    daemon.process.kill('SIGHUP')
    const log = (): string => readFileSync(scratch.path('mxhs.log'), 'utf8')
    while (!/"level":(?:50|"error")/.test(log())) await new Promise((resolve) => setTimeout(resolve, 20))
    expect(await shown()).to.equal(second)
    expect(await daemon.ends('SIGTERM')).to.equal(0)
  })

  it('says that another process has its port', async () => {
    const other: Server = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as AddressInfo
    try {
      daemon = new Daemon(config(port))
      expect(await daemon.ends()).to.equal(1)
      expect(daemon.stderr).to.equal(`error: Another process listens at 127.0.0.1:${port} already\n`)
      expect(existsSync(scratch.path('mxhs.pid'))).to.equal(false)
    } finally {
      other.close()
    }
  })

  it('does not start with a configuration that is wrong', async () => {
    const path = config(0, 'frobnicate: 1\n')
    daemon = new Daemon(path)
    expect(await daemon.ends()).to.equal(1)
    expect(daemon.stderr).to.equal(`error: ${path}:8:1: frobnicate: unknown key\n`)
  })
})

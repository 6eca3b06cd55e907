import { once } from 'node:events'
import { copyFile, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { request, type IncomingMessage } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { expect } from 'chai'
import type { ListenerConfig } from '../../../src/config/sections/listeners.js'
import { Listeners } from '../../../src/server/listeners.js'
import { rejection } from '../../support/rejection.js'

const FIXTURES = join(import.meta.dirname, '../../support/fixtures')

function listener(address: ListenerConfig['address'], tls = false): ListenerConfig {
  return {
    type: 'http',
    address,
    tls,
    xForwarded: false,
    requestIdHeader: undefined,
    tag: 'x',
    resources: [],
  }
}

const HERE = { port: 0, bindAddresses: ['127.0.0.1'] }

function urlsOf(listeners: Listeners): string[] {
  return listeners.addresses.flatMap((address) => ('url' in address ? [address.url] : []))
}

async function commonNameAt(url: string): Promise<string | undefined> {
  const socket = connectTls({ host: '127.0.0.1', port: Number(new URL(url).port), rejectUnauthorized: false })
  await once(socket, 'secureConnect')
  const { CN } = socket.getPeerCertificate().subject
  socket.destroy()
  return typeof CN === 'string' ? CN : CN?.[0]
}

describe('server/listeners', () => {
  let directory = ''

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'mxhs-listeners-'))
  })

  afterEach(() => rm(directory, { recursive: true, force: true }))

  it('listens at ports and says where', async () => {
    const listeners = new Listeners(undefined)
    await listeners.open(listener(HERE), (_req, res) => res.end('here'))
    const [url] = urlsOf(listeners)
    expect(url).to.match(/^http:\/\/127\.0\.0\.1:\d+$/)
    expect(await (await fetch(url ?? '')).text()).to.equal('here')
    await listeners.close()
    expect(await rejection(fetch(url ?? ''))).to.be.instanceOf(TypeError)
  })

  it('puts up with addresses that another covers', async () => {
    const listeners = new Listeners(undefined)
    const probe = createServer().listen(0, '127.0.0.1')
    await once(probe, 'listening')
    const { port } = probe.address() as { port: number }
    await new Promise((resolve) => probe.close(resolve))
    await listeners.open(listener({ port, bindAddresses: ['::', '0.0.0.0'] }), (_req, res) => res.end('here'))
    expect(await (await fetch(`http://127.0.0.1:${port}`)).text()).to.equal('here')
    await listeners.close()
  })

  it('rejects when an address is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as { port: number }
    const listeners = new Listeners(undefined)
    const opening = listeners.open(listener({ port, bindAddresses: ['127.0.0.1'] }), (_req, res) => res.end())
    expect(await rejection(opening)).to.have.property('code', 'EADDRINUSE')
    await listeners.close()
    other.close()
  })

  it('listens at local sockets, also where an old one is left over', async () => {
    const path = join(directory, 'mxhs.sock')
    const left = createServer().listen(path)
    await once(left, 'listening')
    const listeners = new Listeners(undefined)
    await listeners.open(listener({ path, mode: 0o660 }), (_req, res) => res.end('here'))
    expect((await stat(path)).mode & 0o777).to.equal(0o660)
    const asked = request({ socketPath: path, path: '/' })
    asked.end()
    const [response] = (await once(asked, 'response')) as [IncomingMessage]
    expect(response.statusCode).to.equal(200)
    response.resume()
    await once(response, 'end')
    listeners.closeConnections()
    await listeners.close()
    left.close()
  })

  it('does not remove a file that is no socket', async () => {
    const path = join(directory, 'notes.txt')
    await writeFile(path, 'important')
    const listeners = new Listeners(undefined)
    expect(
      await rejection(listeners.open(listener({ path, mode: 0o660 }), () => undefined)),
    ).to.have.property('code', 'EADDRINUSE')
  })

  it('reads certificates anew for new connections, and keeps the old ones when those are bad', async () => {
    const certificatePath = join(directory, 'cert.pem')
    const privateKeyPath = join(directory, 'key.pem')
    const install = async (name: string): Promise<void> => {
      await copyFile(join(FIXTURES, `tls-${name}.cert.pem`), certificatePath)
      await copyFile(join(FIXTURES, `tls-${name}.key.pem`), privateKeyPath)
    }
    await install('first')
    const listeners = new Listeners({ certificatePath, privateKeyPath })
    await listeners.open(listener(HERE, true), (_req, res) => res.end('here'))
    const url = urlsOf(listeners)[0] ?? ''
    expect(url).to.match(/^https:/)
    expect(await commonNameAt(url)).to.equal('first.hs.test')
    await install('second')
    listeners.reloadTls()
    expect(await commonNameAt(url)).to.equal('second.hs.test')
    await writeFile(certificatePath, 'nonsense')
    expect(() => listeners.reloadTls()).to.throw()
    expect(await commonNameAt(url)).to.equal('second.hs.test')
    listeners.closeConnections()
    await listeners.close()
  })

  it('closes though clients keep idle connections', async () => {
    const listeners = new Listeners(undefined)
    await listeners.open(listener(HERE), (_req, res) => res.end('here'))
    const url = urlsOf(listeners)[0] ?? ''
    await (await fetch(url)).text()
    await listeners.close()
  })
})

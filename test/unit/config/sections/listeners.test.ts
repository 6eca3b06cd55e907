import { expect } from 'chai'
import type { ListenerConfig } from '../../../../src/config/sections/listeners.js'
import { errorsOf, loadKeys, warningsOf } from '../../../support/load-config.js'

async function listener(keys: object): Promise<ListenerConfig> {
  const { config } = await loadKeys({ listeners: [keys] })
  return config.listeners.list[0]!
}

describe('listeners', () => {
  it('listens everywhere unless addresses are given', async () => {
    expect(await listener({ port: 8008, resources: [{ names: ['client'] }] })).to.deep.equal({
      type: 'http',
      address: { port: 8008, bindAddresses: ['::', '0.0.0.0'] },
      tls: false,
      xForwarded: false,
      requestIdHeader: undefined,
      tag: '8008',
      resources: [{ name: 'client', compress: false }],
    })
  })

  it('takes files that have a web client still, and says that it means nothing', async () => {
    const old = { port: 8008, resources: [{ names: ['client', 'webclient'] }, { names: ['webclient'] }] }
    expect((await listener(old)).resources).to.deep.equal([{ name: 'client', compress: false }])
    expect(await warningsOf({ listeners: [old] })).to.have.lengthOf(2)
  })

  it('takes any mix of resources, each once', async () => {
    const { resources } = await listener({
      port: 8008,
      resources: [
        { names: ['client', 'federation'], compress: true },
        { names: ['federation', 'keys', 'media', 'health'] },
      ],
    })
    expect(resources).to.deep.equal([
      { name: 'client', compress: true },
      { name: 'federation', compress: true },
      { name: 'keys', compress: false },
      { name: 'media', compress: false },
      { name: 'health', compress: false },
    ])
  })

  it('serves only metrics on listeners for metrics', async () => {
    const { type, address, resources } = await listener({ port: 9000, type: 'metrics', resources: [] })
    expect(type).to.equal('metrics')
    expect(address).to.deep.equal({ port: 9000, bindAddresses: ['127.0.0.1'] })
    expect(resources).to.deep.equal([{ name: 'metrics', compress: false }])
  })

  it('knows the older single address, and the empty one for all', async () => {
    expect((await listener({ port: 1, bind_address: '127.0.0.1' })).address).to.deep.include({
      bindAddresses: ['127.0.0.1'],
    })
    expect((await listener({ port: 1, bind_addresses: [''] })).address).to.deep.include({
      bindAddresses: ['::', '0.0.0.0'],
    })
  })

  for (const mode of [660, '660', '0660', 0o660]) {
    it(`takes ${JSON.stringify(mode)} for the permissions of a Unix socket`, async () => {
      expect((await listener({ path: '/run/mxhs.sock', mode })).address).to.deep.equal({
        path: '/run/mxhs.sock',
        mode: 0o660,
      })
    })
  }

  it('needs either a port or a path', async () => {
    expect(await errorsOf({ listeners: [{ tls: false }] })).to.deep.equal([
      'listeners[0]: expected either a port or the path of a Unix socket',
    ])
    expect(await errorsOf({ listeners: [{ port: 1, path: '/a' }] })).to.have.length(1)
  })

  it('needs a certificate for TLS', async () => {
    expect(await errorsOf({ listeners: [{ port: 8448, tls: true }] })).to.deep.equal([
      'listeners[0].tls: needs tls_certificate_path and tls_private_key_path',
    ])
    const { config } = await loadKeys({
      listeners: [{ port: 8448, tls: true }],
      tls_certificate_path: '/a.crt',
      tls_private_key_path: '/a.key',
    })
    expect(config.listeners.tlsCertificatePath).to.equal('/a.crt')
    expect(config.listeners.list[0]!.tls).to.equal(true)
  })

  it('leaves out manholes and resources that are not served, with a warning', async () => {
    const keys = {
      listeners: [
        { port: 9001, type: 'manhole' },
        { port: 8008, resources: [{ names: ['client', 'replication', 'consent'] }] },
      ],
    }
    const { config } = await loadKeys(keys)
    expect(config.listeners.list).to.have.length(1)
    expect(config.listeners.list[0]!.resources.map(({ name }) => name)).to.deep.equal(['client', 'consent'])
    expect(await warningsOf(keys)).to.have.length(2)
  })
})

import { expect } from 'chai'
import { localServerUrl } from '../../../src/cli/shared-secret-registration.js'
import type { ListenerConfig } from '../../../src/config/sections/listeners.js'

function listener(
  port: number,
  bindAddresses: readonly string[],
  more: Partial<ListenerConfig> = {},
): ListenerConfig {
  return {
    type: 'http',
    address: { port, bindAddresses },
    tls: false,
    xForwarded: false,
    requestIdHeader: undefined,
    tag: String(port),
    resources: [{ name: 'client', compress: false }],
    ...more,
  }
}

describe('localServerUrl', () => {
  it('is that of the first listener for clients without TLS', () => {
    const listeners = [
      listener(1, ['::'], { tls: true }),
      listener(2, ['::'], { type: 'metrics' }),
      listener(3, ['::'], { resources: [{ name: 'federation', compress: false }] }),
      listener(4, [], { address: { path: '/run/mxhs.sock', mode: 0o666 } }),
      listener(5, ['::', '0.0.0.0']),
      listener(6, ['127.0.0.1']),
    ]
    expect(localServerUrl(listeners)).to.equal('http://localhost:5')
  })

  it('is at the address of a listener that is not on the loopback interface', () => {
    expect(localServerUrl([listener(1, ['192.0.2.1'])])).to.equal('http://192.0.2.1:1')
    expect(localServerUrl([listener(1, ['2001:db8::1'])])).to.equal('http://[2001:db8::1]:1')
    expect(localServerUrl([listener(1, ['192.0.2.1', '127.0.0.1'])])).to.equal('http://localhost:1')
  })

  it('is unknown without such a listener', () => {
    expect(localServerUrl([listener(1, ['::'], { tls: true })])).to.equal(undefined)
    expect(localServerUrl([])).to.equal(undefined)
  })
})

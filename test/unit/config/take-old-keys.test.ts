import { expect } from 'chai'
import { takeOldKeys } from '../../../src/config/take-old-keys.js'
import type { JsonObject } from '../../../src/util/json.js'

describe('takeOldKeys', () => {
  const taken = (values: JsonObject): JsonObject => {
    expect(takeOldKeys(values)).to.deep.equal([])
    return values
  }

  it('puts what old keys say where it is read today', () => {
    expect(
      taken({
        rc_messages_per_second: 5,
        rc_message_burst_count: 9,
        disable_registration: true,
        server_name: 'hs.test',
      }),
    ).to.deep.equal({
      rc_message: { per_second: 5, burst_count: 9 },
      enable_registration: false,
      server_name: 'hs.test',
    })
  })

  it('lets new keys count before old ones', () => {
    expect(taken({ disable_registration: true, enable_registration: true })).to.deep.equal({
      enable_registration: true,
    })
    expect(taken({ synctl_cache_factor: 2, caches: { expire_caches: false } })).to.deep.equal({
      caches: { global_factor: 2, expire_caches: false },
    })
  })

  it('leaves keys that say nothing, and those that are read under their names', () => {
    const values = { perspectives: null, use_presence: true, rc_message: { per_second: 1 } }
    expect(taken(structuredClone(values))).to.deep.equal(values)
  })

  it('does not guess what was meant by both', () => {
    const values = { bind_port: 8448, listeners: [] }
    expect(takeOldKeys(values)).to.deep.equal([
      { key: 'bind_port', message: 'say the same by listeners, which is there too' },
    ])
    expect(values).to.have.all.keys('bind_port', 'listeners')
    expect(taken({ no_tls: false, bind_port: 0, listeners: [] })).to.deep.equal({ listeners: [] })
  })

  it('puts old and new keys together where that is clear', () => {
    const [secure, plain] = [
      { port: 8448, tls: true },
      { port: 8008, tls: false },
    ]
    expect(taken({ no_tls: true, listeners: [secure, plain] })).to.deep.equal({ listeners: [plain] })
    const measured = taken({ no_tls: false, metrics_port: 9000, listeners: [secure, plain] })
    expect(measured).to.have.property('listeners').with.lengthOf(3)
    expect(measured).to.have.deep.nested.property('listeners[2].resources[0].names', ['metrics'])
    expect(takeOldKeys({ bind_port: 8448, no_tls: true, listeners: [plain] })).to.have.lengthOf(1)
  })
})

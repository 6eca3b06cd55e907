import { expect } from 'chai'
import fc from 'fast-check'
import {
  derivePresence,
  presenceContent,
  type DevicePresence,
} from '../../../../src/services/ephemeral/presence-state.js'
import type { UserId } from '../../../../src/protocol/ids.js'
import { PRESENCE_TIMES } from '../../../support/ephemeral-services.js'

const NOW = 10_000_000
const device = (changes: Partial<DevicePresence> = {}): DevicePresence => ({
  declared: 'online',
  lastActiveTs: NOW,
  lastSyncTs: NOW,
  openSyncs: 1,
  ...changes,
})
const derive = (devices: DevicePresence[], now = NOW) =>
  derivePresence(devices, now, { lastActiveTs: 0, times: PRESENCE_TIMES })

describe('derivePresence', () => {
  it('is offline without devices', () => {
    expect(derive([])).to.deep.equal({
      state: 'offline',
      lastActiveTs: 0,
      currentlyActive: false,
      until: undefined,
    })
  })

  it('is currently active for a while after the last activity, idle later', () => {
    const devices = [device()]
    expect(derive(devices)).to.include({ state: 'online', currentlyActive: true, until: NOW + 60_000 })
    expect(derive(devices, NOW + 60_000)).to.include({
      state: 'online',
      currentlyActive: false,
      until: NOW + 300_000,
    })
    expect(derive(devices, NOW + 300_000)).to.include({ state: 'unavailable', until: undefined })
  })

  it('is offline some time after the last sync has ended', () => {
    const devices = [device({ openSyncs: 0 })]
    expect(derive(devices)).to.include({ state: 'online', until: NOW + 30_000 })
    expect(derive(devices, NOW + 30_000)).to.include({ state: 'offline', until: undefined })
  })

  it('takes the best of all devices', () => {
    expect(derive([device({ declared: 'offline' }), device({ declared: 'unavailable' })]).state).to.equal(
      'unavailable',
    )
    expect(derive([device({ declared: 'unavailable' }), device()]).state).to.equal('online')
  })

  it('does not change before it says that it may', () => {
    const anyDevice = fc.record({
      declared: fc.constantFrom('online' as const, 'unavailable' as const, 'offline' as const),
      lastActiveTs: fc.integer({ min: NOW - 400_000, max: NOW }),
      lastSyncTs: fc.integer({ min: NOW - 400_000, max: NOW }),
      openSyncs: fc.integer({ min: 0, max: 1 }),
    })
    fc.assert(
      fc.property(fc.array(anyDevice, { maxLength: 4 }), fc.nat(500_000), (devices, later) => {
        const { until, ...first } = derive(devices)
        if (until !== undefined) expect(until).to.be.greaterThan(NOW)
        const at = Math.min(NOW + later, (until ?? Infinity) - 1)
        expect(derive(devices, at)).to.deep.include(first)
      }),
    )
  })
})

describe('presenceContent', () => {
  it('has what is known', () => {
    const record = {
      userId: '@a:hs.test' as UserId,
      state: 'online' as const,
      statusMsg: 'here',
      lastActiveTs: NOW - 5,
      currentlyActive: true,
    }
    expect(presenceContent(record, NOW)).to.deep.equal({
      presence: 'online',
      last_active_ago: 5,
      status_msg: 'here',
      currently_active: true,
    })
    const gone = { ...record, state: 'offline' as const, statusMsg: undefined, lastActiveTs: 0 }
    expect(presenceContent(gone, NOW)).to.deep.equal({ presence: 'offline' })
  })
})

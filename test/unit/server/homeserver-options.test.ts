import { expect } from 'chai'
import { toAccountOptions } from '../../../src/server/homeserver-options.js'
import { testConfig } from '../../support/homeserver.js'

function features(yaml: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, boolean>> {
  return toAccountOptions(testConfig(yaml), 'mxhs 0.0.0').description.configuredFeatures
}

describe('server/homeserver-options', () => {
  it('announces what is switched on, and nothing else', () => {
    expect(features()).to.include({
      'org.matrix.simplified_msc3575': true,
      'org.matrix.msc4069': false,
      'org.matrix.msc4140': false,
      'org.matrix.msc4306': false,
    })
    const experimental = { msc4069_profile_inhibit_propagation: true, msc4306_enabled: true }
    expect(features({ experimental_features: experimental, max_event_delay_duration: '1h' })).to.include({
      'org.matrix.msc4069': true,
      'org.matrix.msc4140': true,
      'org.matrix.msc4306': true,
    })
  })

  it('announces which rooms are encrypted whether clients ask for it or not', () => {
    const forced = (value: string): unknown[] => {
      const all = features({ encryption_enabled_by_default_for_room_type: value })
      return ['public', 'private', 'trusted_private'].map((preset) => all[`io.element.e2ee_forced.${preset}`])
    }
    expect(forced('off')).to.deep.equal([false, false, false])
    expect(forced('invite')).to.deep.equal([false, true, true])
    expect(forced('all')).to.deep.equal([true, true, true])
  })

  it('says that addresses can be changed, where that is not switched off', () => {
    const changes = (yaml: Readonly<Record<string, unknown>>): boolean =>
      toAccountOptions(testConfig(yaml), 'mxhs 0.0.0').description.threepidChanges
    expect(changes({})).to.equal(true)
    expect(changes({ enable_3pid_changes: false })).to.equal(false)
  })
})

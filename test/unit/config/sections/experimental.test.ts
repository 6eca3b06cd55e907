import { expect } from 'chai'
import { warningsOf } from '../../../support/load-config.js'

const LISTENERS = { listeners: [{ port: 8008 }] }

describe('experimental features', () => {
  it('warns of those that are switched on and not served', async () => {
    const experimental_features = { msc4263_enabled: true, msc3026_enabled: false, msc4222_enabled: true }
    expect(await warningsOf({ ...LISTENERS, experimental_features })).to.deep.equal([
      'experimental_features.msc4263_enabled: this proposal is not served yet',
    ])
  })
})

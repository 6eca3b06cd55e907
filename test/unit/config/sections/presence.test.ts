import { expect } from 'chai'
import { loadKeys } from '../../../support/load-config.js'

describe('presence', () => {
  const modes: [object, object][] = [
    [{}, { enabled: true, tracked: true }],
    [{ presence: { enabled: false } }, { enabled: false, tracked: false }],
    [{ presence: { enabled: 'untracked' } }, { enabled: true, tracked: false }],
    [{ use_presence: false }, { enabled: false, tracked: false }],
    [
      { use_presence: false, presence: { enabled: true } },
      { enabled: true, tracked: true },
    ],
  ]
  for (const [keys, expected] of modes) {
    it(`is ${JSON.stringify(expected)} with ${JSON.stringify(keys)}`, async () => {
      expect((await loadKeys(keys)).config.presence).to.include(expected)
    })
  }
})

import { expect } from 'chai'
import type { ServerName } from '../../../../src/protocol/ids.js'
import { PendingUploads } from '../../../../src/services/media/pending-uploads.js'
import { ManualClock } from '../../../support/manual-clock.js'

describe('those who wait for a file', () => {
  const id = { serverName: 'a.test' as ServerName, mediaId: 'abc' }

  it('are woken when it comes, when their time is over, and when they go', async () => {
    const clock = new ManualClock()
    const pending = new PendingUploads(clock)
    const gone = new AbortController()
    const waits = [
      pending.wait(id, 1000, undefined),
      pending.wait(id, 5000, undefined),
      pending.wait(id, 5000, gone.signal),
    ]
    expect(pending.size).to.equal(3)
    clock.advance(1000)
    await waits[0]
    gone.abort()
    await waits[2]
    expect(pending.size).to.equal(1)
    pending.arrived({ ...id, mediaId: 'other' })
    expect(pending.size).to.equal(1)
    pending.arrived(id)
    await waits[1]
    expect([pending.size, clock.pending]).to.deep.equal([0, 0])
    await pending.wait(id, 5000, gone.signal)
  })
})

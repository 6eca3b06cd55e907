import { expect } from 'chai'
import { MatrixError } from '../../../../src/protocol/errors.js'
import type { ServerName } from '../../../../src/protocol/ids.js'
import { InboxShares, type InboxShare } from '../../../../src/services/federation/inbox-shares.js'
import { ManualClock } from '../../../support/manual-clock.js'

const [A, B, C] = ['a.test', 'b.test', 'c.test'] as [ServerName, ServerName, ServerName]

describe('InboxShares', () => {
  let clock: ManualClock
  let counted: (InboxShare & { origin: ServerName })[]
  let counts: number
  let shares: InboxShares

  beforeEach(async () => {
    clock = new ManualClock()
    counted = []
    counts = 0
    shares = new InboxShares({
      count: () => {
        counts += 1
        return Promise.resolve(counted)
      },
      clock,
      limits: { each: { events: 4, chars: 1_000 }, all: { events: 8, chars: 2_000 } },
    })
    await shares.load()
  })

  async function refusal(origin: ServerName): Promise<unknown> {
    return shares.require(origin).then(
      () => undefined,
      (error: unknown) =>
        error instanceof MatrixError ? [error.status, error.errcode, error.fields] : error,
    )
  }
  const REFUSED = [429, 'M_LIMIT_EXCEEDED', { retry_after_ms: 30_000 }]

  it('refuses a server of which enough waits, until some of it has been dealt with', async () => {
    for (let n = 0; n < 4; n++) shares.add(A, 10)
    expect([await refusal(A), await refusal(B)]).to.deep.equal([REFUSED, undefined])
    shares.remove(A, 10)
    expect(await refusal(A)).to.equal(undefined)
  })

  it('counts how large events are', async () => {
    shares.add(A, 1_000)
    expect(await refusal(A)).to.deep.equal(REFUSED)
    shares.remove(A, 1_000)
    expect(await refusal(A)).to.equal(undefined)
  })

  it('lets servers with little go on where all together have very much', async () => {
    for (const server of [A, B]) for (let n = 0; n < 3; n++) shares.add(server, 10)
    shares.add(C, 10)
    expect([await refusal(A), await refusal(C)]).to.deep.equal([undefined, undefined])
    shares.add(C, 10)
    expect([await refusal(A), await refusal(B), await refusal(C)]).to.deep.equal([
      REFUSED,
      REFUSED,
      undefined,
    ])
  })

  it('begins with what waits already', async () => {
    counted = [{ origin: A, events: 4, chars: 40 }]
    await shares.load()
    expect([await refusal(A), await refusal(B)]).to.deep.equal([REFUSED, undefined])
  })

  it('counts anew before it refuses, but not each time', async () => {
    for (let n = 0; n < 4; n++) shares.add(A, 10)
    counted = [{ origin: A, events: 1, chars: 10 }]
    expect([await refusal(A), counts]).to.deep.equal([REFUSED, 1])
    clock.advance(10_000)
    expect([await refusal(A), counts]).to.deep.equal([undefined, 2])
    counted = [{ origin: A, events: 4, chars: 40 }]
    await shares.load()
    clock.advance(10_000)
    expect([await refusal(A), await refusal(A), counts]).to.deep.equal([REFUSED, REFUSED, 4])
  })
})

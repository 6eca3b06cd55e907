import { expect } from 'chai'
import { SignOnAttempts } from '../../../../src/services/sign-on/sign-on-attempts.js'
import type { Database } from '../../../../src/storage/database.js'
import { SignOnAttemptsStore } from '../../../../src/storage/stores/sign-on-attempts.js'
import { forEachDatabase } from '../../../support/databases.js'
import { ManualClock } from '../../../support/manual-clock.js'
import { rejection } from '../../../support/rejection.js'

const ATTEMPT = {
  provider: 'oidc-a',
  purpose: { kind: 'login', redirectUrl: 'https://app.example/' },
  memory: { nonce: 'n' },
} as const

forEachDatabase('SignOnAttempts', (open) => {
  let db: Database
  let clock: ManualClock
  let attempts: SignOnAttempts
  beforeEach(async () => {
    db = await open()
    clock = new ManualClock(1_700_000_000_000)
    const limits = { perAddress: 3, total: 5 }
    attempts = new SignOnAttempts({ db, clock, attempts: new SignOnAttemptsStore(), limits })
  })

  const keep = (state: string, address = '192.0.2.1'): Promise<void> =>
    attempts.keep({ state, browser: 'a browser', address }, ATTEMPT)
  const isThere = async (state: string): Promise<boolean> =>
    attempts.take(state, 'a browser').then(
      () => true,
      () => false,
    )

  it('are good once, and for the browser that has begun them', async () => {
    await keep('s')
    expect(await rejection(attempts.take('s', 'another'))).to.include({ code: 'bad_session', status: 400 })
    expect(await rejection(attempts.take('s', undefined))).to.include({ code: 'bad_session' })
    expect(await rejection(attempts.take('t', 'a browser'))).to.include({ code: 'bad_session' })
    const [first, second] = await Promise.allSettled([1, 2].map(() => attempts.take('s', 'a browser')))
    expect([first?.status, second?.status].sort()).to.deep.equal(['fulfilled', 'rejected'])
    await keep('s')
    expect(await attempts.take('s', 'a browser')).to.deep.include(ATTEMPT)
  })

  it('last fifteen minutes', async () => {
    await keep('early')
    clock.advance(1)
    await keep('late')
    clock.advance(15 * 60_000 - 1)
    expect([await isThere('early'), await isThere('late')]).to.deep.equal([false, true])
    await keep('left')
    clock.advance(15 * 60_000)
    await attempts.deleteExpired()
    expect(await db.reader.all('SELECT 1 FROM sign_on_attempts')).to.deep.equal([])
  })

  it('are so many of an address, the newest, and so many of all', async () => {
    for (const state of ['1', '2', '3', '4']) {
      await keep(state)
      clock.advance(1)
    }
    await keep('5', '2001:db8::1')
    await keep('6', '2001:db8:0:0:1::1')
    expect(await rejection(keep('7', '192.0.2.2'))).to.include({ errcode: 'M_LIMIT_EXCEEDED' })
    // Whoever has some already replaces one of their own.
    await keep('8')
    const there = await Promise.all(['1', '2', '3', '4', '5', '6', '7', '8'].map(isThere))
    expect(there).to.deep.equal([false, false, true, true, true, true, false, true])
  })

  it('keep nothing by which somebody who reads the database could go on', async () => {
    await keep('a state')
    const rows = await db.reader.all<Record<string, unknown>>('SELECT * FROM sign_on_attempts')
    expect(JSON.stringify(rows)).not.to.match(/a state|a browser/)
  })
})

import { expect } from 'chai'
import type { Dispatcher } from 'undici'
import { exchange, exchangeStream } from '../../../src/net/http-exchange.js'
import { ManualClock } from '../../support/manual-clock.js'
import { rejection } from '../../support/rejection.js'

/** As one that is connecting, and does not get there. */
const CONNECTING = { request: () => new Promise<never>(() => undefined) } as unknown as Dispatcher
const REQUEST = { origin: 'https://slow.test', path: '/', method: 'GET', headers: {} } as const

for (const send of [exchange, exchangeStream]) {
  describe(`${send.name} without a connection`, () => {
    it('ends with its time', async () => {
      const clock = new ManualClock()
      const sending = rejection(send(CONNECTING, REQUEST, { clock, timeoutMs: 1_000, maxBytes: 10 }))
      clock.advance(1_000)
      expect(await sending).to.include({ kind: 'timeout' })
    })

    it('ends when the caller wants it no more', async () => {
      const caller = new AbortController()
      const limits = { clock: new ManualClock(), timeoutMs: 1_000, maxBytes: 10, signal: caller.signal }
      const sending = rejection(send(CONNECTING, REQUEST, limits))
      caller.abort()
      expect(await sending).to.include({ kind: 'aborted' })
    })
  })
}

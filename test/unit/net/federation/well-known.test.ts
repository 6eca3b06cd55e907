import { expect } from 'chai'
import { WellKnown } from '../../../../src/net/federation/well-known.js'
import { HttpFailure, type HttpReply, type HttpRequest } from '../../../../src/net/http-client.js'
import { createDeferred } from '../../../../src/util/deferred.js'
import { ManualClock } from '../../../support/manual-clock.js'

const HOUR_MS = 60 * 60_000
type Scripted = { status?: number; text: string; headers?: HttpReply['headers'] } | HttpFailure

class Host {
  readonly clock = new ManualClock()
  readonly requests: HttpRequest[] = []
  answer: Scripted = { text: '{"m.server":"m.test:443"}' }
  gate: Promise<unknown> = Promise.resolve()
  readonly wellKnown = new WellKnown(
    {
      request: async (request) => {
        this.requests.push(request)
        await this.gate
        if (this.answer instanceof HttpFailure) throw this.answer
        const { status = 200, text, headers = {} } = this.answer
        return { status, headers, body: Buffer.from(text) }
      },
    },
    this.clock,
  )

  async server(): Promise<string> {
    const answer = await this.wellKnown.lookup('a.test')
    return answer.kind === 'delegated' ? answer.server : answer.reason
  }

  /** For how long an answer is remembered. */
  async lifetimeMs(): Promise<number> {
    await this.server()
    const before = this.requests.length
    for (let ms = 0; ; ms += 60_000) {
      await this.server()
      if (this.requests.length > before) return ms
      this.clock.advance(60_000)
    }
  }
}

describe('WellKnown', () => {
  let host: Host
  beforeEach(() => {
    host = new Host()
  })

  it('asks with limits of time, size and redirects', async () => {
    expect(await host.server()).to.equal('m.test:443')
    expect(host.requests[0]).to.deep.include({
      url: 'https://a.test/.well-known/matrix/server',
      maxBytes: 50 * 1024,
      maxRedirects: 5,
      timeoutMs: 10_000,
    })
  })

  it('asks once at a time', async () => {
    const gate = createDeferred()
    host.gate = gate.promise
    const answers = [host.server(), host.server()]
    gate.resolve()
    expect(await Promise.all(answers)).to.deep.equal(['m.test:443', 'm.test:443'])
    expect(host.requests).to.have.length(1)
  })

  it('reads JSON whatever its type', async () => {
    host.answer = { text: ' {"m.server":"m.test", "x": 1}', headers: { 'content-type': 'text/html' } }
    expect(await host.server()).to.equal('m.test')
  })

  for (const [what, answer] of Object.entries<Scripted>({
    'another status': { status: 404, text: '{"m.server":"m.test"}' },
    'what is no JSON': { text: '<html>' },
    'what is no object': { text: '["m.server"]' },
    'no server': { text: '{}' },
    'a server that is no text': { text: '{"m.server":17}' },
    'a server that is no name': { text: '{"m.server":"https://m.test/"}' },
    'no answer': new HttpFailure('unreachable', 'connection refused'),
    'an answer that is too large': new HttpFailure('tooLarge', 'too large'),
  })) {
    it(`counts ${what} as nothing`, async () => {
      host.answer = answer
      expect(await host.wellKnown.lookup('a.test')).to.have.property('kind', 'none')
    })
  }

  for (const [what, headers, ms] of [
    ['a day, where the answer does not say', {}, 24 * HOUR_MS],
    ['the time that it says', { 'cache-control': 'public, max-age=3600' }, HOUR_MS],
    ['two days at most', { 'cache-control': 'max-age=99999999' }, 48 * HOUR_MS],
    ['five minutes at least', { 'cache-control': 'max-age=1' }, 5 * 60_000],
    ['five minutes, where it is not to be kept', { 'cache-control': 'no-store, max-age=7200' }, 5 * 60_000],
    ['the time until it expires', { expires: 'Thu, 01 Jan 2026 02:00:00 GMT' }, 2 * HOUR_MS],
    ['five minutes, where the date is none', { expires: '0' }, 5 * 60_000],
  ] as const) {
    it(`keeps an answer for ${what}`, async () => {
      host.answer = { text: '{"m.server":"m.test"}', headers }
      expect(await host.lifetimeMs()).to.equal(ms)
    })
  }

  it('asks again after an hour where there was nothing, and sooner after a failure of the server', async () => {
    host.answer = { status: 404, text: '' }
    expect(await host.lifetimeMs()).to.equal(HOUR_MS)
    host = new Host()
    host.answer = { status: 503, text: '' }
    expect(await host.lifetimeMs()).to.equal(5 * 60_000)
  })

  it('keeps to the last answer for a day while the host is down, and no longer', async () => {
    await host.server()
    host.answer = new HttpFailure('unreachable', 'down')
    host.clock.advance(25 * HOUR_MS)
    expect(await host.server()).to.equal('m.test:443')
    host.clock.advance(24 * HOUR_MS)
    expect(await host.server()).to.equal('down')
  })

  it('lets only the first wait for a host that does not answer', async () => {
    host.answer = new HttpFailure('timeout', 'nothing came')
    expect(await host.server()).to.equal('nothing came')
    host.clock.advance(61 * 60_000)
    const gate = createDeferred()
    host.gate = gate.promise
    host.answer = { text: '{"m.server":"m.test"}' }
    expect(await host.server()).to.equal('nothing came')
    expect(await host.server()).to.equal('nothing came')
    expect(host.requests).to.have.length(2)
    gate.resolve()
    await host.clock.advanceAsync(0)
    expect(await host.server()).to.equal('m.test')
  })

  it('believes a host that says that it does not delegate any more', async () => {
    await host.server()
    host.answer = { status: 404, text: '' }
    host.clock.advance(25 * HOUR_MS)
    expect(await host.wellKnown.lookup('a.test')).to.have.property('kind', 'none')
  })

  it('forgets when it is told to', async () => {
    await host.server()
    host.wellKnown.forget('a.test')
    host.answer = { text: '{"m.server":"other.test"}' }
    expect(await host.server()).to.equal('other.test')
  })
})

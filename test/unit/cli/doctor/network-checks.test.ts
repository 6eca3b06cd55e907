import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { expect } from 'chai'
import { checkClock } from '../../../../src/cli/doctor/check-clock.js'
import { checkDns } from '../../../../src/cli/doctor/check-dns.js'
import { checkSmtp } from '../../../../src/cli/doctor/check-smtp.js'
import { checkTls } from '../../../../src/cli/doctor/check-tls.js'
import { checkWellKnown } from '../../../../src/cli/doctor/check-well-known.js'
import { doctorContext, fakeDns, findings, type FakeAnswers } from '../../../support/doctor-context.js'
import { FakeSmtp } from '../../../support/fake-smtp.js'
import { startHttpServer } from '../../../support/http-servers.js'
import { ManualClock } from '../../../support/manual-clock.js'
import { TestAuthority } from '../../../support/test-authority.js'

describe('checks of what is out there', () => {
  it('dns: names without addresses, and with private ones', async () => {
    const look = async (addresses: Record<string, string[]>, keys: object = {}): Promise<string[]> =>
      findings(checkDns, await doctorContext(keys, { dns: fakeDns(addresses) }))
    const both = { public_baseurl: 'https://chat.example.org/' }
    expect(await look({ 'chat.example.org': ['93.184.216.34'] }, both)).to.deep.equal([
      'ok: chat.example.org has 93.184.216.34',
      'error: example.org (server_name) has no address: ENOTFOUND',
    ])
    expect(await look({ 'example.org': ['10.0.0.1', '2001:4860::1'] })).to.deep.equal([
      'ok: example.org has 10.0.0.1, 2001:4860::1',
      'info: seen from here, example.org is at the private address 10.0.0.1',
    ])
    expect((await look({}, { public_baseurl: 'https://1.2.3.4/' }))[0]).to.equal('ok: 1.2.3.4 is an address')
  })

  it('tls: chain, name and expiry', async () => {
    const authority = new TestAuthority()
    const look = async (names: string[], notAfterTs?: number): Promise<string[]> => {
      const { certificate, privateKey } = authority.issue(
        names,
        notAfterTs === undefined ? {} : { notAfterTs },
      )
      const tls = { cert: certificate, key: privateKey }
      await using server = await startHttpServer((_request, response) => response.end(), { tls })
      const keys = { public_baseurl: `https://chat.test:${server.port}/` }
      const dns = fakeDns({ 'chat.test': ['127.0.0.1'] })
      const trusted = { verify: true, authorities: [authority.certificate] }
      const found = await findings(checkTls, await doctorContext(keys, { dns, tls: trusted }))
      const [untrusted] = await findings(checkTls, await doctorContext(keys, { dns }))
      expect(untrusted).to.match(/^error: .*authority/)
      return found
    }
    expect((await look(['chat.test']))[0]).to.match(/^ok: 127\.0\.0\.1:\d+: TLSv1\.3, by Test authority/)
    expect((await look(['other.test']))[0]).to.match(/^error: .*it is for other\.test, not for chat\.test/)
    expect((await look(['chat.test'], Date.now() + 24 * 60 * 60_000))[0]).to.match(/^warning: .*two weeks/)
    const none = await doctorContext({ public_baseurl: 'https://chat.test/' })
    expect((await findings(checkTls, none))[0]).to.match(/^info: chat\.test has no address/)
    const plain = await doctorContext({ public_baseurl: 'http://chat.test/' })
    expect((await findings(checkTls, plain))[0]).to.match(/^info: public_baseurl is without TLS/)
  })

  it('well-known: what is not there, wrong, or cannot be read by browsers', async () => {
    const look = async (answer: ReturnType<FakeAnswers>): Promise<string[]> => {
      const answers: FakeAnswers = (url) =>
        url === 'https://example.org/.well-known/matrix/client' ? answer : undefined
      return findings(
        checkWellKnown,
        await doctorContext({ public_baseurl: 'https://chat.example.org/' }, { answers }),
      )
    }
    const headers = { 'access-control-allow-origin': '*', 'content-type': 'application/json' }
    const body = (url: string): string => JSON.stringify({ 'm.homeserver': { base_url: url } })
    expect(await look({ headers, body: body('https://chat.example.org') })).to.deep.equal([
      'ok: https://example.org/.well-known/matrix/client leads to https://chat.example.org',
    ])
    expect((await look(undefined))[0]).to.match(/^warning: .*connection refused/)
    expect((await look({ status: 404 }))[0]).to.match(/^warning: .*status 404/)
    expect((await look({ headers, body: '<html>' }))[0]).to.match(/^error: .*no m\.homeserver/)
    expect((await look({ headers, body: body('https://x.org') }))[0]).to.match(
      /^warning: .*leads to https:\/\/x\.org/,
    )
    const bare = await look({
      body: body('https://chat.example.org'),
      headers: { 'content-type': 'text/plain' },
    })
    expect(bare[1]).to.match(/^error: .*Access-Control-Allow-Origin/)
    expect(bare[2]).to.match(/^info: .*text\/plain/)
  })

  it('clock: behind, ahead, and unknown', async () => {
    const clock = new ManualClock()
    const keys = {
      trusted_key_servers: [{ server_name: 'a.test' }, { server_name: 'b.test' }, { server_name: 'c.test' }],
    }
    const look = async (offsets: Record<string, number>): Promise<string[]> => {
      const servers: FakeAnswers = (url) => {
        const offset = offsets[url.split('/')[0] ?? '']
        if (offset === undefined) return undefined
        return { headers: { date: new Date(clock.now() + offset).toUTCString() } }
      }
      return findings(checkClock, await doctorContext(keys, { clock, servers }))
    }
    expect((await look({ 'a.test': 0, 'b.test': 0, 'c.test': 9_999_000 }))[0]).to.match(/^ok: within/)
    expect((await look({ 'a.test': 20_000, 'b.test': 20_000 }))[0]).to.match(
      /^warning: .*(19|20|21) s behind/,
    )
    expect((await look({ 'a.test': -3_600_000 }))[0]).to.match(/^error: .*s ahead of/)
    expect((await look({}))[0]).to.match(/^info: no other server/)
  })

  describe('smtp', () => {
    const look = async (email: object | undefined): Promise<string[]> =>
      findings(checkSmtp, await doctorContext({ email }))

    it('connects, and logs in', async () => {
      await using smtp = await FakeSmtp.start({ users: { bob: 'secret' } })
      expect(await look(smtp.config)).to.have.length(1)
      expect((await look(smtp.config))[0]).to.match(/^ok: 127\.0\.0\.1:\d+ takes mail$/)
      expect((await look({ ...smtp.config, smtp_user: 'bob', smtp_pass: 'secret' }))[0]).to.match(
        /lets bob log in$/,
      )
      expect((await look({ ...smtp.config, smtp_user: 'bob', smtp_pass: 'wrong' }))[0]).to.match(
        /^error: .*535/,
      )
      expect((await look({ ...smtp.config, require_transport_security: true }))[0]).to.match(
        /^error: .*STARTTLS/,
      )
      expect(smtp.mails).to.deep.equal([])
    })

    it('says what is no mail server, and where none is', async () => {
      expect((await look({ smtp_host: '127.0.0.1', smtp_port: 1 }))[0]).to.match(
        /^error: 127\.0\.0\.1:1: .*ECONNREFUSED/,
      )
      const other = createServer((socket) => socket.on('error', () => undefined).end('SSH-2.0-x\r\n')).listen(
        0,
        '127.0.0.1',
      )
      await once(other, 'listening')
      const { port } = other.address() as AddressInfo
      expect((await look({ smtp_host: '127.0.0.1', smtp_port: port }))[0]).to.match(
        /^error: .*closed the connection/,
      )
      other.close()
      expect((await look(undefined))[0]).to.equal('info: the server sends no mail')
    })
  })
})

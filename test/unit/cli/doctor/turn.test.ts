import { expect } from 'chai'
import { checkTurn } from '../../../../src/cli/doctor/check-turn.js'
import { parseTurnUri } from '../../../../src/net/clients/turn-probe.js'
import { decodeStunMessage } from '../../../../src/net/clients/stun-message.js'
import { doctorContext, fakeDns, findings } from '../../../support/doctor-context.js'
import { FakeTurn } from '../../../support/fake-turn.js'
import { startHttpServer } from '../../../support/http-servers.js'

describe('checkTurn', () => {
  let turn: FakeTurn

  beforeEach(async () => {
    turn = await FakeTurn.start('secret')
  })
  afterEach(() => turn[Symbol.asyncDispose]())

  async function look(
    uris: readonly string[],
    keys: object = { turn_shared_secret: 'secret' },
  ): Promise<string[]> {
    const dns = fakeDns({ '127.0.0.1': ['127.0.0.1'], localhost: ['127.0.0.1'] })
    return findings(checkTurn, await doctorContext({ turn_uris: uris, ...keys }, { dns }))
  }

  it('asks relays for an address, over UDP and TCP, with what clients are given', async () => {
    turn.lost = 1
    expect(await look([turn.udpUri, turn.tcpUri])).to.deep.equal([
      `ok: ${turn.udpUri} answers and accepts the credentials`,
      `ok: ${turn.tcpUri} answers and accepts the credentials`,
    ])
  })

  it('says which credentials are wrong, and where there are none', async () => {
    expect(await look([turn.tcpUri], { turn_shared_secret: 'other' })).to.deep.equal([
      `error: ${turn.tcpUri}: it refuses the credentials (401)`,
    ])
    expect(await look([turn.udpUri], { turn_username: 'x', turn_password: 'y' })).to.deep.equal([
      `error: ${turn.udpUri}: it refuses the credentials (401)`,
    ])
    expect((await look([turn.tcpUri], {}))[0]).to.match(/^error: .*neither turn_shared_secret nor/)
    turn.isOpen = true
    expect((await look([turn.tcpUri]))[0]).to.contain('it relays for anybody')
  })

  it('says where a relay has no address to give', async () => {
    turn.refusal = 508
    expect((await look([turn.tcpUri]))[0]).to.match(/^warning: .*no address to relay from \(error 508\)/)
  })

  it('says what is no relay, or is not there', async () => {
    await using web = await startHttpServer((_request, response) => response.end())
    const [http, none, unknown, bad] = await look([
      `turn:localhost:${web.port}?transport=tcp`,
      'turn:localhost:1?transport=tcp',
      'turn:nowhere.test',
      'http://relay',
    ])
    expect(http).to.match(/^error: .*(closed|ECONNRESET)/)
    expect(none).to.match(/^error: turn:localhost:1\?transport=tcp: .*ECONNREFUSED/)
    expect(unknown).to.equal('error: turn:nowhere.test: none')
    expect(bad).to.equal('error: http://relay is no URI of a relay')
    expect((await look([]))[0]).to.match(/^info/)
  })

  it('reads the URIs of relays', () => {
    expect(parseTurnUri('turn:a.org')).to.deep.equal({ host: 'a.org', port: 3478, transport: 'udp' })
    expect(parseTurnUri('turns:a.org?transport=tcp')).to.deep.equal({
      host: 'a.org',
      port: 5349,
      transport: 'tls',
    })
    expect(parseTurnUri('turn:[::1]:99?transport=tcp')).to.deep.equal({
      host: '::1',
      port: 99,
      transport: 'tcp',
    })
    for (const bad of ['turn:', 'stun:a.org', 'turn:a.org?transport=sctp', 'turn:a b', 'turn:a.org:123456']) {
      expect(parseTurnUri(bad), bad).to.equal(undefined)
    }
  })

  it('takes nothing for a message that is none', () => {
    for (const bad of [
      Buffer.alloc(0),
      Buffer.alloc(19),
      Buffer.alloc(64),
      Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
    ]) {
      expect(decodeStunMessage(bad)).to.equal(undefined)
    }
  })
})

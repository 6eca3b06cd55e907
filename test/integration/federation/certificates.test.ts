import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect } from 'node:tls'
import { expect } from 'chai'
import { startFederation, type TestFederation } from '../../support/federation.js'
import { syncJoinedTo, syncTimelineHasEventId, type MatrixClient } from '../../support/matrix-client.js'
import { rejection } from '../../support/rejection.js'

describe('a certificate that is replaced while two servers talk', function () {
  this.timeout(30_000)
  let servers: TestFederation
  let alice: MatrixClient
  let bob: MatrixClient
  let roomId: string

  before(async () => {
    servers = await startFederation(['a.test', 'b.test'])
    alice = await servers.get('a.test').register('alice')
    bob = await servers.get('b.test').register('bob')
    roomId = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(roomId, { via: ['a.test'] })
    await alice.mustSyncUntil(syncJoinedTo(roomId, bob.userId))
  })
  after(() => servers[Symbol.asyncDispose]())

  async function talk(): Promise<void> {
    const question = await alice.sendText(roomId, 'Are you there?')
    await bob.mustSyncUntil(syncTimelineHasEventId(roomId, question))
    const answer = await bob.sendText(roomId, 'I am')
    await alice.mustSyncUntil(syncTimelineHasEventId(roomId, answer))
  }

  /** Ends the connections that were made with the certificate before. */
  async function reconnect(): Promise<void> {
    await servers.network.reset('a.test', 'b.test')
    await servers.network.reset('b.test', 'a.test')
  }

  async function shownCertificate(): Promise<string> {
    const socket = connect({
      host: '127.0.0.1',
      port: await servers.network.portBetween('a.test', 'b.test'),
      servername: 'b.test',
      ca: servers.authority.certificate,
    })
    await once(socket, 'secureConnect')
    const { fingerprint256 } = socket.getPeerCertificate()
    socket.destroy()
    return fingerprint256
  }

  const fingerprintOf = (pem: string): string => new X509Certificate(pem).fingerprint256

  it('serves those who connect from then on, and breaks no connection', async () => {
    await talk()
    const before = await shownCertificate()
    const { certificate } = servers.issueCertificate('b.test')
    expect(await shownCertificate()).to.equal(before)
    // What is on its way meanwhile arrives.
    const [sent] = await Promise.all([
      alice.sendText(roomId, 'While it is replaced'),
      servers.get('b.test').server.reload(),
    ])
    await bob.mustSyncUntil(syncTimelineHasEventId(roomId, sent))
    expect(await shownCertificate()).to.equal(fingerprintOf(certificate))
    await talk()
    await reconnect()
    await talk()
  })

  it('stays as it was where there is no good one', async () => {
    const { certificate, certificatePath } = servers.issueCertificate('b.test')
    await servers.get('b.test').server.reload()
    writeFileSync(certificatePath, 'no certificate')
    expect(await rejection(servers.get('b.test').server.reload())).to.be.instanceOf(Error)
    expect(await shownCertificate()).to.equal(fingerprintOf(certificate))
    await reconnect()
    await talk()
  })
})

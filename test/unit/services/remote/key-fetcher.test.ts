import { expect } from 'chai'
import type { ServerName } from '../../../../src/protocol/ids.js'
import { makeServerKeys } from '../../../../src/protocol/server-keys.js'
import { signJson } from '../../../../src/protocol/signed-json.js'
import { createSigner, makeSigningKey, type SigningKey } from '../../../../src/protocol/signing-keys.js'
import { FederationError, type FederationRequest } from '../../../../src/services/remote/federation-client.js'
import { KeyFetcher, type TrustedKeyServer } from '../../../../src/services/remote/key-fetcher.js'
import { createDeferred, type Deferred } from '../../../../src/util/deferred.js'
import { isJsonObject, type JsonObject } from '../../../../src/util/json.js'
import { rejection } from '../../../support/rejection.js'

const A = 'a.test' as ServerName
const B = 'b.test' as ServerName
const NOTARY = 'notary.test' as ServerName
const SECOND = 'second.test' as ServerName
const TS = 1_700_000_000_000

describe('KeyFetcher', () => {
  let key: SigningKey
  let notaryKey: SigningKey
  let sent: FederationRequest[]
  let answers: Map<ServerName, JsonObject | FederationError>
  /** What servers answer whose names begin with `slow`. */
  let slow: Deferred<JsonObject>
  before(async () => {
    key = makeSigningKey('one', Buffer.alloc(32, 1))
    notaryKey = makeSigningKey('notary', Buffer.alloc(32, 2))
  })
  beforeEach(() => {
    sent = []
    answers = new Map()
    slow = createDeferred()
  })

  function fetcher(trustedServers: readonly TrustedKeyServer[] = []): KeyFetcher {
    return new KeyFetcher({
      trustedServers,
      client: {
        mayTalkTo: (serverName) => serverName !== 'forbidden.test',
        request: (request) => {
          sent.push(request)
          if (request.destination.startsWith('slow')) return slow.promise
          const answer = answers.get(request.destination)
          if (isJsonObject(answer)) return Promise.resolve(answer)
          return Promise.reject(
            answer ?? new FederationError(request.destination, 'unreachable', 'nothing is said'),
          )
        },
      },
    })
  }

  const keysOf = (serverName: ServerName): JsonObject =>
    makeServerKeys(serverName, { current: [key], old: [] }, TS)
  const wish = (serverName: ServerName) => ({ serverName, keyIds: [key.keyId], validAtTs: TS })
  const trusted = (serverName: ServerName, keys: readonly SigningKey[]): TrustedKeyServer => ({
    serverName,
    verifyKeys: new Map(keys.map(({ keyId, key: { verifyKey } }) => [keyId, verifyKey])),
  })
  const signed = (json: JsonObject, signingKey = notaryKey): JsonObject =>
    signJson(json, createSigner(NOTARY, signingKey))

  it('asks a server for its keys, with bounds, though it may have failed', async () => {
    answers.set(A, keysOf(A))
    expect((await fetcher().fromOrigin(A, 'event')).keys).to.have.length(1)
    expect(sent[0]).to.deep.include({
      destination: A,
      method: 'GET',
      path: '/_matrix/key/v2/server',
      ignoreBackoff: true,
      forgetsFailure: true,
      timeoutMs: 10_000,
    })
  })

  it('lets servers that do not answer hold up those only who want the same', async () => {
    const asking = fetcher()
    const held = Array.from({ length: 30 }, (_, index) =>
      asking.fromOrigin(`slow${index}.test` as ServerName, 'notary').catch(() => undefined),
    )
    answers.set(A, keysOf(A))
    expect((await asking.fromOrigin(A, 'request')).keys).to.have.length(1)
    expect(sent).to.have.length(11)
    slow.resolve({})
    await Promise.all(held)
  })

  it('lets no more requests wait for keys than it can bear', async () => {
    const asking = fetcher()
    const held = Array.from({ length: 600 }, (_, index) =>
      asking.fromOrigin(`slow${index}.test` as ServerName, 'request').catch(() => undefined),
    )
    expect(await rejection(asking.fromOrigin(A, 'request'))).to.include({ kind: 'unreachable' })
    expect(sent).to.have.length(100)
    slow.resolve({})
    await Promise.all(held)
    answers.set(A, keysOf(A))
    expect((await asking.fromOrigin(A, 'request')).keys).to.have.length(1)
  })

  it('believes only what is signed and the server', async () => {
    answers.set(A, keysOf(B))
    expect(await rejection(fetcher().fromOrigin(A, 'event'))).to.include({
      kind: 'malformed',
      destination: A,
    })
    answers.set(A, { ...keysOf(A), valid_until_ts: TS + 1 })
    expect(await rejection(fetcher().fromOrigin(A, 'event'))).to.include({ kind: 'malformed' })
  })

  it('asks a notary for all in one question', async () => {
    answers.set(NOTARY, { server_keys: [signed(keysOf(A)), signed(keysOf(B))] })
    const documents = await fetcher([trusted(NOTARY, [notaryKey])]).fromNotaries([wish(A), wish(B)])
    expect(documents.map(({ serverName }) => serverName)).to.deep.equal([A, B])
    expect(sent).to.have.length(1)
    expect(sent[0]?.body).to.deep.equal({
      server_keys: {
        [A]: { [key.keyId]: { minimum_valid_until_ts: TS } },
        [B]: { [key.keyId]: { minimum_valid_until_ts: TS } },
      },
    })
  })

  it('believes a notary only what it and the servers have signed, of servers that were asked for', async () => {
    const forged = { ...signed(keysOf(A)), valid_until_ts: TS + 1 }
    const resigned = signed({ ...keysOf(A), valid_until_ts: TS + 1 })
    answers.set(NOTARY, {
      server_keys: [keysOf(A), signed(keysOf(A), key), forged, resigned, signed(keysOf(B)), null, 'x', {}],
    })
    expect(await fetcher([trusted(NOTARY, [notaryKey])]).fromNotaries([wish(A)])).to.deep.equal([])
  })

  it('believes a notary without keys because of its certificate', async () => {
    answers.set(NOTARY, { server_keys: [keysOf(A)] })
    expect(await fetcher([trusted(NOTARY, [])]).fromNotaries([wish(A)])).to.have.length(1)
  })

  it('asks the next notary for what the first did not know', async () => {
    answers.set(NOTARY, { server_keys: [signed(keysOf(A))] })
    answers.set(SECOND, { server_keys: [keysOf(B)] })
    const notaries = [trusted(NOTARY, [notaryKey]), trusted(SECOND, [])]
    expect(await fetcher(notaries).fromNotaries([wish(A), wish(B)])).to.have.length(2)
    expect(Object.keys(sent[1]?.body?.['server_keys'] ?? {})).to.deep.equal([B])
  })

  it('does without notaries that fail or talk nonsense', async () => {
    answers.set(NOTARY, { server_keys: 'none' })
    answers.set(SECOND, new FederationError(SECOND, 'refused', 'no'))
    const notaries = [trusted(NOTARY, []), trusted(SECOND, [])]
    expect(await fetcher(notaries).fromNotaries([wish(A)])).to.deep.equal([])
    expect(sent).to.have.length(2)
  })

  it('does not ask about servers that are not allowed', async () => {
    expect(
      await fetcher([trusted(NOTARY, [])]).fromNotaries([wish('forbidden.test' as ServerName)]),
    ).to.deep.equal([])
    expect(sent).to.deep.equal([])
  })

  it('asks about many servers in several questions', async () => {
    answers.set(NOTARY, { server_keys: [] })
    const wishes = Array.from({ length: 250 }, (_, index) => wish(`s${index}.test` as ServerName))
    await fetcher([trusted(NOTARY, [])]).fromNotaries(wishes)
    expect(sent.map(({ body }) => Object.keys(body?.['server_keys'] ?? {}).length)).to.deep.equal([
      100, 100, 50,
    ])
  })
})

import { expect } from 'chai'
import type { ServerName } from '../../../../src/protocol/ids.js'
import { createSigner, makeSigningKey, type SigningKey } from '../../../../src/protocol/signing-keys.js'
import { formatXMatrix, requestText } from '../../../../src/protocol/x-matrix.js'
import { Keyring } from '../../../../src/services/remote/keyring.js'
import { RequestVerifier, type SignedRequest } from '../../../../src/services/remote/request-verifier.js'
import { silentLogger } from '../../../../src/telemetry/logger.js'
import { ManualClock } from '../../../support/manual-clock.js'
import { rejection } from '../../../support/rejection.js'

const OWN = 'own.test' as ServerName
const A = 'a.test' as ServerName

describe('RequestVerifier', () => {
  let key: SigningKey
  let alive: string[]
  before(async () => {
    key = makeSigningKey('k', Buffer.alloc(32, 1))
  })
  beforeEach(() => {
    alive = []
  })

  function verifier(allowed?: readonly string[]): RequestVerifier {
    const clock = new ManualClock()
    const trusted = { key: key.key.verifyKey, validUntilTs: clock.now() + 1000 }
    const keys = new Map([[A, new Map([[key.keyId, trusted]])]])
    return new RequestVerifier({
      serverName: OWN,
      keyring: new Keyring({ clock, keys: { getKeys: () => Promise.resolve(keys) } }),
      destinations: { markAlive: (serverName) => alive.push(serverName) },
      allowedDomains: allowed && new Set(allowed),
      logger: silentLogger(),
    })
  }

  function request(
    changes: { origin?: string; destination?: string; signedFor?: string; omitDestination?: boolean } = {},
  ): SignedRequest {
    const origin = (changes.origin ?? A) as ServerName
    const destination = changes.destination ?? OWN
    const parts = { method: 'PUT', uri: '/_matrix/x?y', content: { a: 1 } }
    const signature = createSigner(origin, key).sign(
      requestText({ ...parts, origin, destination: changes.signedFor ?? destination }),
    )
    const header = formatXMatrix({
      origin,
      destination: changes.omitDestination === true ? undefined : destination,
      keyId: key.keyId,
      signature,
    })
    return { ...parts, authorization: [header] }
  }

  async function refusal(signed: SignedRequest, allowed?: readonly string[]): Promise<string> {
    const { errcode, status } = (await rejection(verifier(allowed).verify(signed))) as {
      errcode: string
      status: number
    }
    return `${status} ${errcode}`
  }

  it('knows who has signed, which is a sign of life', async () => {
    expect(await verifier().verify(request())).to.equal(A)
    expect(alive).to.deep.equal([A])
  })

  it('does without a destination in the header, but not in the signature', async () => {
    expect(await verifier().verify(request({ omitDestination: true }))).to.equal(A)
    const replayed = request({ omitDestination: true, signedFor: 'other.test' })
    expect(await refusal(replayed)).to.equal('401 M_UNAUTHORIZED')
  })

  it('takes one good signature of several by the same server', async () => {
    const good = request()
    const bad = formatXMatrix({ origin: A, destination: OWN, keyId: 'ed25519:old', signature: 'AAAA' })
    expect(await verifier().verify({ ...good, authorization: [bad, ...good.authorization] })).to.equal(A)
  })

  for (const [what, change] of Object.entries<(signed: SignedRequest) => SignedRequest>({
    'without a signature': (signed) => ({ ...signed, authorization: [] }),
    'with an access token': (signed) => ({ ...signed, authorization: ['Bearer abc'] }),
    'with another method': (signed) => ({ ...signed, method: 'POST' }),
    'with another path': (signed) => ({ ...signed, uri: '/_matrix/x' }),
    'with another body': (signed) => ({ ...signed, content: { a: 2 } }),
    'without the body': (signed) => ({ ...signed, content: undefined }),
    'with a body that nobody can sign': (signed) => ({ ...signed, content: { a: '\ud800' } }),
    'of another server': () => request({ origin: 'b.test' }),
    'for another server': () => request({ destination: 'other.test' }),
    'of several servers': (signed) => ({
      ...signed,
      authorization: [...signed.authorization, ...request({ origin: 'b.test' }).authorization],
    }),
    'with too many signatures': (signed) => ({
      ...signed,
      authorization: Array.from({ length: 11 }, () => signed.authorization[0]!),
    }),
  })) {
    it(`refuses requests ${what}`, async () => {
      expect(await refusal(change(request()))).to.equal('401 M_UNAUTHORIZED')
      expect(alive).to.deep.equal([])
    })
  }

  for (const [what, header] of Object.entries({
    'without a key': `X-Matrix origin=${A},sig="AAAA"`,
    'by a server with no port where it says one': `X-Matrix origin="a.test:http",key="ed25519:k",sig="AAAA"`,
    'in no form at all': 'X-Matrix ,,',
  })) {
    it(`says that requests are malformed that are signed ${what}`, async () => {
      expect(await refusal({ ...request(), authorization: [header] })).to.equal('400 M_UNAUTHORIZED')
    })
  }

  it('refuses servers that are not allowed', async () => {
    expect(await refusal(request(), ['b.test'])).to.equal('403 M_FORBIDDEN')
    expect(await verifier([A]).verify(request())).to.equal(A)
  })
})

import { expect } from 'chai'
import {
  AuthenticationServiceClient,
  AuthenticationServiceError,
} from '../../../../src/net/clients/authentication-service-client.js'
import type { HttpRequest } from '../../../../src/net/http-client.js'
import { rejection } from '../../../support/rejection.js'

const OPTIONS = { endpoint: 'https://mas.test/auth', secret: 'hush' }

/** A client whose service answers with this, and what it was asked. */
function answering(body: unknown, status = 200) {
  const requests: HttpRequest[] = []
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const http = {
    request: (request: HttpRequest) => {
      requests.push(request)
      return Promise.resolve({ status, headers: {}, body: Buffer.from(text) })
    },
  }
  return { client: new AuthenticationServiceClient(http, OPTIONS), requests }
}

describe('AuthenticationServiceClient', () => {
  it('asks about tokens as the service wants it, whatever is in them', async () => {
    const { client, requests } = answering({ active: false })
    await client.introspect('a b&token=c=é')
    expect(requests).to.have.length(1)
    const [{ method, url, headers, body, maxBytes, maxRedirects } = {} as HttpRequest] = requests
    expect({ method, url }).to.deep.equal({ method: 'POST', url: 'https://mas.test/auth/oauth2/introspect' })
    expect(headers).to.include({
      Authorization: 'Bearer hush',
      'Content-Type': 'application/x-www-form-urlencoded',
      'X-MAS-Supports-Device-Id': '1',
    })
    const form = new URLSearchParams(String(body))
    expect([...form]).to.deep.equal([
      ['token', 'a b&token=c=é'],
      ['token_type_hint', 'access_token'],
    ])
    expect(maxBytes).to.be.below(1024 * 1024)
    // The secret goes nowhere else.
    expect(maxRedirects).to.equal(undefined)
  })

  it('reads what is said of a token', async () => {
    const all = {
      active: true,
      scope: 'openid  urn:matrix:client:api:*',
      username: 'alice',
      sub: '01H',
      device_id: 'A B',
      expires_in: 300,
      exp: 5,
    }
    const token = await answering(all).client.introspect('t')
    expect({ ...token, scope: [...token.scope] }).to.deep.equal({
      isActive: true,
      scope: ['openid', 'urn:matrix:client:api:*'],
      username: 'alice',
      deviceId: 'A B',
      expiresInMs: 300_000,
    })
    const nothing = { active: true, scope: null, username: null, device_id: null, expires_in: null }
    const empty = await answering(nothing).client.introspect('t')
    expect({ ...empty, scope: [...empty.scope] }).to.deep.equal({
      isActive: true,
      scope: [],
      username: undefined,
      deviceId: undefined,
      expiresInMs: undefined,
    })
  })

  for (const [answer, status] of [
    ['', 200],
    ['<html>', 200],
    ['[]', 200],
    ['true', 200],
    [{}, 200],
    [{ active: 'true' }, 200],
    [{ active: 1 }, 200],
    [{ active: null }, 200],
    [{ active: true, scope: ['urn:matrix:client:api:*'] }, 200],
    [{ active: true, username: 5 }, 200],
    [{ active: true, username: { toString: 'x' } }, 200],
    [{ active: true, device_id: ['x'] }, 200],
    [{ active: true, expires_in: '300' }, 200],
    [{ active: true, expires_in: 1.5 }, 200],
    [{ active: true, expires_in: 1e300 }, 200],
    [{ active: true, username: 'alice' }, 302],
    [{ active: true, username: 'alice' }, 401],
    [{ active: true, username: 'alice' }, 500],
  ] as const) {
    it(`believes no ${status} with ${JSON.stringify(answer)}`, async () => {
      const error = await rejection(answering(answer, status).client.introspect('a token'))
      expect(error).to.be.instanceOf(AuthenticationServiceError)
      expect((error as Error).message).not.to.match(/a token|hush/)
    })
  }

  it('reads what the service says of itself', async () => {
    const json = { issuer: 'https://a.test/', account_management_uri: 'https://a.test/account/', other: [1] }
    const { client, requests } = answering(json)
    expect(await client.fetchMetadata()).to.deep.equal({
      issuer: 'https://a.test/',
      accountUrl: 'https://a.test/account/',
      json,
    })
    expect(requests[0]?.url).to.equal('https://mas.test/auth/.well-known/openid-configuration')
    for (const change of [
      { issuer: undefined },
      { issuer: 5 },
      { issuer: 'javascript:alert(1)' },
      { account_management_uri: undefined },
      { account_management_uri: 'data:text/html,x' },
      { account_management_uri: 'https://' },
    ]) {
      const error = await rejection(answering({ ...json, ...change }).client.fetchMetadata())
      expect(error, JSON.stringify(change)).to.be.instanceOf(AuthenticationServiceError)
    }
  })
})

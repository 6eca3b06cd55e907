import { expect } from 'chai'
import type { HttpReply, HttpRequest } from '../../../../src/net/http-client.js'
import { createOidcFetch } from '../../../../src/services/sign-on/oidc-fetch.js'

describe('the way to providers of OpenID Connect', () => {
  it('goes through the client of the server, within its bounds', async () => {
    const sent: HttpRequest[] = []
    const reply: HttpReply = { status: 201, headers: { 'x-a': ['1', '2'] }, body: Buffer.from('{"a":1}') }
    const fetch = createOidcFetch({
      request(request) {
        sent.push(request)
        return Promise.resolve(reply)
      },
    })
    const response = await fetch('https://club.test/token', {
      method: 'POST',
      headers: { 'User-Agent': 'a library', Accept: 'x/y' },
      body: new URLSearchParams({ code: 'a b' }),
    })
    expect([response.status, response.headers.get('x-a'), await response.json()]).to.deep.equal([
      201,
      '1, 2',
      { a: 1 },
    ])
    expect(sent).to.have.length(1)
    expect(sent[0]).to.include({ method: 'POST', url: 'https://club.test/token', body: 'code=a+b' })
    expect(sent[0]?.headers).to.deep.equal({ accept: 'x/y' })
    expect(sent[0]?.maxBytes).to.be.lessThan(1024 * 1024)
    expect(sent[0]).not.to.have.property('maxRedirects')
  })

  it('takes answers without a body', async () => {
    const reply: HttpReply = { status: 204, headers: {}, body: Buffer.alloc(0) }
    const response = await createOidcFetch({ request: () => Promise.resolve(reply) })('https://c.test/', {})
    expect(await response.text()).to.equal('')
  })
})

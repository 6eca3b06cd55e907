import { expect } from 'chai'
import { startFederation, type TestFederation } from '../../support/federation.js'

describe('keys of servers', () => {
  let federation: TestFederation
  before(async () => {
    federation = await startFederation(['a.test', 'b.test'])
  })
  after(() => federation[Symbol.asyncDispose]())

  it('are published, signed by themselves', async () => {
    const fake = await federation.fake('fake.test')
    const { status, json } = await fake.send('a.test', {
      path: '/_matrix/key/v2/server',
      authorization: null,
    })
    expect(status).to.equal(200)
    expect(json).to.have.property('server_name', 'a.test')
  })

  it('let servers ask each other', async () => {
    const a = federation.get('a.test')
    const answer = await a.server.services.federationClient.request({
      destination: 'b.test' as never,
      method: 'GET',
      path: '/_matrix/federation/v1/version',
    })
    expect(answer).to.have.nested.property('server.name', 'mxhs')
  })
})

import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import type { ClientResponse, MatrixClient } from '../../support/matrix-client.js'

const TOKENS = '/_synapse/admin/v1/registration_tokens'
const LATER = 4_000_000_000_000

forEachServerDatabase('the administration API of registration tokens', (database) => {
  let server: TestHomeserver
  let admin: MatrixClient

  before(async () => {
    server = await startHomeserver({ database })
    admin = await server.register('admin', { isAdmin: true })
  })
  after(() => server[Symbol.asyncDispose]())

  const send = (method: string, target: string, body: JsonObject): Promise<ClientResponse> =>
    admin.request(method, `${TOKENS}${target}`, { body })
  const refusal = ({ status, body }: ClientResponse): unknown[] => [status, body['errcode']]

  it('makes, shows, changes and deletes them', async () => {
    const made = await send('POST', '/new', { token: 'abcd', uses_allowed: 2, expiry_time: LATER })
    const token = { token: 'abcd', uses_allowed: 2, pending: 0, completed: 0, expiry_time: LATER }
    expect([made.status, made.body]).to.deep.equal([200, token])
    expect(await admin.must('GET', `${TOKENS}/abcd`)).to.deep.equal(token)
    const changed = await send('PUT', '/abcd', { uses_allowed: null })
    expect(changed.body).to.deep.equal({ ...token, uses_allowed: null })
    expect((await send('PUT', '/abcd', { expiry_time: null, uses_allowed: 0 })).body).to.deep.equal({
      ...token,
      uses_allowed: 0,
      expiry_time: null,
    })
    const chosen = (await send('POST', '/new', { length: 20 })).body['token'] as string
    expect(chosen).to.match(/^[A-Za-z0-9._~-]{20}$/)
    const namesOf = async (query: string): Promise<unknown[]> => {
      const { registration_tokens: tokens } = await admin.must('GET', `${TOKENS}${query}`)
      return (tokens as JsonObject[]).map((listed) => listed['token'])
    }
    expect(await namesOf('')).to.have.members(['abcd', chosen])
    expect(await namesOf('?valid=true')).to.deep.equal([chosen])
    expect(await namesOf('?valid=false')).to.deep.equal(['abcd'])
    expect((await admin.request('DELETE', `${TOKENS}/abcd`)).body).to.deep.equal({})
    expect(await namesOf('')).to.deep.equal([chosen])
  })

  it('refuses what cannot be', async () => {
    await send('POST', '/new', { token: 'taken' })
    for (const body of [
      { token: 'taken' },
      { token: 'with space' },
      { token: '' },
      { expiry_time: 1 },
      { token: 'x'.repeat(65) },
    ]) {
      expect(refusal(await send('POST', '/new', body)), JSON.stringify(body)).to.deep.equal([
        400,
        'M_INVALID_PARAM',
      ])
    }
    for (const body of [{ length: 65 }, { uses_allowed: -1 }, { uses_allowed: 1.5 }]) {
      expect((await send('POST', '/new', body)).status, JSON.stringify(body)).to.equal(400)
    }
    expect(refusal(await admin.request('GET', `${TOKENS}/none`))).to.deep.equal([404, 'M_NOT_FOUND'])
    expect(refusal(await send('PUT', '/none', {}))).to.deep.equal([404, 'M_NOT_FOUND'])
    expect(refusal(await admin.request('DELETE', `${TOKENS}/none`))).to.deep.equal([404, 'M_NOT_FOUND'])
  })
})

import { expect } from 'chai'
import { Pool } from 'undici'
import { FederationAnswers } from '../../support/federation-answers.js'
import { startHttpServer } from '../../support/http-servers.js'
import type { CheckedResponse } from '../../support/response-schemas.js'

const VERSION = '/_matrix/federation/v1/version'

describe('support/federation-answers', () => {
  /** The answers that are checked while two servers are asked. */
  async function checkedAnswers(
    requests: readonly (readonly [host: string, path: string])[],
    isFaulty = false,
  ): Promise<CheckedResponse[]> {
    const checked: CheckedResponse[] = []
    const check = (response: CheckedResponse): void => {
      checked.push(response)
      if (isFaulty) throw new Error('A wrong shape')
    }
    await using server = await startHttpServer((_request, response) => {
      response.writeHead(200, { 'Content-Type': 'application/json' }).write('{"server":')
      response.end('{}}')
    })
    using answers = new FederationAnswers((name) => name === 'a.test', check)
    const pool = new Pool(`http://127.0.0.1:${server.port}`)
    for (const [host, path] of requests) {
      const { body } = await pool.request({ method: 'GET', path, headers: { Host: host } })
      await body.dump()
    }
    await pool.close()
    answers.check()
    return checked
  }

  it('are those of real servers to what servers ask', async () => {
    expect(
      await checkedAnswers([
        ['a.test', `${VERSION}?query=1`],
        ['fake.test', VERSION],
        ['a.test', '/_matrix/client/versions'],
      ]),
    ).to.deep.equal([
      {
        method: 'GET',
        path: VERSION,
        status: 200,
        contentType: 'application/json',
        text: '{"server":{}}',
      },
    ])
  })

  it('fail whoever asks for faults', async () => {
    const error: unknown = await checkedAnswers([['a.test', VERSION]], true).catch(
      (reason: unknown) => reason,
    )
    expect(error).to.have.property('message', 'A wrong shape')
  })
})

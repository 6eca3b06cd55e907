import { expect } from 'chai'
import { forEachServerDatabase, startHomeserver } from '../../support/homeserver.js'

const RULES = '/_matrix/client/v3/pushrules/global'

forEachServerDatabase('push rules', (database) => {
  it('are not there where their kind is not', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const target = `${RULES}/afterwards/mine`
    for (const [method, suffix, body] of [
      ['GET', '', undefined],
      ['GET', '/enabled', undefined],
      ['GET', '/actions', undefined],
      ['DELETE', '', undefined],
      ['PUT', '/enabled', { enabled: false }],
      ['PUT', '/actions', { actions: [] }],
    ] as const) {
      const options = body === undefined ? {} : { body: body as never }
      const { status, body: answer } = await alice.request(method, target + suffix, options)
      expect([status, answer['errcode']], `${method} ${suffix}`).to.deep.equal([404, 'M_NOT_FOUND'])
    }
  })

  it('cannot be made of kinds that are not there', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const { status, body } = await alice.request('PUT', `${RULES}/afterwards/mine`, { body: { actions: [] } })
    expect([status, body['errcode']]).to.deep.equal([400, 'M_INVALID_PARAM'])
  })

  it('are listed by kind', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    for (const name of ['first', 'second'])
      await alice.must('PUT', `${RULES}/room/${name}`, { body: { actions: [] } })
    const { text } = await alice.request('GET', `${RULES}/room/`, { isPartial: true })
    const rules = JSON.parse(text) as { rule_id: string }[]
    expect(rules.map(({ rule_id: id }) => id)).to.deep.equal(['second', 'first'])
    const none = await alice.request('GET', `${RULES}/afterwards/`)
    expect([none.status, none.body['errcode']]).to.deep.equal([400, 'M_INVALID_PARAM'])
  })
})

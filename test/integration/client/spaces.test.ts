import { expect } from 'chai'
import { forEachServerDatabase, startHomeserver } from '../../support/homeserver.js'
import { path, type MatrixClient } from '../../support/matrix-client.js'
import type { JsonObject } from '../../../src/util/json.js'

const hierarchy = (client: MatrixClient, roomId: string, query: Record<string, string | number> = {}) =>
  client.request('GET', path`/_matrix/client/v1/rooms/${roomId}/hierarchy`, { query })
const roomIds = (body: JsonObject): unknown[] =>
  (body['rooms'] as JsonObject[]).map((room) => room['room_id'])

forEachServerDatabase('spaces', (database) => {
  it('are looked around in page by page, as far as one may', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const bob = await hs.register('bob')
    const space = await alice.createRoom({ preset: 'public_chat', creation_content: { type: 'm.space' } })
    const open = await alice.createRoom({ preset: 'public_chat' })
    const closed = await alice.createRoom({ preset: 'private_chat' })
    await alice.sendState(space, 'm.space.child', open, { via: ['hs.test'] })
    await alice.sendState(space, 'm.space.child', closed, { via: ['hs.test'] })

    expect(roomIds((await hierarchy(bob, space)).body)).to.deep.equal([space, open])
    await alice.invite(closed, bob.userId)
    const first = await hierarchy(bob, space, { limit: 2, max_depth: 3 })
    expect(roomIds(first.body)).to.deep.equal([space, open])
    const from = first.body['next_batch'] as string
    const second = await hierarchy(bob, space, { from, max_depth: 3 })
    expect(roomIds(second.body)).to.deep.equal([closed])
    expect(second.body).not.to.have.property('next_batch')

    const other = await hierarchy(bob, space, { from, max_depth: 2 })
    expect([other.status, other.body['errcode']]).to.deep.equal([400, 'M_INVALID_PARAM'])
    for (const bad of [{ limit: 0 }, { limit: 'x' }, { max_depth: -1 }, { suggested_only: 'maybe' }]) {
      const { status, body } = await hierarchy(bob, space, bad)
      expect([status, body['errcode']], JSON.stringify(bad)).to.deep.equal([400, 'M_INVALID_PARAM'])
    }
    const hidden = await hierarchy(bob, await alice.createRoom({}))
    expect(hidden.status).to.equal(403)
  })

  it('and rooms are summed up, by ID or alias, for those who say who they are and those who do not', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const bob = await hs.register('bob')
    const roomId = await alice.createRoom({ preset: 'public_chat', name: 'Cats', room_alias_name: 'cats' })
    const byId = path`/_matrix/client/v1/room_summary/${roomId}`
    const byAlias = path`/_matrix/client/unstable/im.nheko.summary/rooms/${'#cats:hs.test'}/summary`
    const summary = await bob.must('GET', byId, { query: { via: 'hs.test' } })
    expect(summary).to.deep.include({
      room_id: roomId,
      name: 'Cats',
      join_rule: 'public',
      membership: 'leave',
    })
    const { membership, ...anonymous } = summary
    expect(membership).to.equal('leave')
    expect(await hs.client().must('GET', byAlias)).to.deep.equal(anonymous)

    const closed = await alice.createRoom({ preset: 'private_chat' })
    for (const target of [closed, '!unknown:hs.test', '#unknown:hs.test']) {
      const { status, body } = await bob.request('GET', path`/_matrix/client/v1/room_summary/${target}`)
      expect([status, body['errcode']], target).to.deep.equal([404, 'M_NOT_FOUND'])
    }
  })
})

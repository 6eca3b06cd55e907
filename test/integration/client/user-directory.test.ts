import { expect } from 'chai'
import type { JsonObject, JsonValue } from '../../../src/util/json.js'
import { forEachServerDatabase, startHomeserver } from '../../support/homeserver.js'
import { path, type MatrixClient } from '../../support/matrix-client.js'

const SEARCH = '/_matrix/client/v3/user_directory/search'

const ask = (client: MatrixClient, body: JsonObject) => client.must('POST', SEARCH, { body })

async function find(client: MatrixClient, term: string, more: JsonObject = {}): Promise<JsonValue[]> {
  const { results } = await ask(client, { search_term: term, ...more })
  return (results as JsonObject[]).map((user) => user['user_id']!)
}

const rename = (client: MatrixClient, displayname: string) =>
  client.must('PUT', path`/_matrix/client/v3/profile/${client.userId}/displayname`, { body: { displayname } })

forEachServerDatabase('the user directory', (database) => {
  it('knows who may be found by whom', async () => {
    await using hs = await startHomeserver({ database })
    const [alice, bob, eve] = [await hs.register('alice'), await hs.register('bob'), await hs.register('eve')]
    await rename(alice, 'Alice Cooper')
    expect(await find(eve, 'cooper')).to.deep.equal([])
    const closed = await bob.createRoom({ invite: [alice.userId] })
    expect(await find(bob, 'cooper')).to.deep.equal([])
    await alice.join(closed)
    expect(await find(bob, 'cooper')).to.deep.equal([alice.userId])
    expect(await find(alice, 'bob')).to.deep.equal([bob.userId])
    expect(await find(eve, 'cooper')).to.deep.equal([])
    expect(await find(alice, 'cooper'), 'oneself').to.deep.equal([])
    const open = await alice.createRoom({ preset: 'public_chat' })
    expect(await find(eve, 'cooper')).to.deep.equal([alice.userId])
    expect(await find(alice, 'cooper'), 'oneself in public').to.deep.equal([alice.userId])
    await alice.sendState(open, 'm.room.join_rules', '', { join_rule: 'invite' })
    expect(await find(eve, 'cooper')).to.deep.equal([])
    await alice.sendState(open, 'm.room.history_visibility', '', { history_visibility: 'world_readable' })
    expect(await find(eve, 'cooper')).to.deep.equal([alice.userId])
    await alice.leave(open)
    expect(await find(eve, 'cooper')).to.deep.equal([])
  })

  it('follows profiles, and shows nobody a name that is used in some rooms only', async () => {
    await using hs = await startHomeserver({ database })
    const [alice, bob, eve] = [await hs.register('alice'), await hs.register('bob'), await hs.register('eve')]
    await alice.createRoom({ preset: 'public_chat' })
    await rename(alice, 'Alice Cooper')
    const closed = await bob.createRoom({ invite: [alice.userId] })
    await alice.sendState(closed, 'm.room.member', alice.userId, {
      membership: 'join',
      displayname: 'Freddy',
    })
    for (const client of [bob, eve]) {
      expect(await ask(client, { search_term: 'Alice Cooper' })).to.deep.equal({
        limited: false,
        results: [{ user_id: alice.userId, display_name: 'Alice Cooper' }],
      })
      expect(await find(client, 'Freddy')).to.deep.equal([])
      expect(await find(client, '@alice')).to.deep.equal([alice.userId])
    }
    await rename(alice, 'Gáo Shān')
    expect(await find(eve, 'cooper')).to.deep.equal([])
    expect(await find(eve, 'gao sh')).to.deep.equal([alice.userId])
    expect(await find(eve, 'alice:hs.test')).to.deep.equal([alice.userId])
    await alice.must('PUT', path`/_matrix/client/v3/profile/${alice.userId}/avatar_url`, {
      body: { avatar_url: 'mxc://hs.test/a' },
    })
    const { results } = await ask(eve, { search_term: 'GAO' })
    expect(results).to.deep.equal([
      { user_id: alice.userId, display_name: 'Gáo Shān', avatar_url: 'mxc://hs.test/a' },
    ])
    await rename(alice, '田中太郎')
    expect(await find(eve, '太郎')).to.deep.equal([alice.userId])
    await alice.must('DELETE', path`/_matrix/client/v3/profile/${alice.userId}/displayname`)
    expect(await find(eve, '太郎')).to.deep.equal([])
  })

  it('gives the best matches first, as many as are asked for', async () => {
    await using hs = await startHomeserver({ database })
    const seeker = await hs.register('seeker')
    const roomId = await seeker.createRoom({ preset: 'public_chat' })
    const names: [string, string][] = [
      ['u1', 'Annabel'],
      ['u2', 'Ann'],
      ['ann', 'Somebody'],
      ['u3', 'Ann Other'],
    ]
    for (const [localpart, name] of names) {
      const client = await hs.register(localpart)
      await rename(client, name)
      await client.join(roomId)
    }
    const all = await find(seeker, 'ann')
    expect(all.slice(0, 2)).to.have.members(['@u2:hs.test', '@ann:hs.test'])
    expect(all.slice(2)).to.deep.equal(['@u3:hs.test', '@u1:hs.test'])
    expect(await ask(seeker, { search_term: 'ann', limit: 3 })).to.have.property('limited', true)
    expect(await ask(seeker, { search_term: 'ann', limit: 4 })).to.have.property('limited', false)
    expect(await find(seeker, 'ann', { limit: 3 })).to.deep.equal(all.slice(0, 3))
    expect(await find(seeker, 'ann', { limit: -1 })).to.deep.equal([])
    expect(await find(seeker, '%')).to.deep.equal([])
    expect(await find(seeker, 'an%')).to.have.length(4)
    const bad: JsonObject[] = [
      {},
      { search_term: 1 },
      { search_term: 'x', limit: 'ten' },
      { search_term: 'x', limit: 1.5 },
    ]
    for (const body of bad)
      expect((await seeker.request('POST', SEARCH, { body })).status, JSON.stringify(body)).to.equal(400)
  })

  it('shows everybody, or nobody who is locked, or nothing, as the operator wants it', async () => {
    await using hs = await startHomeserver({
      database,
      config: { user_directory: { search_all_users: true } },
    })
    const admin = await hs.register('admin', { isAdmin: true })
    const alice = await hs.register('alice')
    expect(await find(admin, 'alice')).to.deep.equal([alice.userId])
    expect(await find(alice, 'alice')).to.deep.equal([])
    await admin.must('PUT', path`/_matrix/client/v1/admin/lock/${alice.userId}`, { body: { locked: true } })
    expect(await find(admin, 'alice')).to.deep.equal([])
  })
})

describe('the user directory', () => {
  it('clamps the number of results', async () => {
    await using hs = await startHomeserver({ config: { user_directory: { search_all_users: true } } })
    const seeker = await hs.register('seeker')
    for (let number = 0; number < 52; number++) {
      await hs.server.services.accountRegistration.registerDirectly({
        username: `many${number}`,
        password: 'x',
        isAdmin: false,
      })
    }
    expect(await find(seeker, 'many')).to.have.length(10)
    const answer = await ask(seeker, { search_term: 'many', limit: 1000 })
    expect([(answer['results'] as unknown[]).length, answer['limited']]).to.deep.equal([50, true])
  })

  it('can be switched off', async () => {
    await using hs = await startHomeserver({
      config: { user_directory: { enabled: false, search_all_users: true } },
    })
    const alice = await hs.register('alice')
    await hs.register('bob')
    expect(await ask(alice, { search_term: 'bob' })).to.deep.equal({ limited: false, results: [] })
  })
})

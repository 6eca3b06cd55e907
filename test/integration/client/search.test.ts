import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { forEachServerDatabase, startHomeserver } from '../../support/homeserver.js'
import { dig, eventsAt, path, type MatrixClient } from '../../support/matrix-client.js'

const SEARCH = '/_matrix/client/v3/search'

const ask = (client: MatrixClient, wish: JsonObject, nextBatch?: string) =>
  client.request('POST', SEARCH, {
    query: { next_batch: nextBatch },
    body: { search_categories: { room_events: wish } },
  })

async function search(client: MatrixClient, wish: JsonObject, nextBatch?: string): Promise<JsonObject> {
  const { status, body, text } = await ask(client, wish, nextBatch)
  expect(status, text).to.equal(200)
  return dig(body, 'search_categories', 'room_events') as JsonObject
}

const idsOf = (found: JsonObject) =>
  eventsAt(found, 'results').map((result) => dig(result, 'result', 'event_id'))
const recent = (term: string, more: JsonObject = {}): JsonObject => ({
  search_term: term,
  order_by: 'recent',
  ...more,
})

forEachServerDatabase('searching for messages', (database) => {
  it('finds words, phrases and names of rooms, in any script', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const roomId = await alice.createRoom({ name: 'Zebra crossing', topic: 'About stripes' })
    const texts = [
      'hello, world',
      'World says Héllo',
      '我住在北京市',
      '今日は天気がいい',
      'อากาศดีมาก',
      '서울에서 만나요',
      'Привет, мир! Ёжик',
      'flags 🇩🇪 and 🎉',
      'a "quoted" \\ 100% thing',
    ]
    const ids = new Map<string, string>()
    for (const text of texts) ids.set(text, await alice.sendText(roomId, text))
    const expectations: [string, string[]][] = [
      ['hello', ['World says Héllo', 'hello, world']],
      ['"hello world"', ['hello, world']],
      ['HELLO missing', []],
      ['北京', ['我住在北京市']],
      ['天気', ['今日は天気がいい']],
      ['อากาศ', ['อากาศดีมาก']],
      ['서울', ['서울에서 만나요']],
      ['мир ежик', ['Привет, мир! Ёжик']],
      ['🇩🇪', ['flags 🇩🇪 and 🎉']],
      ['🎉 FLAGS', ['flags 🇩🇪 and 🎉']],
      ['quoted \' " 100', ['a "quoted" \\ 100% thing']],
      ['hell', []],
      ['!!!', []],
    ]
    for (const [term, expected] of expectations) {
      const found = await search(alice, recent(term))
      expect(idsOf(found), term).to.deep.equal(expected.map((text) => ids.get(text)))
      expect(found['count'], term).to.equal(expected.length)
    }
    expect(
      eventsAt(await search(alice, recent('zebra')), 'results').map((found) => dig(found, 'result', 'type')),
    ).to.deep.equal(['m.room.name'])
    expect(idsOf(await search(alice, recent('zebra', { keys: ['content.body'] })))).to.deep.equal([])
    expect(idsOf(await search(alice, recent('stripes', { keys: ['content.topic'] })))).to.have.length(1)
    expect((await search(alice, recent('hello')))['highlights']).to.deep.equal(['hello', 'héllo'])
    await alice.sendState(roomId, 'm.room.topic', '', {
      topic: 'plain',
      'm.topic': { 'm.text': [{ body: '<b>rich</b>', mimetype: 'text/html' }, { body: 'giraffes' }] },
    })
    const ofTopic = { keys: ['content.topic'] }
    expect(idsOf(await search(alice, recent('plain giraffes', ofTopic)))).to.have.length(1)
    expect(idsOf(await search(alice, recent('rich', ofTopic)))).to.deep.equal([])
    const bare = await alice.must('POST', SEARCH, { body: { search_categories: {} } })
    expect(bare).to.deep.equal({ search_categories: {} })
  })

  it('goes through pages from new to old, and groups what it finds', async () => {
    await using hs = await startHomeserver({ database })
    const [alice, bob] = [await hs.register('alice'), await hs.register('bob')]
    const first = await alice.createRoom({ preset: 'public_chat' })
    const second = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(first)
    const sent: string[] = []
    for (let number = 0; number < 6; number++) sent.push(await alice.sendText(first, `number ${number}`))
    for (let number = 6; number < 9; number++) sent.push(await bob.sendText(first, `number ${number}`))
    sent.push(await alice.sendText(second, 'number 9'))
    const wish = recent('number', {
      filter: { limit: 4 },
      groupings: { group_by: [{ key: 'room_id' }, { key: 'sender' }] },
    })
    const seen: unknown[] = []
    let next: string | undefined
    const pages: JsonObject[] = []
    do {
      const page = await search(alice, wish, next)
      pages.push(page)
      seen.push(...idsOf(page))
      expect(page['count']).to.equal(10)
      next = page['next_batch'] as string | undefined
    } while (next !== undefined)
    expect(seen).to.deep.equal(sent.toReversed())
    const groups = pages[0]!['groups']
    expect(dig(groups, 'room_id', second, 'results')).to.deep.equal([sent[9]])
    expect(dig(groups, 'room_id', first, 'order')).to.equal(1)
    expect(dig(groups, 'sender', bob.userId, 'results')).to.deep.equal(sent.slice(6, 9).toReversed())
    const ofAlice = await search(alice, wish, dig(groups, 'sender', alice.userId, 'next_batch') as string)
    expect(idsOf(ofAlice)).to.deep.equal(sent.slice(2, 6).toReversed())
    const ofFirst = await search(alice, wish, dig(groups, 'room_id', first, 'next_batch') as string)
    expect(idsOf(ofFirst)).to.deep.equal(sent.slice(2, 6).toReversed())
    expect(idsOf(await search(alice, { ...wish, filter: { senders: [bob.userId] } }))).to.deep.equal(
      sent.slice(6, 9).toReversed(),
    )
    expect(idsOf(await search(alice, { ...wish, filter: { not_rooms: [first] } }))).to.deep.equal([sent[9]])
    expect(idsOf(await search(alice, { ...wish, filter: { types: ['m.room.name'] } }))).to.deep.equal([])
    for (const token of ['x', Buffer.from('t1_1\nstate\nx').toString('base64url')]) {
      const { status, body } = await ask(alice, wish, token)
      expect([status, body['errcode']], token).to.deep.equal([400, 'M_INVALID_PARAM'])
    }
  })

  it('shows what stands around, with the names of that time and the state of rooms', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const roomId = await alice.createRoom({})
    await alice.must('PUT', path`/_matrix/client/v3/profile/${alice.userId}/displayname`, {
      body: { displayname: 'Alice One' },
    })
    await alice.mustSyncUntil((response) => JSON.stringify(response).includes('Alice One'))
    const sent: string[] = []
    for (let number = 1; number <= 7; number++)
      sent.push(await alice.sendText(roomId, `Message number ${number}`))
    await alice.must('PUT', path`/_matrix/client/v3/profile/${alice.userId}/displayname`, {
      body: { displayname: 'Alice Two' },
    })
    const wish = recent('message 4', {
      filter: { limit: 1 },
      include_state: true,
      event_context: { before_limit: 2, after_limit: 2, include_profile: true },
    })
    const found = await search(alice, wish)
    expect(found).to.have.property('next_batch')
    const [result] = eventsAt(found, 'results')
    expect(dig(result, 'result', 'event_id')).to.equal(sent[3])
    const around = (key: string) => eventsAt(result, 'context', key).map((event) => event['event_id'])
    expect(around('events_before')).to.deep.equal([sent[2], sent[1]])
    expect(around('events_after')).to.deep.equal([sent[4], sent[5]])
    expect(dig(result, 'context', 'profile_info')).to.deep.equal({
      [alice.userId]: { displayname: 'Alice One' },
    })
    expect(eventsAt(found, 'state', roomId).map((event) => event['type'])).to.include('m.room.create')
    const older = await alice.messages(roomId, {
      dir: 'b',
      from: dig(result, 'context', 'start') as string,
      limit: 1,
    })
    expect(eventsAt(older, 'chunk')[0]!['event_id']).to.equal(sent[0])
  })

  it('knows what is no more to be read, and who may read what', async () => {
    await using hs = await startHomeserver({ database })
    const [alice, bob, eve] = [await hs.register('alice'), await hs.register('bob'), await hs.register('eve')]
    const roomId = await alice.createRoom({
      preset: 'public_chat',
      initial_state: [
        { type: 'm.room.history_visibility', state_key: '', content: { history_visibility: 'joined' } },
      ],
    })
    const early = await alice.sendText(roomId, 'treasure early')
    await bob.join(roomId)
    const redacted = await alice.sendText(roomId, 'treasure redacted')
    const shared = await alice.sendText(roomId, 'treasure shared')
    await search(alice, recent('treasure'))
    await alice.redact(roomId, redacted)
    await bob.leave(roomId)
    const late = await alice.sendText(roomId, 'treasure late')
    for (const order_by of ['recent', 'rank']) {
      const wish = { search_term: 'treasure', order_by }
      expect(idsOf(await search(alice, wish)), order_by).to.have.members([late, shared, early])
      expect(idsOf(await search(bob, wish)), order_by).to.deep.equal([shared])
      expect(idsOf(await search(eve, wish)), order_by).to.deep.equal([])
      expect(idsOf(await search(eve, { ...wish, filter: { rooms: [roomId] } })), order_by).to.deep.equal([])
    }
    await bob.must('PUT', path`/_matrix/client/v3/user/${bob.userId}/account_data/m.ignored_user_list`, {
      body: { ignored_users: { [alice.userId]: {} } },
    })
    expect(idsOf(await search(bob, recent('treasure')))).to.deep.equal([])
    await bob.forget(roomId)
    expect(idsOf(await search(bob, recent('treasure')))).to.deep.equal([])
  })

  it('leaves out rooms that are encrypted', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const roomId = await alice.createRoom({ name: 'Badgers' })
    const other = await alice.sendText(await alice.createRoom({}), 'badger')
    await alice.sendText(roomId, 'badger')
    await alice.sendState(roomId, 'm.room.encryption', '', { algorithm: 'm.megolm.v1.aes-sha2' })
    expect(idsOf(await search(alice, recent('badger')))).to.deep.equal([other])
    expect((await search(alice, recent('badger')))['count']).to.equal(1)
    expect(idsOf(await search(alice, recent('badgers', { filter: { rooms: [roomId] } })))).to.deep.equal([])
  })

  it('ranks what says it more often higher', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const roomId = await alice.createRoom({})
    const often = await alice.sendText(roomId, 'apple apple apple')
    await alice.sendText(roomId, 'apple and many other kinds of fruit that nobody looks for today')
    const found = await search(alice, { search_term: 'apple', filter: { limit: 1 } })
    expect(idsOf(found)).to.deep.equal([often])
    const second = await search(
      alice,
      { search_term: 'apple', filter: { limit: 1 } },
      found['next_batch'] as string,
    )
    expect(idsOf(second)).to.have.length(1)
    expect(idsOf(second)).not.to.include(often)
    expect(eventsAt(second, 'results')[0]!['rank']).to.be.below(
      eventsAt(found, 'results')[0]!['rank'] as number,
    )
  })

  it('looks into the rooms that a room has replaced', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const old = await alice.createRoom({ room_version: '8' })
    const before = await alice.sendText(old, 'before the upgrade')
    const { replacement_room: replacement } = await alice.must(
      'POST',
      path`/_matrix/client/v3/rooms/${old}/upgrade`,
      {
        body: { new_version: '9' },
      },
    )
    const after = await alice.sendText(replacement as string, 'after the upgrade')
    const rooms = [replacement as string]
    expect(idsOf(await search(alice, recent('upgrade', { filter: { rooms } })))).to.deep.equal([
      after,
      before,
    ])
    expect(idsOf(await search(alice, recent('upgrade', { filter: { rooms: [old] } })))).to.deep.equal([
      before,
    ])
  })

  it('takes in what is older than the index, and what happened before a restart', async () => {
    await using hs = await startHomeserver({ database, config: { enable_search: true } })
    const alice = await hs.register('alice')
    const roomId = await alice.createRoom({})
    const eventId = await alice.sendText(roomId, 'ancient scroll')
    await hs.restart()
    const again = await hs.login(alice.userId)
    expect(idsOf(await search(again, recent('scroll')))).to.deep.equal([eventId])
  })
})

describe('searching for messages', () => {
  it('can be switched off', async () => {
    await using hs = await startHomeserver({ config: { enable_search: false } })
    const { status, body } = await ask(await hs.register('alice'), recent('x'))
    expect([status, body['errcode']]).to.deep.equal([400, 'M_UNKNOWN'])
  })

  it('refuses wishes that are none', async () => {
    await using hs = await startHomeserver()
    const alice = await hs.register('alice')
    const bad: [JsonObject, string][] = [
      [{}, 'M_MISSING_PARAM'],
      [{ search_term: 1 }, 'M_BAD_JSON'],
      [{ search_term: 'x', order_by: 'age' }, 'M_INVALID_PARAM'],
      [{ search_term: 'x', keys: ['content.other'] }, 'M_INVALID_PARAM'],
      [{ search_term: 'x', filter: { limit: 'many' } }, 'M_BAD_JSON'],
      [{ search_term: 'x', groupings: { group_by: [{ key: 'type' }] } }, 'M_INVALID_PARAM'],
      [{ search_term: 'x', event_context: { before_limit: -1 } }, 'M_INVALID_PARAM'],
    ]
    for (const [wish, errcode] of bad) {
      const { status, body } = await ask(alice, wish)
      expect([status, body['errcode']], JSON.stringify(wish)).to.deep.equal([400, errcode])
    }
    const { status, body } = await alice.request('POST', SEARCH, { body: {} })
    expect([status, body['errcode']]).to.deep.equal([400, 'M_MISSING_PARAM'])
  })
})

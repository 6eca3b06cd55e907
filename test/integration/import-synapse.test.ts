import { expect } from 'chai'
import ImportSynapse from '../../commands/import/synapse.js'
import type { Event } from '../../src/protocol/event.js'
import { createSigner, parseSigningKeys } from '../../src/protocol/signing-keys.js'
import type { RoomId, ServerName } from '../../src/protocol/ids.js'
import { loadConfig } from '../../src/config/load.js'
import { takeOverSynapse } from '../../src/server/wire-takeover.js'
import { decodeReach } from '../../src/storage/auth-reach.js'
import { openDatabase } from '../../src/storage/open-database.js'
import { isJsonObject, type JsonObject } from '../../src/util/json.js'
import { noProgress } from '../../src/util/progress-sink.js'
import { expectCommandJson } from '../support/command-schemas.js'
import { runCommand, type CommandResult } from '../support/commands.js'
import {
  createTestDatabase,
  quietContext,
  type DatabaseKind,
  type TestDatabase,
} from '../support/databases.js'
import type { FakeHomeserver } from '../support/fake-homeserver.js'
import { forEachServerDatabase, SERVER_NAME } from '../support/homeserver.js'
import {
  databaseSection,
  ONE_LISTENER,
  startImported,
  type ImportedServer,
} from '../support/imported-server.js'
import { LinearRoom } from '../support/linear-room.js'
import { dig, MatrixClient, path } from '../support/matrix-client.js'
import { useScratch } from '../support/scratch.js'
import { SynapseDatabase } from '../support/synapse-database.js'

const KEY = 'ed25519 a_test AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
const NO_LIMIT = { per_second: 1_000, burst_count: 1_000 }
const VERSIONS = ['1', '6', '11', '12']
const CHARLIE = `@charlie:${SERVER_NAME}`
const ALICE = `@alice:${SERVER_NAME}`

/** Who makes the rooms: the server that is taken over. */
async function itself(): Promise<FakeHomeserver> {
  const [key] = parseSigningKeys(KEY)
  const serverName = SERVER_NAME as ServerName
  return { serverName, signer: createSigner(serverName, key!) } as unknown as FakeHomeserver
}

/** A conversation, with what is left of it when somebody has been rude. */
function converse(fake: FakeHomeserver, version: string): LinearRoom {
  const room = new LinearRoom(fake, version)
  room.join('alice')
  const insult = say(room, 'You fool', 'alice')
  const content = { reason: 'rude' }
  const redaction = room.build({ type: 'm.room.redaction', content })
  room.take(redacting(room, redaction, insult))
  room.add({ type: 'm.room.topic', stateKey: '', content: { topic: 'First' } })
  room.add({ type: 'm.room.topic', stateKey: '', content: { topic: `Version ${version}` } })
  for (let n = 0; n < 5; n++) say(room, `Message ${n}`, n % 2 === 0 ? 'charlie' : 'alice')
  return room
}

function say(room: LinearRoom, body: string, sender = 'charlie'): Event {
  return room.add({ type: 'm.room.message', sender, content: { msgtype: 'm.text', body } })
}

/** In versions whose redactions name their target in the content; others cannot be made with what there is. */
function redacting(room: LinearRoom, plain: Event, target: Event): Event {
  if (!room.rules.redactsInContent) return plain
  return room.build({ type: 'm.room.redaction', content: { redacts: target.eventId } })
}

forEachServerDatabase('import of a Synapse', (kind: DatabaseKind) => {
  const scratch = useScratch()
  let database: TestDatabase
  let source: SynapseDatabase
  let rooms: LinearRoom[]

  beforeEach(async () => {
    database = await createTestDatabase(kind)
    source = await SynapseDatabase.create(scratch.path('synapse.db'))
    const fake = await itself()
    rooms = VERSIONS.map((version) => converse(fake, version))
    await source.addUser('charlie', { token: 'syt_charlie', password_hash: '$2b$04$x', admin: 1 })
    await source.addUser('alice', { token: 'syt_alice', deviceId: 'PHONE' })
    for (const room of rooms)
      await source.addRoom({ roomId: room.roomId, version: room.rules.version, events: room.events })
  })

  afterEach(async () => {
    await source.close()
    await database.remove()
  })

  function configs(): string[] {
    const shared = {
      server_name: SERVER_NAME,
      signing_key: KEY,
      macaroon_secret_key: 'a secret',
      rc_message: NO_LIMIT,
    }
    const media_store_path = scratch.path('media')
    const from = {
      ...shared,
      media_store_path,
      database: { name: 'sqlite3', args: { database: source.path } },
      listeners: [],
    }
    const to = { database: databaseSection(database), pid_file: scratch.path('pid'), ...ONE_LISTENER }
    return [
      scratch.write('homeserver.yaml', JSON.stringify(from)),
      scratch.write('new.yaml', JSON.stringify(to)),
    ]
  }

  function run(...flags: string[]): Promise<CommandResult> {
    const [from = '', to = ''] = configs()
    return runCommand(ImportSynapse, '--from', from, '-c', from, '-c', to, ...flags)
  }

  async function succeed(...flags: string[]): Promise<JsonObject> {
    const result = await run('--json', ...flags)
    expect(result.exitCode, result.stdout).to.equal(0)
    return expectCommandJson('import-synapse', result.stdout) as JsonObject
  }

  async function start(): Promise<ImportedServer> {
    return startImported(configs())
  }

  /** What `mxhs rooms repair` finds. */
  async function contradictions({ server }: ImportedServer, roomId: string): Promise<readonly unknown[]> {
    const { roomRepair } = server.services
    return (await roomRepair.repair(roomId as RoomId, { dryRun: true })).findings
  }

  function session(
    server: ImportedServer,
    userId: string,
    accessToken: string,
    deviceId: string,
  ): MatrixClient {
    return new MatrixClient(server.url, { userId, accessToken, deviceId }, { isForeign: true })
  }

  it('lets sessions, rooms and their history go on', async () => {
    const report = await succeed()
    expect(report['outcome']).to.equal('finished')
    await using server = await start()
    const charlie = session(server, CHARLIE, 'syt_charlie', 'DEVICE')
    const alice = session(server, ALICE, 'syt_alice', 'PHONE')
    expect(await alice.must('GET', '/_matrix/client/v3/account/whoami')).to.include({
      user_id: ALICE,
      device_id: 'PHONE',
    })
    const sync = await alice.sync({ since: 's58_757_0_1_1_1_1_1_1_0' })
    expect(Object.keys(dig(sync, 'rooms', 'join') as JsonObject)).to.have.members(
      rooms.map(({ roomId }) => roomId),
    )
    for (const room of rooms) {
      expect(await contradictions(server, room.roomId)).to.deep.equal([])
      const { chunk } = await alice.messages(room.roomId, { dir: 'b', limit: 100 })
      const ids = (chunk as JsonObject[]).map((event) => event['event_id'])
      expect(ids).to.deep.equal(room.events.map(({ eventId }) => eventId).reverse())
      expect((await alice.state(room.roomId, 'm.room.topic'))['topic']).to.equal(
        `Version ${room.rules.version}`,
      )
      const { joined } = await alice.must('GET', path`/_matrix/client/v3/rooms/${room.roomId}/joined_members`)
      expect(Object.keys(joined as JsonObject)).to.have.members([ALICE, CHARLIE])
      const eventId = await alice.sendText(room.roomId, 'On the other side')
      await charlie.sendState(room.roomId, 'm.room.name', '', { name: 'New here' })
      const { events_before: before, state } = await charlie.must(
        'GET',
        path`/_matrix/client/v3/rooms/${room.roomId}/context/${eventId}`,
      )
      expect((before as JsonObject[])[0]?.['event_id']).to.equal(room.events.at(-1)?.eventId)
      expect((state as JsonObject[]).length).to.equal(room.state.size + 1)
    }
  })

  it('knows what is redacted, rejected, soft-failed, and where the history ends', async () => {
    const room = rooms.find(({ rules }) => rules.version === '11')!
    const bad = room.build({
      type: 'm.room.topic',
      sender: 'alice',
      stateKey: '',
      content: { topic: 'Mine' },
    })
    await source.addEvent(bad, { rejected: 'auth_error' })
    const late = room.build({ type: 'm.room.message', content: { body: 'Late' } })
    await source.addEvent(late, { isSoftFailed: true })
    await source.settle(room.roomId, [room.events.at(-1)!])
    await succeed()
    const db = await openDatabase(database.config, quietContext())
    try {
      const rows = await db.reader.all<{ event_id: string; rejected: string | null; soft_failed: number }>(
        'SELECT event_id, rejected, soft_failed FROM events WHERE rejected IS NOT NULL OR soft_failed = 1',
      )
      expect(rows).to.have.deep.members([
        { event_id: bad.eventId, rejected: 'auth_error', soft_failed: 0 },
        { event_id: late.eventId, rejected: null, soft_failed: 1 },
      ])
      const redacted = await db.reader.all<{ event_id: string }>(
        `SELECT e.event_id FROM events e JOIN rooms r ON r.room_nid = e.room_nid
         WHERE e.redacted_by IS NOT NULL AND r.room_id = ?`,
        [room.roomId],
      )
      const insult = room.events.find(({ content }) => content['body'] === 'You fool')
      expect(redacted).to.deep.equal([{ event_id: insult?.eventId }])
    } finally {
      await db.close()
    }
    await using server = await start()
    expect(await contradictions(server, room.roomId)).to.deep.equal([])
  })

  it('copies what has come since, whatever it is', async () => {
    await succeed('--while-running')
    const [first, second] = rooms as [LinearRoom, LinearRoom]
    const known = first.events.length
    say(first, 'After the first copy')
    first.add({ type: 'm.room.topic', stateKey: '', content: { topic: 'Changed' } })
    for (const event of first.events.slice(known)) await source.addEvent(event)
    await source.settle(first.roomId)
    // Its server has purged something.
    const gone = second.events.at(-1)!
    for (const table of ['events', 'event_json', 'event_to_state_groups'])
      await source.run(`DELETE FROM ${table} WHERE event_id = ?`, [gone.eventId])
    await source.settle(second.roomId)
    const report = await succeed()
    expect(dig(report, 'rooms')).to.include({ unchanged: VERSIONS.length - 2 })
    await using server = await start()
    const alice = session(server, ALICE, 'syt_alice', 'PHONE')
    expect((await alice.state(first.roomId, 'm.room.topic'))['topic']).to.equal('Changed')
    const { chunk } = await alice.messages(second.roomId, { dir: 'b', limit: 100 })
    expect((chunk as JsonObject[])[0]?.['event_id']).to.equal(second.events.at(-2)?.eventId)
  })

  // What is read and written otherwise is the same on both.
  if (kind === 'postgres') return

  it('covers auth chains, so that nothing has to be walked', async () => {
    await succeed()
    const db = await openDatabase(database.config, quietContext())
    try {
      const rows = await db.reader.all<{ event_id: string; chain_nid: number; seq: number; reach: Buffer }>(
        'SELECT e.event_id, a.chain_nid, a.seq, a.reach FROM auth_chains a JOIN events e ON e.event_nid = a.event_nid',
      )
      for (const room of rooms) {
        for (const event of room.events.filter((one) => one.isState())) {
          const own = rows.find((row) => row.event_id === event.eventId)!
          const reach = decodeReach(own.reach)
          const covered = rows.filter((row) => (reach.get(row.chain_nid) ?? 0) >= row.seq)
          expect(covered.map((row) => row.event_id)).to.have.members(
            room.authChain([event]).map(({ eventId }) => eventId),
          )
        }
      }
    } finally {
      await db.close()
    }
  })

  it('goes on where it was interrupted', async () => {
    const [from = '', to = ''] = configs()
    const places = { from: (await loadConfig([from])).config, to: (await loadConfig([from, to])).config }
    let interruptions = 0
    for (let left = 1; ; left += 2) {
      let batches = left
      const progress = {
        ...noProgress,
        advance: () => {
          if (batches-- === 0) throw new Error('Interrupted')
        },
      }
      const report = await takeOverSynapse({ ...places, progress, batchSize: 5 }, true).catch(
        (error: unknown) => error as Error,
      )
      if (report instanceof Error) {
        expect(report.message).to.equal('Interrupted')
        interruptions += 1
        continue
      }
      expect(report.verification?.differences).to.deep.equal([])
      expect(report.outcome).to.equal('finished')
      break
    }
    expect(interruptions).to.be.greaterThan(2)
    await using server = await start()
    const alice = session(server, ALICE, 'syt_alice', 'PHONE')
    for (const room of rooms) {
      const { chunk } = await alice.messages(room.roomId, { dir: 'b', limit: 100 })
      expect(chunk).to.have.length(room.events.length)
    }
  })

  it('finds the state before events, also where the source writes it as a whole', async () => {
    const room = rooms.find(({ rules }) => rules.version === '11')!
    const topic = (name: string): Event =>
      room.build({ type: 'm.room.topic', stateKey: '', content: { topic: name } })
    const whole = room.take(topic('Whole'))
    await source.addEvent(whole, { isWholeState: true })
    // Two at once, and one that follows both.
    const [left, right] = [topic('Left'), topic('Right')]
    await source.addEvent(left)
    await source.addEvent(right)
    room.take(right)
    const last = room.take(topic('Last'))
    await source.addEvent(last, { isWholeState: true })
    await source.settle(room.roomId)
    await succeed()
    await using server = await start()
    const alice = session(server, ALICE, 'syt_alice', 'PHONE')
    const replaced = async ({ eventId }: Event): Promise<unknown> => {
      const event = await alice.must('GET', path`/_matrix/client/v3/rooms/${room.roomId}/event/${eventId}`)
      return dig(event, 'unsigned', 'prev_content', 'topic')
    }
    expect(await replaced(whole)).to.equal('Version 11')
    expect(await replaced(last)).to.equal('Right')
  })

  it('keeps what was forgotten or is not let in', async () => {
    const [room] = rooms as [LinearRoom]
    const leave = room.add({
      type: 'm.room.member',
      sender: 'alice',
      stateKey: ALICE,
      content: { membership: 'leave' },
    })
    await source.addEvent(leave)
    await source.settle(room.roomId)
    await succeed('--while-running')
    await source.run('UPDATE room_memberships SET forgotten = 1 WHERE event_id = ?', [leave.eventId])
    await source.addUser('dora', { approved: 0 })
    await source.run('UPDATE rooms SET is_public = 1 WHERE room_id = ?', [room.roomId])
    await succeed()
    const db = await openDatabase(database.config, quietContext())
    try {
      const members = await db.reader.all('SELECT user_id FROM room_members WHERE forgotten = 1')
      expect(members).to.deep.equal([{ user_id: ALICE }])
      const published = await db.reader.all('SELECT room_id FROM rooms WHERE is_public = 1')
      expect(published).to.deep.equal([{ room_id: room.roomId }])
      const locked = await db.reader.all('SELECT user_id FROM users WHERE is_locked = 1')
      expect(locked).to.deep.equal([{ user_id: `@dora:${SERVER_NAME}` }])
    } finally {
      await db.close()
    }
  })

  it('takes keys, messages for devices, tags and push rules along', async () => {
    const of = { user_id: ALICE, device_id: 'PHONE' }
    const key = { ...of, algorithm: 'signed_curve25519', ts_added_ms: 1 }
    await source.insert(
      'e2e_one_time_keys_json',
      { ...key, key_id: 'AAAA', key_json: '{"key":"a"}' },
      { ...key, key_id: 'AAAB', key_json: '{"key":"b"}' },
    )
    await source.insert('device_inbox', {
      ...of,
      stream_id: 7,
      message_json: JSON.stringify({ sender: CHARLIE, type: 'm.test', content: { n: 1 } }),
    })
    const { roomId } = rooms[0]!
    await source.insert('room_tags_revisions', { user_id: ALICE, room_id: roomId, stream_id: 3 })
    await source.insert('room_tags', {
      user_id: ALICE,
      room_id: roomId,
      tag: 'm.favourite',
      content: '{"order":1}',
    })
    await source.insert('push_rules', {
      id: 1,
      user_name: ALICE,
      rule_id: 'global/content/cheese',
      priority_class: 4,
      priority: 0,
      conditions: '[{"kind":"event_match","key":"content.body","pattern":"cheese"}]',
      actions: '["notify"]',
    })
    await source.insert('push_rules_enable', {
      id: 1,
      user_name: ALICE,
      rule_id: 'global/override/.m.rule.master',
      enabled: 1,
    })
    await succeed()
    await using server = await start()
    const alice = session(server, ALICE, 'syt_alice', 'PHONE')
    const claim = await alice.must('POST', '/_matrix/client/v3/keys/claim', {
      body: { one_time_keys: { [ALICE]: { PHONE: 'signed_curve25519' } } },
    })
    expect(JSON.stringify(claim)).to.match(/signed_curve25519:AAA[AB]/)
    const sync = await alice.sync()
    expect(dig(sync, 'to_device', 'events')).to.deep.equal([
      { sender: CHARLIE, type: 'm.test', content: { n: 1 } },
    ])
    expect(dig(sync, 'device_one_time_keys_count', 'signed_curve25519')).to.equal(1)
    const tags = path`/_matrix/client/v3/user/${ALICE}/rooms/${roomId}/tags`
    expect((await alice.must('GET', tags))['tags']).to.deep.equal({ 'm.favourite': { order: 1 } })
    const rules = await alice.must('GET', '/_matrix/client/v3/pushrules/')
    const find = (kind: string, id: string): JsonObject | undefined =>
      (dig(rules, 'global', kind) as JsonObject[]).find(
        (rule) => isJsonObject(rule) && rule['rule_id'] === id,
      )
    expect(find('content', 'cheese')).to.include({ pattern: 'cheese', enabled: true })
    expect(find('override', '.m.rule.master')?.['enabled']).to.equal(true)
  })

  it('shows invitations to rooms that the server is not in', async () => {
    const { signer } = await itself()
    const elsewhere = new LinearRoom({ serverName: 'far.test', signer } as unknown as FakeHomeserver, '10')
    const invite = elsewhere.build({
      type: 'm.room.member',
      stateKey: ALICE,
      content: { membership: 'invite' },
    })
    await source.insert('rooms', { room_id: elsewhere.roomId, is_public: 0, creator: '', room_version: '10' })
    await source.addEvent(invite, {
      isOutlier: true,
      unsigned: {
        invite_room_state: [
          { type: 'm.room.name', state_key: '', sender: elsewhere.creator, content: { name: 'Far away' } },
        ],
      },
    })
    await source.insert('local_current_membership', {
      room_id: elsewhere.roomId,
      user_id: ALICE,
      event_id: invite.eventId,
      membership: 'invite',
    })
    await succeed()
    await using server = await start()
    const sync = await session(server, ALICE, 'syt_alice', 'PHONE').sync()
    const events = dig(sync, 'rooms', 'invite', elsewhere.roomId, 'invite_state', 'events') as JsonObject[]
    expect(events.map((event) => event['type'])).to.include.members(['m.room.name', 'm.room.member'])
  })

  it('says before what will not come over, and refuses what it cannot do', async () => {
    await source.insert('rooms', { room_id: '!odd:hs', is_public: 0, creator: '', room_version: 'odd' })
    await source.insert('login_tokens', { token: 'a', user_id: ALICE, expiry_ts: 1 })
    await source.insert('background_updates', { update_name: 'fill', progress_json: '{}' })
    await source.run('CREATE TABLE of_a_module (a BIGINT)')
    await source.run('INSERT INTO of_a_module (a) VALUES (1), (2)')
    const dry = await succeed('--dry-run')
    expect(dry).to.deep.include({
      dryRun: true,
      rooms: VERSIONS.length + 1,
      leftOutRooms: [{ roomId: '!odd:hs', reason: 'unknown_version' }],
    })
    expect((dry['leftOut'] as JsonObject[]).map(({ what, count }) => [what, count])).to.deep.equal([
      ['login tokens', 1],
      ['unfinished background updates', 1],
      ['rows of of_a_module', 2],
    ])
    await succeed()
    const again = await run()
    expect([again.exitCode, again.stderr]).to.deep.equal([
      1,
      'error: The takeover into this database is finished: nothing is copied into it any more\n',
    ])
    await source.run('UPDATE schema_version SET version = 72')
    const old = await run('--dry-run')
    expect(old.exitCode).to.equal(1)
    expect(old.stderr).to.include('version 73 (Synapse 1.74) or later is needed')
  })

  it('does not let a server start on half a copy', async () => {
    await succeed('--while-running')
    const error = await start().then(
      () => undefined,
      (failure: unknown) => failure as Error,
    )
    expect(error?.name).to.equal('UnfinishedTakeoverError')
  })
})

import { createReadStream, existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { extract } from 'tar-stream'
import UsersExport from '../../../commands/users/export.js'
import { controlSocketIn, writeCommandConfig } from '../../support/command-config.js'
import { expectCommandJson } from '../../support/command-schemas.js'
import { runCommand } from '../../support/commands.js'
import { startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import type { MatrixClient } from '../../support/matrix-client.js'
import { useScratch } from '../../support/scratch.js'

describe('mxhs users export', function () {
  this.timeout(30_000)
  const scratch = useScratch()
  let server: TestHomeserver
  let alice: MatrixClient
  let config: string
  let room: string
  let mediaId: string
  let seenEventId: string
  let ownEventId: string
  let hiddenEventId: string

  beforeEach(async () => {
    server = await startHomeserver({ config: controlSocketIn(scratch) })
    config = writeCommandConfig(scratch, server)
    alice = await server.register('alice')
    const bob = await server.register('bob')
    room = await bob.createRoom({
      preset: 'public_chat',
      initial_state: [
        { type: 'm.room.history_visibility', state_key: '', content: { history_visibility: 'joined' } },
      ],
    })
    hiddenEventId = await bob.sendText(room, 'Before she came')
    await alice.join(room)
    seenEventId = await bob.sendText(room, 'Hello')
    ownEventId = await alice.sendText(room, 'Hello yourself')
    await alice.must('PUT', `/_matrix/client/v3/user/${alice.userId}/account_data/org.test`, {
      body: { fond: 'of cats' },
    })
    await alice.must('PUT', '/_matrix/client/v3/pushrules/global/content/cheese', {
      body: { pattern: 'cheese', actions: ['notify'] },
    })
    await alice.must('POST', '/_matrix/client/v3/room_keys/version', {
      body: { algorithm: 'm.megolm_backup.v1.curve25519-aes-sha2', auth_data: { public_key: 'P' } },
    })
    const session = {
      first_message_index: 1,
      forwarded_count: 0,
      is_verified: true,
      session_data: { c: 'x' },
    }
    await alice.must('PUT', '/_matrix/client/v3/room_keys/keys', {
      query: { version: '1' },
      body: { rooms: { [room]: { sessions: { S1: session, S2: session } } } },
    })
    const upload = await fetch(`${server.url}/_matrix/media/v3/upload?filename=cat.txt`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${alice.accessToken}`, 'Content-Type': 'text/plain' },
      body: 'meow',
    })
    const { content_uri: uri } = (await upload.json()) as { content_uri: string }
    mediaId = uri.split('/').at(-1)!
  })
  afterEach(() => server[Symbol.asyncDispose]())

  const eventIds = (text: string): string[] =>
    text
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { event_id: string }).event_id)

  it('hands over what there is of a person, as files', async () => {
    const output = scratch.path('alice')
    const { stdout, exitCode } = await runCommand(UsersExport, 'alice', '-o', output, '-c', config, '--json')
    expect(exitCode).to.equal(0)
    const exported = expectCommandJson('users-export', stdout) as { files: number }
    expect(exported).to.deep.include({ userId: alice.userId, output })
    const read = (name: string): string => readFileSync(join(output, name), 'utf8')
    const json = (name: string): unknown => JSON.parse(read(name))
    expect(json('account.json')).to.deep.include({ userId: alice.userId, rooms: { join: 1 } })
    expect(read('account.json')).not.to.include('$2b$')
    expect(json('account_data.json')).to.deep.include({ type: 'org.test', content: { fond: 'of cats' } })
    expect(read('push_rules.json')).to.include('cheese')
    expect(json('key_backup.json')).to.deep.include({ count: 2, auth_data: { public_key: 'P' } })
    const keys = read('key_backup-0001.jsonl').trimEnd().split('\n')
    expect(keys.map((line) => JSON.parse(line) as object)).to.deep.include({
      ...{ room_id: room, session_id: 'S2', first_message_index: 1, forwarded_count: 0 },
      ...{ is_verified: true, session_data: { c: 'x' } },
    })
    expect(keys).to.have.length(2)
    const directory = `rooms/${encodeURIComponent(room)}`
    expect(json(`${directory}/room.json`)).to.deep.include({ roomId: room, membership: 'join' })
    const events = eventIds(read(`${directory}/events-0001.jsonl`))
    expect(events).to.include.members([seenEventId, ownEventId])
    expect(events).not.to.include(hiddenEventId)
    expect(eventIds(read(`${directory}/state-0001.jsonl`)).length).to.be.greaterThan(5)
    expect(read(`media/${mediaId}`)).to.equal('meow')
    expect((json('media.json') as object[])[0]).to.deep.include({
      uri: `mxc://hs.test/${mediaId}`,
      file: `media/${mediaId}`,
      uploadName: 'cat.txt',
    })
    expect((json('memberships.json') as object[])[0]).to.deep.include({ roomId: room, membership: 'join' })
    const names = readdirSync(output, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    )
    expect(exported.files).to.equal(names.length)
    expect(statSync(output).mode & 0o777).to.equal(0o700)
    const again = await runCommand(UsersExport, 'alice', '-o', output, '-c', config)
    expect([again.exitCode, again.stderr]).to.deep.equal([1, `error: ${output} is not empty\n`])
  })

  it('hands over the same as an archive', async () => {
    const output = scratch.path('alice.tar')
    const { stdout, exitCode } = await runCommand(UsersExport, '@alice:hs.test', '-o', output, '-c', config)
    expect(exitCode).to.equal(0)
    expect(stdout).to.match(/alice\.tar: \d+ files, /)
    const contents = new Map<string, string>()
    for await (const entry of createReadStream(output).pipe(extract())) {
      let text = ''
      for await (const chunk of entry) text += String(chunk)
      contents.set(entry.header.name, text)
    }
    expect(contents.get(`media/${mediaId}`)).to.equal('meow')
    expect(JSON.parse(contents.get('account.json') ?? '')).to.have.property('userId', alice.userId)
    expect((await runCommand(UsersExport, 'alice', '-o', output, '-c', config)).stderr).to.match(
      /error: .*alice\.tar exists already/,
    )
  })

  it('makes nothing for people who are not there', async () => {
    const output = scratch.path('nobody.tar')
    const missing = await runCommand(UsersExport, 'nobody', '-o', output, '-c', config)
    expect(missing.stderr).to.equal('error: There is no user @nobody:hs.test\n')
    expect(existsSync(output)).to.equal(false)
    expect((await runCommand(UsersExport, 'alice', '-o', '-', '--json', '-c', config)).exitCode).to.equal(2)
    expect((await runCommand(UsersExport, 'alice', '-c', config)).exitCode).to.equal(2)
  })
})

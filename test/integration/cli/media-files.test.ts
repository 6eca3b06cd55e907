import { expect } from 'chai'
import MediaDelete from '../../../commands/media/delete.js'
import MediaQuarantine from '../../../commands/media/quarantine.js'
import MediaRelease from '../../../commands/media/release.js'
import { controlSocketIn, writeCommandConfig } from '../../support/command-config.js'
import { expectCommandJson } from '../../support/command-schemas.js'
import { runCommand } from '../../support/commands.js'
import { startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import type { MatrixClient } from '../../support/matrix-client.js'
import { downloadFile, uploadFile } from '../../support/media-client.js'
import { useScratch } from '../../support/scratch.js'

describe('mxhs media, of single files', function () {
  this.timeout(30_000)
  const scratch = useScratch()
  let server: TestHomeserver
  let alice: MatrixClient
  let bob: MatrixClient
  let config: string

  beforeEach(async () => {
    server = await startHomeserver({ config: controlSocketIn(scratch) })
    config = writeCommandConfig(scratch, server)
    alice = await server.register('alice')
    bob = await server.register('bob')
  })
  afterEach(() => server[Symbol.asyncDispose]())

  const run = (command: Parameters<typeof runCommand>[0], ...argv: string[]): ReturnType<typeof runCommand> =>
    runCommand(command, ...argv, '-c', config)

  async function json(name: string, command: Parameters<typeof runCommand>[0], ...argv: string[]) {
    const { stdout } = await run(command, ...argv, '--json')
    return expectCommandJson(`media-${name}`, stdout)
  }

  const isThere = async (uri: string): Promise<boolean> => (await downloadFile(alice, uri)).status === 200

  async function share(client: MatrixClient, roomId: string, url: string): Promise<string> {
    const content = { msgtype: 'm.file', body: 'a file', url }
    return client.sendEvent(roomId, 'm.room.message', content)
  }

  it('quarantine and release go by URI, by user and by room', async () => {
    const roomId = await alice.createRoom()
    const [one, two, other] = [
      await uploadFile(alice, 'one'),
      await uploadFile(bob, 'one'),
      await uploadFile(bob, 'other'),
    ]
    await share(alice, roomId, one)
    expect(await json('quarantine', MediaQuarantine, one)).to.deep.equal({ total: 1, changed: 2 })
    expect([await isThere(one), await isThere(two), await isThere(other)]).to.deep.equal([false, false, true])
    expect(await json('release', MediaRelease, two)).to.deep.equal({ total: 1, changed: 2 })
    expect(await isThere(one)).to.equal(true)

    const text = await run(MediaQuarantine, '--user', 'bob')
    expect([text.exitCode, text.stdout]).to.deep.equal([0, '3 files are in quarantine now.\n'])
    expect(await json('release', MediaRelease, '--user', '@bob:hs.test')).to.deep.equal({
      total: 2,
      changed: 3,
    })
    expect(await json('quarantine', MediaQuarantine, '--room', roomId)).to.deep.equal({
      total: 1,
      changed: 2,
    })
    expect(await isThere(one)).to.equal(false)
  })

  it('delete goes by URI, by user, by room, by age and by size', async () => {
    const roomId = await alice.createRoom()
    const [one, two, small, large, avatar] = [
      await uploadFile(alice, 'one'),
      await uploadFile(alice, 'two'),
      await uploadFile(bob, 'small'),
      await uploadFile(bob, 'large'.repeat(1000)),
      await uploadFile(bob, 'avatar'.repeat(1000)),
    ]
    await share(alice, roomId, two)
    await bob.must('PUT', `/_matrix/client/v3/profile/${bob.userId}/avatar_url`, {
      body: { avatar_url: avatar },
    })
    expect(await json('delete', MediaDelete, one, '--dry-run')).to.deep.equal({
      deleted: false,
      total: 1,
      files: [one],
    })
    const text = await run(MediaDelete, one, '--yes')
    expect([text.exitCode, text.stdout, text.stderr]).to.deep.equal([0, `${one}\n`, '1 files are deleted.\n'])
    expect(await isThere(one)).to.equal(false)
    expect(await json('delete', MediaDelete, '--room', roomId, '--yes')).to.deep.include({ files: [two] })
    expect(await json('delete', MediaDelete, '--older-than', '1h', '--yes')).to.deep.include({ total: 0 })
    expect(await json('delete', MediaDelete, '--larger-than', '1K', '--yes')).to.deep.include({
      files: [large],
    })
    expect(await json('delete', MediaDelete, '--user', 'bob', '--dry-run')).to.deep.include({ total: 2 })
    expect(await json('delete', MediaDelete, '--larger-than', '1K', '--avatars', '-y')).to.deep.include({
      files: [avatar],
    })
    expect(await json('delete', MediaDelete, '--user', 'bob', '--yes')).to.deep.include({ files: [small] })
  })

  it('delete finds what redactions and erased users have left', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await bob.must('POST', `/_matrix/client/v3/join/${roomId}`)
    const [gone, twice, roomAvatar, kept] = [
      await uploadFile(alice, 'gone'),
      await uploadFile(alice, 'twice'),
      await uploadFile(bob, 'the picture of the room'),
      await uploadFile(bob, 'sent by bob'),
    ]
    for (const uri of [gone, twice]) {
      const eventId = await share(alice, roomId, uri)
      await alice.must('PUT', `/_matrix/client/v3/rooms/${roomId}/redact/${eventId}/${uri.slice(-8)}`, {
        body: {},
      })
    }
    await share(alice, roomId, twice)
    await share(bob, roomId, kept)
    await alice.must('PUT', `/_matrix/client/v3/rooms/${roomId}/state/m.room.avatar`, {
      body: { url: roomAvatar },
    })
    expect(await json('delete', MediaDelete, '--redacted', '--yes')).to.deep.include({ files: [gone] })
    expect(await json('delete', MediaDelete, '--erased', '--yes')).to.deep.include({ files: [] })
    await server.server.services.accountAdministration.deactivate('@bob:hs.test' as never, { erase: true })
    expect(await json('delete', MediaDelete, '--erased', '--yes')).to.deep.include({ files: [kept] })
    expect([await isThere(twice), await isThere(roomAvatar)]).to.deep.equal([true, true])
  })

  it('say what is wrong with what they are given', async () => {
    const cases: [Parameters<typeof runCommand>[0], string[], number, string][] = [
      [MediaDelete, ['--yes'], 2, 'Say which files'],
      [MediaDelete, ['--user', 'bob', '--redacted', '--yes'], 2, 'in one way only'],
      [MediaDelete, ['mxc://hs.test/nothing', '--yes'], 1, 'There are no such files'],
      [MediaDelete, ['https://hs.test/x', '--yes'], 2, 'is no file'],
      [MediaDelete, ['--older-than', 'long', '--yes'], 2, 'is no duration'],
      [MediaDelete, ['--larger-than', 'huge', '--yes'], 2, 'is no size'],
      [MediaDelete, ['--remote', '--yes'], 2, 'go with --older-than'],
      [MediaDelete, ['--user', 'bob'], 2, '--yes is missing'],
      [MediaQuarantine, ['--room', 'lobby'], 2, 'is no room ID'],
      [MediaRelease, ['mxc://hs.test/nothing'], 1, 'There are no such files'],
    ]
    for (const [command, argv, exitCode, message] of cases) {
      const result = await run(command, ...argv)
      expect([result.exitCode, result.stdout], argv.join(' ')).to.deep.equal([exitCode, ''])
      expect(result.stderr, argv.join(' ')).to.contain(message)
    }
  })
})

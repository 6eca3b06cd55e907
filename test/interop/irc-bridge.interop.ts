import { expect } from 'chai'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildProgram, removeProgram } from '../support/built-program.js'
import { dig, eventsAt, MatrixClient, type SyncCheck } from '../support/matrix-client.js'
import { freePort, ServerProcess, sqliteDatabase } from '../support/server-process.js'
import { findBridgePackages } from './bridge-packages.js'
import { IrcClient } from './irc-client.js'
import { BridgeProcess, findIrcBridge, plainIrcBridge, type BridgeProgram } from './irc-bridges.js'
import { findNgircd, NgircdProcess } from './ngircd-process.js'

const SERVER_NAME = 'process.test'
const ALIAS = `#irc_#general:${SERVER_NAME}`
const ATTEMPTS = 60
const ATTEMPT_MS = 500

type Found = { readonly program: BridgeProgram } | { readonly missing: string }

const BRIDGES: Readonly<Record<string, () => Found | Promise<Found>>> = {
  'matrix-appservice-irc': findIrcBridge,
  'a bridge of matrix-appservice-bridge and matrix-org-irc': async () => {
    const found = await findBridgePackages()
    return 'missing' in found ? found : { program: plainIrcBridge(found.packages) }
  },
}

for (const [name, find] of Object.entries(BRIDGES)) {
  describe(`${name} and an IRC server`, function () {
    this.timeout(400_000)
    let directory: string | undefined
    const stack: AsyncDisposable[] = []
    let server: ServerProcess
    let bridge: BridgeProcess
    let irc: IrcClient
    let alice: MatrixClient
    let roomId: string

    before(async function () {
      const ngircd = findNgircd()
      const found = 'missing' in ngircd ? ngircd : await find()
      if ('missing' in found) {
        process.stderr.write(`Skipped: ${found.missing}\n`)
        this.skip()
      }
      directory = mkdtempSync(join(tmpdir(), 'mxhs-bridge-'))
      await buildProgram()
      const ircServer = await NgircdProcess.start()
      stack.push(ircServer)
      const places = { directory, serverName: SERVER_NAME, ircPort: ircServer.port, port: await freePort() }
      const registration = found.program.register(places)
      server = await ServerProcess.start({
        database: sqliteDatabase(),
        config: {
          enable_registration: true,
          enable_registration_without_verification: true,
          app_service_config_files: [registration],
        },
      })
      stack.push(server)
      bridge = new BridgeProcess(found.program, { ...places, homeserverUrl: server.url })
      stack.push(bridge)
      bridge.start()
      irc = await IrcClient.connect(ircServer.port, 'ingrid')
      await irc.join('#general')
      alice = await new MatrixClient(server.url).register('alice', 'correct horse')
    })

    after(async () => {
      for (const part of stack.reverse()) await part[Symbol.asyncDispose]()
      if (directory === undefined) return
      irc[Symbol.dispose]()
      await removeProgram()
      rmSync(directory, { recursive: true, force: true })
    })

    afterEach(function () {
      if (this.currentTest?.state === 'failed') process.stderr.write(`${bridge.log}\n`)
    })

    /** The message of IRC's Ingrid with this text. */
    const syncHas =
      (text: string): SyncCheck =>
      (response) =>
        eventsAt(response, 'rooms', 'join', roomId, 'timeline', 'events').some(
          (event) =>
            event['sender'] === `@irc_ingrid:${SERVER_NAME}` && dig(event, 'content', 'body') === text,
        )

    /** Says something on both sides, and waits until it has arrived on the other. */
    async function talk(topic: string): Promise<void> {
      await alice.sendText(roomId, `${topic}, says Alice`)
      await irc.waitFor(new RegExp(`^:alice\\S* PRIVMSG #general :${topic}, says Alice$`))
      const since = await alice.syncToken()
      irc.say('#general', `${topic}, says Ingrid`)
      await alice.mustSyncUntil(syncHas(`${topic}, says Ingrid`), { since })
    }

    it('make a room of a channel when somebody asks for its alias', async () => {
      // The bridge needs a moment until it is there.
      for (let attempt = 0; attempt < ATTEMPTS && bridge.isRunning; attempt++) {
        const answer = await alice.request('POST', `/_matrix/client/v3/join/${encodeURIComponent(ALIAS)}`, {
          body: {},
        })
        if (answer.status === 200) {
          roomId = answer.body['room_id'] as string
          break
        }
        await new Promise((resolve) => setTimeout(resolve, ATTEMPT_MS))
      }
      expect(roomId, 'the room of the channel').to.be.a('string')
      const { joined } = await alice.must(
        'GET',
        `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/joined_members`,
      )
      expect(Object.keys(joined as object)).to.include(`@ircbot:${SERVER_NAME}`)
    })

    it('relay messages both ways', async () => {
      await talk('At first')
      const profile = await alice.must('GET', `/_matrix/client/v3/profile/@irc_ingrid:${SERVER_NAME}`)
      expect(profile['displayname']).to.match(/^ingrid/)
    })

    it('go on after a restart of the homeserver', async () => {
      expect(await server.end('SIGTERM')).to.equal(0)
      await server.restart()
      await talk('After a restart')
      await server.end('SIGKILL')
      await server.restart()
      await talk('After a crash')
    })

    it('are sent what was said while the bridge was away', async () => {
      await bridge.stop()
      await alice.sendText(roomId, 'Is anybody there?')
      bridge.start()
      await irc.waitFor(/^:alice\S* PRIVMSG #general :Is anybody there\?$/)
      await talk('With the bridge again')
    })
  })
}

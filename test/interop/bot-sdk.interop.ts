import { expect } from 'chai'
import { execFile } from 'node:child_process'
import type { EventEmitter } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { stringify } from 'yaml'
import type { JsonObject } from '../../src/util/json.js'
import { buildProgram, builtProgram, removeProgram } from '../support/built-program.js'
import { dig, MatrixClient, path, syncTimelineHasEventId } from '../support/matrix-client.js'
import { freePort, ServerProcess, sqliteDatabase } from '../support/server-process.js'
import { findBridgePackages } from './bridge-packages.js'

const SERVER_NAME = 'process.test'
const WAIT_MS = 20_000

/** The parts of matrix-bot-sdk that are used here. */
interface BotSdk {
  readonly Appservice: new (options: object) => Appservice
  readonly LogService: { setLevel(level: unknown): void }
  readonly LogLevel: { readonly ERROR: unknown }
  readonly MemoryStorageProvider: new () => unknown
}

interface Appservice extends EventEmitter {
  readonly botIntent: Intent
  readonly botUserId: string
  begin(): Promise<void>
  stop(): void
  getIntentForSuffix(suffix: string): Intent
  setRoomDirectoryVisibility(networkId: string, roomId: string, visibility: string): Promise<unknown>
}

interface Intent {
  readonly userId: string
  readonly underlyingClient: {
    setDisplayName(name: string): Promise<unknown>
    getWhoAmI(): Promise<JsonObject>
    setTyping(roomId: string, isTyping: boolean, timeoutMs: number): Promise<unknown>
    sendReadReceipt(roomId: string, eventId: string): Promise<unknown>
    createRoom(options: object): Promise<string>
  }
  ensureRegistered(deviceId?: string): Promise<unknown>
  ensureJoined(roomId: string): Promise<unknown>
  ensureRegisteredAndJoined(roomId: string): Promise<unknown>
  sendText(roomId: string, body: string): Promise<string>
  leaveRoom(roomId: string): Promise<unknown>
  getJoinedRooms(): Promise<string[]>
}

describe('an application service of matrix-bot-sdk', function () {
  this.timeout(300_000)
  let directory: string | undefined
  let server: ServerProcess
  let service: Appservice
  let alice: MatrixClient
  let roomId: string
  let told: Told

  before(async function () {
    const found = await findBridgePackages()
    if ('missing' in found) {
      process.stderr.write(`Skipped: ${found.missing}\n`)
      this.skip()
    }
    directory = mkdtempSync(join(tmpdir(), 'mxhs-bot-sdk-'))
    await buildProgram()
    server = await ServerProcess.start({
      database: sqliteDatabase(),
      config: {
        enable_registration: true,
        enable_registration_without_verification: true,
        pid_file: join(directory, 'mxhs.pid'),
      },
    })
    const registration = registrationOf(await freePort())
    const file = join(directory, 'registration.yaml')
    writeFileSync(file, stringify(registration))
    await mxhs('appservice', 'check', file)
    await mxhs('appservice', 'add', file)
    service = startService(found.packages.load<BotSdk>('matrix-bot-sdk'), server.url, registration)
    told = new Told(service)
    await service.begin()
    alice = await new MatrixClient(server.url).register('alice', 'correct horse')
    roomId = await alice.createRoom({ preset: 'public_chat' })
  })

  after(async () => {
    if (directory === undefined) return
    service.stop()
    await server[Symbol.asyncDispose]()
    await removeProgram()
    rmSync(directory, { recursive: true, force: true })
  })

  async function mxhs(...args: string[]): Promise<string> {
    const command = [builtProgram(), ...args, '-c', server.configFile]
    return (await promisify(execFile)(process.execPath, command)).stdout
  }

  it('is known to the server that runs', async () => {
    expect(await mxhs('appservice', 'list')).to.match(/bot-sdk/)
    expect(await service.botIntent.underlyingClient.getWhoAmI()).to.include({ user_id: service.botUserId })
  })

  it('registers ghosts, and has them join and speak', async () => {
    const ghost = service.getIntentForSuffix('ghost')
    await ghost.ensureRegisteredAndJoined(roomId)
    await ghost.underlyingClient.setDisplayName('A ghost')
    const since = await alice.syncToken()
    const eventId = await ghost.sendText(roomId, 'Boo')
    await alice.mustSyncUntil(syncTimelineHasEventId(roomId, eventId), { since })
    const profile = await alice.must('GET', path`/_matrix/client/v3/profile/${ghost.userId}`)
    expect(profile['displayname']).to.equal('A ghost')
    expect(await ghost.getJoinedRooms()).to.deep.equal([roomId])
  })

  it('is told of messages, once each and in order, also across restarts of the server', async () => {
    const sent: string[] = []
    for (const text of ['one', 'two', 'three']) sent.push(await alice.sendText(roomId, text))
    await server.end('SIGKILL')
    await server.restart()
    for (const text of ['four', 'five']) sent.push(await alice.sendText(roomId, text))
    await told.until(() => told.messagesOf(alice.userId).length >= sent.length)
    expect(told.messagesOf(alice.userId)).to.deep.equal(sent)
  })

  it('is told of typing and receipts', async () => {
    const eventId = await alice.sendText(roomId, 'Read this')
    const ghost = service.getIntentForSuffix('ghost')
    await ghost.underlyingClient.sendReadReceipt(roomId, eventId)
    await alice.must('PUT', path`/_matrix/client/v3/rooms/${roomId}/typing/${alice.userId}`, {
      body: { typing: true, timeout: 10_000 },
    })
    await alice.must('POST', path`/_matrix/client/v3/rooms/${roomId}/receipt/m.read/${eventId}`, { body: {} })
    await told.until(() =>
      told.ephemeral.some(
        ({ type, room_id: room, content }) =>
          type === 'm.typing' && room === roomId && JSON.stringify(content).includes(alice.userId),
      ),
    )
    await told.until(() =>
      told.ephemeral.some(
        ({ type, content }) =>
          type === 'm.receipt' && dig(content, eventId, 'm.read', alice.userId) !== undefined,
      ),
    )
  })

  it('makes users and rooms when somebody asks for them', async () => {
    service.on('query.user', (userId: string, make: (result: unknown) => void) =>
      make(userId.startsWith('@bridge_new') ? { display_name: 'Made on demand' } : false),
    )
    service.on('query.room', (alias: string, make: (result: unknown) => void) =>
      make(alias.startsWith('#bridge_new') ? { preset: 'public_chat', name: 'Made on demand' } : false),
    )
    const newcomer = `@bridge_new:${SERVER_NAME}`
    const profile = await alice.must('GET', path`/_matrix/client/v3/profile/${newcomer}`)
    expect(profile['displayname']).to.equal('Made on demand')
    const made = await alice.join(`#bridge_new:${SERVER_NAME}`)
    expect(await alice.state(made, 'm.room.name')).to.deep.equal({ name: 'Made on demand' })
    const unknown = await alice.request(
      'POST',
      path`/_matrix/client/v3/join/${`#bridge_no:${SERVER_NAME}`}`,
      {
        body: {},
      },
    )
    expect(unknown.status).to.equal(404)
  })

  it('answers look-ups in its network and lists its rooms there', async () => {
    service.on('thirdparty.protocol', (_name: string, answer: (protocol: unknown) => void) =>
      answer({
        user_fields: ['nick'],
        location_fields: ['channel'],
        icon: 'mxc://process.test/icon',
        field_types: {
          nick: { regexp: '.+', placeholder: 'nick' },
          channel: { regexp: '#.+', placeholder: '#channel' },
        },
        instances: [{ network_id: 'net', desc: 'The network', fields: {} }],
      }),
    )
    service.on('thirdparty.user.remote', (_p: string, fields: JsonObject, answer: (users: unknown) => void) =>
      answer([{ userid: `@bridge_${fields['nick'] as string}:${SERVER_NAME}`, protocol: 'testnet', fields }]),
    )
    const protocols = await alice.must('GET', '/_matrix/client/v3/thirdparty/protocols')
    expect(dig(protocols, 'testnet', 'instances', 0, 'desc')).to.equal('The network')
    const users = await alice.request('GET', '/_matrix/client/v3/thirdparty/user/testnet', {
      query: { nick: 'ingrid' },
    })
    expect(JSON.parse(users.text)).to.deep.equal([
      { userid: `@bridge_ingrid:${SERVER_NAME}`, protocol: 'testnet', fields: { nick: 'ingrid' } },
    ])
    await service.setRoomDirectoryVisibility('net', roomId, 'public')
    const listed = await alice.must('POST', '/_matrix/client/v3/publicRooms', {
      body: { third_party_instance_id: dig(protocols, 'testnet', 'instances', 0, 'instance_id') ?? null },
    })
    expect(JSON.stringify(listed)).to.include(roomId)
  })

  it('has a device made for a ghost, which is sent messages for devices', async () => {
    const ghost = service.getIntentForSuffix('encrypting')
    await ghost.ensureRegistered()
    const asGhost = `access_token=token-of-the-service&user_id=${encodeURIComponent(ghost.userId)}`
    const made = await fetch(`${server.url}/_matrix/client/v3/devices/GHOST?${asGhost}`, {
      method: 'PUT',
      body: JSON.stringify({ display_name: 'of a bridge' }),
    })
    expect(made.status).to.equal(201)
    await alice.must('PUT', '/_matrix/client/v3/sendToDevice/org.example.hello/1', {
      body: { messages: { [ghost.userId]: { GHOST: { hello: 'ghost' } } } },
    })
    await told.until(() =>
      told.ephemeral.some(
        (event) =>
          event['type'] === 'org.example.hello' &&
          event['to_user_id'] === ghost.userId &&
          event['to_device_id'] === 'GHOST',
      ),
    )
  })

  it('is sent nothing any more when it is removed', async () => {
    await mxhs('appservice', 'remove', 'bot-sdk')
    const answer = await fetch(
      `${server.url}/_matrix/client/v3/account/whoami?access_token=token-of-the-service`,
    )
    expect(answer.status).to.equal(401)
  })
})

/** What an application service has been told. */
class Told {
  readonly events: JsonObject[] = []
  readonly ephemeral: JsonObject[] = []
  #waiting: (() => void)[] = []

  constructor(service: Appservice) {
    service.on('room.event', (_roomId: string, event: JsonObject) => this.#take(this.events, event))
    service.on('ephemeral.event', (event: JsonObject) => this.#take(this.ephemeral, event))
  }

  /** The IDs of somebody's messages, in the order in which they came. */
  messagesOf(sender: string): string[] {
    return this.events
      .filter((event) => event['type'] === 'm.room.message' && event['sender'] === sender)
      .map((event) => event['event_id'] as string)
  }

  /** Resolves when a condition holds. */
  async until(condition: () => boolean): Promise<void> {
    const deadline = Date.now() + WAIT_MS
    while (!condition()) {
      const left = deadline - Date.now()
      if (left <= 0) throw new Error(`Not told in time; ephemeral: ${JSON.stringify(this.ephemeral)}`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left)
        this.#waiting.push(() => {
          clearTimeout(timer)
          resolve()
        })
      })
    }
  }

  #take(list: JsonObject[], event: JsonObject): void {
    list.push(event)
    for (const wake of this.#waiting.splice(0)) wake()
  }
}

function registrationOf(port: number) {
  return {
    id: 'bot-sdk',
    url: `http://127.0.0.1:${port}`,
    as_token: 'token-of-the-service',
    hs_token: 'token-of-the-server',
    sender_localpart: 'bridge_bot',
    rate_limited: false,
    protocols: ['testnet'],
    'de.sorunome.msc2409.push_ephemeral': true,
    'org.matrix.msc3202': true,
    'io.element.msc4190': true,
    namespaces: {
      users: [{ exclusive: true, regex: '@bridge_.*' }],
      aliases: [{ exclusive: true, regex: '#bridge_.*' }],
      rooms: [],
    },
  }
}

function startService(
  sdk: BotSdk,
  homeserverUrl: string,
  registration: ReturnType<typeof registrationOf>,
): Appservice {
  sdk.LogService.setLevel(sdk.LogLevel.ERROR)
  return new sdk.Appservice({
    port: Number(new URL(registration.url).port),
    bindAddress: '127.0.0.1',
    homeserverName: SERVER_NAME,
    homeserverUrl,
    registration,
    storage: new sdk.MemoryStorageProvider(),
  })
}

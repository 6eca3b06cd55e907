import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { BridgePackages } from './bridge-packages.js'
import type { BridgedPlaces } from './irc-bridges.js'

/** The parts of matrix-appservice-bridge that are used here. */
interface BridgeFramework {
  readonly AppServiceRegistration: { fromObject(registration: object): unknown }
  readonly Bridge: new (options: object) => Bridge
}

interface Bridge {
  run(port: number, appservice: undefined, host: string): Promise<void>
  getIntent(userId?: string): Intent
}

interface Intent {
  readonly userId: string
  sendText(roomId: string, text: string): Promise<unknown>
  setDisplayName(name: string): Promise<unknown>
  resolveRoom(alias: string): Promise<string>
  readonly matrixClient: {
    getJoinedRooms(): Promise<string[]>
    getRoomStateEvent(roomId: string, type: string, key: string): Promise<{ readonly alias?: string }>
  }
}

interface MatrixEvent {
  readonly type: string
  readonly sender: string
  readonly room_id: string
  readonly content: { readonly body?: unknown; readonly membership?: unknown }
}

/** The part of matrix-org-irc that is used here. */
interface IrcLibrary {
  readonly Client: new (host: string, nick: string, options: object) => Connection
}

interface Connection {
  on(event: 'message', listener: (nick: string, target: string, text: string) => void): void
  on(event: 'registered' | 'error', listener: (...args: unknown[]) => void): void
  connect(retries?: number): unknown
  join(channel: string): Promise<unknown>
  say(target: string, text: string): Promise<unknown>
}

interface Settings extends BridgedPlaces {
  readonly packages: string
}

/** Bridges channels and rooms: one connection to IRC for each Matrix user who speaks, one user for each nickname. */
class PlainIrcBridge {
  readonly #settings: Settings
  readonly #irc: IrcLibrary
  readonly #bridge: Bridge
  readonly #connections = new Map<string, Promise<Connection>>()
  readonly #channels = new Map<string, string>()

  constructor(settings: Settings) {
    this.#settings = settings
    const packages = new BridgePackages(settings.packages)
    const framework = packages.load<BridgeFramework>('matrix-appservice-bridge')
    this.#irc = packages.load<IrcLibrary>('matrix-org-irc')
    this.#bridge = new framework.Bridge({
      homeserverUrl: settings.homeserverUrl,
      domain: settings.serverName,
      registration: join(settings.directory, 'registration.yaml'),
      disableStores: true,
      controller: {
        onAliasQuery: (_alias: string, localpart: string) => ({
          creationOpts: { room_alias_name: localpart, preset: 'public_chat', name: localpart.slice(4) },
        }),
        onAliasQueried: async (alias: string, roomId: string) => this.#bridgeRoom(alias, roomId),
        onEvent: async (request: { getData(): MatrixEvent }) => this.#toIrc(request.getData()),
      },
    })
  }

  async run(): Promise<void> {
    await this.#bridge.run(this.#settings.port, undefined, '127.0.0.1')
    const { matrixClient } = this.#bridge.getIntent()
    for (const roomId of await matrixClient.getJoinedRooms()) {
      const { alias } = await matrixClient.getRoomStateEvent(roomId, 'm.room.canonical_alias', '')
      if (alias !== undefined) await this.#bridgeRoom(alias, roomId)
    }
  }

  async #bridgeRoom(alias: string, roomId: string): Promise<void> {
    const channel = alias.slice('#irc_'.length, alias.indexOf(':'))
    this.#channels.set(roomId, channel)
    const bot = await this.#connect('MatrixBot')
    await bot.join(channel)
  }

  async #toIrc({ type, sender, room_id: roomId, content }: MatrixEvent): Promise<void> {
    const channel = this.#channels.get(roomId)
    if (type !== 'm.room.message' || channel === undefined || sender.startsWith('@irc_')) return
    const connection = await this.#connect(`${sender.slice(1, sender.indexOf(':'))}[m]`)
    await connection.join(channel)
    await connection.say(channel, String(content.body))
  }

  async #toMatrix(nick: string, channel: string, text: string): Promise<void> {
    const room = [...this.#channels].find(([, bridged]) => bridged === channel)
    if (room === undefined || nick.endsWith('[m]')) return
    const intent = this.#bridge.getIntent(`@irc_${nick}:${this.#settings.serverName}`)
    await intent.setDisplayName(`${nick} (IRC)`)
    await intent.sendText(room[0], text)
  }

  #connect(nick: string): Promise<Connection> {
    const known = this.#connections.get(nick)
    if (known !== undefined) return known
    const { ircPort: port } = this.#settings
    const connection = new this.#irc.Client('127.0.0.1', nick, { port, autoConnect: false })
    connection.on('error', report)
    if (nick === 'MatrixBot') {
      connection.on('message', (from, channel, text) => {
        this.#toMatrix(from, channel, text).catch(report)
      })
    }
    const registered = new Promise<Connection>((resolve) => {
      connection.on('registered', () => resolve(connection))
    })
    connection.connect()
    this.#connections.set(nick, registered)
    return registered
  }
}

function report(error: unknown): void {
  process.stderr.write(`${String(error)}\n`)
}

const [file = ''] = process.argv.slice(2)
await new PlainIrcBridge(JSON.parse(readFileSync(file, 'utf8')) as Settings).run()

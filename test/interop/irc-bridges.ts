import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stringify } from 'yaml'
import type { BridgePackages } from './bridge-packages.js'

/** A checkout of matrix-appservice-irc, which is in no registry, in which it is installed and built. */
const CHECKOUT_VARIABLE = 'MXHS_INTEROP_IRC_BRIDGE'

/** What a bridge stands between. */
export interface BridgedPlaces {
  /** For the files of the bridge. */
  readonly directory: string
  readonly serverName: string
  readonly homeserverUrl: string
  readonly ircPort: number
  /** Where the bridge listens. */
  readonly port: number
}

/** A bridge to IRC that makes a room of each channel `#name` at the alias `#irc_#name`, and `@irc_` users. */
export interface BridgeProgram {
  /** Writes its registration; gives the file. */
  readonly register: (places: Omit<BridgedPlaces, 'homeserverUrl'>) => string
  /** Writes its other files; gives what node is to run, and where. */
  readonly command: (places: BridgedPlaces) => { readonly args: readonly string[]; readonly cwd: string }
}

/** matrix-appservice-irc, or why it is not here. */
export function findIrcBridge(): { readonly program: BridgeProgram } | { readonly missing: string } {
  const named = process.env[CHECKOUT_VARIABLE]
  if (named === undefined || named === '') {
    return {
      missing:
        `${CHECKOUT_VARIABLE} names no checkout of matrix-appservice-irc. Clone it, run ` +
        '`npm install --ignore-scripts` and `npx tsc --project tsconfig.json` in it, and name it.',
    }
  }
  const checkout = resolve(named)
  if (!existsSync(join(checkout, 'lib/main.js'))) {
    return { missing: `${CHECKOUT_VARIABLE}=${named} holds no matrix-appservice-irc that is built.` }
  }
  return { program: ircBridgeOf(checkout) }
}

function ircBridgeOf(checkout: string): BridgeProgram {
  const app = join(checkout, 'app.js')
  return {
    register(places) {
      const { directory, port } = places
      const config = writeConfig({ ...places, homeserverUrl: 'http://127.0.0.1:1' })
      const file = join(directory, 'registration.yaml')
      const args = [app, '-r', '-u', `http://127.0.0.1:${port}`, '-f', file, '-c', config, '-l', 'ircbot']
      const run = spawnSync(process.execPath, args, { cwd: directory, encoding: 'utf8' })
      if (run.status !== 0) throw new Error(`The bridge makes no registration: ${run.stderr}`)
      return file
    },
    command: (places) => ({
      args: [
        ...[app, '-c', writeConfig(places), '-p', String(places.port)],
        ...['-f', join(places.directory, 'registration.yaml')],
      ],
      cwd: places.directory,
    }),
  }
}

function writeConfig({ directory, serverName, homeserverUrl, ircPort, port }: BridgedPlaces): string {
  const config = {
    homeserver: { url: homeserverUrl, domain: serverName, bindHostname: '127.0.0.1', bindPort: port },
    database: { engine: 'nedb', connectionString: `nedb://${directory}` },
    ircService: {
      logging: { level: 'debug', toConsole: true, maxFiles: 1 },
      servers: {
        'irc.example.com': {
          name: 'Example',
          port: ircPort,
          additionalAddresses: ['127.0.0.1'],
          onlyAdditionalAddresses: true,
          ssl: false,
          botConfig: { enabled: true, nick: 'MatrixBot', joinChannelsIfNoUsers: true },
          dynamicChannels: {
            ...{ enabled: true, createAlias: true, published: false, joinRule: 'public', federate: false },
            aliasTemplate: '#irc_$CHANNEL',
          },
          matrixClients: { userTemplate: '@irc_$NICK', displayName: '$NICK (IRC)' },
          ircClients: { nickTemplate: '$LOCALPART[m]', allowNickChanges: true, maxClients: 30 },
        },
      },
    },
  }
  const file = join(directory, 'bridge.yaml')
  writeFileSync(file, stringify(config))
  return file
}

/** A bridge made of the packages of which matrix-appservice-irc is made, see plain-irc-bridge.ts. */
export function plainIrcBridge({ directory: packages }: BridgePackages): BridgeProgram {
  const script = fileURLToPath(new URL('plain-irc-bridge.ts', import.meta.url))
  return {
    register({ directory, port }) {
      const registration = {
        id: 'plain-irc',
        url: `http://127.0.0.1:${port}`,
        as_token: 'token-of-the-bridge',
        hs_token: 'token-of-the-server',
        sender_localpart: 'ircbot',
        rate_limited: false,
        protocols: ['irc'],
        namespaces: {
          users: [{ exclusive: true, regex: '@irc_.*' }],
          aliases: [{ exclusive: true, regex: '#irc_.*' }],
        },
      }
      const file = join(directory, 'registration.yaml')
      writeFileSync(file, stringify(registration))
      return file
    },
    command(places) {
      const settings = join(places.directory, 'settings.json')
      writeFileSync(settings, JSON.stringify({ ...places, packages }))
      return { args: ['--import', 'tsx', script, settings], cwd: process.cwd() }
    },
  }
}

/** A bridge that runs. */
export class BridgeProcess implements AsyncDisposable {
  readonly #command: ReturnType<BridgeProgram['command']>
  readonly #log: string
  #process: ChildProcess | undefined

  constructor(program: BridgeProgram, places: BridgedPlaces) {
    this.#command = program.command(places)
    this.#log = join(places.directory, 'bridge.log')
  }

  start(): void {
    const log = openSync(this.#log, 'a')
    const { args, cwd } = this.#command
    this.#process = spawn(process.execPath, args, { cwd, stdio: ['ignore', log, log] })
  }

  get isRunning(): boolean {
    return this.#process?.exitCode === null && this.#process.signalCode === null
  }

  async stop(): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (child?.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    await exited
  }

  /** The end of what it has written. */
  get log(): string {
    return readFileSync(this.#log, 'utf8').slice(-10_000)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { openSync, writeFileSync } from 'node:fs'
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { JsonObject } from '../../src/util/json.js'
import { untilAsync } from '../support/sdk-clients.js'

/** The processes beside the main one. */
const WORKERS = ['generic', 'persister1', 'persister2', 'streams'] as const
type Worker = (typeof WORKERS)[number]

/** Who answers what; all else is for the main process. */
const ROUTES: readonly (readonly [Worker, RegExp])[] = [
  ['streams', /\/(sendToDevice|presence|pushrules)\//],
  ['streams', /\/(rooms|user)\/[^?]*\/(tags|account_data|receipt|read_markers|typing)\b/],
  ['generic', /\/(sync|createRoom|joined_rooms|login|keys\/(query|claim))(\?|$)/],
  ['generic', /\/(rooms|join|knock)\//],
]

/** A Synapse that is several processes: two that write events, one that writes most other streams, one for the rest. */
export class SynapseWorkers {
  readonly #directory: string
  readonly #python: string
  readonly #redisPort: number
  readonly #ports: ReadonlyMap<string, number>
  readonly #processes: ChildProcess[] = []
  readonly #router: Server

  /** `ports`: of Redis, of the main process for clients and for the others, and of each worker. */
  constructor(python: string, directory: string, ports: readonly number[]) {
    this.#python = python
    this.#directory = directory
    const [redis, ...others] = ports
    this.#redisPort = redis!
    this.#ports = new Map(['main', 'replication', ...WORKERS].map((name, index) => [name, others[index]!]))
    this.#router = createServer((incoming, answer) => {
      this.#forward(incoming, answer)
    })
  }

  /** How many ports there must be. */
  static readonly portsNeeded = WORKERS.length + 3

  /** Where the main process answers what the router hands on. */
  get mainPort(): number {
    return this.#ports.get('main')!
  }

  /** What all processes are told. */
  get config(): JsonObject {
    const at = (name: string): JsonObject => ({ host: '127.0.0.1', port: this.#ports.get(name)! })
    const writers = ['typing', 'to_device', 'account_data', 'receipts', 'presence', 'push_rules']
    return {
      redis: { enabled: true, host: '127.0.0.1', port: this.#redisPort },
      instance_map: {
        main: at('replication'),
        ...Object.fromEntries(WORKERS.map((name) => [name, at(name)])),
      },
      stream_writers: {
        events: ['persister1', 'persister2'],
        ...Object.fromEntries(writers.map((stream) => [stream, 'streams'])),
      },
    }
  }

  /** By which the main process hears of the others. */
  get replicationListener(): JsonObject {
    return {
      port: this.#ports.get('replication')!,
      type: 'http',
      bind_addresses: ['127.0.0.1'],
      resources: [{ names: ['replication'] }],
    }
  }

  async startRedis(): Promise<void> {
    const args = [
      '--port',
      String(this.#redisPort),
      '--bind',
      '127.0.0.1',
      '--save',
      '',
      '--dir',
      this.#directory,
    ]
    this.#start('redis-server', args, 'redis')
    await this.#listens(this.#redisPort)
  }

  /** After the main process: it makes the schema. */
  async start(clientPort: number): Promise<void> {
    for (const name of WORKERS) {
      const file = join(this.#directory, `${name}.yaml`)
      const listener = {
        type: 'http',
        port: this.#ports.get(name)!,
        bind_addresses: ['127.0.0.1'],
        resources: [{ names: ['client', 'replication'] }],
      }
      const config = {
        worker_app: 'synapse.app.generic_worker',
        worker_name: name,
        worker_listeners: [listener],
      }
      writeFileSync(file, JSON.stringify(config))
      const files = ['-c', join(this.#directory, 'homeserver.yaml'), '-c', file]
      this.#start(this.#python, ['-m', 'synapse.app.generic_worker', ...files], name)
    }
    for (const name of WORKERS) await this.#listens(this.#ports.get(name)!)
    if (this.#router.listening) return
    this.#router.listen(clientPort, '127.0.0.1')
    await once(this.#router, 'listening')
  }

  async stop(): Promise<void> {
    for (const process of this.#processes.splice(0).reverse()) {
      if (process.exitCode !== null) continue
      const exited = once(process, 'exit')
      process.kill('SIGTERM')
      await exited
    }
    this.#router.closeAllConnections()
    this.#router.close()
  }

  #start(command: string, args: readonly string[], name: string): void {
    const log = openSync(join(this.#directory, `${name}.log`), 'a')
    this.#processes.push(spawn(command, args, { stdio: ['ignore', log, log] }))
  }

  #listens(port: number): Promise<void> {
    return untilAsync(async () => {
      const socket = connect(port, '127.0.0.1')
      try {
        await once(socket, 'connect')
        return true
      } catch {
        return false
      } finally {
        socket.destroy()
      }
    })
  }

  #forward(incoming: IncomingMessage, answer: ServerResponse): void {
    const url = incoming.url ?? '/'
    const worker = ROUTES.find(([, pattern]) => pattern.test(url))?.[0] ?? 'main'
    const { method, headers } = incoming
    const target = { host: '127.0.0.1', port: this.#ports.get(worker)!, path: url, method, headers }
    const outgoing = request(target, (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers)
      response.pipe(answer)
    })
    outgoing.on('error', () => answer.destroy())
    answer.on('close', () => outgoing.destroy())
    incoming.pipe(outgoing)
  }
}

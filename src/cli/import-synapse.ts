import { connect } from 'node:net'
import type { HomeserverConfig } from '../config/homeserver-config.js'
import type { ConfigNotice } from '../config/config-error.js'
import type { SourceConfig } from '../config/load-source.js'
import type { SourceReport, TakenOver, TakeoverOptions } from '../server/wire-takeover.js'
import { isJsonObject } from '../util/json.js'
import type { ProgressSink } from '../util/progress-sink.js'
import { CommandFailure } from './failures.js'

const CONNECT_MS = 2_000

export interface ImportPlaces {
  /** The configuration of the Synapse. */
  readonly from: readonly string[]
  /** That of this server. */
  readonly to: readonly string[]
}

/** Both configurations, held against each other. */
export interface ImportConfigs {
  readonly from: TakeoverOptions['from']
  readonly to: HomeserverConfig
  /** Where the Synapse listens on this machine, while it runs. */
  readonly ports: readonly number[]
  readonly warnings: readonly string[]
}

/** Reads both configurations. Throws a `ConfigError`, or a `CommandFailure` where they do not fit together. */
export async function loadImportConfigs(places: ImportPlaces): Promise<ImportConfigs> {
  const [{ loadConfig }, { loadSourceConfig }, { compareConfigs }, { formatNotice }] = await Promise.all([
    import('../config/load.js'),
    import('../config/load-source.js'),
    import('../server/takeover-config.js'),
    import('../config/config-error.js'),
  ])
  const [from, to] = [await loadSourceConfig(places.from), await loadConfig(places.to)]
  const findings = await compareConfigs(from.config, to.config)
  const errors = findings.filter(({ isError }) => isError)
  if (errors.length > 0) throw new CommandFailure(errors.map(({ message }) => message).join('\n'))
  return {
    from: sourceOf(from),
    to: to.config,
    ports: portsOf(from),
    warnings: [
      ...to.warnings.map((notice: ConfigNotice) => formatNotice(notice)),
      ...findings.map(({ message }) => message),
    ],
  }
}

/** What would come over, and what not. `from`: the configuration of the Synapse. */
export async function inspect(from: readonly string[]): Promise<SourceReport> {
  const [{ loadSourceConfig }, { inspectSynapse }] = await Promise.all([
    import('../config/load-source.js'),
    import('../server/wire-takeover.js'),
  ])
  const loaded = await loadSourceConfig(from)
  return explained(() => inspectSynapse(sourceOf(loaded)))
}

/**
 * Copies what there is. Throws a `CommandFailure` where that cannot be, and in a final run where something still answers
 * at the ports of the Synapse.
 */
export async function importSynapse(
  { from, to, ports }: Pick<ImportConfigs, 'from' | 'to' | 'ports'>,
  { isFinal, progress }: { isFinal: boolean; progress: ProgressSink },
): Promise<TakenOver> {
  const { takeOverSynapse } = await import('../server/wire-takeover.js')
  const port = isFinal ? await findOpenPort(ports) : undefined
  if (port !== undefined) {
    throw new CommandFailure(
      `Something listens at port ${port}, as Synapse would: stop it first. While it runs, --while-running copies rooms ` +
        'ahead of time.',
    )
  }
  try {
    return await explained(() => takeOverSynapse({ from, to, progress }, isFinal))
  } finally {
    progress.finish()
  }
}

async function explained<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const { name, message } = error as Error
    if (name === 'TakeoverRefusal' || name === 'UnfinishedPortError' || message.startsWith('Cannot '))
      throw new CommandFailure(message, { cause: error })
    throw error
  }
}

function sourceOf({ config, statesDatabase }: SourceConfig): TakeoverOptions['from'] {
  const { database, server, media } = config
  return { database, server, media, statesDatabase }
}

const THIS_MACHINE = new Set(['localhost', '127.0.0.1', '::1'])

/** Those of the main process, and of its workers, as far as they listen here. */
function portsOf({ config, given }: SourceConfig): number[] {
  const own = config.listeners.list.flatMap(({ address }) => ('port' in address ? [address.port] : []))
  const { instance_map: instances } = given
  const workers = Object.values(isJsonObject(instances) ? instances : {}).flatMap((instance) => {
    const { host, port } = isJsonObject(instance) ? instance : {}
    return typeof host === 'string' && typeof port === 'number' && THIS_MACHINE.has(host) ? [port] : []
  })
  return [...own, ...workers].filter((port) => port !== 0)
}

/** A port of the Synapse's at which somebody answers. */
async function findOpenPort(ports: readonly number[]): Promise<number | undefined> {
  for (const port of ports) if (await isOpen(port)) return port
  return undefined
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', timeout: CONNECT_MS })
    const end = (answer: boolean) => () => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('connect', end(true)).once('error', end(false)).once('timeout', end(false))
  })
}

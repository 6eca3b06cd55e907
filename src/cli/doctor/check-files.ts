import { constants } from 'node:fs'
import { access, chmod, lstat, readdir, readFile, stat, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { controlSocketPlace } from '../../config/control-socket-path.js'
import type { HomeserverConfig } from '../../config/homeserver-config.js'
import { isSecretPath } from '../../config/secret-keys.js'
import { YamlSource } from '../../config/yaml-source.js'
import { ControlClient } from '../control-client.js'
import type { DoctorCheck, DoctorContext } from './doctor-check.js'
import { failure, info, ok, warning, type Finding } from './finding.js'

const OTHERS_READ = 0o004
const OTHERS = 0o007
const DAY_MS = 24 * 60 * 60_000

/** Who may read what only the server should, what it must be able to write, and what processes have left behind. */
export const checkFiles: DoctorCheck = {
  name: 'files',
  summary: 'permissions of files, and what processes have left behind',
  usesNetwork: false,
  async run(context) {
    const { config } = context
    const findings = await Promise.all([
      ...context.files.map(configFile),
      signingKey(config),
      database(config),
      mediaStore(config),
      pidFile(config),
      controlSocket(config),
      unfinishedUploads(context),
    ])
    const problems = findings.flat()
    return problems.length > 0 ? problems : [ok('files can be read and written by whom they should')]
  },
}

async function configFile(file: string): Promise<Finding[]> {
  if (!holdsSecrets(new YamlSource(file, await readFile(file, 'utf8')).values)) return []
  return secretFile(file, 'it holds secrets of the server')
}

function holdsSecrets(value: unknown, path: readonly string[] = []): boolean {
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value).some(([key, part]) => holdsSecrets(part, [...path, key]))
  }
  return typeof value === 'string' && value !== '' && isSecretPath(path)
}

async function signingKey({ signingKeys }: HomeserverConfig): Promise<Finding[]> {
  if (signingKeys.inline !== undefined) return []
  return secretFile(signingKeys.path, 'whoever has it can speak in the name of the server')
}

async function database({ database: settings }: HomeserverConfig): Promise<Finding[]> {
  if (settings.name !== 'sqlite' || settings.path === ':memory:') return []
  return secretFile(settings.path, 'it holds all messages that are not encrypted')
}

/** A file that other users of the machine are not to read. */
async function secretFile(file: string, consequence: string): Promise<Finding[]> {
  const stats = await stat(file).catch(() => undefined)
  if (stats === undefined || (stats.mode & OTHERS_READ) === 0) return []
  const mode = stats.mode & 0o777 & ~OTHERS
  const finding = failure(
    `${file} can be read by every user of this machine (mode ${octal(stats.mode & 0o777)})`,
    {
      consequence,
      cure: `chmod ${octal(mode)} ${file}`,
      mend: async () => {
        await chmod(file, mode)
        return `${file} has mode ${octal(mode)} now`
      },
    },
  )
  return [finding]
}

async function mediaStore({ media }: HomeserverConfig): Promise<Finding[]> {
  const exists = (await stat(media.storePath).catch(() => undefined)) !== undefined
  const directory = exists ? media.storePath : dirname(media.storePath)
  try {
    await access(directory, constants.W_OK)
    return []
  } catch (error) {
    return [
      failure(`${directory} cannot be written to: ${(error as Error).message}`, {
        consequence: 'files cannot be uploaded',
        cure: `run this as the user of the server; or chown the directory to it (media_store_path)`,
      }),
    ]
  }
}

async function pidFile({ server }: HomeserverConfig): Promise<Finding[]> {
  const file = server.pidFile
  if (file === undefined) return []
  const pid = Number((await readFile(file, 'utf8').catch(() => '')).trim())
  if (!Number.isInteger(pid) || pid <= 0 || isRunning(pid)) return []
  return [stale(file, `there is no process ${pid}, which ${file} names`)]
}

async function controlSocket(config: HomeserverConfig): Promise<Finding[]> {
  const path = controlSocketPlace(config)?.path
  if (path === undefined || !(await lstat(path).catch(() => undefined))?.isSocket()) return []
  const client = await ControlClient.connect(path).catch(() => 'there is one')
  if (client === undefined) return [stale(path, `no server listens at ${path}`)]
  if (typeof client === 'object') client.close()
  return []
}

function stale(file: string, summary: string): Finding {
  return info(summary, {
    consequence: 'the last one was killed, or the machine has lost power',
    cure: `rm ${file}`,
    mend: async () => {
      await unlink(file)
      return `${file} has been removed`
    },
  })
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Where uploads lie until they are whole, below `media_store_path`. */
const INCOMING = 'incoming'
const MAX_LOOKED_AT = 10_000

async function unfinishedUploads({ config, clock }: DoctorContext): Promise<Finding[]> {
  const directory = join(config.media.storePath, INCOMING)
  const names = (await readdir(directory).catch(() => [])).slice(0, MAX_LOOKED_AT)
  const before = clock.now() - DAY_MS
  const old: string[] = []
  for (const name of names) {
    const stats = await stat(join(directory, name)).catch(() => undefined)
    if (stats?.isFile() === true && stats.mtimeMs < before) old.push(name)
  }
  if (old.length === 0) return []
  return [
    warning(`${old.length} uploads have been unfinished for more than a day`, {
      consequence: 'they take room, and nothing refers to them',
      cure: 'mxhs media check --fix',
      mend: async () => {
        for (const name of old) await unlink(join(directory, name))
        return `${old.length} unfinished uploads have been removed`
      },
    }),
  ]
}

function octal(mode: number): string {
  return mode.toString(8).padStart(3, '0')
}
